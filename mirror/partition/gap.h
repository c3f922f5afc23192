/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gap record: what the target lacks of the source, or holds beyond it, and why. Written durably
 * to `<source>.gaps.internal` on the target before copying goes on; docs/formats/gaps.md. Key and
 * value are JSON, for who reads them with a console consumer at night. No I/O here.
 */
#ifndef FARSHORE_MIRROR_GAP_H
#define FARSHORE_MIRROR_GAP_H

#include "lib/base/buf.h"
#include "mirror/config/policy.h"

enum { GAP_KEY_MAX = 1024, GAP_VALUE_MAX = 4096 };

/* Offset ranges are [first, end); -1: not known, or does not apply. */
struct gap {
	enum policy_event cause;
	int32_t partition;
	struct uuid topic_id, new_topic_id; /* of the source topic; zero: none */
	int64_t source_first, source_end;   /* missing, parked, or no longer at the source */
	int64_t target_first, target_end; /* records at the target that the source does not have */
	int64_t count;                    /* how many records (at most) this is about */
	int64_t unmapped; /* records at the target that belong to the source's range, but to which
			     offsets of it is not known */
	int64_t source_next, target_next; /* where copying goes on */
	enum err error;                   /* REFUSED: what the target said */
	const char *reason;               /* for people; borrowed */
};

/* A gap with nothing known. */
void gap_init(struct gap *g, enum policy_event cause, int32_t partition);

/* "DATA_LOSS", ... as the state that it ends. */
const char *gap_cause_name(enum policy_event cause);

/* What the record says besides. Borrowed strings. */
struct gap_place {
	const char *link, *source_topic, *target_topic;
	int64_t time_ms; /* wall clock */
};

/*
 * Append the record's key. Two records with the same key are about the same gap, the later one
 * knows more: a crash between the record and what follows repeats it. ERR_NOMEM, ERR_LIMIT.
 */
enum err gap_key(const struct gap *g, const struct gap_place *at, struct buf *out) ERR_MUST_USE;

/* Append the value: one line of JSON. ERR_NOMEM, ERR_LIMIT. */
enum err gap_value(const struct gap *g, const struct gap_place *at, struct buf *out) ERR_MUST_USE;

#endif
