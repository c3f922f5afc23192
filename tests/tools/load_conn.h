/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the load generator: frames go out from where the caller holds them, answers come
 * back one by one, in order. One thread, one epoll. A fault ends the program: a measurement that
 * lost a request is worth nothing.
 */
#ifndef FARSHORE_TESTS_LOAD_CONN_H
#define FARSHORE_TESTS_LOAD_CONN_H

#include <openssl/ssl.h>

#include "lib/base/bytes.h"

enum { LOAD_QUEUE_MAX = 8192 };

struct load_conn;

/* An answer without its length field; borrowed until the function returns. */
typedef void load_answer_fn(struct load_conn *c, struct bytes answer);

struct load_loop {
	int epoll;
	SSL_CTX *tls; /* NULL: plaintext */
	const char *host;
	const char *port;
	bool done; /* load_loop_run returns at the end of its turn */
};

struct load_conn {
	struct load_loop *loop;
	int fd;
	SSL *ssl;
	bool want_write;
	struct bytes queue[LOAD_QUEUE_MAX]; /* frames to send, a ring */
	unsigned first, count;
	size_t sent; /* bytes of the first one that are gone */
	uint8_t *in;
	size_t in_len, in_cap;
	load_answer_fn *on_answer;
	void *owner;
};

/* Print to stderr and exit with 1. */
void load_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

int64_t load_now_ns(void);

/* Where connections go from now on: `address` is HOST:PORT, is cut in two and stays in use. */
void load_address(struct load_loop *l, char *address);

/* `address` as above; `ca` a PEM file, or NULL for plaintext. */
void load_loop_init(struct load_loop *l, char *address, const char *ca);
void load_loop_fini(struct load_loop *l);

/* Have epoll report `fd` as readable with `tag`, which is no connection. */
void load_loop_watch(struct load_loop *l, int fd, void *tag);

/* Wait at most `timeout_ms` (-1: no end) and serve connections. The tag of a watched descriptor
 * that is readable, or NULL. */
void *load_loop_turn(struct load_loop *l, int timeout_ms);

/* Turns until `done`. */
void load_loop_run(struct load_loop *l);

/* Connect, with the handshake; blocks. */
struct load_conn *load_conn_open(struct load_loop *l, load_answer_fn *on_answer, void *owner);
void load_conn_close(struct load_conn *c);

/* Queue a whole frame, length field included; it stays the caller's and must not change until its
 * answer came. load_conn_flush sends what is queued. */
void load_conn_queue(struct load_conn *c, struct bytes frame);
void load_conn_flush(struct load_conn *c);

#endif
