/* SPDX-License-Identifier: Apache-2.0 */
/* A reader with a sticky error: the first field that is not as it must be is named, everything
 * after it reads as empty. */
#include "tools/intake.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 512 << 20 };

struct reader {
	struct arena *arena;
	const char *bad; /* the field */
	bool nomem;
};

static const char *get_text(struct reader *r, const json_t *of, const char *name)
{
	const json_t *v = json_object_get(of, name);
	const char *text = json_string_value(v);
	if (text != NULL && strlen(text) == json_string_length(v))
		return text;
	if (r->bad == NULL)
		r->bad = name;
	return "";
}

static int64_t get_number(struct reader *r, const json_t *of, const char *name, int64_t max)
{
	const json_t *v = json_object_get(of, name);
	int64_t value = json_integer_value(v);
	if (json_is_integer(v) && value >= -1 && value <= max)
		return value;
	if (r->bad == NULL)
		r->bad = name;
	return -1;
}

static bool get_bool(struct reader *r, const json_t *of, const char *name)
{
	const json_t *v = json_object_get(of, name);
	if (!json_is_boolean(v) && r->bad == NULL)
		r->bad = name;
	return json_is_true(v);
}

/* The array's length and room for as many items of `size` bytes. */
static void *get_array(struct reader *r, const json_t *of, const char *name, size_t size,
		       const json_t **array, size_t *n)
{
	*array = json_object_get(of, name);
	*n = r->bad == NULL && !r->nomem ? json_array_size(*array) : 0;
	if (!json_is_array(*array) && r->bad == NULL)
		r->bad = name;
	if (*n == 0)
		return NULL;
	void *items = arena_zalloc(r->arena, *n, size);
	if (items == NULL) {
		r->nomem = true;
		*n = 0;
	}
	return items;
}

/* A state that this version does not know is shown as it is, and counts as one that waits. */
static enum intake_care care_of(struct reader *r, const json_t *of, const char *state)
{
	if (get_bool(r, of, "needs_person"))
		return CARE_PERSON;
	return strcmp(state, "ACTIVE") == 0 || strcmp(state, "CATCHING_UP") == 0 ? CARE_NONE
										 : CARE_WAITS;
}

static void read_partition(struct reader *r, const json_t *v, struct intake_partition *p)
{
	const json_t *seconds = json_object_get(v, "lag_seconds");
	p->partition = (int32_t)get_number(r, v, "partition", INT32_MAX);
	p->state = get_text(r, v, "state");
	p->reason = get_text(r, v, "reason");
	p->care = care_of(r, v, p->state);
	p->since_ms = get_number(r, v, "since_ms", INT64_MAX);
	p->source_position = get_number(r, v, "source_position", INT64_MAX);
	p->target_position = get_number(r, v, "target_position", INT64_MAX);
	p->source_end = get_number(r, v, "source_end", INT64_MAX);
	p->lag_records = get_number(r, v, "lag_records", INT64_MAX);
	p->lag_seconds = json_number_value(seconds);
	if ((!json_is_number(seconds) || p->partition < 0) && r->bad == NULL)
		r->bad = p->partition < 0 ? "partition" : "lag_seconds";
}

static void read_topic(struct reader *r, const json_t *v, struct intake_topic *t)
{
	const json_t *array;
	t->source = get_text(r, v, "source");
	t->target = get_text(r, v, "target");
	t->problem = get_text(r, v, "problem");
	t->partitions =
		get_array(r, v, "partitions", sizeof *t->partitions, &array, &t->partitions_n);
	for (size_t i = 0; i < t->partitions_n; i++) {
		t->partitions[i].topic = t;
		read_partition(r, json_array_get(array, i), &t->partitions[i]);
	}
}

static void read_link(struct reader *r, const json_t *v, struct intake_link *k)
{
	const json_t *array;
	k->name = get_text(r, v, "name");
	k->state = get_text(r, v, "state");
	k->reason = get_text(r, v, "reason");
	k->care = care_of(r, v, k->state);
	k->ready = get_bool(r, v, "ready");
	k->paused = get_bool(r, v, "paused");
	k->since_ms = get_number(r, v, "since_ms", INT64_MAX);
	k->lag_records = get_number(r, v, "lag_records", INT64_MAX);
	k->topics = get_array(r, v, "topics", sizeof *k->topics, &array, &k->topics_n);
	for (size_t i = 0; i < k->topics_n; i++) {
		k->topics[i].link = k;
		read_topic(r, json_array_get(array, i), &k->topics[i]);
		k->partitions_n += k->topics[i].partitions_n;
	}
}

/* Another program's answer has no field that counts. */
static void read_program(struct reader *r, const json_t *root)
{
	if (strcmp(get_text(r, root, "program"), "farshore-mirror") != 0)
		r->bad = "program";
}

static enum err judge(const struct reader *r, struct errmsg *why)
{
	if (r->nomem)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	if (r->bad == NULL)
		return ERR_OK;
	if (strcmp(r->bad, "program") == 0)
		return errmsg_set(why, ERR_MALFORMED,
				  "the answer is not that of a Farshore mirror");
	return errmsg_set(why, ERR_MALFORMED,
			  "the answer has no usable field %s: the daemon is of another version?",
			  r->bad);
}

json_t *intake_parse(struct bytes text)
{
	json_error_t bad;
	json_t *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &bad);
	if (root == NULL || json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

enum err intake_links(json_t *root, struct intake *out, struct errmsg *why)
{
	const json_t *array;
	struct reader r = {.arena = &out->arena};
	*out = (struct intake){.root = root};
	arena_init(&out->arena, ARENA_MAX);
	read_program(&r, root);
	out->now_ms = get_number(&r, root, "now_ms", INT64_MAX);
	out->links = get_array(&r, root, "links", sizeof *out->links, &array, &out->links_n);
	for (size_t i = 0; i < out->links_n; i++)
		read_link(&r, json_array_get(array, i), &out->links[i]);
	enum err e = judge(&r, why);
	if (e != ERR_OK)
		intake_fini(out);
	return e;
}

void intake_fini(struct intake *in)
{
	arena_fini(&in->arena);
	json_decref(in->root);
	in->root = NULL;
}

/* ---- the worst first ---- */

static int by_names(const struct intake_partition *x, const struct intake_partition *y)
{
	int order = strcmp(x->topic->link->name, y->topic->link->name);
	if (order == 0)
		order = strcmp(x->topic->source, y->topic->source);
	return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static int by_badness(const void *a, const void *b)
{
	const struct intake_partition *x = *(const struct intake_partition *const *)a;
	const struct intake_partition *y = *(const struct intake_partition *const *)b;
	if (x->care != y->care)
		return x->care > y->care ? -1 : 1;
	bool unknown = x->lag_records < 0;
	if (unknown != (y->lag_records < 0))
		return unknown ? -1 : 1;
	if (x->lag_records != y->lag_records)
		return x->lag_records > y->lag_records ? -1 : 1;
	return by_names(x, y);
}

const struct intake_partition **intake_worst_first(struct intake *in, size_t *n)
{
	size_t all = 0;
	*n = 0;
	for (size_t i = 0; i < in->links_n; i++)
		all += in->links[i].partitions_n;
	const struct intake_partition **out =
		all == 0 ? NULL : arena_zalloc(&in->arena, all, sizeof *out);
	for (size_t i = 0; i < in->links_n && out != NULL; i++)
		for (size_t t = 0; t < in->links[i].topics_n; t++)
			for (size_t p = 0; p < in->links[i].topics[t].partitions_n; p++)
				out[(*n)++] = &in->links[i].topics[t].partitions[p];
	if (out != NULL)
		qsort(out, *n, sizeof *out, by_badness);
	return out;
}

/* ---- groups ---- */

/* Null is -1. */
static int64_t get_optional(struct reader *r, const json_t *of, const char *name)
{
	return json_is_null(json_object_get(of, name)) ? -1 : get_number(r, of, name, INT64_MAX);
}

static void read_position(struct reader *r, const json_t *v, struct intake_position *p)
{
	p->topic = get_text(r, v, "topic");
	p->target_topic = get_text(r, v, "target_topic");
	p->problem = get_text(r, v, "problem");
	p->reason = get_text(r, v, "reason");
	p->detail = json_is_null(json_object_get(v, "detail")) ? "" : get_text(r, v, "detail");
	p->partition = (int32_t)get_number(r, v, "partition", INT32_MAX);
	p->source_position = get_number(r, v, "source_position", INT64_MAX);
	p->source_end = get_optional(r, v, "source_end");
	p->target_position = get_optional(r, v, "target_position");
	p->target_committed = get_optional(r, v, "target_committed");
	p->max_behind = get_optional(r, v, "max_behind");
	p->pending = get_number(r, v, "pending", INT64_MAX);
	p->lost = get_optional(r, v, "lost");
	p->repeated = get_optional(r, v, "repeated");
	p->skipped = get_number(r, v, "skipped", INT64_MAX);
	p->exact = get_bool(r, v, "exact");
	if (r->bad != NULL)
		return;
	if (p->partition < 0)
		r->bad = "partition";
	else if (p->source_position < 0)
		r->bad = "source_position";
	else if (p->exact && (p->target_position < 0 || p->max_behind != 0))
		r->bad = "exact";
}

static void read_group(struct reader *r, const json_t *v, struct intake_group *g)
{
	const json_t *array;
	g->link = get_text(r, v, "link");
	g->group = get_text(r, v, "group");
	g->source_state = get_text(r, v, "source_state");
	g->target_state = get_text(r, v, "target_state");
	g->problem = get_text(r, v, "problem");
	g->synced_ms = get_optional(r, v, "synced_ms");
	g->partitions = get_number(r, v, "partitions", INT64_MAX);
	g->not_mirrored = get_number(r, v, "not_mirrored", INT64_MAX);
	g->unknown = get_number(r, v, "unknown", INT64_MAX);
	g->inexact = get_number(r, v, "inexact", INT64_MAX);
	g->waiting = get_number(r, v, "waiting", INT64_MAX);
	g->lost = get_number(r, v, "lost", INT64_MAX);
	g->repeated = get_number(r, v, "repeated", INT64_MAX);
	g->skipped = get_number(r, v, "skipped", INT64_MAX);
	if (json_object_get(v, "positions") == NULL)
		return;
	g->positions = get_array(r, v, "positions", sizeof *g->positions, &array, &g->positions_n);
	for (size_t i = 0; i < g->positions_n; i++)
		read_position(r, json_array_get(array, i), &g->positions[i]);
}

enum err intake_groups(json_t *root, struct intake_groups *out, struct errmsg *why)
{
	const json_t *array;
	struct reader r = {.arena = &out->arena};
	*out = (struct intake_groups){.root = root};
	arena_init(&out->arena, ARENA_MAX);
	read_program(&r, root);
	out->now_ms = get_number(&r, root, "now_ms", INT64_MAX);
	out->groups = get_array(&r, root, "groups", sizeof *out->groups, &array, &out->groups_n);
	for (size_t i = 0; i < out->groups_n; i++)
		read_group(&r, json_array_get(array, i), &out->groups[i]);
	enum err e = judge(&r, why);
	if (e != ERR_OK)
		intake_groups_fini(out);
	return e;
}

void intake_groups_fini(struct intake_groups *in)
{
	arena_fini(&in->arena);
	json_decref(in->root);
	in->root = NULL;
}

static int larger_first(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

static int by_loss(const void *a, const void *b)
{
	const struct intake_group *x = a, *y = b;
	int order = larger_first(x->unknown > 0, y->unknown > 0);
	if (order == 0)
		order = larger_first(x->skipped, y->skipped);
	if (order == 0)
		order = larger_first(x->lost, y->lost);
	if (order == 0)
		order = larger_first(x->repeated, y->repeated);
	if (order == 0)
		order = strcmp(x->group, y->group);
	return order != 0 ? order : strcmp(x->link, y->link);
}

void intake_groups_sort(struct intake_groups *in)
{
	if (in->groups_n > 1)
		qsort(in->groups, in->groups_n, sizeof *in->groups, by_loss);
}
