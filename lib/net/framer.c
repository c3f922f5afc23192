/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths, small frames and the first bytes of large ones pass through the stage; the rest of a
 * frame is received into its own block. While a frame is incomplete the stage is empty, so the
 * stage is also offered as the second piece of a scattered read: what follows the frame comes with
 * the same system call.
 *
 * A frame's block has its full declared size at once. Pages that no byte was written to cost
 * nothing (but a pool counts them), and a peer that wants to pin `frame_max` bytes of memory can as
 * well send them: growing in steps would add a copy of every large frame and win nothing.
 */
#include "lib/net/framer.h"

#include <assert.h>

enum { PREFIX = 4 };

void framer_init(struct framer *f, size_t frame_max, struct frame_pool *pool)
{
	assert(frame_max >= 1 && frame_max <= INT32_MAX);
	f->frame_max = frame_max;
	f->large_max = 0;
	f->admits = NULL;
	f->pool = pool;
	f->frame = NULL;
	f->got = 0;
	f->at = f->end = 0;
	f->started = false;
}

void framer_admit(struct framer *f, size_t max, bool (*admits)(const uint8_t head[FRAMER_HEAD]))
{
	assert(max <= INT32_MAX);
	f->large_max = max;
	f->admits = admits;
}

void framer_fini(struct framer *f)
{
	frame_unref(f->frame);
	f->frame = NULL;
}

size_t framer_room(struct framer *f, struct iovec iov[2])
{
	size_t n = 0;
	if (f->frame != NULL) {
		assert(f->at == f->end && f->got < f->frame->n);
		iov[n++] = (struct iovec){f->frame->data + f->got, f->frame->n - f->got};
	}
	if (f->at > 0) {
		memmove(f->stage, f->stage + f->at, f->end - f->at);
		f->end -= f->at;
		f->at = 0;
	}
	assert(f->end < PREFIX + FRAMER_HEAD);
	iov[n++] = (struct iovec){f->stage + f->end, sizeof f->stage - f->end};
	return n;
}

void framer_fill(struct framer *f, size_t n)
{
	if (f->frame != NULL) {
		size_t rest = f->frame->n - f->got;
		size_t step = n < rest ? n : rest;
		f->got += step;
		n -= step;
	}
	assert(n <= sizeof f->stage - f->end);
	f->end += n;
}

/* What the four bytes are in a protocol that people mix up with this one. Only lengths that a sane
 * frame_max refuses anyway are named. */
static const char *foreign_protocol(uint32_t head)
{
	/* TLS record: type 21 (alert) or 22 (handshake), version 3.x, high byte of its length. */
	if (head >> 16 == 0x1503 || head >> 16 == 0x1603)
		return "the peer speaks TLS, and this side does not; do the TLS settings fit this "
		       "port?";
	switch (head) {
	case 0x48545450: /* HTTP */
	case 0x47455420: /* GET_ */
	case 0x504f5354: /* POST */
	case 0x48454144: /* HEAD */
		return "the peer speaks HTTP, not the Kafka protocol; check the port";
	case 0x5353482d: /* SSH- */
		return "the peer speaks SSH, not the Kafka protocol; check the port";
	}
	return NULL;
}

static enum err start_frame(struct framer *f, struct errmsg *why)
{
	uint32_t head = be32_get(f->stage + f->at);
	bool large = head > f->frame_max && head <= f->large_max;
	if (large && f->end - f->at < PREFIX + FRAMER_HEAD)
		return ERR_OK;
	large = large && f->admits(f->stage + f->at + PREFIX);
	if (head == 0 || (head > f->frame_max && !large)) {
		const char *foreign = f->started ? NULL : foreign_protocol(head);
		if (foreign != NULL)
			return errmsg_set(why, ERR_MALFORMED, "%s", foreign);
		if ((int32_t)head <= 0)
			return errmsg_set(why, ERR_MALFORMED, "frame length %d", (int32_t)head);
		return errmsg_set(why, ERR_LIMIT,
				  "frame of %u bytes is over the limit of %zu bytes", head,
				  f->frame_max);
	}
	f->frame = frame_pool_get(f->pool, head);
	if (f->frame == NULL)
		return errmsg_set(why, ERR_NOMEM, "no memory for a frame of %u bytes (memory.max)",
				  head);
	f->started = true;
	f->got = 0;
	f->at += PREFIX;
	return ERR_OK;
}

enum err framer_next(struct framer *f, struct frame **out, struct errmsg *why)
{
	*out = NULL;
	if (f->frame == NULL) {
		if (f->end - f->at < PREFIX)
			return ERR_OK;
		enum err e = start_frame(f, why);
		if (f->frame == NULL)
			return e;
	}
	size_t rest = f->frame->n - f->got;
	size_t step = f->end - f->at < rest ? f->end - f->at : rest;
	memcpy(f->frame->data + f->got, f->stage + f->at, step);
	f->got += step;
	f->at += step;
	if (f->got < f->frame->n)
		return ERR_OK;
	*out = f->frame;
	f->frame = NULL;
	return ERR_OK;
}

bool framer_at_boundary(const struct framer *f)
{
	return f->frame == NULL && f->at == f->end;
}
