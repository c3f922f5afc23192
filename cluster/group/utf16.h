/* SPDX-License-Identifier: Apache-2.0 */
/* What Kafka counts in Java's strings: UTF-16 units. Bytes that are no UTF-8 count as U+FFFD, one
 * each, as Java's decoder reads them. */
#ifndef FARSHORE_CLUSTER_GROUP_UTF16_H
#define FARSHORE_CLUSTER_GROUP_UTF16_H

#include "lib/base/bytes.h"

/* String.length() */
size_t utf16_length(struct bytes s);

/* String.hashCode() */
int32_t utf16_hash(struct bytes s);

#endif
