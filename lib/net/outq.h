/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages that a connection has still to write: each a length prefix, an encoded buffer and
 * the pieces that belong between its parts: slices of memory and ranges of files, where they lie.
 * No I/O here.
 *
 * A message whose last byte was written is done but its `release` is called only by
 * outq_release_done, so that the owner chooses the moment. That call may come back into outq_push.
 */
#ifndef FARSHORE_NET_OUTQ_H
#define FARSHORE_NET_OUTQ_H

#include <sys/uio.h>

#include "lib/base/err.h"
#include "lib/wire/wire.h"

struct outq_msg;

struct outq {
	struct outq_msg *head, **tail; /* to write */
	struct outq_msg *done, **done_tail;
	size_t bytes; /* not yet written */
};

void outq_init(struct outq *q);

/* Append the content of `out`, which is empty and reusable afterwards. `release` may be NULL.
 * ERR_NOMEM; ERR_LIMIT for more than INT32_MAX bytes; the sticky error of `out`. After an error
 * `out` is untouched and `release` will not be called. */
enum err outq_push(struct outq *q, struct wire_out *out, void (*release)(void *arg),
		   void *arg) ERR_MUST_USE;

/* Fill `iov` with the next bytes to write, up to a range of a file; returns how many of the `max`
 * are used: 0 if a range of a file comes next, or nothing. */
size_t outq_peek(const struct outq *q, struct iovec *iov, size_t max);

/* True if a range of a file comes next: what is left of it. */
bool outq_peek_file(const struct outq *q, struct wire_file *out);

/* `n` bytes of those peeked at were written. */
void outq_advance(struct outq *q, size_t n);

/* Give up all that is not written: it is done. */
void outq_abort(struct outq *q);

/* Free the messages that are done and call their `release`, in order. */
void outq_release_done(struct outq *q);

#endif
