/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection through the proxy: two sockets and, each way, a queue of bytes with the time when
 * each may go on. How it misbehaves stands in `struct manner`, which all links share and which may
 * change at any time.
 */
#ifndef FARSHORE_TESTS_LINK_H
#define FARSHORE_TESTS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/tools/tracker.h"

enum { LINK_CHUNK = 128 * 1024 };

/* What is done to the bytes, and what was done so far. */
struct manner {
	int64_t delay_ns;  /* each way */
	uint64_t rate;     /* bytes a second each way, all links together; 0: no limit */
	size_t shred;      /* at most so many bytes in one send; 0: no limit */
	size_t window;     /* bytes that a link holds each way before it stops reading */
	bool stalled;      /* nothing moves and nothing is closed: a half-open peer */
	int64_t budget[2]; /* of `rate`, each way */
	struct flips flips;
	uint64_t bytes[2];   /* passed, to the broker and back */
	struct chunk *spare; /* free chunks */
};

struct chunk {
	struct chunk *next;
	int64_t due_ns;
	size_t from, to; /* the bytes that wait: data[from..to) */
	uint8_t data[LINK_CHUNK];
};

/* The bytes that go from side i to side !i. */
struct flow {
	struct chunk *head, *tail;
	size_t queued;
	bool eof;  /* the reading side has ended */
	bool shut; /* and the writing side was told */
};

/* Side 0 is the client, side 1 the broker. */
struct link {
	struct link *next;
	int epoll;
	int fd[2];
	uint32_t mask[2]; /* what epoll watches; 0: not in the set */
	bool blocked[2];  /* the last send on fd[i] was short */
	bool dead;
	struct flow flow[2];
	struct tracker tracker;
};

/* Takes both sockets; NULL when out of memory (they are closed). */
struct link *link_new(int epoll, int client, int broker);

/* Closes both sockets; with `reset`, by RST. */
void link_free(struct link *l, struct manner *m, bool reset);

/* Epoll reported `events` for side `side`. */
void link_on_event(struct link *l, struct manner *m, int side, uint32_t events, int64_t now_ns);

/* Move what is due and watch what can go on. Sets `dead` when both ways have ended or one broke. */
void link_run(struct link *l, struct manner *m, int64_t now_ns);

/* When the next byte is due; INT64_MAX if none waits for its time. */
int64_t link_due_ns(const struct link *l);

#endif
