/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One translated position, with how sure it is, for the daemon's API and for the command line: what
 * runs.h answers, held against what is known of the logs beside the table. The words and the JSON
 * are the same wherever they come from. No I/O.
 */
#ifndef FARSHORE_CHECKPOINT_TRANSLATE_H
#define FARSHORE_CHECKPOINT_TRANSLATE_H

#include <jansson.h>

#include "checkpoint/runs.h"

enum translate_direction { TRANSLATE_FORWARD, TRANSLATE_BACK };

/* "forward" (source to target), "back" (target to source). */
const char *translate_direction_name(enum translate_direction d);
bool translate_direction_parse(const char *text, enum translate_direction *out);

/* What is known of a partition beside its table. */
struct translate_facts {
	/* The table's end is the end of what was copied. False: more may have been copied than the
	 * table knows (the mirror has just started, was killed, or is copying right now). */
	bool settled;
	/* Not settled: the end of the log that is translated into; -1 unknown. */
	int64_t other_end;
	/* Why the table may not be about the logs of today (the topic was made again ...); "" if
	 * nothing speaks against it. */
	const char *doubt;
	/* The partition's state; "" unknown. */
	const char *state;
};

/* Strings are borrowed. */
struct translation {
	const char *link;         /* "east->west" */
	const char *topic;        /* at the source */
	const char *target_topic; /* at the target */
	const char *state;        /* of the partition; "" unknown */
	const char *problem;      /* why it is in doubt, or has no answer; "" */
	int32_t partition;
	enum translate_direction direction;
	int64_t offset;     /* asked about: at the source, back: at the target */
	int64_t translated; /* -1: there is no answer, `problem` says why */
	bool exact;         /* false: the true position is `translated` or later, */
	int64_t max_behind; /* by at most this many offsets; -1: not known by how many */
	int64_t pending;    /* offsets asked about beyond the mirrored end; 0 when within */
};

/*
 * The position of the first mirrored record at or after `offset`, in the other log. Fills in all of
 * `out` but the names. False: the table is empty, nothing is known yet; `out` says so.
 */
bool translate_offset(const struct runs *r, enum translate_direction d, int64_t offset,
		      const struct translate_facts *facts, struct translation *out);

/* `out` has no answer; `problem` says why. */
void translate_fail(struct translation *out, const char *problem);

/* How good one answer is, or the worst of several (the larger value). */
enum translate_quality {
	TRANSLATE_EXACT,
	TRANSLATE_PENDING, /* exact, and records before it are not mirrored yet */
	TRANSLATE_EARLY,   /* a lower bound */
	TRANSLATE_NONE     /* no answer */
};
enum translate_quality translate_judge(const struct translation *t);

/* "exact", "up to 7 early", "early, not known by how much", "no answer"; then ", N not mirrored
 * yet". */
enum { TRANSLATE_WORDS_MAX = 112 };
void translate_words(const struct translation *t, char out[TRANSLATE_WORDS_MAX]);

/*
 * {"link", "topic", "target_topic", "partition", "direction", "offset", "translated", "exact",
 * "max_behind", "pending", "state", "problem"}; translated and max_behind are null for -1. All
 * strings must be UTF-8. NULL when out of memory.
 */
json_t *translate_to_json(const struct translation *t);

/* The same back; strings are borrowed from `in`. ERR_MALFORMED: `why` names the field. Further
 * fields are ignored. */
enum err translate_from_json(const json_t *in, struct translation *out,
			     struct errmsg *why) ERR_MUST_USE;

#endif
