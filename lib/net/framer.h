/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a stream of bytes to Kafka frames. The owner asks where the next bytes belong, receives
 * straight to there, says how many came, and takes out what is complete. No I/O here.
 *
 *     loop: framer_room -> receive -> framer_fill -> framer_next until it gives none
 */
#ifndef FARSHORE_NET_FRAMER_H
#define FARSHORE_NET_FRAMER_H

#include <sys/uio.h>

#include "lib/base/err.h"
#include "lib/base/frame.h"

enum { FRAMER_STAGE = 4096, FRAMER_HEAD = 8 };

struct framer {
	size_t frame_max;
	size_t large_max; /* see framer_admit; 0: not used */
	bool (*admits)(const uint8_t head[FRAMER_HEAD]);
	struct frame_pool *pool;
	struct frame *frame; /* the frame being received, or NULL */
	size_t got;          /* bytes of it that are there */
	size_t at, end;      /* unread part of `stage` */
	bool started;        /* a frame length was seen: the peer speaks Kafka */
	uint8_t stage[FRAMER_STAGE];
};

/* `frame_max`: 1..INT32_MAX. `pool`: where frames come from, borrowed; NULL: plain memory. */
void framer_init(struct framer *f, size_t frame_max, struct frame_pool *pool);
void framer_fini(struct framer *f);

/* Receive also frames that are larger than `frame_max`, up to `max`, if `admits` says yes to their
 * first bytes. */
void framer_admit(struct framer *f, size_t max, bool (*admits)(const uint8_t head[FRAMER_HEAD]));

/* Where the next bytes go: one or two pieces. Only after framer_next gave none. */
size_t framer_room(struct framer *f, struct iovec iov[2]);

/* `n` bytes were put there. */
void framer_fill(struct framer *f, size_t n);

/*
 * The next whole frame (the callee's reference), or NULL if more bytes are needed.
 * ERR_MALFORMED: a length that is not positive, or another protocol's first bytes; ERR_LIMIT: a
 * length over `frame_max`; ERR_NOMEM. The stream is lost after an error.
 */
enum err framer_next(struct framer *f, struct frame **out, struct errmsg *why) ERR_MUST_USE;

/* True between frames: the stream may end here without a loss. */
bool framer_at_boundary(const struct framer *f);

#endif
