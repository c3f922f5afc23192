/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the transport share: a clock that a test moves, the plain-socket peer of a
 * connection, and a record of what the connection's owner was told.
 */
#ifndef FARSHORE_TESTS_NET_PEER_H
#define FARSHORE_TESTS_NET_PEER_H

#include "lib/net/conn.h"

/* A clock that runs with the system's and jumps ahead on request. */
struct test_clock {
	struct clock clock;
	int64_t ahead_ms;
};
void test_clock_init(struct test_clock *c);

/* Everything that a connection told its owner. */
struct seen {
	struct loop *loop;
	struct conn *conn;
	struct frame *frames[512];
	size_t frames_n;
	unsigned opened, dead;
	enum err e;
	struct errmsg why;
	bool in_call; /* the test is inside a conn_* function: a callback now is a fault */
	void (*then)(struct seen *s); /* called at the end of each callback */
};
extern const struct conn_events seen_events;
void seen_init(struct seen *s, struct loop *l);
/* Drops the frames and closes the connection. */
void seen_fini(struct seen *s);

/* Turn the loop until `*what` reaches `n`; fails the test after ten seconds. */
void pump_until(struct loop *l, const unsigned *what, unsigned n);
void pump_until_frames(struct seen *s, size_t n);
/* Turn the loop a few times, for what must not happen. */
void pump_a_while(struct loop *l);

/* A listening socket on the loopback, and a blocking accept on it that turns the loop. */
int peer_listen(uint16_t *port);
int peer_accept(struct loop *l, int listening);
/* A connected pair of TCP sockets on the loopback, both non-blocking. */
void peer_pair(int fds[2]);
/* Send and receive exactly `n` bytes, turning the loop meanwhile. */
void peer_send(struct loop *l, int fd, const void *p, size_t n);
void peer_recv(struct loop *l, int fd, void *p, size_t n);
/* Close with a reset. */
void peer_reset(int fd);

struct conn_options peer_options(void);

/* `n` bytes that depend on the position and `seed`, and the check of them. */
void pattern_fill(uint8_t *p, size_t n, unsigned seed);
bool pattern_ok(const uint8_t *p, size_t n, unsigned seed);

/* An unlinked file of `n` pattern bytes after `skip` zeros. */
int pattern_file(size_t skip, size_t n, unsigned seed);

/* Send a message of "head", a range of a file, "tail". `done` may be NULL. */
enum err send_file_range(struct seen *s, struct wire_file file, void (*done)(void *),
			 void *arg) ERR_MUST_USE;

/* Send one message of `n` pattern bytes, copied. */
void send_pattern(struct seen *s, size_t n, unsigned seed);

#endif
