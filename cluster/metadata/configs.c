/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of configurations: Kafka's ConfigurationControlManager and ConfigAdminManager in one.
 *
 * Of the broker's settings those can change while it runs that are defaults of topics; all others
 * are refused as read-only.
 */
#include <inttypes.h>

#include "cluster/metadata/metadata_priv.h"
#include "cluster/metadata/record_frame.h"
#include "cluster/metadata/topic_config.h"
#include "lib/base/arena.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "lib/wire/wire.h"

enum {
	OP_SET,
	OP_DELETE,
	OP_APPEND,
	OP_SUBTRACT,
};

enum {
	OPS_MAX = 1000,
	ARENA_MAX = 4 << 20,
	VALUE_MAX = INT16_MAX, /* what a record's string can hold */
};

/* One resource whose configuration is changed. */
struct alter {
	struct metadata *m;
	const struct metadata_alter *a;
	const struct map *now; /* what is set for it */
	bool broker;
	struct plog_config effect; /* what a topic would have */
	struct arena arena;
	struct config_record *bodies;
	struct metadata_record *records;
	size_t n;
	struct errmsg *why;
};

static int shown(struct bytes s)
{
	return (int)(s.n < 200 ? s.n : 200);
}

static const struct topic_config *find(const struct alter *x, struct bytes name)
{
	return x->broker ? topic_config_by_broker(name) : topic_config_find(name);
}

/* ---- which resource ---- */

static enum err find_topic(struct alter *x)
{
	struct bytes name = x->a->resource;

	if (name.n == 0)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
				  "Default topic resources are not allowed.");
	enum err e = metadata_check_name(name, x->why);
	if (e != ERR_OK)
		return e;
	const struct image_topic *it = image_find(&x->m->image, name);
	if (it == NULL || it->deleting)
		return errmsg_set(x->why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				  "The topic '%.*s' does not exist.", (int)name.n,
				  (const char *)name.p);
	x->now = it->t.configs;
	x->effect = it->t.log_config;
	return ERR_OK;
}

static enum err find_broker(struct alter *x)
{
	struct bytes id = x->a->resource;
	bool digits = id.n <= 10;
	int64_t node = 0;

	x->broker = true;
	image_log_defaults(&x->m->image, &x->effect);
	if (id.n == 0) {
		x->now = x->m->image.cluster_configs;
		return ERR_OK;
	}
	for (size_t i = 0; i < id.n && digits; i++) {
		digits = id.p[i] >= '0' && id.p[i] <= '9';
		node = node * 10 + (id.p[i] - '0');
	}
	if (!digits)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
				  "Node id must be an integer, but it is: %.*s", shown(id),
				  (const char *)id.p);
	if (node != x->m->node_id)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
				  "Unexpected broker id, expected %" PRId32
				  ", but received %" PRId64,
				  x->m->node_id, node);
	x->now = x->m->image.broker_configs;
	return ERR_OK;
}

static enum err find_resource(struct alter *x)
{
	switch (x->a->resource_type) {
	case RESOURCE_TOPIC:
		return find_topic(x);
	case RESOURCE_BROKER:
		return find_broker(x);
	}
	return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST, "Unknown resource type %d",
			  x->a->resource_type);
}

/* ---- what is set, or will be ---- */

/* A record of a change that is on its way: does it set `name` of this resource? The value is copied
 * into the arena. */
static enum err look_into(struct alter *x, struct bytes record, struct bytes name, bool *found,
			  struct bytes *value)
{
	struct record_frame f;
	struct config_record r;
	struct errmsg why;
	enum err e = record_frame_get(record, &f, &why);

	if (e != ERR_OK || f.type != (uint32_t)wire_config_record.record_type)
		return ERR_OK;
	e = wire_decode(&wire_config_record, f.version, f.payload, &x->arena, &r, &why);
	if (e != ERR_OK || r.resource_type != x->a->resource_type ||
	    !bytes_eq(r.resource_name, x->a->resource) || !bytes_eq(r.name, name))
		return e;
	const char *copy = arena_strndup(&x->arena, r.value);
	if (copy == NULL)
		return ERR_NOMEM;
	*found = true;
	*value = r.value.p == NULL ? bytes_of(NULL, 0) : bytes_str(copy);
	return ERR_OK;
}

/* The last value that is on its way; `*value` stays if there is none. Changes are applied in
 * order, so the next one builds on it. */
static enum err look_ahead(struct alter *x, struct bytes name, bool *found, struct bytes *value)
{
	enum err e = ERR_OK;

	*found = false;
	for (const struct proposal *p = x->m->head; p != NULL && e == ERR_OK; p = p->next) {
		struct records_reader *rr = NULL;
		struct record r;
		if (!p->altering)
			continue;
		e = records_reader_open(buf_bytes(&p->batch), RECORD_FRAME_BATCH_MAX, &rr, x->why);
		while (e == ERR_OK && records_reader_next(rr, &r))
			e = look_into(x, r.value, name, found, value);
		records_reader_free(rr);
	}
	return e;
}

/* What is set for `name` when this change is applied; null: nothing. */
static enum err value_before(struct alter *x, struct bytes name, struct bytes *value)
{
	bool found;

	*value = bytes_str(map_get(x->now, name));
	return look_ahead(x, name, &found, value);
}

/* ---- one name ---- */

/* APPEND and SUBTRACT: the list that comes out, in the arena. */
static enum err change_list(struct alter *x, const struct topic_config *tc,
			    const struct metadata_alter_op *op, struct bytes *value)
{
	char by_default[TOPIC_CONFIG_TEXT];
	struct bytes before;
	struct buf out;

	if (tc->type != CONFIG_TYPE_LIST)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_CONFIG,
				  "Can't %s to key %.*s because its type is not LIST.",
				  op->op == OP_APPEND ? "APPEND" : "SUBTRACT", shown(op->name),
				  (const char *)op->name.p);
	enum err e = value_before(x, op->name, &before);
	if (e != ERR_OK)
		return e;
	topic_config_show(tc, &x->effect, by_default);
	if (before.p == NULL)
		before = bytes_str(by_default);
	buf_init(&out, VALUE_MAX);
	if (op->op == OP_APPEND)
		topic_config_list_append(before, op->value, &out);
	else
		topic_config_list_subtract(before, op->value, &out);
	e = out.err;
	const char *copy = e == ERR_OK ? arena_strndup(&x->arena, buf_bytes(&out)) : NULL;
	buf_fini(&out);
	if (e == ERR_LIMIT)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_CONFIG, "The list is too long.");
	if (copy == NULL)
		return ERR_NOMEM;
	*value = bytes_str(copy);
	return ERR_OK;
}

static enum err unknown_name(const struct alter *x, struct bytes name)
{
	if (x->broker)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
				  "Cannot update these configs dynamically: Set(%.*s)", shown(name),
				  (const char *)name.p);
	return errmsg_set(x->why, ERR_KAFKA_INVALID_CONFIG, "Unknown topic config name: %.*s",
			  shown(name), (const char *)name.p);
}

static enum err check_value(const struct alter *x, const struct topic_config *tc,
			    struct bytes value)
{
	enum err e;

	if (value.n > VALUE_MAX)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_CONFIG,
				  "The configuration value cannot be added because it exceeds the "
				  "maximum value size of %d bytes.",
				  VALUE_MAX);
	e = topic_config_check(tc, x->broker ? tc->broker : tc->name, value, x->why);
	/* Kafka: a broker's bad value is a bad request. */
	return e == ERR_KAFKA_INVALID_CONFIG && x->broker ? ERR_KAFKA_INVALID_REQUEST : e;
}

/* Note a change, unless it is none. A null value takes the configuration away. */
static enum err put(struct alter *x, struct bytes name, struct bytes value)
{
	struct bytes before;
	enum err e = value_before(x, name, &before);

	if (e != ERR_OK || bytes_eq(before, value))
		return e;
	struct config_record *r = &x->bodies[x->n];
	r->resource_type = x->a->resource_type;
	r->resource_name = x->a->resource;
	r->name = name;
	r->value = value;
	x->records[x->n++] = (struct metadata_record){&wire_config_record, 0, r};
	return ERR_OK;
}

static enum err apply_op(struct alter *x, const struct metadata_alter_op *op)
{
	const struct topic_config *tc = find(x, op->name);
	struct bytes value = op->value;
	enum err e = ERR_OK;

	if (op->op == OP_DELETE)
		return tc == NULL ? ERR_OK : put(x, op->name, bytes_of(NULL, 0));
	if (op->op < OP_SET || op->op > OP_SUBTRACT)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST, "Unknown config operation %d",
				  op->op);
	if (value.p == NULL)
		return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
				  "Null value not supported for : %.*s", shown(op->name),
				  (const char *)op->name.p);
	if (tc == NULL)
		return unknown_name(x, op->name);
	if (op->op != OP_SET)
		e = change_list(x, tc, op, &value);
	if (e == ERR_OK)
		e = check_value(x, tc, value);
	if (e != ERR_OK)
		return e;
	topic_config_apply(tc, value, &x->effect);
	return put(x, op->name, value);
}

/* ---- all of it ---- */

static bool is_named(const struct metadata_alter *a, struct bytes name)
{
	for (size_t i = 0; i < a->ops_n; i++)
		if (bytes_eq(a->ops[i].name, name))
			return true;
	return false;
}

static enum err check_twice(const struct alter *x)
{
	for (size_t i = 0; i < x->a->ops_n; i++)
		for (size_t k = i + 1; k < x->a->ops_n; k++)
			if (bytes_eq(x->a->ops[i].name, x->a->ops[k].name))
				return errmsg_set(x->why, ERR_KAFKA_INVALID_REQUEST,
						  "Error due to duplicate config keys");
	return ERR_OK;
}

/* A deleted configuration gets its default back in `effect`; done before what is set, since the
 * rules over several configurations look at what comes out. */
static void reset_deleted(struct alter *x)
{
	const struct metadata_alter *a = x->a;
	char text[TOPIC_CONFIG_TEXT];
	struct plog_config defaults;
	struct bytes key;
	size_t at = 0;
	void *value;

	image_log_defaults(&x->m->image, &defaults);
	while (map_next(x->now, &at, &key, &value)) {
		bool gone = a->replace && !is_named(a, key);
		for (size_t i = 0; i < a->ops_n && !gone; i++)
			gone = a->ops[i].op == OP_DELETE && bytes_eq(a->ops[i].name, key);
		const struct topic_config *tc = gone ? find(x, key) : NULL;
		if (tc == NULL)
			continue;
		topic_config_show(tc, x->broker ? &x->m->image.log_defaults : &defaults, text);
		topic_config_apply(tc, bytes_str(text), &x->effect);
	}
}

static enum err collect(struct alter *x)
{
	const struct metadata_alter *a = x->a;
	size_t room = a->ops_n + map_count(x->now), at = 0;
	struct bytes key;
	void *value;

	x->bodies = wire_array_new(&x->arena, wire_config_record.body, (int32_t)room);
	x->records = arena_zalloc(&x->arena, room, sizeof *x->records);
	if (x->bodies == NULL || x->records == NULL)
		return errmsg_set(x->why, ERR_NOMEM, "out of memory");
	reset_deleted(x);
	for (size_t i = 0; i < a->ops_n; i++) {
		enum err e = apply_op(x, &a->ops[i]);
		if (e != ERR_OK)
			return e;
	}
	while (a->replace && map_next(x->now, &at, &key, &value)) {
		enum err e = is_named(a, key) ? ERR_OK : put(x, key, bytes_of(NULL, 0));
		if (e != ERR_OK)
			return e;
	}
	return topic_config_check_all(&x->effect, x->why);
}

enum err metadata_alter_configs(struct metadata *m, const struct metadata_alter *a,
				struct metadata_change *c, bool *unchanged, struct errmsg *why)
{
	struct alter x = {.m = m, .a = a, .why = why};
	enum err e = find_resource(&x);

	*unchanged = false;
	if (e == ERR_OK && a->ops_n > OPS_MAX)
		e = errmsg_set(why, ERR_KAFKA_INVALID_REQUEST, "Too many configurations.");
	if (e == ERR_OK)
		e = check_twice(&x);
	if (e != ERR_OK)
		return e;
	arena_init(&x.arena, ARENA_MAX);
	e = collect(&x);
	*unchanged = e == ERR_OK && x.n == 0;
	if (e == ERR_OK && x.n > 0 && c != NULL)
		e = propose_change(m, x.records, x.n, &(struct propose_about){.altering = true}, c,
				   why);
	arena_fini(&x.arena);
	return e;
}
