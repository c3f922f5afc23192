/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log against a list: random appends, reads, cuts, clean stops, kills, power cuts and disk
 * errors. After each of them the log holds what the list says: every batch once and in order, all
 * that were acknowledged, and of the others the first few or none. (F1, F2, F5, F6)
 *
 * FARSHORE_SEED replays a run.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_log/log_rig.h"

enum { ROUNDS = 100000, PRODUCERS = 3, WAITS = 64 };

struct entry {
	int64_t base, stamp;
	int32_t count, sequence;
	int producer; /* 0: none */
};

struct model_wait {
	struct plog_wait wait;
	struct model *model;
	bool busy;
};

struct model {
	struct log_rig rig;
	struct rng g;
	struct entry *v;
	size_t n, cap;
	int64_t acked; /* offset: below is promised */
	int64_t start; /* the log start must not be lower */
	int64_t stamp;
	struct model_wait waits[WAITS];
	int64_t deaths, powercuts, faults, lost, compared;
};

static int64_t model_end(const struct model *m)
{
	return m->n == 0 ? 0 : m->v[m->n - 1].base + m->v[m->n - 1].count;
}

static void on_stored(struct plog_wait *w, enum err e)
{
	struct model_wait *x = (struct model_wait *)w;

	assert_true(x->busy);
	x->busy = false;
	if (e == ERR_OK && x->wait.offset > x->model->acked)
		x->model->acked = x->wait.offset;
}

static void wait_for(struct model *m, int64_t offset)
{
	for (size_t i = 0; i < WAITS; i++) {
		struct model_wait *x = &m->waits[i];
		if (x->busy)
			continue;
		*x = (struct model_wait){
			.wait = {.offset = offset, .done = on_stored}, .model = m, .busy = true};
		plog_wait_stored(m->rig.plog, &x->wait);
		return;
	}
}

static void forget_waits(struct model *m)
{
	for (size_t i = 0; i < WAITS; i++) {
		assert_null(m->rig.store == NULL ? m->waits[i].wait.back : NULL);
		m->waits[i].busy = false;
	}
}

static int32_t next_sequence(const struct model *m, int producer)
{
	for (size_t i = m->n; i-- > 0;)
		if (m->v[i].producer == producer)
			return m->v[i].sequence + m->v[i].count;
	return 0;
}

static struct batch_head head_of(const struct entry *x)
{
	struct batch_head h = batches_head();

	h.base_timestamp = x->stamp;
	if (x->producer > 0) {
		h.producer_id = x->producer * 1000;
		h.producer_epoch = 0;
		h.base_sequence = x->sequence;
	}
	return h;
}

static void model_append(struct model *m)
{
	struct plog_appended a;
	struct entry x = {
		.base = plog_end(m->rig.plog),
		.stamp = m->stamp += rng_in(&m->g, 1, 50),
		.count = (int32_t)rng_in(&m->g, 1, 20),
		.producer = (int)rng_in(&m->g, 0, PRODUCERS),
	};

	x.sequence = next_sequence(m, x.producer);
	struct batch_head h = head_of(&x);
	enum err e = log_rig_append_head(&m->rig, &h, x.count, &a);
	if (e != ERR_OK) {
		assert_int_equal(e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
		return;
	}
	assert_false(a.duplicate);
	assert_int_equal(a.base_offset, x.base);
	if (m->n == m->cap) {
		m->cap = m->cap * 2 + 64;
		m->v = realloc(m->v, m->cap * sizeof *m->v);
		assert_non_null(m->v);
	}
	m->v[m->n++] = x;
	wait_for(m, x.base + x.count);
}

/* The last batch of a producer, sent once more, is found to be there already. */
static void model_resend(struct model *m)
{
	int producer = (int)rng_in(&m->g, 1, PRODUCERS);
	struct plog_appended a;

	for (size_t i = m->n; i-- > 0;) {
		const struct entry *x = &m->v[i];
		if (x->producer != producer)
			continue;
		if (x->base < plog_start(m->rig.plog))
			return;
		struct batch_head h = head_of(x);
		enum err e = log_rig_append_head(&m->rig, &h, x->count, &a);
		if (e == ERR_KAFKA_KAFKA_STORAGE_ERROR)
			return;
		assert_int_equal(e, ERR_OK);
		assert_true(a.duplicate);
		assert_int_equal(a.base_offset, x->base);
		assert_int_equal(a.last_offset, x->base + x->count - 1);
		return;
	}
}

/* Hold the log against the list, by the reader; a log that came back may have lost a tail that
 * nobody was promised. */
static void compare(struct model *m, bool may_lose)
{
	struct plog *l = m->rig.plog;
	struct plog_reader *r;
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {{0}};
	size_t i = 0;
	enum err e;

	assert_true(plog_start(l) >= m->start);
	m->start = plog_start(l);
	while (i < m->n && m->v[i].base + m->v[i].count <= m->start)
		i++;
	assert_int_equal(plog_reader_open(l, m->start, &r, &why), ERR_OK);
	while ((e = plog_reader_next(r, &h, &whole, &why)) == ERR_OK) {
		assert_true(i < m->n);
		assert_int_equal(h.base_offset, m->v[i].base);
		assert_int_equal(h.count, m->v[i].count);
		assert_int_equal(h.base_timestamp, m->v[i].stamp);
		i++;
	}
	if (e != ERR_NOT_FOUND)
		fail_msg("%s: %s", err_name(e), why.text);
	plog_reader_free(r);
	m->compared++;
	if (may_lose) {
		m->lost += (int64_t)(m->n - i);
		m->n = i;
	}
	assert_int_equal(i, m->n);
	int64_t end = model_end(m) > m->start ? model_end(m) : m->start;
	assert_true(plog_end(l) >= m->acked);
	if (m->n > 0)
		assert_int_equal(plog_end(l), end);
}

static void model_read(struct model *m)
{
	int64_t from = rng_in(&m->g, plog_start(m->rig.plog), plog_end(m->rig.plog));
	int64_t end = log_rig_read_all(&m->rig, from);

	if (from < plog_high_watermark(m->rig.plog))
		assert_int_equal(end, plog_high_watermark(m->rig.plog));
}

static void model_find_time(struct model *m)
{
	struct plog *l = m->rig.plog;
	struct plog_found f;
	struct errmsg why = {{0}};

	if (m->n == 0)
		return;
	const struct entry *x = &m->v[rng_in(&m->g, 0, (int64_t)m->n - 1)];
	int64_t target = x->stamp + rng_in(&m->g, 0, x->count - 1);
	assert_int_equal(plog_find_time(l, target, &f, &why), ERR_OK);
	/* Timestamps rise by one inside a batch, and overlap from batch to batch. */
	int64_t want = -1;
	for (size_t i = 0; i < m->n && want < 0; i++)
		for (int32_t k = 0; k < m->v[i].count && want < 0; k++)
			if (m->v[i].stamp + k >= target && m->v[i].base + k >= plog_start(l))
				want = m->v[i].base + k;
	if (want >= plog_high_watermark(l))
		want = -1;
	assert_int_equal(f.offset, want);
}

static void come_back(struct model *m, bool promises)
{
	forget_waits(m);
	if (!promises)
		m->acked = 0;
	log_rig_open(&m->rig);
	if (!promises)
		m->start = plog_start(m->rig.plog);
	compare(m, true);
	if (promises || m->rig.options.fsync == STORE_FSYNC_ALWAYS)
		assert_int_equal(plog_high_watermark(m->rig.plog), plog_end(m->rig.plog));
}

static void model_die(struct model *m)
{
	m->deaths++;
	log_rig_kill(&m->rig);
	come_back(m, true);
}

static void model_powercut(struct model *m)
{
	m->powercuts++;
	log_rig_power_cut(&m->rig, &m->g);
	come_back(m, m->rig.options.fsync == STORE_FSYNC_ALWAYS);
}

static void model_close(struct model *m)
{
	enum err e = log_rig_close(&m->rig);

	assert_true(e == ERR_OK || e == ERR_IO);
	/* What waited heard of it, or the log is gone. */
	come_back(m, true);
}

static void model_delete(struct model *m)
{
	struct plog *l = m->rig.plog;
	struct errmsg why = {{0}};
	int64_t hw = plog_high_watermark(l), start;

	if (hw <= plog_start(l))
		return;
	int64_t to = rng_in(&m->g, plog_start(l), plog_start(l) + (hw - plog_start(l)) / 2);
	enum err e = plog_delete_before(l, to, &start, &why);
	if (e == ERR_OK) {
		assert_int_equal(start, to);
		m->start = to;
	} else {
		assert_int_equal(e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	}
}

static void model_configure(struct model *m)
{
	m->rig.config.segment_bytes = rng_in(&m->g, 2000, 20000);
	m->rig.config.index_interval_bytes = rng_in(&m->g, 0, 2000);
	m->rig.config.retention_bytes = rng_one_in(&m->g, 2) ? -1 : rng_in(&m->g, 5000, 40000);
	plog_configure(m->rig.plog, &m->rig.config);
}

static void model_fault(struct model *m)
{
	static const int errors[] = {EIO, ENOSPC, EDQUOT};
	static const enum log_rig_call kinds[] = {CALL_WRITE,    CALL_FDATASYNC, CALL_FSYNC,
						  CALL_TRUNCATE, CALL_OPEN,      CALL_RENAME,
						  CALL_UNLINK,   CALL_STAT};
	size_t kind = (size_t)rng_in(&m->g, 0, sizeof kinds / sizeof *kinds - 1);

	m->faults++;
	log_rig_fail(&m->rig, kinds[kind], rng_in(&m->g, 1, 6), errors[rng_in(&m->g, 0, 2)],
		     rng_one_in(&m->g, 3));
	for (int i = 0; i < 10; i++) {
		model_append(m);
		if (rng_one_in(&m->g, 3))
			log_rig_settle(&m->rig);
	}
	if (rng_one_in(&m->g, 3))
		log_rig_sleep(&m->rig, 1100);
	log_rig_settle(&m->rig);
	log_rig_heal(&m->rig);
	/* The repair comes within a second or two, and the log takes appends again. */
	for (int i = 0; i < 4; i++)
		log_rig_sleep(&m->rig, 1100);
	/* What was refused after it was written is gone, if it was not promised. */
	compare(m, true);
	size_t before = m->n;
	model_append(m);
	assert_int_equal(m->n, before + 1);
}

static void step(struct model *m)
{
	int64_t what = rng_in(&m->g, 1, 1000);

	if (what <= 700)
		model_append(m);
	else if (what <= 800)
		log_rig_settle(&m->rig);
	else if (what <= 880)
		model_read(m);
	else if (what <= 930)
		model_resend(m);
	else if (what <= 950)
		model_find_time(m);
	else if (what <= 960)
		log_rig_sleep(&m->rig, rng_in(&m->g, 1, 400000));
	else if (what <= 970)
		model_delete(m);
	else if (what <= 976)
		model_configure(m);
	else if (what <= 982)
		model_die(m);
	else if (what <= 988)
		model_powercut(m);
	else if (what <= 992)
		model_close(m);
	else if (what <= 996)
		model_fault(m);
	else
		compare(m, false);
}

static void run(enum store_fsync fsync, const char *name)
{
	struct model *m = calloc(1, sizeof *m);

	assert_non_null(m);
	m->g.s = rng_seed(name);
	log_rig_init(&m->rig);
	m->rig.options.fsync = fsync;
	m->rig.options.open_files_max = 3;
	m->rig.options.producer_id_expiration_ms = INT64_MAX;
	m->rig.config.retention_ms = -1;
	m->stamp = 1000000;
	log_rig_open(&m->rig);
	int64_t rounds = rng_scale(ROUNDS) / 3;
	for (int64_t i = 0; i < rounds; i++)
		step(m);
	compare(m, false);
	print_message(
		"%s: %lld kills, %lld power cuts, %lld faults; %lld batches lost, none of them "
		"promised; end %lld\n",
		name, (long long)m->deaths, (long long)m->powercuts, (long long)m->faults,
		(long long)m->lost, (long long)plog_end(m->rig.plog));
	log_rig_fini(&m->rig);
	free(m->v);
	free(m);
}

static void random_always(void **state)
{
	(void)state;
	run(STORE_FSYNC_ALWAYS, "random_always");
}

static void random_interval(void **state)
{
	(void)state;
	run(STORE_FSYNC_INTERVAL, "random_interval");
}

static void random_never(void **state)
{
	(void)state;
	run(STORE_FSYNC_NEVER, "random_never");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_always),
		cmocka_unit_test(random_interval),
		cmocka_unit_test(random_never),
	};

	return cmocka_run_group_tests_name("log_random", tests, NULL, NULL);
}
