/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of groups: /v1/groups and metrics. Translations are made when asked for, so that
 * they are those of this moment. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/metrics.h"
#include "mirror/group/group_impl.h"

enum {
	/* Four lines each, of 230 bytes: for the positions of 10 000 groups, 100 MB. */
	LATENCY_POSITIONS_MAX = 10000,
};

/* What a consumer that moves to the target now would meet, at one position. In offsets: where the
 * logs have no holes these are records. */
struct outlook {
	int64_t lost;     /* not read by the group, not on the target */
	int64_t repeated; /* read by the group, and read again at the target; -1: not known */
	int64_t skipped;  /* not read by the group, and passed over at the target */
};

static struct outlook outlook(const struct group_position *p, const struct group_translation *t)
{
	struct outlook o = {.lost = t->unread + t->uncopied, .repeated = -1};
	if (t->skip != GROUP_SKIP_NONE || p->target < 0)
		return o;
	o.repeated = t->offset > p->target ? t->offset - p->target : 0;
	o.skipped = t->offset < p->target ? p->target - t->offset : 0;
	return o;
}

static json_t *number_or_null(int64_t n)
{
	return n < 0 ? json_null() : json_integer((json_int_t)n);
}

/* Group names and metadata are any bytes. */
static json_t *text_json(const char *text)
{
	struct bytes in = bytes_str(text);
	struct buf out;
	buf_init(&out, in.n + 1);
	for (size_t at = 0; at < in.n;) {
		size_t n = bytes_utf8(in, at);
		if (n == 0) {
			buf_put_u8(&out, '?');
			at++;
			continue;
		}
		buf_put(&out, in.p + at, n);
		at += n;
	}
	json_t *j = json_stringn(out.p == NULL ? "" : (const char *)out.p, out.len);
	buf_fini(&out);
	return j;
}

static json_t *position_json(const struct group_position *p, const struct group_translation *t)
{
	bool known = t->skip == GROUP_SKIP_NONE;
	enum group_skip skip = known ? p->skip : t->skip;
	struct outlook o = outlook(p, t);
	return json_pack("{s:s, s:i, s:I, s:o, s:s, s:o, s:b, s:o, s:I, s:o, s:o, s:o, s:o, s:I, "
			 "s:s, s:s, s:o}",
			 "topic", p->topic->source, "partition", p->partition, "source_position",
			 (json_int_t)p->source, "source_end", number_or_null(t->source_end),
			 "target_topic", p->topic->target, "target_position",
			 known ? json_integer((json_int_t)t->offset) : json_null(), "exact",
			 (int)(known && t->exact), "max_behind",
			 known ? json_integer((json_int_t)t->max_behind) : json_null(), "pending",
			 (json_int_t)t->pending, "target_committed", number_or_null(p->target),
			 "checkpoint", number_or_null(p->told_target), "lost",
			 known ? json_integer((json_int_t)o.lost) : json_null(), "repeated",
			 number_or_null(o.repeated), "skipped", (json_int_t)o.skipped, "problem",
			 group_skip_word(skip), "reason", group_skip_text(skip), "detail",
			 t->why == NULL ? json_null() : text_json(t->why));
}

/* The whole group: sums, and how many positions cannot be told. */
struct sums {
	int64_t lost, repeated, skipped;
	int unknown, inexact, waiting;
};

static void add(struct sums *s, const struct group_position *p, const struct group_translation *t)
{
	struct outlook o = outlook(p, t);
	if (t->skip != GROUP_SKIP_NONE) {
		s->unknown++;
		return;
	}
	s->lost += o.lost;
	s->repeated += o.repeated > 0 ? o.repeated : 0;
	s->skipped += o.skipped;
	s->inexact += !t->exact;
	s->waiting += p->skip != GROUP_SKIP_NONE || p->target < t->offset;
}

static const char *target_word(const struct group *group)
{
	static const char *const words[] = {"unknown", "absent", "empty", "active", "other"};
	return words[group->target_state];
}

static json_t *group_json(struct groups *g, struct group *group, bool positions)
{
	struct sums s = {0};
	json_t *list = positions ? json_array() : NULL;
	for (int32_t i = 0; i < group->positions_n; i++) {
		const struct group_position *p = &group->positions[i];
		struct group_translation t;
		group_translate(g, p->topic, p->partition, p->source, &t);
		add(&s, p, &t);
		if (list != NULL)
			json_array_append_new(list, position_json(p, &t));
	}
	json_t *out = json_pack(
		"{s:s, s:o, s:s, s:b, s:s, s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}",
		"link", g->config->name, "group", text_json(group->name), "source_state",
		group->gone > 0        ? "gone"
		: group->source_active ? "active"
				       : "empty",
		"sync", (int)g->config->sync_group_offsets, "target_state", target_word(group),
		"synced_ms",
		group->synced_ms == 0 ? json_null() : json_integer((json_int_t)group->synced_ms),
		"problem", text_json(group->problem == NULL ? "" : group->problem), "partitions",
		(int)group->positions_n, "not_mirrored", (int)group->elsewhere, "unknown",
		s.unknown, "inexact", s.inexact, "waiting", s.waiting, "lost", (json_int_t)s.lost,
		"repeated", (json_int_t)s.repeated, "skipped", (json_int_t)s.skipped);
	if (list != NULL && out != NULL)
		json_object_set_new(out, "positions", list);
	else
		json_decref(list);
	return out;
}

static int dump(const char *p, size_t n, void *arg)
{
	struct buf *out = arg;
	buf_put(out, p, n);
	return out->err == ERR_OK ? 0 : -1;
}

/* One group at a time: ten thousand at once would take the memory of a process. */
static void append(struct groups *g, struct group *group, bool positions, bool *first,
		   struct buf *out)
{
	json_t *j = group_json(g, group, positions);
	if (!*first)
		buf_put_u8(out, ',');
	*first = false;
	if (j == NULL || json_dump_callback(j, dump, out, JSON_COMPACT) != 0)
		out->err = out->err == ERR_OK ? ERR_NOMEM : out->err;
	json_decref(j);
}

static int by_name(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

void groups_json(struct groups *g, const char *only, bool positions, bool *first, struct buf *out)
{
	if (g == NULL)
		return;
	if (only != NULL) {
		struct group *group = group_table_find(g, bytes_str(only));
		if (group != NULL)
			append(g, group, positions, first, out);
		return;
	}
	if (g->all_n == 0)
		return;
	struct group **list = mem_zalloc(g->all_n, sizeof *list);
	if (list == NULL) {
		out->err = out->err == ERR_OK ? ERR_NOMEM : out->err;
		return;
	}
	memcpy(list, g->all, g->all_n * sizeof(struct group *));
	qsort(list, g->all_n, sizeof *list, by_name);
	for (size_t i = 0; i < g->all_n && out->err == ERR_OK; i++)
		append(g, list[i], positions, first, out);
	mem_free(list);
}

void groups_summary_json(const struct groups *g, bool *first, struct buf *out)
{
	if (g == NULL)
		return;
	json_t *j =
		json_pack("{s:s, s:i, s:b, s:b, s:o, s:s}", "link", g->config->name, "groups",
			  (int)g->all_n, "sync_group_offsets", (int)g->config->sync_group_offsets,
			  "emit_checkpoints", (int)g->config->emit_checkpoints, "round_ms",
			  g->done_ms == 0 ? json_null() : json_integer((json_int_t)g->done_ms),
			  "problem", g->problem.text);
	if (!*first)
		buf_put_u8(out, ',');
	*first = false;
	if (j == NULL || json_dump_callback(j, dump, out, JSON_COMPACT) != 0)
		out->err = out->err == ERR_OK ? ERR_NOMEM : out->err;
	json_decref(j);
}

bool groups_sum(struct groups *g, struct groups_sums *out)
{
	if (g == NULL)
		return false;
	struct sums s = {0};
	for (size_t i = 0; i < g->all_n; i++) {
		const struct group *group = g->all[i];
		for (int32_t k = 0; k < group->positions_n; k++) {
			struct group_translation t;
			const struct group_position *p = &group->positions[k];
			group_translate(g, p->topic, p->partition, p->source, &t);
			add(&s, p, &t);
		}
	}
	*out = (struct groups_sums){
		.groups = g->all_n,
		.positions = g->positions,
		.unknown = (size_t)s.unknown,
		.waiting = (size_t)s.waiting,
		.lost = s.lost,
		.repeated = s.repeated,
		.skipped = s.skipped,
		.done_ms = g->done_ms,
		.problem = g->problem.text,
	};
	return true;
}

/* ---- metrics ---- */

typedef void family_fn(struct groups *g, struct metrics *m, const struct metrics_label *link);

static void family(struct link *const *links, size_t n, struct metrics *m, family_fn *fn)
{
	for (size_t i = 0; i < n; i++) {
		struct groups *g = links[i]->groups;
		if (g != NULL)
			fn(g, m,
			   METRICS_LABELS({"source", g->config->source->name},
					  {"target", g->config->target->name}));
	}
}

static void put_groups(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	metrics_int(m, l, (int64_t)g->all_n);
}

static void put_committed(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	metrics_int(m, l, (int64_t)g->committed);
}

static void put_refused(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	metrics_int(m, l, (int64_t)g->refused);
}

static void put_deleted(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	metrics_int(m, l, (int64_t)g->deleted);
}

static void put_age(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	if (g->done_ms > 0)
		metrics_double(m, l,
			       (double)(clock_wall_ms(loop_clock(g->link->loop)) - g->done_ms) /
				       1000.0);
}

static void put_checkpoints(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	if (g->checkpoints != NULL)
		metrics_int(m, l, (int64_t)checkpoints_written(g->checkpoints));
}

static void put_positions(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	int64_t n[GROUP_SKIPS_N] = {0};
	for (size_t i = 0; i < g->all_n; i++)
		for (int32_t k = 0; k < g->all[i]->positions_n; k++)
			n[g->all[i]->positions[k].skip]++;
	for (int s = 0; s < GROUP_SKIPS_N; s++)
		metrics_int(
			m,
			METRICS_LABELS(l[0], l[1],
				       {"state", s == GROUP_SKIP_NONE
							 ? "ok"
							 : group_skip_word((enum group_skip)s)}),
			n[s]);
}

void groups_metrics(struct link *const *links, size_t n, struct metrics *m)
{
	static const struct {
		const char *name;
		enum metrics_type type;
		const char *help;
		family_fn *fn;
	} families[] = {
		{"farshore_groups", METRICS_GAUGE, "Consumer groups that are followed.",
		 put_groups},
		{"farshore_group_positions", METRICS_GAUGE,
		 "Positions of groups, by why they are not on the target as they should be.",
		 put_positions},
		{"farshore_group_offsets_committed_total", METRICS_COUNTER,
		 "Translated offsets committed at the target.", put_committed},
		{"farshore_group_commits_refused_total", METRICS_COUNTER,
		 "Offsets that the target refused for another reason than members in the group.",
		 put_refused},
		{"farshore_groups_deleted_total", METRICS_COUNTER,
		 "Groups deleted at the target after the source.", put_deleted},
		{"farshore_group_sync_age_seconds", METRICS_GAUGE,
		 "Seconds since the end of the last round of group sync without a fault.", put_age},
		{"farshore_checkpoints_total", METRICS_COUNTER,
		 "Checkpoints written for MM2's readers.", put_checkpoints},
	};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		metrics_family(m, families[i].name, families[i].type, families[i].help);
		family(links, n, m, families[i].fn);
	}
}

/*
 * MM2 keeps a minute of samples for each position, and a position is told when it changes: mostly
 * there is one sample, and its least, its largest and its mean are that one. It is the time from
 * when the checkpoint was made to when it was in the log. At a first start all positions of all
 * groups are told at once: the page has room for some of them.
 */
enum { LATENCIES_MAX = 10000 };

static void put_latency(struct groups *g, struct metrics *m, const struct metrics_label *l)
{
	size_t room = LATENCIES_MAX;
	for (size_t i = 0; i < g->all_n && g->checkpoints != NULL; i++) {
		const struct group *group = g->all[i];
		for (int32_t k = 0; k < group->positions_n && room > 0; k++) {
			const struct group_position *p = &group->positions[k];
			int64_t ms = checkpoints_latency_ms(g->checkpoints, p->told_pass);
			char partition[16];
			if (ms < 0)
				continue;
			room--;
			snprintf(partition, sizeof partition, "%d", p->partition);
			metrics_int(m,
				    METRICS_LABELS(l[0], l[1], {"group", group->name},
						   {"topic", p->topic->target},
						   {"partition", partition}),
				    ms);
		}
	}
}

void groups_mm2_metrics(struct link *const *links, size_t n, struct metrics *m)
{
	static const char *const names[] = {
		"kafka_connect_mirror_mirrorcheckpointconnector_checkpoint_latency_ms",
		"kafka_connect_mirror_mirrorcheckpointconnector_checkpoint_latency_ms_min",
		"kafka_connect_mirror_mirrorcheckpointconnector_checkpoint_latency_ms_max",
		"kafka_connect_mirror_mirrorcheckpointconnector_checkpoint_latency_ms_avg",
	};
	size_t positions = 0;
	for (size_t i = 0; i < n; i++)
		positions += links[i]->groups == NULL ? 0 : links[i]->groups->positions;
	bool left_out = positions > LATENCY_POSITIONS_MAX;
	metrics_family(
		m, "farshore_mm2_latencies_left_out", METRICS_GAUGE,
		"Positions of groups whose checkpoint latency is not on this page, since there "
		"are more than 10000.");
	metrics_int(m, NULL, left_out ? (int64_t)positions : 0);
	if (left_out)
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		metrics_family(
			m, names[i], METRICS_GAUGE,
			"Time that a checkpoint of the last minute took to be in the log; 10000 "
			"positions at most.");
		family(links, n, m, put_latency);
	}
}
