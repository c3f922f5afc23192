/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions without a broker: an API table whose handlers only note the request, clients at the
 * other end of socket pairs, a clock that the test moves.
 */
#ifndef FARSHORE_TESTS_SESSION_RIG_H
#define FARSHORE_TESTS_SESSION_RIG_H

#include "tests/unit/base/unit.h"

#include "cluster/api.h"
#include "cluster/session.h"
#include "lib/wire/messages.h"

enum { RIG_BEGUN_MAX = 2048 };

struct rig {
	int64_t now;
	struct clock clock;
	struct loop *loop;
	struct sessions *all;
	struct endpoint endpoint;
	/* Requests that handlers were given and that are not answered, in order. */
	struct request *begun[RIG_BEGUN_MAX];
	size_t begun_n;
	size_t canceled, released, without_message;
};

/* `o` may leave out loop and broker; zero limits become generous ones. */
void rig_init(struct rig *r, struct sessions_options *o);
void rig_fini(struct rig *r);

/* A client's socket, non-blocking; the other end is a session. */
int rig_connect(struct rig *r);
/* Let the loop do what is to do. */
void rig_run(struct rig *r);
/* Move the clock on, in steps, and run. */
void rig_pass(struct rig *r, int64_t ms);

/* Send a request with an empty message of the API (Produce: `size` bytes of records; Fetch
 * v4: of partitions). The correlation id is what answers are known by. */
void rig_send(struct rig *r, int fd, int16_t key, int16_t version, int32_t correlation,
	      size_t size);
void rig_write(struct rig *r, int fd, const void *p, size_t n);

/* Correlation id of the next answer that arrived; -1: none, -2: the connection is closed. */
int32_t rig_answer(struct rig *r, int fd);
bool rig_is_closed(struct rig *r, int fd);

/* The request that was begun with this id; it must be there. */
struct request *rig_begun(struct rig *r, int32_t correlation);
/* Answer it, or let go of it without. */
void rig_reply(struct rig *r, int32_t correlation);
void rig_finish(struct rig *r, int32_t correlation);
/* Take it out of the list: the caller ends it. */
struct request *rig_take(struct rig *r, int32_t correlation);

#endif
