/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MirrorSourceMetrics.java names and describes them; what is approximated stands in meter.h and in
 * docs/operating.md. All are gauges there, the counts too, and so here.
 */
#include "mirror/http/status_mm2.h"

#include <stdio.h>

#include "lib/base/mem.h"
#include "mirror/link/link_parts.h"
#include "mirror/partition/meter.h"

#define PREFIX "kafka_connect_mirror_mirrorsourceconnector_"

/* Writes one value, or none where there is none. */
typedef void write_fn(struct metrics *m, const struct metrics_label *l, const struct partition *p,
		      const struct meter_view *v);

static void put_record_count(struct metrics *m, const struct metrics_label *l,
			     const struct partition *p, const struct meter_view *v)
{
	(void)v;
	metrics_int(m, l, (int64_t)p->counters.records);
}

static void put_record_rate(struct metrics *m, const struct metrics_label *l,
			    const struct partition *p, const struct meter_view *v)
{
	(void)p;
	metrics_double(m, l, v->records_per_s);
}

static void put_byte_count(struct metrics *m, const struct metrics_label *l,
			   const struct partition *p, const struct meter_view *v)
{
	(void)v;
	metrics_int(m, l, (int64_t)p->counters.bytes);
}

static void put_byte_rate(struct metrics *m, const struct metrics_label *l,
			  const struct partition *p, const struct meter_view *v)
{
	(void)p;
	metrics_double(m, l, v->bytes_per_s);
}

static void put_age(struct metrics *m, const struct metrics_label *l, const struct partition *p,
		    const struct meter_view *v)
{
	(void)v;
	if (p->meter->timed)
		metrics_int(m, l, p->meter->age);
}

static void put_latency(struct metrics *m, const struct metrics_label *l, const struct partition *p,
			const struct meter_view *v)
{
	(void)v;
	if (p->meter->timed)
		metrics_int(m, l, p->meter->latency);
}

static void put_min(struct metrics *m, const struct metrics_label *l, const struct meter_stat *s)
{
	if (s->n > 0)
		metrics_int(m, l, s->min);
}

static void put_max(struct metrics *m, const struct metrics_label *l, const struct meter_stat *s)
{
	if (s->n > 0)
		metrics_int(m, l, s->max);
}

static void put_avg(struct metrics *m, const struct metrics_label *l, const struct meter_stat *s)
{
	if (s->n > 0)
		metrics_double(m, l, s->sum / (double)s->n);
}

#define PUT_STAT(name, which, field)                                            \
	static void name(struct metrics *m, const struct metrics_label *l,      \
			 const struct partition *p, const struct meter_view *v) \
	{                                                                       \
		(void)p;                                                        \
		which(m, l, &v->field);                                         \
	}
PUT_STAT(put_age_min, put_min, age)
PUT_STAT(put_age_max, put_max, age)
PUT_STAT(put_age_avg, put_avg, age)
PUT_STAT(put_latency_min, put_min, latency)
PUT_STAT(put_latency_max, put_max, latency)
PUT_STAT(put_latency_avg, put_avg, latency)

static const struct {
	const char *name, *help;
	write_fn *fn;
} families[] = {
	{PREFIX "record_count", "Records copied since the start.", put_record_count},
	{PREFIX "record_rate", "Records copied per second.", put_record_rate},
	{PREFIX "record_age_ms", "Age of the newest record when it came from the source.", put_age},
	{PREFIX "record_age_ms_min", "The least age of records as they came.", put_age_min},
	{PREFIX "record_age_ms_max", "The greatest age of records as they came.", put_age_max},
	{PREFIX "record_age_ms_avg", "The average age of records as they came.", put_age_avg},
	{PREFIX "byte_count", "Bytes of batches copied since the start.", put_byte_count},
	{PREFIX "byte_rate", "Bytes of batches copied per second.", put_byte_rate},
	{PREFIX "replication_latency_ms", "Age of the newest record when the target had it.",
	 put_latency},
	{PREFIX "replication_latency_ms_min", "The least age of records as the target had them.",
	 put_latency_min},
	{PREFIX "replication_latency_ms_max", "The greatest age of records as the target had them.",
	 put_latency_max},
	{PREFIX "replication_latency_ms_avg", "The average age of records as the target had them.",
	 put_latency_avg},
};

static void write_topic(struct metrics *m, write_fn *fn, const struct link_config *c,
			const struct topic_entry *t, int64_t mono_ms)
{
	for (int32_t i = 0; i < t->slots_n; i++) {
		const struct partition *p = t->slots[i]->p;
		if (p->meter == NULL)
			continue;
		char index[16];
		snprintf(index, sizeof index, "%d", i);
		const struct meter_view v = meter_read(p->meter, mono_ms);
		fn(m,
		   METRICS_LABELS({"source", c->source->name}, {"target", c->target->name},
				  {"topic", t->target_name}, {"partition", index}),
		   p, &v);
	}
}

void status_mm2_metrics(const struct status_source *s, struct metrics *m)
{
	int64_t mono_ms = clock_mono_ms(s->clock);
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		metrics_family(m, families[f].name, METRICS_GAUGE, families[f].help);
		for (size_t i = 0; i < s->links_n; i++) {
			size_t n;
			struct topic_entry **topics = link_topics_sorted(s->links[i], &n);
			for (size_t t = 0; t < n; t++)
				write_topic(m, families[f].fn, link_config(s->links[i]), topics[t],
					    mono_ms);
			mem_free(topics);
		}
	}
}
