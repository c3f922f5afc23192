/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that do not apply are left out, so that what stands there means something. */
#include "mirror/partition/gap.h"

#include <string.h>
#include <time.h>

#include "lib/base/jsontext.h"

enum { VERSION = 1 };

static const char *const causes[ON_EVENTS] = {
#define X(name, word, safe, other) #name,
	POLICY_EVENTS(X)
#undef X
};

const char *gap_cause_name(enum policy_event cause)
{
	return causes[cause];
}

void gap_init(struct gap *g, enum policy_event cause, int32_t partition)
{
	*g = (struct gap){
		.cause = cause,
		.partition = partition,
		.source_first = -1,
		.source_end = -1,
		.target_first = -1,
		.target_end = -1,
		.count = -1,
		.source_next = -1,
		.target_next = -1,
		.reason = "",
	};
}

static void put_int(json_t *o, const char *name, int64_t v)
{
	if (v >= 0)
		json_object_set_new(o, name, json_integer((json_int_t)v));
}

/* [first, end) as first and last; an empty range is no range. */
static void put_range(json_t *o, const char *first_name, const char *last_name, int64_t first,
		      int64_t end)
{
	if (first < 0 || (end >= 0 && end <= first))
		return;
	put_int(o, first_name, first);
	put_int(o, last_name, end - 1);
}

static void put_id(json_t *o, const char *name, const struct uuid *id)
{
	char text[23];
	if (uuid_is_zero(id))
		return;
	uuid_format(id, text);
	json_object_set_new(o, name, json_string(text));
}

static enum err put_json(json_t *o, struct buf *out)
{
	jsontext_put(o, out);
	json_decref(o);
	return out->err;
}

enum err gap_key(const struct gap *g, const struct gap_place *at, struct buf *out)
{
	json_t *o = json_pack("{s:s, s:i, s:s}", "topic", at->source_topic, "partition",
			      g->partition, "cause", gap_cause_name(g->cause));
	put_id(o, "topic_id", &g->topic_id);
	put_id(o, "new_topic_id", &g->new_topic_id);
	put_int(o, "source_first", g->source_first);
	if (g->cause == ON_FOREIGN_WRITE)
		put_int(o, "target_first", g->target_first);
	return put_json(o, out);
}

enum err gap_value(const struct gap *g, const struct gap_place *at, struct buf *out)
{
	char when[40], text[JSONTEXT_MAX];
	time_t seconds = (time_t)(at->time_ms / 1000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:i, s:s}", "version", VERSION,
			      "cause", gap_cause_name(g->cause), "time", when, "time_ms",
			      (json_int_t)at->time_ms, "link", at->link, "topic", at->source_topic,
			      "partition", g->partition, "target_topic", at->target_topic);
	put_id(o, "topic_id", &g->topic_id);
	put_id(o, "new_topic_id", &g->new_topic_id);
	put_range(o, "source_first", "source_last", g->source_first, g->source_end);
	put_range(o, "target_first", "target_last", g->target_first, g->target_end);
	put_int(o, "count", g->count);
	if (g->unmapped > 0)
		put_int(o, "unmapped", g->unmapped);
	put_int(o, "source_next", g->source_next);
	put_int(o, "target_next", g->target_next);
	if (g->error != ERR_OK)
		json_object_set_new(o, "error", json_string(err_name(g->error)));
	json_object_set_new(o, "reason", json_string(jsontext_clean(g->reason, text)));
	return put_json(o, out);
}
