/* SPDX-License-Identifier: Apache-2.0 */
/* meta.properties and partition.metadata, as Kafka writes them and as nobody should. */
#include "cluster/log/meta_file.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/rng.h"

static const char kafka[] = "#\n"
			    "#Mon Nov 23 10:00:00 UTC 2026\n"
			    "cluster.id=5L6g3nShT-eMCtK--X86sw\n"
			    "directory.id=1CCPoxoeR9SLMNQYVzLW1A\n"
			    "node.id=17\n"
			    "version=1\n";

static void test_kafkas(void **state)
{
	(void)state;
	struct meta_file m;
	char id[23];
	assert_int_equal(meta_file_decode(&m, bytes_str(kafka), NULL), ERR_OK);
	assert_string_equal(m.cluster_id, "5L6g3nShT-eMCtK--X86sw");
	assert_int_equal(m.node_id, 17);
	uuid_format(&m.directory_id, id);
	assert_string_equal(id, "1CCPoxoeR9SLMNQYVzLW1A");
}

static void test_round_trip(void **state)
{
	(void)state;
	struct meta_file m = {.cluster_id = "abc", .node_id = INT32_MAX}, back;
	struct buf b;
	buf_init(&b, 1 << 10);
	meta_file_encode(&m, &b);
	assert_int_equal(meta_file_decode(&back, buf_bytes(&b), NULL), ERR_OK);
	assert_string_equal(back.cluster_id, "abc");
	assert_int_equal(back.node_id, INT32_MAX);
	assert_true(uuid_is_zero(&back.directory_id));
	m.directory_id.b[15] = 1;
	buf_clear(&b);
	meta_file_encode(&m, &b);
	assert_int_equal(meta_file_decode(&back, buf_bytes(&b), NULL), ERR_OK);
	assert_true(uuid_eq(&back.directory_id, &m.directory_id));
	buf_fini(&b);
}

static void test_syntax(void **state)
{
	(void)state;
	struct meta_file m;
	struct bytes file = bytes_str("! a comment\r\n\r\n version = 1 \r\ncluster.id: x\r"
				      "node.id=0\r\nother=thing");
	assert_int_equal(meta_file_decode(&m, file, NULL), ERR_OK);
	assert_string_equal(m.cluster_id, "x");
	assert_int_equal(m.node_id, 0);
}

static void test_hostile(void **state)
{
	(void)state;
	struct errmsg why;
	struct meta_file m;
	const char *bad[] = {
		"",
		"version=1\n",
		"version=1\ncluster.id=x\n",
		"cluster.id=x\nnode.id=1\n",
		"version=1\ncluster.id=\nnode.id=1\n",
		"version=1\ncluster.id=a b\nnode.id=1\n",
		"version=1\ncluster.id=x\nnode.id=-1\n",
		"version=1\ncluster.id=x\nnode.id=1x\n",
		"version=1\ncluster.id=x\nnode.id=2147483648\n",
		"version=1\ncluster.id=x\nnode.id=1\nnode.id=1\n",
		"version=1\ncluster.id=x\\u0041\nnode.id=1\n",
		"version=1\ncluster.id=x\nnode.id=1\nnonsense\n",
		"version=1\ncluster.id=x\nnode.id=1\ndirectory.id=short\n",
		"version=1\ncluster.id=x\nnode.id=1\n=1\n",
		"version=one\ncluster.id=x\nnode.id=1\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(meta_file_decode(&m, bytes_str(bad[i]), &why), ERR_MALFORMED);
	assert_int_equal(
		meta_file_decode(&m, bytes_str("version=0\ncluster.id=x\nnode.id=1"), &why),
		ERR_UNSUPPORTED);
	char text[256] = "version=1\nnode.id=1\ncluster.id=";
	memset(text + strlen(text), 'c', META_FILE_CLUSTER_ID_MAX + 1);
	assert_int_equal(meta_file_decode(&m, bytes_str(text), &why), ERR_MALFORMED);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(meta_file_decode(&m, bytes_str(text), &why), ERR_OK);
}

static void test_partition(void **state)
{
	(void)state;
	struct errmsg why;
	struct uuid id = {{1, 2, 3}}, back;
	struct buf b;
	buf_init(&b, 1 << 10);
	meta_file_encode_partition(&id, &b);
	assert_int_equal(meta_file_decode_partition(&back, buf_bytes(&b), &why), ERR_OK);
	assert_true(uuid_eq(&id, &back));
	buf_fini(&b);
	const char *bad[] = {
		"",
		"version: 0\n",
		"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA\n",
		"version: 0\ntopic_id: 1CCPoxoeR9SLMNQYVzLW1\n",
		"topic_id: 1CCPoxoeR9SLMNQYVzLW1A\n",
		"version 0\ntopic_id: 1CCPoxoeR9SLMNQYVzLW1A\n",
		"version: 0\nid: 1\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(meta_file_decode_partition(&back, bytes_str(bad[i]), &why),
				 ERR_MALFORMED);
	struct bytes later = bytes_str("version: 7\ntopic_id: 1CCPoxoeR9SLMNQYVzLW1A");
	assert_int_equal(meta_file_decode_partition(&back, later, &why), ERR_UNSUPPORTED);
}

static void test_uuid(void **state)
{
	(void)state;
	struct rng g = {rng_seed("meta_uuid")};
	struct uuid id, back;
	char text[23];
	for (int i = 0; i < 1000; i++) {
		for (size_t k = 0; k < 16; k++)
			id.b[k] = (uint8_t)rng_u64(&g);
		uuid_format(&id, text);
		assert_true(meta_file_uuid(bytes_str(text), &back));
		assert_true(uuid_eq(&id, &back));
		text[rng_in(&g, 0, 21)] = '+';
		assert_false(meta_file_uuid(bytes_str(text), &back));
	}
	/* The last character has only two bits. */
	assert_true(meta_file_uuid(bytes_str("AAAAAAAAAAAAAAAAAAAAAQ"), &back));
	assert_false(meta_file_uuid(bytes_str("AAAAAAAAAAAAAAAAAAAAAB"), &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kafkas),    cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_syntax),    cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_partition), cmocka_unit_test(test_uuid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
