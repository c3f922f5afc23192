/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of rpc share: a loop whose clock can be moved, a scripted peer, an rpc to it, and
 * a record of what came back. */
#ifndef FARSHORE_TESTS_RPC_RIG_H
#define FARSHORE_TESTS_RPC_RIG_H

#include "lib/net/rpc.h"
#include "tests/unit/net/scripted_peer.h"

struct rig {
	struct loop *loop;
	struct clock clock;
	int64_t skew_ms; /* added to the monotonic clock */
	struct scripted_peer *peer;
	struct rpc_options options;
	struct rpc *rpc;
	unsigned ready, dead;
	enum err dead_e;
	struct errmsg dead_why;
	void (*on_ready)(struct rig *rig); /* may be NULL */
};

/* One request's fate. */
struct rig_call {
	struct rig *rig;
	unsigned done;
	unsigned order; /* 1 for the first completion of all, ... */
	enum err e;
	struct errmsg why;
	int16_t version;
	int32_t topics;                      /* of a Metadata answer */
	void (*then)(struct rig_call *call); /* called from the completion; may be NULL */
};

void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);

/* Open the rpc to the peer. rig_open_ready waits until it is ready. */
void rig_open(struct rig *rig);
void rig_open_ready(struct rig *rig);

/* Close it and let the loop settle. */
void rig_close(struct rig *rig);

/* Run the loop until `*flag` is at least `n`; fails the test after 10 s. */
void rig_wait(struct rig *rig, const unsigned *flag, unsigned n);

/* Some turns in which nothing is expected. */
void rig_settle(struct rig *rig);

/* Send a Metadata request. */
enum err rig_metadata(struct rig *rig, struct rig_call *call, int64_t timeout_ms);

/* A handler that answers Metadata with *(int *)arg topics; arg NULL: none. */
enum scripted_act rig_answer_metadata(void *arg, struct scripted_request *q, void *answer);

/* Fails the test unless `text` holds `part`. */
void rig_says(const char *text, const char *part);

#endif
