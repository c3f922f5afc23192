/* SPDX-License-Identifier: Apache-2.0 */
/* F20: the Nth allocation fails, N = 1, 2, ...: opening, appending, reading, asking, cleaning up
 * and closing say so or do without, lose nothing, and work when there is memory again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/cluster_log/log_rig.h"

static int teardown(void **state)
{
	fail_alloc_off();
	return log_rig_teardown(state);
}

/* One allocation of the action fails after the other, until it goes through. */
static void each_fails(struct log_rig *r, void (*act)(struct log_rig *r, bool *nomem))
{
	long n = 1;

	for (;; n++) {
		bool nomem = false;
		fail_alloc_at(n);
		act(r, &nomem);
		if (!fail_alloc_off()) {
			assert_false(nomem);
			break;
		}
	}
	assert_true(n > 1);
}

static void act_open(struct log_rig *r, bool *nomem)
{
	struct errmsg why = {{0}};

	enum err e = log_rig_try_open(r, &why);
	if (e != ERR_OK) {
		assert_int_equal(e, ERR_NOMEM);
		assert_true(why.text[0] != '\0');
		*nomem = true;
		log_rig_settle(r);
		return;
	}
	fail_alloc_off();
	assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
	log_rig_kill(r);
}

static void open_new(void **state)
{
	each_fails(*state, act_open);
}

static void open_old(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	log_rig_produce_many(r, 60, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	each_fails(r, act_open);
	each_fails(r, act_open); /* and recovered */
}

static void act_append(struct log_rig *r, bool *nomem)
{
	const struct plog_append how = {.leader_epoch = 3};
	struct plog_appended a;
	int64_t end;

	fail_alloc_in = -1 - fail_alloc_in; /* not yet */
	log_rig_open(r);
	end = plog_end(r->plog);
	struct batch_head h = batches_head();
	h.base_timestamp = r->now_ms += 10;
	buf_clear(&r->batch);
	struct bytes batch = batches_plain(&r->batch, &h, 3);
	fail_alloc_in = -1 - fail_alloc_in;
	for (int i = 0; i < 40 && !*nomem; i++) {
		enum err e = plog_append(r->plog, batch, &how, &a, NULL);
		if (e == ERR_NOMEM) {
			assert_int_equal(plog_end(r->plog), end + 3 * i);
			*nomem = true;
		} else {
			assert_int_equal(e, ERR_OK);
		}
		log_rig_settle(r);
	}
	if (fail_alloc_in == 0)
		*nomem = true; /* it did without */
	bool hit = fail_alloc_in == 0;
	fail_alloc_off();
	log_rig_produce_many(r, 3, 3);
	assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
	assert_int_equal(log_rig_close(r), ERR_OK);
	if (hit)
		fail_alloc_in = 0;
	else
		*nomem = false;
}

static void appends(void **state)
{
	each_fails(*state, act_append);
}

static struct bytes ordered(struct buf *out, int64_t now_ms, int64_t id, int32_t sequence)
{
	struct batch_head h = batches_head();

	h.producer_id = id;
	h.producer_epoch = 0;
	h.base_sequence = sequence;
	h.base_timestamp = now_ms;
	buf_init(out, 1 << 16);
	return batches_plain(out, &h, 3);
}

/* There is no memory for the first batch of a producer: the second one, in flight behind it, must
 * not be taken for its first, or the first could never follow. */
static void act_append_in_order(struct log_rig *r, bool *nomem)
{
	enum { ID = 100 };
	const struct plog_append how = {.leader_epoch = 3};
	struct plog_appended a;
	struct buf b1, b2;

	fail_alloc_in = -1 - fail_alloc_in; /* not yet */
	/* A log that knows nobody. */
	log_rig_fini(r);
	log_rig_init(r);
	log_rig_open(r);
	struct bytes first = ordered(&b1, r->now_ms, ID, 0);
	struct bytes second = ordered(&b2, r->now_ms, ID, 3);
	fail_alloc_in = -1 - fail_alloc_in;
	enum err e = plog_append(r->plog, first, &how, &a, NULL);
	*nomem = fail_alloc_in == 0;
	bool hit = fail_alloc_off();
	if (e != ERR_OK) {
		assert_true(hit);
		assert_int_equal(e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
		assert_int_equal(plog_append(r->plog, second, &how, &a, NULL), e);
		r->now_ms += 2000;
		loop_turn(r->loop, 0);
		assert_int_equal(plog_append(r->plog, first, &how, &a, NULL), ERR_OK);
	}
	assert_int_equal(plog_append(r->plog, second, &how, &a, NULL), ERR_OK);
	log_rig_kill(r);
	buf_fini(&b1);
	buf_fini(&b2);
	fail_alloc_in = hit ? 0 : -1;
}

static void appends_in_order(void **state)
{
	each_fails(*state, act_append_in_order);
}

static void act_read(struct log_rig *r, bool *nomem)
{
	struct plog_slice s;
	struct plog_found f;
	struct plog_reader *reader;
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {{0}};
	int32_t epoch;
	int64_t end, start;
	enum err e;

	fail_alloc_in = -1 - fail_alloc_in;
	log_rig_open(r);
	fail_alloc_in = -1 - fail_alloc_in;
	for (int64_t at = 0; at < 180; at += 20) {
		e = plog_read(r->plog, at, 1000, true, &s, &why);
		*nomem |= e == ERR_NOMEM;
		assert_true(e == ERR_OK || e == ERR_NOMEM);
		plog_file_unref(s.file);
	}
	e = plog_find_time(r->plog, r->now_ms - 100, &f, &why);
	assert_true(e == ERR_OK || e == ERR_NOMEM);
	e = plog_find_max_time(r->plog, &f, &why);
	assert_true(e == ERR_OK || e == ERR_NOMEM);
	plog_epoch_end(r->plog, 3, 4, &epoch, &end);
	assert_true(end == 180 || end == -1);
	e = plog_reader_open(r->plog, 0, &reader, &why);
	if (e == ERR_OK) {
		while ((e = plog_reader_next(reader, &h, &whole, &why)) == ERR_OK)
			;
		assert_true(e == ERR_NOT_FOUND || e == ERR_NOMEM);
		plog_reader_free(reader);
	}
	assert_true(e == ERR_NOT_FOUND || e == ERR_NOMEM);
	e = plog_delete_before(r->plog, 0, &start, &why);
	assert_true(e == ERR_OK || e == ERR_NOMEM);
	log_rig_sleep(r, 300000);
	bool hit = fail_alloc_in == 0;
	fail_alloc_off();
	assert_int_equal(log_rig_read_all(r, 0), 180);
	log_rig_kill(r);
	if (hit)
		fail_alloc_in = 0;
	else
		assert_false(*nomem);
}

static void reads(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	log_rig_produce_many(r, 60, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	each_fails(r, act_read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(open_new, log_rig_setup, teardown),
		cmocka_unit_test_setup_teardown(open_old, log_rig_setup, teardown),
		cmocka_unit_test_setup_teardown(appends, log_rig_setup, teardown),
		cmocka_unit_test_setup_teardown(appends_in_order, log_rig_setup, teardown),
		cmocka_unit_test_setup_teardown(reads, log_rig_setup, teardown),
	};

	return cmocka_run_group_tests_name("log_nomem", tests, NULL, NULL);
}
