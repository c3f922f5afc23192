/* SPDX-License-Identifier: Apache-2.0 */
/* Two samples, the present one and the one before. One counts until a minute after it began. */
#include "mirror/partition/meter.h"

#include "lib/base/mem.h"

static void stat_add(struct meter_stat *to, const struct meter_stat *from)
{
	if (from->n == 0)
		return;
	if (to->n == 0 || from->min < to->min)
		to->min = from->min;
	if (to->n == 0 || from->max > to->max)
		to->max = from->max;
	to->sum += from->sum;
	to->n += from->n;
}

/* How old the records of a batch were at `at`. */
static struct meter_stat stat_of(const struct meter_batch *b, int64_t at)
{
	struct meter_stat s = {
		.min = at - b->max_timestamp, .max = at - b->max_timestamp, .n = b->records};
	if (b->first_timestamp >= 0 && b->first_timestamp < b->max_timestamp)
		s.max = at - b->first_timestamp;
	s.sum = ((double)s.min + (double)s.max) / 2 * (double)b->records;
	return s;
}

static struct meter_sample *present(struct meter *m, int64_t mono_ms)
{
	if (mono_ms - m->samples[0].began_ms >= METER_SAMPLE_MS) {
		m->samples[1] = m->samples[0];
		m->samples[0] = (struct meter_sample){.began_ms = mono_ms};
	}
	return &m->samples[0];
}

void meter_add(struct meter **at, int64_t mono_ms, const struct meter_batch *b)
{
	if (*at == NULL) {
		*at = mem_zalloc(1, sizeof **at);
		if (*at == NULL)
			return;
		(*at)->samples[0].began_ms = mono_ms;
		(*at)->samples[1].began_ms = mono_ms - (int64_t)METER_SAMPLES * METER_SAMPLE_MS;
	}
	struct meter *m = *at;
	struct meter_sample *s = present(m, mono_ms);
	s->records += b->records;
	s->bytes += b->bytes;
	if (b->max_timestamp < 0 || b->records <= 0)
		return;
	const struct meter_stat age = stat_of(b, b->fetched_ms);
	const struct meter_stat latency = stat_of(b, b->acked_ms);
	stat_add(&s->age, &age);
	stat_add(&s->latency, &latency);
	m->age = age.min;
	m->latency = latency.min;
	m->timed = true;
}

void meter_free(struct meter *m)
{
	mem_free(m);
}

struct meter_view meter_read(const struct meter *m, int64_t mono_ms)
{
	struct meter_view v = {.records_per_s = 0};
	int64_t oldest = mono_ms, records = 0, bytes = 0;
	for (int i = 0; i < METER_SAMPLES; i++) {
		const struct meter_sample *s = &m->samples[i];
		if (mono_ms - s->began_ms >= (int64_t)METER_SAMPLES * METER_SAMPLE_MS)
			continue;
		oldest = s->began_ms < oldest ? s->began_ms : oldest;
		records += s->records;
		bytes += s->bytes;
		stat_add(&v.age, &s->age);
		stat_add(&v.latency, &s->latency);
	}
	/* Rate.windowSize: what is younger than a sample counts as one sample more. */
	int64_t span = mono_ms - oldest;
	if (span < METER_SAMPLE_MS)
		span += METER_SAMPLE_MS;
	v.records_per_s = (double)records * 1000.0 / (double)span;
	v.bytes_per_s = (double)bytes * 1000.0 / (double)span;
	return v;
}
