/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sparse indexes of a segment, in memory and as Kafka's files (OffsetIndex.java,
 * TimeIndex.java):
 *
 *  N.index      OFFSET SIZE               N.timeindex  OFFSET SIZE
 *                    0    4 offset - N                      0    8 timestamp
 *                    4    4 position                        8    4 offset - N
 *
 * An entry of the offset index is a batch: its last offset and where it starts. An entry of the
 * time index says that the largest timestamp up to then is in the batch with that last offset.
 * Offsets and positions rise strictly in the one, timestamps strictly and offsets in the other.
 *
 * Neither has a checksum: whoever follows an entry holds what it finds against it.
 */
#ifndef FARSHORE_CLUSTER_LOG_INDEX_H
#define FARSHORE_CLUSTER_LOG_INDEX_H

#include "cluster/log/disk.h"
#include "lib/base/buf.h"

enum { INDEX_ENTRY = 8, INDEX_TIME_ENTRY = 12 };

struct index_entry {
	uint32_t offset; /* relative */
	uint32_t position;
};

struct index_time {
	int64_t timestamp;
	uint32_t offset; /* relative */
};

struct index {
	int64_t base;
	struct index_entry *entries;
	struct index_time *times;
	uint32_t entries_n, entries_cap;
	uint32_t times_n, times_cap;
	uint32_t entries_saved, times_saved; /* how many of them are in the files */
	int64_t since;                       /* bytes of batches since the last entry */
	bool built; /* from the batches, by this process: not taken from files */
};

struct index *index_new(int64_t base); /* NULL: out of memory */
void index_free(struct index *ix);     /* NULL is safe */

/* Room for one more entry in each, so that the next index_add and index_add_time cannot fail. */
enum err index_reserve(struct index *ix) ERR_MUST_USE;

/* A batch was written: `size` bytes at `position`, with that last offset. An entry is made if more
 * than `interval` bytes were written since the last one: true then, and the time is due too. */
bool index_add(struct index *ix, int64_t last_offset, int64_t position, size_t size,
	       int64_t interval);

/* The largest timestamp so far and the last offset of its batch; left out if it is not news. */
void index_add_time(struct index *ix, int64_t timestamp, int64_t offset);

/* Where to begin to look for `offset`: the position of a batch that ends at or before it; 0 if
 * there is none. */
int64_t index_find(const struct index *ix, int64_t offset);

/* The offset of the last entry whose timestamp is <= `timestamp`; the base if there is none. */
int64_t index_find_time(const struct index *ix, int64_t timestamp);

/* The segment was cut: drop entries from `offset` on, or from `position` on. */
void index_truncate(struct index *ix, int64_t offset, int64_t position);

/* Append what the files do not hold yet. Errors stick to the buffer. */
void index_encode(const struct index *ix, struct buf *out);
void index_encode_times(const struct index *ix, struct buf *out);

/* Take over the files' content. ERR_MALFORMED: it cannot be right for a segment of `size` bytes
 * that ends before offset `end`; nothing was taken over. ERR_NOMEM. */
enum err index_decode(struct index *ix, struct bytes entries, struct bytes times, int64_t size,
		      int64_t end) ERR_MUST_USE;

/* The last entry at or below, in a file with `n` entries, by a few small reads; zeroes if there is
 * none. ERR_IO. */
enum err index_file_find(const struct disk *d, int fd, uint32_t n, uint32_t offset,
			 struct index_entry *out) ERR_MUST_USE;
enum err index_file_find_time(const struct disk *d, int fd, uint32_t n, int64_t timestamp,
			      struct index_time *out) ERR_MUST_USE;

#endif
