/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_group_replay: records and batches as the coordinator writes them.
 * Argument: the folder. */
#include <assert.h>
#include <stdio.h>

#include "cluster/group/group_record.h"
#include "lib/wire/records.h"
#include "lib/wire/wire.h"

enum { TOMBSTONE = 0xffff, MAX = 1 << 16 };

struct seeds {
	struct buf records; /* as fuzz_group_replay takes them */
	struct batch_builder batch;
};

static void put(struct seeds *s, const struct buf *key, const struct buf *value)
{
	struct record r = {.timestamp = 1,
			   .key = buf_bytes(key),
			   .value = value == NULL ? bytes_of(NULL, 0) : buf_bytes(value)};
	enum err e = batch_builder_add(&s->batch, &r);
	assert(e == ERR_OK);
	buf_put_be16(&s->records, (uint16_t)key->len);
	buf_put_be16(&s->records, value == NULL ? TOMBSTONE : (uint16_t)value->len);
	buf_put(&s->records, key->p, key->len);
	if (value != NULL)
		buf_put(&s->records, value->p, value->len);
}

static void put_offset(struct seeds *s, int64_t expire, bool tombstone)
{
	struct buf key, value;
	struct offset_commit_key k = {
		.group = bytes_str("g"), .topic = bytes_str("t"), .partition = 1};
	struct offset_commit_value v;
	wire_init(&wire_offset_commit_value, &v);
	v.offset = 7;
	v.metadata = bytes_str("m");
	v.expire_timestamp = expire;
	v.topic_id.b[3] = 1;
	buf_init(&key, MAX);
	buf_init(&value, MAX);
	enum err e = group_record_put_offset_key(&k, &key);
	assert(e == ERR_OK);
	e = group_record_put_offset(&v, &value);
	assert(e == ERR_OK);
	put(s, &key, tombstone ? NULL : &value);
	buf_fini(&key);
	buf_fini(&value);
}

static void put_group(struct seeds *s, int32_t members, bool tombstone)
{
	static const uint8_t subscription[] = {0, 1, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255};
	struct group_metadata_value_member_metadata m[2];
	struct group_metadata_value v;
	struct buf key, value;
	wire_init(&wire_group_metadata_value, &v);
	v.protocol_type = bytes_str("consumer");
	v.protocol = bytes_str("range");
	v.leader = bytes_str("m0");
	v.generation = 3;
	v.members = m;
	v.members_n = members;
	for (int32_t i = 0; i < members; i++)
		m[i] = (struct group_metadata_value_member_metadata){
			.member_id = bytes_str(i == 0 ? "m0" : "m1"),
			.group_instance_id = bytes_str(i == 0 ? NULL : "i"),
			.client_id = bytes_str("c"),
			.client_host = bytes_str("/h"),
			.session_timeout = 10000,
			.rebalance_timeout = 60000,
			.subscription = bytes_of(subscription, sizeof subscription),
			.assignment = bytes_str("a")};
	buf_init(&key, MAX);
	buf_init(&value, MAX);
	enum err e = group_record_put_group_key(bytes_str("g"), &key);
	assert(e == ERR_OK);
	e = group_record_put_group(&v, &value);
	assert(e == ERR_OK);
	put(s, &key, tombstone ? NULL : &value);
	buf_fini(&key);
	buf_fini(&value);
}

static void write_file(const char *folder, const char *name, uint8_t first, struct bytes b)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert(f != NULL);
	fputc(first, f);
	fwrite(b.p, 1, b.n, f);
	fclose(f);
}

int main(int argc, char **argv)
{
	assert(argc == 2);
	static const enum batch_codec codecs[] = {CODEC_NONE, CODEC_GZIP, CODEC_LZ4, CODEC_ZSTD};
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		struct seeds s;
		struct buf batch;
		char name[32];
		buf_init(&s.records, MAX);
		buf_init(&batch, 2 * MAX);
		batch_builder_init(&s.batch, codecs[i], MAX);
		put_group(&s, 0, false);
		put_group(&s, (int32_t)(i % 2 + 1), false);
		put_offset(&s, -1, false);
		put_offset(&s, 99, false);
		if (i % 2 == 0)
			put_offset(&s, -1, true);
		if (i == 3)
			put_group(&s, 0, true);
		enum err e = batch_builder_finish(&s.batch, &batch);
		assert(e == ERR_OK);
		snprintf(name, sizeof name, "records%zu", i);
		write_file(argv[1], name, 0, buf_bytes(&s.records));
		snprintf(name, sizeof name, "batch%zu", i);
		write_file(argv[1], name, 1, buf_bytes(&batch));
		batch_builder_fini(&s.batch);
		buf_fini(&batch);
		buf_fini(&s.records);
	}
	return 0;
}
