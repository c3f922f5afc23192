/* SPDX-License-Identifier: Apache-2.0 */
/* Where the policies go on: what is durable of gaps and dead letters, and what may land then. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/mirror_partition/sim_world.h"

void sim_gaps_land(struct sim_world *w)
{
	if (w->gaps_n == w->gaps_cap) {
		w->gaps_cap = w->gaps_cap == 0 ? 16 : 2 * w->gaps_cap;
		w->gaps = realloc(w->gaps, w->gaps_cap * sizeof *w->gaps);
		assert_non_null(w->gaps);
	}
	w->gaps[w->gaps_n++] = w->gap_asked;
	w->asked_landed = true;
}

void sim_gaps_land_letter(struct sim_world *w)
{
	size_t need = (size_t)w->letter_asked + 1;
	if (need > w->parked_n) {
		w->parked = realloc(w->parked, need * sizeof *w->parked);
		assert_non_null(w->parked);
		memset(w->parked + w->parked_n, 0, (need - w->parked_n) * sizeof *w->parked);
		w->parked_n = need;
	}
	w->parked[w->letter_asked] = true;
	w->asked_landed = true;
}

bool sim_world_is_told(const struct sim_world *w, int64_t id)
{
	const struct sim_known *k = &w->truth.v[id];
	if (id < (int64_t)w->parked_n && w->parked[id])
		return true;
	for (size_t i = 0; i < w->gaps_n; i++) {
		const struct gap *g = &w->gaps[i].g;
		if (g->cause == ON_DATA_LOSS && w->gaps[i].topic == k->topic &&
		    k->offset >= g->source_first && k->offset < g->source_end)
			return true;
	}
	return false;
}

static int64_t topic_number(const struct sim_world *w, const struct uuid *id)
{
	int64_t n = 0;
	while (!uuid_eq(&w->topics[n], id))
		assert_true(++n <= w->truth.topic);
	return n;
}

bool sim_world_is_told_extra(const struct sim_world *w, int64_t offset)
{
	int64_t id = w->target.copies[offset].id;
	for (size_t i = 0; i < w->gaps_n; i++) {
		const struct gap *g = &w->gaps[i].g;
		if (g->cause == ON_SOURCE_TRUNCATED && offset >= g->target_first &&
		    offset < g->target_end)
			return true;
		/* What lies there is of some topic before the new one. */
		if (g->cause == ON_TOPIC_RECREATED && offset < g->target_next &&
		    w->truth.v[id].topic < topic_number(w, &g->new_topic_id))
			return true;
	}
	return false;
}

bool sim_world_refuses(const struct sim_world *w, int64_t id)
{
	return w->mode == SIM_REFUSED && (uint64_t)id * 2654435761U % 97 < w->refused_share;
}

static bool landed_before(const struct sim_world *w, int64_t offset)
{
	for (int64_t t = 0; t < offset; t++)
		if (w->target.copies[t].id == w->target.copies[offset].id)
			return true;
	return false;
}

/* Where the policies go on: records that the source has lost may stand anywhere, and are told in
 * the end; all others are each there once, in order, and what is left out is told before the next
 * lands. */
void sim_gaps_check_copy(struct sim_world *w, int64_t offset)
{
	const struct sim_copy *c = &w->target.copies[offset];
	const struct sim_known *r = &w->truth.v[c->id];
	int64_t before = offset - 1;
	/* In SOURCE_LOSES the end tells: what is sent behind a batch that is found to be another
	 * one later is copied again, and told as extra. */
	if (r->lost || (w->mode == SIM_SOURCE_LOSES && w->hit))
		return;
	while (before >= 0 &&
	       (w->target.copies[before].id < 0 || w->truth.v[w->target.copies[before].id].lost))
		before--;
	int64_t last = before < 0 ? -1 : w->target.copies[before].id;
	for (int64_t t = before; t >= 0 && w->gaps_n > 0 && w->mode == SIM_RETENTION; t--)
		if (w->target.copies[t].id > last)
			last = w->target.copies[t].id;
	/* Told to be missing, and a late request brings it: told too much. */
	if (c->id < last && sim_world_is_told(w, c->id) && !landed_before(w, offset))
		return;
	if (c->id <= last)
		fail_msg("record %" PRId64 " (source offset %" PRId64 ") stands twice, at target "
			 "offset %" PRId64,
			 c->id, r->offset, offset);
	if (c->hash != r->hash || r->fate != SIM_COMMITTED)
		fail_msg("target offset %" PRId64 " is no copy", offset);
	if (sim_world_refuses(w, c->id))
		fail_msg("a refused record landed at %" PRId64, offset);
	for (int64_t id = last + 1; id < c->id; id++) {
		const struct sim_known *k = &w->truth.v[id];
		if (k->fate != SIM_ABORTED && !k->gone && !k->lost && !sim_world_is_told(w, id) &&
		    (last >= 0 || k->offset >= w->source.start))
			fail_msg("source offset %" PRId64
				 " is missing before target offset %" PRId64 ", and not told",
				 k->offset, offset);
	}
}
