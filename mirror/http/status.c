/* SPDX-License-Identifier: Apache-2.0 */
/* Walks links, topics and partitions and writes what they are. Keeps nothing. */
#include "mirror/http/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/jsontext.h"
#include "lib/base/mem.h"
#include "lib/base/metrics.h"
#include "mirror/group/groups.h"
#include "mirror/http/status_mm2.h"
#include "mirror/http/takeover_status.h"
#include "mirror/link/heartbeats.h"
#include "mirror/link/link_parts.h"

/* ---- metrics ---- */

/* Writes the samples of one family for one partition. */
typedef void sample_fn(struct metrics *m, const struct slot *slot,
		       const struct metrics_label *labels, int64_t wall);

static void for_partitions(const struct status_source *s, struct metrics *m, sample_fn *fn)
{
	int64_t wall = clock_wall_ms(s->clock);
	for (size_t i = 0; i < s->links_n; i++) {
		size_t n;
		struct topic_entry **topics = link_topics_sorted(s->links[i], &n);
		for (size_t t = 0; t < n; t++) {
			for (int32_t p = 0; p < topics[t]->slots_n; p++) {
				char index[16];
				snprintf(index, sizeof index, "%d", p);
				fn(m, topics[t]->slots[p],
				   METRICS_LABELS(
					   {"source", link_config(s->links[i])->source->name},
					   {"target", link_config(s->links[i])->target->name},
					   {"topic", topics[t]->source_name}, {"partition", index},
					   {NULL, NULL}, {NULL, NULL}),
				   wall);
			}
		}
		mem_free(topics);
	}
}

static void sample_records(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			   int64_t wall)
{
	(void)wall;
	metrics_int(m, l, (int64_t)s->p->counters.records);
}

static void sample_bytes(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			 int64_t wall)
{
	(void)wall;
	metrics_int(m, l, (int64_t)s->p->counters.bytes);
}

static void sample_lag(struct metrics *m, const struct slot *s, const struct metrics_label *l,
		       int64_t wall)
{
	(void)wall;
	int64_t lag = partition_lag_records(s->p);
	if (lag >= 0)
		metrics_int(m, l, lag);
}

static void sample_lag_seconds(struct metrics *m, const struct slot *s,
			       const struct metrics_label *l, int64_t wall)
{
	metrics_double(m, l, partition_lag_seconds(s->p, wall));
}

/* A copy of the four partition labels with one more. */
static const struct metrics_label *label_add(struct metrics_label out[6],
					     const struct metrics_label *l, const char *name,
					     const char *value)
{
	memcpy(out, l, 4 * sizeof *out);
	out[4] = (struct metrics_label){name, value};
	out[5] = (struct metrics_label){NULL, NULL};
	return out;
}

static void sample_batches(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			   int64_t wall)
{
	struct metrics_label more[6];
	(void)wall;
	for (int c = 0; c < UNIT_CAUSES_N; c++)
		if (s->p->counters.batches[c] > 0 || c == UNIT_FORWARDED)
			metrics_int(m,
				    label_add(more, l, "path", unit_cause_name((enum unit_cause)c)),
				    (int64_t)s->p->counters.batches[c]);
}

static void sample_dropped(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			   int64_t wall)
{
	struct metrics_label more[6];
	(void)wall;
	metrics_int(m, label_add(more, l, "kind", "aborted"),
		    (int64_t)s->p->counters.aborted_batches);
	metrics_int(m, label_add(more, l, "kind", "control"),
		    (int64_t)s->p->counters.control_batches);
	if (s->p->env->two_way)
		metrics_int(m, label_add(more, l, "kind", "copy"),
			    (int64_t)s->p->counters.copy_batches);
}

static void sample_state(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			 int64_t wall)
{
	struct metrics_label more[6];
	(void)wall;
	metrics_int(m, label_add(more, l, "state", mirror_state_name(s->p->state)), 1);
}

static void sample_faults(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			  int64_t wall)
{
	(void)wall;
	metrics_int(m, l, (int64_t)s->p->counters.faults);
}

static void sample_gaps(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			int64_t wall)
{
	struct metrics_label more[6];
	(void)wall;
	for (int ev = 0; ev < ON_EVENTS; ev++)
		if (s->p->counters.gaps[ev] > 0)
			metrics_int(
				m,
				label_add(more, l, "cause", gap_cause_name((enum policy_event)ev)),
				(int64_t)s->p->counters.gaps[ev]);
}

static void sample_letters(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			   int64_t wall)
{
	(void)wall;
	if (s->p->counters.dead_letters > 0)
		metrics_int(m, l, (int64_t)s->p->counters.dead_letters);
}

static void sample_headroom(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			    int64_t wall)
{
	(void)wall;
	if (s->headroom_seconds >= 0)
		metrics_double(m, l, s->headroom_seconds);
}

static void sample_state_seconds(struct metrics *m, const struct slot *s,
				 const struct metrics_label *l, int64_t wall)
{
	metrics_double(m, l, wall > s->p->since_ms ? (double)(wall - s->p->since_ms) / 1000 : 0);
}

static void sample_missing(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			   int64_t wall)
{
	(void)wall;
	metrics_int(m, l, (int64_t)s->p->counters.missing_records);
}

static void sample_runs(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			int64_t wall)
{
	(void)wall;
	metrics_int(m, l, (int64_t)runs_count(s->p->runs));
}

static void sample_takeover(struct metrics *m, const struct slot *s, const struct metrics_label *l,
			    int64_t wall)
{
	struct takeover_count counts[TAKEOVER_COUNTS];
	struct metrics_label more[6];
	(void)wall;
	size_t n = takeover_status_counts(s->p, counts);
	for (size_t i = 0; i < n; i++)
		metrics_int(m, label_add(more, l, "kind", counts[i].kind), counts[i].records);
}

static const struct {
	const char *name;
	enum metrics_type type;
	const char *help;
	sample_fn *fn;
} families[] = {
	{"farshore_records_total", METRICS_COUNTER,
	 "Records copied and acknowledged by the target.", sample_records},
	{"farshore_bytes_total", METRICS_COUNTER, "Bytes of batches acknowledged by the target.",
	 sample_bytes},
	{"farshore_lag_records", METRICS_GAUGE,
	 "Source offsets between the high watermark and the position copied.", sample_lag},
	{"farshore_lag_seconds", METRICS_GAUGE,
	 "Age of the newest record copied, while records wait; else 0.", sample_lag_seconds},
	{"farshore_batches_total", METRICS_COUNTER,
	 "Batches acknowledged: forwarded as bytes, or rebuilt on the slow path by cause.",
	 sample_batches},
	{"farshore_batches_dropped_total", METRICS_COUNTER,
	 "Batches that readers would not see: aborted transactions and control batches.",
	 sample_dropped},
	{"farshore_partition_state", METRICS_GAUGE, "1 for the state that the partition is in.",
	 sample_state},
	{"farshore_partition_faults_total", METRICS_COUNTER,
	 "Times that copying was left for a fault.", sample_faults},
	{"farshore_missing_records_total", METRICS_COUNTER,
	 "Source offsets that were deleted at the source before they were copied.", sample_missing},
	{"farshore_gap_records_total", METRICS_COUNTER,
	 "Gap records written, by cause; see GET /v1/gaps.", sample_gaps},
	{"farshore_dead_letters_total", METRICS_COUNTER,
	 "Records that the target refused and that were parked.", sample_letters},
	{"farshore_retention_headroom_seconds", METRICS_GAUGE,
	 "Until the source deletes what is not copied, at the present rates; absent if it does not "
	 "come nearer.",
	 sample_headroom},
	{"farshore_partition_state_seconds", METRICS_GAUGE,
	 "How long the partition has been in its state.", sample_state_seconds},
	{"farshore_takeover_records", METRICS_GAUGE,
	 "Records of MirrorMaker 2 that were compared when the partition was taken over, by what "
	 "they are.",
	 sample_takeover},
	{"farshore_run_table_runs", METRICS_GAUGE, "Runs in the partition's offset table.",
	 sample_runs},
};

/* Resident memory in bytes (/proc/self/statm); 0 if it cannot be read. */
static int64_t resident_bytes(void)
{
	char text[128] = "";
	FILE *f = fopen("/proc/self/statm", "re");
	if (f == NULL)
		return 0;
	if (fgets(text, sizeof text, f) == NULL)
		text[0] = '\0';
	fclose(f);
	/* "total resident ...", in pages. */
	const char *resident = strchr(text, ' ');
	return resident == NULL ? 0 : strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static void process_metrics(const struct status_source *s, struct metrics *m)
{
	metrics_family(m, "farshore_build_info", METRICS_GAUGE, "The version that runs.");
	metrics_int(m, METRICS_LABELS({"version", FARSHORE_VERSION}), 1);
	metrics_family(m, "farshore_buffer_bytes", METRICS_GAUGE,
		       "Memory held or promised for batches in transit.");
	metrics_int(m, NULL, (int64_t)memory_used(s->memory));
	metrics_family(m, "farshore_buffer_limit_bytes", METRICS_GAUGE,
		       "The most that batches in transit may take.");
	metrics_int(m, NULL, (int64_t)memory_max(s->memory));
	metrics_family(m, "process_resident_memory_bytes", METRICS_GAUGE,
		       "Resident memory size in bytes.");
	metrics_int(m, NULL, resident_bytes());
	metrics_family(m, "process_start_time_seconds", METRICS_GAUGE,
		       "Start time since the Unix epoch in seconds.");
	metrics_double(m, NULL, (double)s->started_ms / 1000.0);
}

static void link_metrics(const struct status_source *s, struct metrics *m)
{
	metrics_family(m, "farshore_link_state", METRICS_GAUGE,
		       "1 for the state that the link is in.");
	for (size_t i = 0; i < s->links_n; i++) {
		const char *reason;
		int64_t since;
		const struct link_config *c = link_config(s->links[i]);
		metrics_int(m,
			    METRICS_LABELS({"source", c->source->name}, {"target", c->target->name},
					   {"state", mirror_state_name(link_state(
							     s->links[i], &reason, &since))}),
			    1);
	}
	metrics_family(m, "farshore_link_state_seconds", METRICS_GAUGE,
		       "How long the link has been in its state.");
	int64_t wall = clock_wall_ms(s->clock);
	for (size_t i = 0; i < s->links_n; i++) {
		const char *reason;
		int64_t since;
		const struct link_config *c = link_config(s->links[i]);
		(void)link_state(s->links[i], &reason, &since);
		metrics_double(
			m, METRICS_LABELS({"source", c->source->name}, {"target", c->target->name}),
			wall > since ? (double)(wall - since) / 1000 : 0);
	}
	metrics_family(m, "farshore_link_ready", METRICS_GAUGE, "1 if the link makes progress.");
	for (size_t i = 0; i < s->links_n; i++) {
		const struct link_config *c = link_config(s->links[i]);
		metrics_int(
			m, METRICS_LABELS({"source", c->source->name}, {"target", c->target->name}),
			link_ready(s->links[i]));
	}
}

/* MM2's internal topics, where they are written. */
static void mm2_topic_metrics(const struct status_source *s, struct metrics *m)
{
	static const char *const ends[] = {"target", "source"};
	int64_t wall = clock_wall_ms(s->clock);
	metrics_family(m, "farshore_heartbeat_age_seconds", METRICS_GAUGE,
		       "Time since the last heartbeat that a cluster took from this link.");
	for (size_t i = 0; i < s->links_n; i++) {
		const struct link_config *c = link_config(s->links[i]);
		for (int end = 0; end < 2; end++) {
			int64_t last = heartbeats_last_ms(s->links[i]->heartbeats, end == 1);
			if (last < 0)
				continue;
			metrics_double(m,
				       METRICS_LABELS({"source", c->source->name},
						      {"target", c->target->name},
						      {"at", ends[end]}),
				       (double)(wall - (last > 0 ? last : s->started_ms)) / 1000.0);
		}
	}
	metrics_family(m, "farshore_offset_syncs_total", METRICS_COUNTER,
		       "Offset syncs written for tools of MM2.");
	for (size_t i = 0; i < s->links_n; i++) {
		const struct link_config *c = link_config(s->links[i]);
		if (c->emit_offset_syncs)
			metrics_int(m,
				    METRICS_LABELS({"source", c->source->name},
						   {"target", c->target->name}),
				    (int64_t)offset_syncs_count(s->links[i]->syncs));
	}
}

void status_metrics(const struct status_source *s, struct buf *out)
{
	struct metrics m;
	metrics_init(&m, out);
	process_metrics(s, &m);
	link_metrics(s, &m);
	mm2_topic_metrics(s, &m);
	groups_metrics(s->links, s->links_n, &m);
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		metrics_family(&m, families[i].name, families[i].type, families[i].help);
		for_partitions(s, &m, families[i].fn);
	}
	if (s->mm2) {
		status_mm2_metrics(s, &m);
		groups_mm2_metrics(s->links, s->links_n, &m);
	}
}

/* ---- JSON ---- */

static json_t *partition_json(const struct slot *s, int64_t wall)
{
	char text[JSONTEXT_MAX];
	const struct partition *p = s->p;
	json_t *o = json_pack(
		"{s:i, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "partition", p->index,
		"state", mirror_state_name(p->state), "needs_person",
		(int)mirror_state_needs_person(p->state), "reason",
		jsontext_clean(p->reason.text, text), "since_ms", (json_int_t)p->since_ms,
		"source_position", (json_int_t)p->src_acked, "target_position",
		(json_int_t)p->dst_acked, "source_end", (json_int_t)p->source_hw, "lag_records",
		(json_int_t)partition_lag_records(p), "lag_seconds", partition_lag_seconds(p, wall),
		"records", (json_int_t)p->counters.records);
	json_t *takeover = takeover_status_json(p);
	if (takeover != NULL)
		json_object_set_new(o, "takeover", takeover);
	if (s->headroom_seconds >= 0)
		json_object_set_new(o, "retention_headroom_seconds",
				    json_real(s->headroom_seconds));
	return o;
}

static json_t *topic_json(const struct topic_entry *t, int64_t wall)
{
	char text[JSONTEXT_MAX];
	json_t *parts = json_array();
	for (int32_t i = 0; i < t->slots_n; i++)
		json_array_append_new(parts, partition_json(t->slots[i], wall));
	return json_pack("{s:s, s:s, s:s, s:o}", "source", t->source_name, "target", t->target_name,
			 "problem", jsontext_clean(t->problem.text, text), "partitions", parts);
}

/* Sums over a link's partitions. */
struct link_sums {
	int64_t states[STATE_COUNT]; /* partitions in each state */
	int64_t records, lag;
};

static void sum_topic(struct link_sums *sums, const struct topic_entry *t)
{
	for (int32_t i = 0; i < t->slots_n; i++) {
		const struct partition *p = t->slots[i]->p;
		int64_t lag = partition_lag_records(p);
		sums->states[p->state]++;
		sums->records += (int64_t)p->counters.records;
		sums->lag += lag > 0 ? lag : 0;
	}
}

/* The states that have partitions: {"ACTIVE": 12}. */
static json_t *states_json(const struct link_sums *sums)
{
	json_t *out = json_object();
	for (int s = 0; s < STATE_COUNT; s++)
		if (sums->states[s] > 0)
			json_object_set_new(out, mirror_state_name((enum mirror_state)s),
					    json_integer(sums->states[s]));
	return out;
}

static json_t *link_json(const struct link *k, bool with_topics, int64_t wall)
{
	char text[JSONTEXT_MAX];
	const char *reason;
	int64_t since;
	enum mirror_state state = link_state(k, &reason, &since);
	json_t *topics = with_topics ? json_array() : NULL;
	size_t n;
	struct link_sums sums = {{0}, 0, 0};
	struct topic_entry **list = link_topics_sorted(k, &n);
	for (size_t i = 0; i < n; i++) {
		if (with_topics)
			json_array_append_new(topics, topic_json(list[i], wall));
		sum_topic(&sums, list[i]);
	}
	mem_free(list);
	const struct link_config *c = link_config(k);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:b, s:I, s:I, s:I, s:o, s:o*}",
			 "name", c->name, "source", c->source->name, "target", c->target->name,
			 "state", mirror_state_name(state), "needs_person",
			 (int)mirror_state_needs_person(state), "reason",
			 jsontext_clean(reason, text), "ready", (int)link_ready(k), "paused",
			 (int)link_held(k), "since_ms", (json_int_t)since, "records",
			 (json_int_t)sums.records, "lag_records", (json_int_t)sums.lag,
			 "partitions", states_json(&sums), "topics", topics);
}

void status_links(const struct status_source *s, const char *only, bool topics, struct buf *out)
{
	int64_t wall = clock_wall_ms(s->clock);
	json_t *links = json_array();
	for (size_t i = 0; i < s->links_n; i++)
		if (only == NULL || strcmp(only, link_config(s->links[i])->name) == 0)
			json_array_append_new(links, link_json(s->links[i], topics, wall));
	json_t *root = json_pack("{s:s, s:s, s:I, s:o}", "program", "farshore-mirror", "version",
				 FARSHORE_VERSION, "now_ms", (json_int_t)wall, "links", links);
	jsontext_put(root, out);
	json_decref(root);
}
