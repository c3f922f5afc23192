/* SPDX-License-Identifier: Apache-2.0 */
/* A partition that is taken over from MirrorMaker 2: when it begins, what it waits for, and that
 * nothing is sent before all is explained, still and stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire/records.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/partition/partition.h"
#include "mirror/partition/retrace.h"

enum { PRODUCER = 77 };

struct log {
	struct buf bytes;
	int64_t n; /* records */
};

/* The host, and what the partition asked of it. */
struct host {
	struct partition_env env;
	struct partition *p;
	struct log source, target;
	int64_t stable, lso; /* -1: the log's end */
	const char *wait;    /* MM2 runs still */
	int64_t believed;
	int64_t fetch, read, retry_ms; /* -1: not asked */
	bool probe, store;
	unsigned begun, ended, found;
};

static void add(struct log *l, int from, int n)
{
	struct batch_builder b;
	batch_builder_init(&b, CODEC_NONE, 1 << 16);
	for (int i = from; i < from + n; i++) {
		uint8_t value = (uint8_t)i;
		const struct record r = {.timestamp = i, .value = bytes_of(&value, 1)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	size_t at = l->bytes.len;
	assert_int_equal(batch_builder_finish(&b, &l->bytes), ERR_OK);
	struct batch_head h;
	batch_head_get(l->bytes.p + at, &h);
	h.base_offset = l->n;
	batch_head_seal(l->bytes.p + at, l->bytes.len - at - BATCH_HEAD, &h);
	l->n += n;
	batch_builder_fini(&b);
}

/* The batches that hold `offset` to `end` - 1. */
static struct bytes from(const struct log *l, int64_t offset, int64_t end)
{
	struct batch_walk w = {.left = buf_bytes(&l->bytes)};
	struct batch_head h;
	struct bytes whole;
	struct bytes found = bytes_of(l->bytes.p, 0);
	while (batch_walk_next(&w, &h, &whole, NULL) == BATCH_WALK_BATCH) {
		if (batch_last_offset(&h) < offset || h.base_offset >= end)
			continue;
		found = bytes_of(found.n == 0 ? whole.p : found.p, found.n + whole.n);
	}
	return found;
}

static void on_probe(void *ctx, struct partition *p, int32_t epoch)
{
	(void)p, (void)epoch;
	((struct host *)ctx)->probe = true;
}

static void on_fetch(void *ctx, struct partition *p, int64_t offset, bool behind)
{
	(void)p, (void)behind;
	((struct host *)ctx)->fetch = offset;
}

static void on_fetch_stop(void *ctx, struct partition *p)
{
	(void)p;
	((struct host *)ctx)->fetch = -1;
}

static void on_store(void *ctx, struct partition *p, bool now)
{
	(void)p;
	((struct host *)ctx)->store |= now;
}

static bool on_read_committed(void *ctx, struct partition *p, int64_t offset)
{
	(void)p;
	((struct host *)ctx)->read = offset;
	return true;
}

static bool on_takeover_begin(void *ctx, struct partition *p, struct takeover_words *out)
{
	struct host *h = ctx;
	(void)p;
	assert_int_equal(out->records, h->target.n);
	out->wait = h->wait;
	out->believed = h->believed;
	h->begun += h->wait == NULL;
	return h->wait == NULL;
}

static void on_takeover_end(void *ctx, struct partition *p, const struct retrace_result *result)
{
	struct host *h = ctx;
	(void)p;
	h->ended++;
	h->found += result != NULL;
}

static void on_retry(void *ctx, struct partition *p, int64_t ms)
{
	(void)p;
	((struct host *)ctx)->retry_ms = ms;
}

static void on_refresh(void *ctx, struct partition *p, bool source)
{
	(void)ctx, (void)p, (void)source;
}

static void on_changed(void *ctx, struct partition *p, enum mirror_state was)
{
	(void)ctx, (void)p, (void)was;
}

static const struct partition_host calls = {
	.probe = on_probe,
	.fetch = on_fetch,
	.fetch_stop = on_fetch_stop,
	.store = on_store,
	.read_committed = on_read_committed,
	.takeover_begin = on_takeover_begin,
	.takeover_end = on_takeover_end,
	.retry_in = on_retry,
	.refresh = on_refresh,
	.changed = on_changed,
};

static void host_init(struct host *h)
{
	*h = (struct host){
		.stable = -1, .lso = -1, .believed = -1, .fetch = -1, .read = -1, .retry_ms = -1};
	h->env = (struct partition_env){
		.source_topic = "t",
		.target_topic = "east.t",
		.take_over = true,
		.read_committed = true,
		.decode_max = 1 << 16,
		.queue_high = 1 << 20,
		.clock = clock_system(),
		.host = &calls,
		.host_ctx = h,
	};
	buf_init(&h->source.bytes, 1 << 20);
	buf_init(&h->target.bytes, 1 << 20);
	h->p = partition_new(&h->env, 0, 4096);
	assert_non_null(h->p);
}

static void host_fini(struct host *h)
{
	partition_free(h->p);
	assert_int_equal(h->begun, h->ended);
	buf_fini(&h->source.bytes);
	buf_fini(&h->target.bytes);
}

static void answer_probe(struct host *h)
{
	h->probe = false;
	const struct probe_result r = {
		.source_end = h->source.n, .target_end = h->target.n, .epoch_end = -1};
	partition_on_probe(h->p, &r);
}

static void answer_fetch(struct host *h)
{
	int64_t lso = h->lso < 0 ? h->source.n : h->lso;
	const struct fetch_result r = {
		.high_watermark = h->source.n,
		.last_stable_offset = lso,
		.records = from(&h->source, h->fetch, lso),
		.diverging_epoch = -1,
	};
	h->fetch = -1;
	partition_on_fetched(h->p, &r);
}

static void answer_read(struct host *h)
{
	int64_t stable = h->stable < 0 ? h->target.n : h->stable;
	const struct target_records r = {
		.records = from(&h->target, h->read, stable),
		.stable = stable,
		.end = h->target.n,
	};
	h->read = -1;
	partition_on_takeover_read(h->p, ERR_OK, &r);
}

/* Answer until only a timer, a store or nothing is left. */
static void run(struct host *h)
{
	for (int i = 0; i < 1000; i++) {
		if (h->probe)
			answer_probe(h);
		else if (h->read >= 0)
			answer_read(h);
		else if (h->fetch >= 0 && h->p->phase != PHASE_COPY)
			answer_fetch(h);
		else
			return;
	}
	fail_msg("it does not come to rest");
}

static void timer(struct host *h)
{
	assert_true(h->retry_ms >= 0);
	h->retry_ms = -1;
	partition_on_timer(h->p);
	run(h);
}

static void begin(struct host *h)
{
	partition_start(h->p, NULL, PRODUCER, 0);
	run(h);
}

static void goes_on_behind_the_furthest(void **state)
{
	(void)state;
	struct host h;
	host_init(&h);
	add(&h.source, 0, 30);
	add(&h.target, 0, 20);
	add(&h.target, 10, 4);
	begin(&h);
	/* All is explained; now the target must stand still. */
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	assert_true(h.retry_ms > 0 && !h.store);
	assert_true(partition_takeover_progress(h.p) == 1);
	timer(&h);
	/* Stored, with a producer of its own, before anything is fetched to be sent. */
	assert_int_equal(h.p->phase, PHASE_STORE);
	assert_true(h.store && h.fetch < 0);
	assert_int_equal(h.found, 1);
	assert_int_equal(runs_src_end(h.p->runs), 20);
	assert_int_equal(runs_dst_end(h.p->runs), 24);
	assert_true(h.p->producer_id == PRODUCER && h.p->producer_epoch == 1);
	assert_int_equal(h.p->sequence, 0);
	partition_on_stored(h.p);
	assert_int_equal(h.p->phase, PHASE_COPY);
	assert_int_equal(h.fetch, 20);
	const struct retrace_result *r = partition_taken_over(h.p);
	assert_int_equal(r->copied, 20);
	assert_int_equal(r->doubled, 4);
	assert_int_equal(r->doubled_ranges[0].first, 20);
	host_fini(&h);
}

static void waits_while_mm2_runs(void **state)
{
	(void)state;
	struct host h;
	host_init(&h);
	add(&h.source, 0, 10);
	add(&h.target, 0, 5);
	h.wait = "MirrorMaker 2 still runs";
	begin(&h);
	assert_int_equal(h.p->phase, PHASE_WAIT);
	assert_int_equal(h.p->state, STATE_STARTING);
	assert_non_null(strstr(h.p->reason.text, "still runs"));
	/* The host says when; no timer of its own. */
	assert_true(h.retry_ms < 0);
	h.wait = NULL;
	partition_on_timer(h.p);
	run(&h);
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	/* It was not stopped after all. */
	for (int i = 0; i < 4; i++) {
		add(&h.target, 5 + i, 1);
		timer(&h);
		assert_int_equal(h.p->phase, PHASE_TAKEOVER);
		assert_false(h.store);
	}
	assert_non_null(strstr(h.p->reason.text, "still grows"));
	timer(&h);
	assert_true(h.store);
	assert_int_equal(h.p->src_acked, 9);
	host_fini(&h);
}

static void waits_for_open_transactions(void **state)
{
	(void)state;
	struct host h;
	host_init(&h);
	/* MM2 read uncommitted: what the source will yet commit or abort is on the target. */
	add(&h.source, 0, 5);
	add(&h.source, 5, 5);
	add(&h.target, 0, 8);
	h.lso = 5;
	begin(&h);
	assert_int_equal(h.p->phase, PHASE_WAIT);
	assert_non_null(strstr(h.p->reason.text, "open at the source"));
	h.lso = -1;
	timer(&h);
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	timer(&h);
	assert_int_equal(h.p->src_acked, 8);
	host_fini(&h);
	/* Exactly once: the target's own transaction is open. */
	host_init(&h);
	add(&h.source, 0, 10);
	add(&h.target, 0, 5);
	add(&h.target, 5, 3);
	h.stable = 5;
	begin(&h);
	assert_non_null(strstr(h.p->reason.text, "transaction at the target"));
	timer(&h);
	assert_false(h.store);
	h.stable = -1;
	timer(&h);
	timer(&h);
	assert_true(h.store);
	assert_int_equal(h.p->src_acked, 8);
	host_fini(&h);
}

static void another_writer_stops_it(void **state)
{
	(void)state;
	struct host h;
	host_init(&h);
	add(&h.source, 0, 10);
	add(&h.target, 0, 5);
	add(&h.target, 200, 1);
	begin(&h);
	assert_int_equal(h.p->state, STATE_FOREIGN_WRITE);
	assert_int_equal(h.p->phase, PHASE_STOPPED);
	assert_non_null(strstr(h.p->reason.text, "offset 5 "));
	assert_false(h.store);
	host_fini(&h);
}

/* A pause, a fault, the topic made again: it is left, and begun anew. */
static void left_and_begun_anew(void **state)
{
	(void)state;
	struct host h;
	host_init(&h);
	add(&h.source, 0, 10);
	add(&h.target, 0, 5);
	partition_start(h.p, NULL, PRODUCER, 0);
	answer_probe(&h);
	assert_true(h.read >= 0);
	partition_pause(h.p, "paused");
	assert_int_equal(h.ended, 1);
	/* The answer to what was asked before comes late. */
	partition_resume(h.p);
	answer_probe(&h);
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	run(&h);
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	const struct errmsg why = {"gone"};
	h.retry_ms = -1;
	partition_on_target_topic(h.p);
	assert_int_equal(h.ended, 2);
	timer(&h);
	assert_int_equal(h.p->phase, PHASE_TAKEOVER);
	partition_on_fetch_failed(h.p, ERR_TIMEOUT, &why);
	assert_int_equal(h.p->state, STATE_SOURCE_UNAVAILABLE);
	assert_int_equal(h.ended, 3);
	timer(&h);
	timer(&h);
	assert_true(h.store);
	assert_int_equal(h.found, 1);
	host_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on_behind_the_furthest),
		cmocka_unit_test(waits_while_mm2_runs),
		cmocka_unit_test(waits_for_open_transactions),
		cmocka_unit_test(another_writer_stops_it),
		cmocka_unit_test(left_and_begun_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
