/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random creates, growths, configurations and deletions, several on their way at once, with appends
 * and syncs that fail and crashes at any moment, held against a plain model.
 *
 * The model changes when a change is told to be over. After a crash those that were on their way
 * (and those that failed, until the log was cut) may have become true, but only in order and
 * without a gap: the state after the replay must be the model with some first so many of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig.h"
#include "tests/unit/rng.h"

enum { NAMES = 8, FLIGHT_MAX = 6, PARTITIONS_MAX = 6 };

/* All topics that there can be. */
struct model {
	struct {
		int32_t partitions; /* 0: no such topic */
		int64_t retention;  /* -1: not set */
	} topic[NAMES];
};

enum kind { CREATE, GROW, RETAIN, REMOVE };

struct op {
	struct wish wish;
	enum kind kind;
	int name;
	int64_t value;
	bool failed; /* it may come back after a crash */
};

struct world {
	struct rig *g;
	struct rng rng;
	struct model model;
	struct op *flight[FLIGHT_MAX * 4]; /* in order */
	size_t flight_n;
	int64_t done, refused, crashes;
};

static void name_of(int i, char out[16])
{
	snprintf(out, 16, "t%d", i);
}

static void model_apply(struct model *m, const struct op *op)
{
	switch (op->kind) {
	case CREATE:
		m->topic[op->name].partitions = (int32_t)op->value;
		m->topic[op->name].retention = -1;
		break;
	case GROW:
		m->topic[op->name].partitions = (int32_t)op->value;
		break;
	case RETAIN:
		m->topic[op->name].retention = op->value;
		break;
	case REMOVE:
		m->topic[op->name].partitions = 0;
		break;
	}
}

/* Does the image say what the model says? */
static bool same(const struct world *w, const struct model *m)
{
	size_t n, want = 0;

	metadata_topics(w->g->m, &n);
	for (int i = 0; i < NAMES; i++) {
		char name[16];
		name_of(i, name);
		const struct topic *t = rig_topic(w->g, name);
		if ((t == NULL) != (m->topic[i].partitions == 0))
			return false;
		if (t == NULL)
			continue;
		want++;
		const char *set = map_get(t->configs, bytes_str("retention.ms"));
		if (t->partitions_n != m->topic[i].partitions ||
		    (set == NULL ? -1 : strtoll(set, NULL, 10)) != m->topic[i].retention)
			return false;
	}
	return n == want;
}

/* Every partition has its folder and its log, with the topic's configuration; no folder is left
 * over.
 */
static void check_logs(const struct world *w)
{
	size_t folders = 1;

	for (int i = 0; i < NAMES; i++) {
		char name[16];
		name_of(i, name);
		const struct topic *t = rig_topic(w->g, name);
		for (int32_t k = 0; t != NULL && k < t->partitions_n; k++) {
			assert_non_null(t->partitions[k].log);
			assert_int_equal(fake_log_config(t->partitions[k].log)->retention_ms,
					 t->log_config.retention_ms);
			folders++;
		}
	}
	assert_int_equal(fake_disk_folders(w->g->disk), folders);
}

/* ---- doing ---- */

static enum err propose(struct world *w, struct op *op)
{
	char name[16], value[24];
	struct metadata *m = w->g->m;
	struct errmsg why;

	name_of(op->name, name);
	snprintf(value, sizeof value, "%lld", (long long)op->value);
	const struct topic *t = rig_topic(w->g, name);
	const struct metadata_new_topic fresh = {
		.name = bytes_str(name), .partitions = (int32_t)op->value, .replication_factor = 1};
	const struct metadata_alter_op set = {bytes_str("retention.ms"), bytes_str(value), 0};
	const struct metadata_alter alter = {
		.resource_type = 2, .resource = bytes_str(name), .ops = &set, .ops_n = 1};
	bool unchanged = false;
	enum err e = ERR_NOT_FOUND;

	if (op->kind == CREATE)
		return metadata_create_topic(m, &fresh, &op->wish.change, &why);
	if (op->kind == RETAIN)
		e = metadata_alter_configs(m, &alter, &op->wish.change, &unchanged, &why);
	else if (t != NULL && op->kind == GROW)
		e = metadata_create_partitions(m, t, (int32_t)op->value, &op->wish.change, &why);
	else if (t != NULL)
		e = metadata_delete_topic(m, t, &op->wish.change, &why);
	return e == ERR_OK && unchanged ? ERR_NOT_FOUND : e;
}

/* A failed change is forgotten for good when another one was appended: the log was cut before. */
static void forget_failed(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->flight_n; i++) {
		if (w->flight[i]->failed)
			free(w->flight[i]);
		else
			w->flight[n++] = w->flight[i];
	}
	w->flight_n = n;
}

static void start_one(struct world *w)
{
	struct op *op = calloc(1, sizeof *op);

	wish_init(&op->wish);
	op->kind = (enum kind)rng_in(&w->rng, CREATE, REMOVE);
	op->name = (int)rng_in(&w->rng, 0, NAMES - 1);
	op->value =
		op->kind == RETAIN ? rng_in(&w->rng, 0, 1000) : rng_in(&w->rng, 1, PARTITIONS_MAX);
	if (w->flight_n >= FLIGHT_MAX || propose(w, op) != ERR_OK) {
		w->refused++;
		free(op);
		return;
	}
	forget_failed(w);
	w->flight[w->flight_n++] = op;
}

/* Take over what is over; it must be over in order. */
static void collect(struct world *w)
{
	size_t n = 0;
	bool open = false;

	for (size_t i = 0; i < w->flight_n; i++) {
		struct op *op = w->flight[i];
		if (op->wish.calls == 0 || op->failed) {
			open = open || op->wish.calls == 0;
			w->flight[n++] = op;
			continue;
		}
		assert_int_equal(op->wish.calls, 1);
		assert_false(open);
		if (op->wish.e == ERR_OK) {
			model_apply(&w->model, op);
			w->done++;
			free(op);
		} else {
			assert_int_equal(op->wish.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
			op->failed = true;
			w->flight[n++] = op;
		}
	}
	w->flight_n = n;
}

static void crash(struct world *w)
{
	struct model m = w->model;
	size_t k = 0;

	w->crashes++;
	rig_crash(w->g, (size_t)rng_in(&w->rng, 0, 3));
	fake_disk_hold_syncs(w->g->disk, false);
	rig_start(w->g);
	while (!same(w, &m) && k < w->flight_n)
		model_apply(&m, w->flight[k++]);
	assert_true(same(w, &m));
	w->model = m;
	while (w->flight_n > 0)
		free(w->flight[--w->flight_n]);
	check_logs(w);
}

static void step(struct world *w)
{
	struct fake_disk *d = w->g->disk;

	switch (rng_in(&w->rng, 0, 19)) {
	case 0:
		fake_disk_fail_append(d, rng_one_in(&w->rng, 5));
		break;
	case 1:
		fake_disk_fail_truncate(d, rng_one_in(&w->rng, 4));
		break;
	case 2:
		fake_disk_hold_syncs(d, rng_one_in(&w->rng, 2));
		break;
	case 3:
		fake_disk_sync(d, !rng_one_in(&w->rng, 6));
		break;
	case 4:
		if (rng_one_in(&w->rng, 3))
			crash(w);
		break;
	case 5:
	case 6:
	case 7:
		loop_turn(w->g->loop, 0);
		break;
	default:
		start_one(w);
	}
	collect(w);
}

static void run(struct world *w, int64_t steps)
{
	rig_start(w->g);
	for (int64_t i = 0; i < steps; i++) {
		step(w);
		if (w->flight_n == 0)
			assert_true(same(w, &w->model));
	}
	/* Calm down: everything ends. */
	fake_disk_hold_syncs(w->g->disk, false);
	fake_disk_sync(w->g->disk, true);
	rig_turns(w->g);
	collect(w);
	for (size_t i = 0; i < w->flight_n; i++)
		assert_true(w->flight[i]->failed);
	assert_true(same(w, &w->model));
	crash(w);
}

static void test_against_a_model(void **state)
{
	uint64_t seed = rng_seed("metadata model");
	int64_t done = 0, crashes = 0;
	(void)state;

	for (int64_t i = 0; i < rng_scale(400); i++) {
		void *rig;
		struct world w = {.rng = {seed + (uint64_t)i}};
		rig_setup(&rig);
		w.g = rig;
		for (int k = 0; k < NAMES; k++)
			w.model.topic[k].retention = -1;
		run(&w, 300);
		done += w.done;
		crashes += w.crashes;
		rig_teardown(&rig);
	}
	printf("%lld changes, %lld crashes\n", (long long)done, (long long)crashes);
	assert_true(done > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_a_model)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
