/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster of scripted brokers for the client's tests: its metadata are plain fields that a test
 * sets; a clock that can jump ahead; and records of what came back. */
#ifndef FARSHORE_TESTS_CLIENT_CLUSTER_H
#define FARSHORE_TESTS_CLIENT_CLUSTER_H

#include "lib/client/client.h"
#include "tests/unit/net/scripted_peer.h"
#include "tests/unit/rng.h"

enum { BROKERS_MAX = 4, TOPICS_MAX = 4, PARTS_MAX = 8 };

struct test_topic {
	const char *name; /* NULL: the end */
	uint8_t id;       /* first byte of the topic id; 0: none */
	int16_t error;
	int32_t n;
	int32_t index[PARTS_MAX]; /* minus the position: 0 everywhere means 0..n-1 */
	int32_t leader[PARTS_MAX];
	int32_t epoch[PARTS_MAX];
};

struct tls_ctx;

struct cluster {
	struct loop *loop;
	struct clock clock;
	int64_t skew_ms;
	struct rng rng;  /* the client's jitter */
	struct log *log; /* into a file in memory */
	int log_fd;
	struct tls_ctx *server_tls; /* for brokers started from now on */
	struct scripted_peer *peers[BROKERS_MAX];
	size_t peers_n;
	/* what Metadata answers */
	bool hidden[BROKERS_MAX];         /* not in the answer */
	uint16_t advertised[BROKERS_MAX]; /* port; 0: the real one */
	int32_t controller;
	const char *id; /* of the cluster */
	int16_t error;
	struct test_topic topics[TOPICS_MAX];
	/* what Metadata was asked */
	int32_t asked_n; /* topics; -1: all */
	char asked[TOPICS_MAX][32];
	bool asked_auto_create;
	struct client_options options;
	char bootstrap[BROKERS_MAX][32];
	const char *bootstrap_list[BROKERS_MAX];
	struct client *client;
	unsigned applied; /* calls of the watcher */
};

/* `n` brokers with the node ids 0, 1, ...; the client is not made yet. */
void cluster_init(struct cluster *t, size_t n);
void cluster_fini(struct cluster *t);

/* Make the client; its bootstrap list is all brokers, or options.bootstrap if set. */
void cluster_client(struct cluster *t);
/* And wait for the first metadata. */
void cluster_client_ready(struct cluster *t);

/* Stop listening, and listen again on the same port. */
void cluster_kill(struct cluster *t, size_t broker);
void cluster_restart(struct cluster *t, size_t broker);

/* Turn the loop until `*what` is at least `n` (10 s at most), or `fn` says so. */
void cluster_wait(struct cluster *t, const unsigned *what, unsigned n);
void cluster_wait_for(struct cluster *t, bool (*fn)(struct cluster *t));
void cluster_settle(struct cluster *t);
/* How often the log holds `part`. */
unsigned cluster_logged(const struct cluster *t, const char *part);
/* Ask for metadata and wait for the answer. */
void cluster_refresh(struct cluster *t);

/* One call's fate. */
struct fate {
	struct cluster *t;
	unsigned done;
	enum err e;
	struct errmsg why;
	int16_t version;
	struct scripted_peer *by; /* set by a handler that knows */
	void (*then)(struct fate *f);
	struct list_groups_request msg;
};

/* Send ListGroups: an API that the client does not use itself. Completion inside the call fails the
 * test. */
void fate_call(struct fate *f, struct cluster *t, int32_t node, uint8_t channel,
	       int64_t timeout_ms);

#endif
