/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIR/meta.properties (Java properties; MetaProperties.java, version 1) and
 * DIR/TOPIC-N/partition.metadata (PartitionMetadataFile.java, version 0).
 *
 * Of Java's properties: comments (# and !), blank lines, "key=value" or "key: value" with blanks
 * around, LF, CR or CR LF. Not: escapes and continued lines, which these files never need; a file
 * with a backslash is refused.
 */
#ifndef FARSHORE_CLUSTER_LOG_META_FILE_H
#define FARSHORE_CLUSTER_LOG_META_FILE_H

#include "lib/base/buf.h"

enum { META_FILE_CLUSTER_ID_MAX = 100 };

struct meta_file {
	char cluster_id[META_FILE_CLUSTER_ID_MAX + 1]; /* printable ASCII, not empty */
	int32_t node_id;
	struct uuid directory_id; /* zero: the file has none (before KIP-858) */
};

/* The text, appended. Errors stick to the buffer. */
void meta_file_encode(const struct meta_file *m, struct buf *out);

/* ERR_UNSUPPORTED: another version. ERR_MALFORMED: a line, a value, or a key that is missing or
 * there twice; keys that are not known are passed over. `why` says which. */
enum err meta_file_decode(struct meta_file *m, struct bytes file, struct errmsg *why) ERR_MUST_USE;

/* "version: 0", "topic_id: ...". */
void meta_file_encode_partition(const struct uuid *topic_id, struct buf *out);
/* ERR_MALFORMED, also for the zero id; ERR_UNSUPPORTED. */
enum err meta_file_decode_partition(struct uuid *topic_id, struct bytes file,
				    struct errmsg *why) ERR_MUST_USE;

/* The inverse of uuid_format: 22 characters. False: not one. */
bool meta_file_uuid(struct bytes text, struct uuid *out);

#endif
