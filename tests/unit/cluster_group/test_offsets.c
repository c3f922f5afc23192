/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets against a plain list, and when they expire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster/group/offsets.h"
#include "tests/unit/rng.h"

enum { TOPICS = 4, PARTITIONS = 9 };

struct model {
	bool there[TOPICS][PARTITIONS];
	int64_t offset[TOPICS][PARTITIONS];
	char metadata[TOPICS][PARTITIONS][16];
};

static struct bytes topic(int64_t t)
{
	static const char *const names[TOPICS] = {"a", "orders", "b.c", "orders2"};
	return bytes_str(names[t]);
}

static void compare(const struct offsets *o, const struct model *m)
{
	size_t n = 0, topics = 0;
	for (int t = 0; t < TOPICS; t++) {
		size_t of_topic = 0;
		for (int32_t p = 0; p < PARTITIONS; p++) {
			const struct committed_offset *c = offsets_get(o, topic(t), p);
			assert_int_equal(c != NULL, m->there[t][p]);
			if (c == NULL)
				continue;
			of_topic++;
			assert_int_equal(c->offset, m->offset[t][p]);
			assert_true(c->metadata.n == strlen(m->metadata[t][p]));
		}
		const struct offsets_topic *list = offsets_topic(o, topic(t));
		assert_int_equal(list != NULL, of_topic > 0);
		int32_t before = -1, now;
		for (size_t i = 0; list != NULL && offsets_topic_at(list, i, &now); i++) {
			assert_true(now > before && m->there[t][now]);
			before = now;
		}
		topics += of_topic > 0;
		n += of_topic;
	}
	assert_int_equal(offsets_count(o), n);
	assert_int_equal(offsets_topics(o), topics);
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {.s = rng_seed("test_offsets")};
	struct offsets *o = offsets_new();
	struct model m = {0};
	size_t empty = offsets_bytes(o);
	for (int64_t i = 0; i < rng_scale(4000); i++) {
		int64_t t = rng_in(&g, 0, TOPICS - 1);
		int32_t p = (int32_t)rng_in(&g, 0, PARTITIONS - 1);
		if (rng_one_in(&g, 2)) {
			assert_int_equal(offsets_remove(o, topic(t), p), m.there[t][p]);
			m.there[t][p] = false;
		} else {
			char *text = m.metadata[t][p];
			snprintf(text, 16, "%.*s", (int)rng_in(&g, 0, 12), "metadatatext");
			m.there[t][p] = true;
			m.offset[t][p] = rng_in(&g, 0, 1000);
			struct committed_offset c = {.offset = m.offset[t][p],
						     .metadata = bytes_str(text)};
			assert_int_equal(offsets_put(o, topic(t), p, &c), ERR_OK);
		}
		compare(o, &m);
	}
	for (int t = 0; t < TOPICS; t++)
		for (int32_t p = 0; p < PARTITIONS; p++)
			offsets_remove(o, topic(t), p);
	assert_int_equal(offsets_bytes(o), empty); /* memory is counted exactly */
	offsets_free(o);
}

/* OffsetExpirationConditionImpl */
static void test_expiry(void **state)
{
	(void)state;
	struct committed_offset c = {.commit_timestamp = 1000, .expire_timestamp = -1};
	struct offsets_expiry x = {.retention_ms = 100, .base = -1};
	x.now = 1099;
	assert_false(offsets_expired(&c, &x));
	x.now = 1100;
	assert_true(offsets_expired(&c, &x));
	x.base = 1050; /* since the group is empty */
	assert_false(offsets_expired(&c, &x));
	x.now = 1150;
	assert_true(offsets_expired(&c, &x));
	c.expire_timestamp = 1200; /* the client's own wish wins */
	assert_false(offsets_expired(&c, &x));
	x.now = 1200;
	assert_true(offsets_expired(&c, &x));
	c.expire_timestamp = -1;
	c.commit_timestamp = INT64_MIN; /* from a damaged record */
	x.base = -1;
	assert_true(offsets_expired(&c, &x));
	c.commit_timestamp = INT64_MAX;
	assert_false(offsets_expired(&c, &x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
					   cmocka_unit_test(test_expiry)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
