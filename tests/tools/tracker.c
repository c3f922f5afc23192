/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's framing: int32 length, then a request head (api key, api version, correlation id) or an
 * answer's head (correlation id). Answers come in the order of the requests; requests that get none
 * (acks=0) are passed over by their correlation id.
 */
#include "tests/tools/tracker.h"

#include <string.h>

#include "lib/base/bytes.h"

static const uint64_t LENGTH_BYTES = 4, REQUEST_HEAD = 12, ANSWER_HEAD = 8;

static void remember(struct tracker *t, int16_t api, int32_t correlation)
{
	if (t->count == TRACKER_PENDING_MAX) {
		t->first = (t->first + 1) % TRACKER_PENDING_MAX;
		t->count--;
	}
	uint32_t at = (t->first + t->count++) % TRACKER_PENDING_MAX;
	t->pending[at].api = api;
	t->pending[at].correlation = correlation;
}

/* The API that `correlation` answers; -1 if no request is known. */
static int16_t recall(struct tracker *t, int32_t correlation)
{
	while (t->count > 0) {
		uint32_t at = t->first;
		t->first = (t->first + 1) % TRACKER_PENDING_MAX;
		t->count--;
		if (t->pending[at].correlation == correlation)
			return t->pending[at].api;
	}
	return -1;
}

/* The head is complete: whose frame is it, and is it one to flip? */
static void head_done(struct tracker *t, struct flips *f, bool to_broker)
{
	struct frame_state *s = to_broker ? &t->to_broker : &t->to_client;
	int16_t api;
	if (to_broker) {
		api = (int16_t)be16_get(s->head + 4);
		remember(t, api, (int32_t)be32_get(s->head + 8));
	} else {
		api = recall(t, (int32_t)be32_get(s->head + 4));
	}
	bool carries_records = to_broker == (api == API_PRODUCE);
	if (f->left == 0 || api != f->api || !carries_records || s->size < f->min_bytes)
		return;
	s->flip_at = s->size / 2;
	f->left--;
}

/* Take the part of the head that is in `p`; how many bytes were taken. */
static size_t take_head(struct tracker *t, struct flips *f, bool to_broker, const uint8_t *p,
			size_t n)
{
	struct frame_state *s = to_broker ? &t->to_broker : &t->to_client;
	uint64_t want = s->size == 0 ? LENGTH_BYTES : to_broker ? REQUEST_HEAD : ANSWER_HEAD;
	size_t take = want - s->seen < n ? (size_t)(want - s->seen) : n;
	memcpy(s->head + s->seen, p, take);
	s->seen += take;
	if (s->seen < want)
		return take;
	if (s->size == 0)
		s->size = LENGTH_BYTES + be32_get(s->head);
	else
		head_done(t, f, to_broker);
	return take;
}

void tracker_pass(struct tracker *t, struct flips *f, bool to_broker, uint8_t *p, size_t n)
{
	struct frame_state *s = to_broker ? &t->to_broker : &t->to_client;
	const uint64_t head = to_broker ? REQUEST_HEAD : ANSWER_HEAD;
	while (n > 0) {
		if (s->seen < head && (s->size == 0 || s->seen < s->size)) {
			size_t took = take_head(t, f, to_broker, p, n);
			p += took;
			n -= took;
		} else {
			uint64_t left = s->size - s->seen;
			size_t take = left < n ? (size_t)left : n;
			if (s->flip_at >= s->seen && s->flip_at - s->seen < take &&
			    s->flip_at > 0) {
				p[s->flip_at - s->seen] ^= 1;
				f->done++;
			}
			p += take;
			n -= take;
			s->seen += take;
		}
		if (s->size != 0 && s->seen >= s->size)
			*s = (struct frame_state){0};
	}
}
