/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the frames of one Kafka connection as its bytes pass in pieces of any size, and flips one
 * bit in the middle of chosen ones: of a Produce request on its way to the broker, of any other
 * API's answer on its way back. The middle of a large frame lies in a record batch's payload.
 */
#ifndef FARSHORE_TESTS_TRACKER_H
#define FARSHORE_TESTS_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACKER_PENDING_MAX = 4096, API_PRODUCE = 0 };

/* Which frames to flip, shared by all connections. */
struct flips {
	int16_t api;
	uint32_t min_bytes; /* only frames at least this long */
	uint32_t left;      /* how many are still to be flipped */
	uint32_t done;
};

/* One direction: `seen` bytes of the frame that is passing, its length field included. */
struct frame_state {
	uint8_t head[12]; /* length, api key, api version, correlation id; or length, correlation id
			   */
	uint64_t seen;
	uint64_t size;    /* with the length field; 0 while that is incomplete */
	uint64_t flip_at; /* position in the frame; 0: none */
};

struct tracker {
	struct frame_state to_broker, to_client;
	struct {
		int32_t correlation;
		int16_t api;
	} pending[TRACKER_PENDING_MAX]; /* requests without an answer, a ring */
	uint32_t first, count;
};

/* `n` bytes pass towards the broker or back; flips bits in place where `f` asks for it. */
void tracker_pass(struct tracker *t, struct flips *f, bool to_broker, uint8_t *p, size_t n);

#endif
