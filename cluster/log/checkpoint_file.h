/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's checkpoint files (CheckpointFile.java): text, a version (0), a count, one entry a line
 * with fields that are separated by blanks.
 *
 * recovery-point-offset-checkpoint, log-start-offset-checkpoint (OffsetCheckpointFile.java):
 *
 *	0
 *	2
 *	orders 0 1042
 *	orders 1 77
 */
#ifndef FARSHORE_CLUSTER_LOG_CHECKPOINT_FILE_H
#define FARSHORE_CLUSTER_LOG_CHECKPOINT_FILE_H

#include "lib/base/buf.h"

struct checkpoint_file_entry {
	struct bytes topic; /* a legal topic name; lives as long as the file's bytes */
	int32_t partition;  /* >= 0 */
	int64_t offset;     /* >= 0 */
};

/* Write: the head with the number of entries, then each. Errors stick to the buffer. */
void checkpoint_file_put_head(struct buf *out, size_t count);
void checkpoint_file_put(struct buf *out, const char *topic, int32_t partition, int64_t offset);

/* Check a whole file; an empty one has no entries. ERR_UNSUPPORTED: version. ERR_MALFORMED: `why`
 * has the line. */
enum err checkpoint_file_check(struct bytes file, struct errmsg *why) ERR_MUST_USE;

/* Iterate over a file that was checked: start with *at = 0. False at the end. */
bool checkpoint_file_next(struct bytes file, size_t *at, struct checkpoint_file_entry *out);

/*
 * For other checkpoint files: the lines. checkpoint_file_open checks the head, `count` is what it
 * says (not more than there are bytes left); checkpoint_file_line gives one line after the other,
 * without its end (LF or CR LF). checkpoint_file_number reads a number that is >= 0 and <= max at
 * the front of a line, and the blanks behind it.
 */
struct checkpoint_file {
	struct bytes left;
	size_t count;
	size_t line; /* number of the last line given, from 1 */
};
enum err checkpoint_file_open(struct checkpoint_file *f, struct bytes file,
			      struct errmsg *why) ERR_MUST_USE;
bool checkpoint_file_line(struct checkpoint_file *f, struct bytes *line);
bool checkpoint_file_number(struct bytes *line, int64_t max, int64_t *out);

#endif
