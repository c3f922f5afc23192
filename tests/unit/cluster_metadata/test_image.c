/* SPDX-License-Identifier: Apache-2.0 */
/* The image over records that Apache Kafka wrote, and over every damage to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/metadata/image.h"
#include "cluster/metadata/record_frame.h"
#include "fake_log.h"
#include "fixture_records.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "lib/wire/wire.h"

struct fixture {
	struct image im;
	struct fixture_record records[FIXTURE_RECORDS_MAX];
	size_t n;
	struct errmsg why;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct plog_config c;

	plog_config_init(&c);
	assert_int_equal(image_init(&f->im, 1, &c), ERR_OK);
	f->n = fixture_records_load(TEST_DATA "/metadata-records.txt", f->records);
	assert_true(f->n > 15);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	image_fini(&f->im);
	free(f);
	return 0;
}

static enum err apply(struct fixture *f, size_t i)
{
	const struct fixture_record *r = &f->records[i];

	return image_apply(&f->im, r->offset, bytes_of(r->value, r->n), &f->why);
}

static const char *set_for(const struct fixture *f, const char *topic, const char *name)
{
	return map_get(image_find(&f->im, bytes_str(topic))->t.configs, bytes_str(name));
}

static void test_kafkas_records(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++)
		if (apply(f, i) != ERR_OK)
			fail_msg("%s at %lld: %s", f->records[i].kind,
				 (long long)f->records[i].offset, f->why.text);
	assert_int_equal(f->im.metadata_version, 27);
	assert_int_equal(f->im.broker_epoch, 12);
	assert_false(f->im.broker_fenced);
	assert_int_equal(f->im.topics_n, 2);
	const struct image_topic *t1 = image_find(&f->im, bytes_str("t1"));
	assert_int_equal(t1->t.partitions_n, 2);
	assert_int_equal(t1->t.partitions[1].leader, 1);
	assert_int_equal(t1->t.partitions[1].leader_epoch, 0);
	assert_null(set_for(f, "t1", "retention.ms")); /* set and taken away several times */
	assert_null(set_for(f, "t1", "cleanup.policy"));
	assert_int_equal(map_count(f->im.cluster_configs), 0);
	assert_int_equal(f->im.offset, f->records[f->n - 1].offset);
}

/* What we write for the same content is the same bytes. */
static void check_written(struct fixture *f, const char *kind, const struct wire_message *m,
			  int16_t version)
{
	struct arena a;
	struct buf batch;
	struct records_reader *rr;
	struct record r;
	size_t i = 0;

	while (strcmp(f->records[i].kind, kind) != 0)
		i++;
	arena_init(&a, 1 << 16);
	buf_init(&batch, 1 << 16);
	struct record_frame frame;
	struct bytes value = bytes_of(f->records[i].value, f->records[i].n);
	assert_int_equal(record_frame_get(value, &frame, &f->why), ERR_OK);
	assert_int_equal(frame.type, m->record_type);
	assert_int_equal(frame.version, version);
	void *msg = wire_array_new(&a, m->body, 1);
	assert_int_equal(wire_decode(m, frame.version, frame.payload, &a, msg, &f->why), ERR_OK);
	const struct metadata_record rec = {m, version, msg};
	assert_int_equal(record_frame_batch(&rec, 1, 77, &batch, &f->why), ERR_OK);
	assert_int_equal(records_reader_open(buf_bytes(&batch), 1 << 16, &rr, &f->why), ERR_OK);
	assert_true(records_reader_next(rr, &r));
	assert_null(r.key.p);
	assert_int_equal(r.timestamp, 77);
	assert_true(bytes_eq(r.value, value));
	records_reader_free(rr);
	buf_fini(&batch);
	arena_fini(&a);
}

static void test_written_as_kafka_does(void **state)
{
	check_written(*state, "FEATURE_LEVEL", &wire_feature_level_record, 0);
	check_written(*state, "REGISTER_BROKER", &wire_register_broker_record, 3);
	check_written(*state, "BROKER_REGISTRATION_CHANGE", &wire_broker_registration_change_record,
		      0);
	check_written(*state, "TOPIC", &wire_topic_record, 0);
	check_written(*state, "PARTITION", &wire_partition_record, 2);
	check_written(*state, "CONFIG", &wire_config_record, 0);
}

/* Every record cut short at every byte, and with every byte changed: an error or a sane image, and
 * after an error the image is as before. */
static void test_damaged(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++) {
		struct fixture_record *r = &f->records[i];
		int64_t before = f->im.offset;
		size_t topics = f->im.topics_n;
		for (size_t n = 0; n < r->n; n++) {
			uint8_t *cut = malloc(n + 1); /* so that a byte too far is seen */
			memcpy(cut, r->value, n);
			enum err e = image_apply(&f->im, r->offset, bytes_of(cut, n), &f->why);
			assert_true(e == ERR_MALFORMED || e == ERR_UNSUPPORTED);
			assert_int_equal(f->im.offset, before);
			assert_int_equal(f->im.topics_n, topics);
			free(cut);
		}
		assert_int_equal(apply(f, i), ERR_OK);
	}
}

static void test_twice(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++) {
		bool once = strcmp(f->records[i].kind, "TOPIC") == 0 ||
			    strcmp(f->records[i].kind, "PARTITION") == 0;
		assert_int_equal(apply(f, i), ERR_OK);
		assert_int_equal(apply(f, i), once ? ERR_MALFORMED : ERR_OK);
	}
}

static void test_another_node(void **state)
{
	struct fixture *f = *state;

	f->im.node_id = 2;
	for (size_t i = 0; i < f->n; i++) {
		const char *kind = f->records[i].kind;
		enum err e = apply(f, i);
		if (strcmp(kind, "REGISTER_BROKER") == 0)
			assert_int_equal(e, ERR_UNSUPPORTED);
		if (strcmp(kind, "PARTITION") == 0)
			assert_int_not_equal(e, ERR_OK);
	}
}

static enum err config(struct fixture *f, int8_t type, const char *resource, const char *name,
		       const char *value)
{
	struct config_record r;
	struct wire_out out;

	wire_init(&wire_config_record, &r);
	r.resource_type = type;
	r.resource_name = bytes_str(resource);
	r.name = bytes_str(name);
	r.value = bytes_str(value);
	wire_out_init(&out, 1 << 16, 0);
	buf_put(&out.buf, "\x01\x04\x00", 3);
	assert_int_equal(wire_encode(&wire_config_record, 0, &r, &out, &f->why), ERR_OK);
	enum err e = image_apply(&f->im, f->im.offset + 1, buf_bytes(&out.buf), &f->why);
	wire_out_fini(&out);
	return e;
}

static void test_bad_configs(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++)
		assert_int_equal(apply(f, i), ERR_OK);
	assert_int_equal(config(f, 2, "t1", "retention.ms", "x"), ERR_MALFORMED);
	assert_non_null(strstr(f->why.text, "ConfigRecord: Invalid value x for configuration "
					    "retention.ms"));
	assert_int_equal(config(f, 2, "t1", "no.such", "x"), ERR_UNSUPPORTED);
	assert_int_equal(config(f, 2, "none", "retention.ms", "1"), ERR_MALFORMED);
	assert_int_equal(config(f, 4, "2", "log.retention.ms", "1"), ERR_MALFORMED);
	assert_int_equal(config(f, 16, "x", "metrics", "1"), ERR_UNSUPPORTED);
	assert_int_equal(config(f, 4, "", "log.retention.ms", "9"), ERR_OK);
	assert_int_equal(image_find(&f->im, bytes_str("t1"))->t.log_config.retention_ms, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_kafkas_records), T(test_written_as_kafka_does), T(test_damaged),
		T(test_twice),          T(test_another_node),          T(test_bad_configs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
