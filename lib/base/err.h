/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One error type for the whole of Farshore, and the message buffer that carries the detail.
 *
 * A function that can fail returns `enum err`. What a person must know beyond the code (which file,
 * which broker, which byte) is written into the caller's `struct errmsg` and wrapped on the way up;
 * the fault is logged once, where it is handled.
 */
#ifndef FARSHORE_BASE_ERR_H
#define FARSHORE_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err_list.h"

#define ERR_NO_CODE INT16_MIN

/* clang-format off */
enum err {
#define X(name, code, retriable, text) ERR_##name,
	ERR_OURS(X)
	ERR_KAFKA(X)
#undef X
	ERR_COUNT
};
/* clang-format on */

/* Mark of every function whose error must not be dropped. */
#define ERR_MUST_USE __attribute__((warn_unused_result))

/* Detail of an error for people: always NUL-terminated, cut when too long. Zero-initialise. */
struct errmsg {
	char text[384];
};

/* The name, such as "TIMEOUT" or "KAFKA_NOT_LEADER_OR_FOLLOWER". Static storage. */
const char *err_name(enum err e);

/* One short phrase for people. Static storage. */
const char *err_text(enum err e);

/* True if the same request may succeed later. */
bool err_retriable(enum err e);

/* The error of a Kafka error code as it stands in a response; 0 gives ERR_OK. A code that this
 * table does not know gives ERR_KAFKA_UNKNOWN_SERVER_ERROR. */
enum err err_from_kafka(int16_t code);

/* The Kafka error code to answer with; errors of ours give -1 (UNKNOWN_SERVER_ERROR), ERR_OK gives
 * 0. */
int16_t err_to_kafka(enum err e);

/* Replace the text. `m` may be NULL. Returns `e`, so that "return errmsg_set(m, ERR_X, ...)" reads
 * well. */
enum err errmsg_set(struct errmsg *m, enum err e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put a prefix and ": " before the text that is there ("topic orders: " + "timed out"). `m` may be
 * NULL. */
enum err errmsg_wrap(struct errmsg *m, enum err e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
