/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit: one batch on its way from a fetch answer to a produce request. The payload stays where it
 * was received (or where the slow path built it); the unit holds a reference of that frame and
 * knows which source offsets its records have.
 */
#ifndef FARSHORE_MIRROR_UNIT_H
#define FARSHORE_MIRROR_UNIT_H

#include "lib/base/frame.h"
#include "lib/wire/batch.h"

struct partition;

/* Why a batch left the fast path; UNIT_FORWARDED is the fast path itself. */
/* clang-format off */
#define UNIT_CAUSES(X) \
	X(FORWARDED,       "forwarded") \
	X(HOLES,           "holes") \
	X(OLD_FORMAT,      "old_format") \
	X(TOO_LARGE,       "too_large") \
	X(LOG_APPEND_TIME, "log_append_time") \
	X(TRIMMED,         "trimmed") \
	X(COALESCED,       "coalesced")

enum unit_cause {
#define X(name, text) UNIT_##name,
	UNIT_CAUSES(X)
#undef X
	UNIT_CAUSES_N
};
/* clang-format on */

const char *unit_cause_name(enum unit_cause c);

/* Records src .. src+n-1 of the source, which follow each other in the unit. */
struct unit_span {
	int64_t src;
	int32_t n;
};

struct unit {
	struct unit *next;
	struct frame *frame;    /* one reference */
	struct bytes whole;     /* the batch as it lies in the frame */
	struct batch_head head; /* of `whole`, decoded */
	enum unit_cause cause;
	bool raw;             /* as fetched, and cannot be sent so: the slow path must rebuild it */
	int64_t trim_before;  /* slow path: records below this source offset are not wanted */
	int64_t src_end;      /* the source offset to fetch after this unit, exclusive */
	int32_t leader_epoch; /* of the source's last batch in it */
	int64_t fetched_ms;   /* monotonic, when it arrived */

	/* Set when it is sent. */
	bool answered; /* its request ended; the answer waits for those before it */
	enum err answer;
	int64_t answer_base;
	bool answer_repeated;
	int64_t dst;                 /* expected target offset of its first record */
	uint8_t stamped[BATCH_HEAD]; /* the head that is sent */

	/* Where its records come from; one span is kept inline. */
	struct unit_span one;
	struct unit_span *spans;
	size_t spans_n;
};

/* A unit for one whole batch that lies in `frame` (a reference is taken), with dense offsets. NULL
 * when out of memory. */
struct unit *unit_new(struct frame *frame, struct bytes whole, const struct batch_head *head);

/* Replace the spans by a copy of `spans`. ERR_NOMEM. */
enum err unit_set_spans(struct unit *u, const struct unit_span *spans, size_t n) ERR_MUST_USE;

/* NULL is safe. */
void unit_free(struct unit *u);

/* Stamp the head that will be sent: producer, sequence, base offset 0, leader epoch -1, not
 * transactional. The payload is not read. */
void unit_stamp(struct unit *u, int64_t producer_id, int16_t producer_epoch, int32_t sequence);

/* A queue of units. */
struct unit_queue {
	struct unit *head;
	struct unit **tail;
	size_t n;
	size_t bytes;
};

void unit_queue_init(struct unit_queue *q);
void unit_queue_push(struct unit_queue *q, struct unit *u);
struct unit *unit_queue_pop(struct unit_queue *q); /* NULL when empty */
void unit_queue_clear(struct unit_queue *q);       /* frees the units */

#endif
