/* SPDX-License-Identifier: Apache-2.0 */
/* See rig.h. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t fake_ms(void *ctx)
{
	return ((struct rig *)ctx)->now;
}

static uint64_t fake_random(void *ctx)
{
	struct rig *g = ctx;

	g->random += 0x9e3779b97f4a7c15ULL;
	uint64_t z = g->random;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	return z ^ z >> 31;
}

int rig_setup(void **state)
{
	struct rig *g = calloc(1, sizeof *g);

	g->now = 1700000000000;
	g->clock = (struct clock){fake_ms, fake_ms, fake_random, g};
	assert_int_equal(loop_new(1, &g->clock, NULL, &g->loop, &g->why), ERR_OK);
	g->disk = fake_disk_new(g->loop);
	plog_config_init(&g->defaults);
	*state = g;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *g = *state;

	metadata_free(g->m);
	fake_disk_free(g->disk);
	loop_free(g->loop);
	free(g);
	return 0;
}

static void on_topic_deleted(void *arg, const struct topic *t)
{
	struct rig *g = arg;

	g->deleted++;
	snprintf(g->deleted_name, sizeof g->deleted_name, "%s", t->name);
	g->on_disk_when_deleted = fake_disk_has(g->disk, t->name, 0);
}

enum err rig_open(struct rig *g)
{
	struct metadata_listener listeners[] = {{"PLAINTEXT", "127.0.0.1", 9092, false},
						{"SSL", "localhost", 9093, true}};
	const struct metadata_options o = {
		.store = fake_disk_store(g->disk),
		.loop = g->loop,
		.node_id = 1,
		.rack = "r1",
		.default_partitions = 3,
		.log_defaults = &g->defaults,
		.listeners = listeners,
		.listeners_n = 2,
		.on_topic_deleted = on_topic_deleted,
		.arg = g,
	};

	g->why.text[0] = 0;
	return metadata_open(&o, &g->m, &g->why);
}

void rig_turns(struct rig *g)
{
	for (int i = 0; i < 6; i++)
		loop_turn(g->loop, 0);
}

void rig_sleep(struct rig *g, int64_t ms)
{
	g->now += ms;
	/* Timers are of the system's clock below the fake one: let the loop look. */
	for (int i = 0; i < 20; i++)
		loop_turn(g->loop, 1);
}

void rig_start(struct rig *g)
{
	if (rig_open(g) != ERR_OK)
		fail_msg("%s", g->why.text);
	rig_turns(g);
	assert_true(metadata_broker_epoch(g->m) >= 0);
}

void rig_crash(struct rig *g, size_t keep)
{
	metadata_free(g->m);
	g->m = NULL;
	fake_disk_crash(g->disk, keep);
}

static void on_done(struct metadata_change *c, enum err e)
{
	struct wish *w = (struct wish *)c;

	w->calls++;
	w->e = e;
}

void wish_init(struct wish *w)
{
	*w = (struct wish){.change.done = on_done};
}

/* The end of a change that `e` says was proposed. */
static enum err end_of(struct rig *g, struct wish *w, enum err e)
{
	assert_int_equal(w->calls, 0);
	if (e != ERR_OK)
		return e;
	rig_turns(g);
	assert_int_equal(w->calls, 1);
	return w->e;
}

enum err rig_create(struct rig *g, const char *name, int32_t partitions)
{
	const struct metadata_new_topic t = {
		.name = bytes_str(name), .partitions = partitions, .replication_factor = -1};
	struct wish w;

	wish_init(&w);
	return end_of(g, &w, metadata_create_topic(g->m, &t, &w.change, &g->why));
}

enum err rig_create_with(struct rig *g, const char *name, const char *config, const char *value)
{
	const struct metadata_config_value v = {bytes_str(config), bytes_str(value)};
	const struct metadata_new_topic t = {.name = bytes_str(name),
					     .partitions = 1,
					     .replication_factor = 1,
					     .configs = &v,
					     .configs_n = 1};
	struct wish w;

	wish_init(&w);
	return end_of(g, &w, metadata_create_topic(g->m, &t, &w.change, &g->why));
}

enum err rig_delete(struct rig *g, const char *name)
{
	struct wish w;

	wish_init(&w);
	return end_of(g, &w, metadata_delete_topic(g->m, rig_topic(g, name), &w.change, &g->why));
}

enum err rig_grow(struct rig *g, const char *name, int32_t partitions)
{
	struct wish w;

	wish_init(&w);
	return end_of(g, &w,
		      metadata_create_partitions(g->m, rig_topic(g, name), partitions, &w.change,
						 &g->why));
}

enum err rig_alter(struct rig *g, int8_t type, const char *resource, const char *name,
		   const char *value)
{
	const struct metadata_alter_op op = {bytes_str(name), bytes_str(value),
					     value == NULL ? 1 : 0};
	const struct metadata_alter a = {
		.resource_type = type, .resource = bytes_str(resource), .ops = &op, .ops_n = 1};
	bool unchanged;
	struct wish w;

	wish_init(&w);
	enum err e = metadata_alter_configs(g->m, &a, &w.change, &unchanged, &g->why);
	return e == ERR_OK && unchanged ? ERR_OK : end_of(g, &w, e);
}

const struct topic *rig_topic(const struct rig *g, const char *name)
{
	return metadata_topic(g->m, bytes_str(name));
}
