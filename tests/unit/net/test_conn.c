/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain connections against a socket peer that the test drives: opening (F9, F12), frames in any
 * cut (F11), ends of all kinds, back-pressure (F10), releases, and re-entry from every callback.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/unit/net/peer.h"

struct fixture {
	struct test_clock clock;
	struct loop *loop;
	struct seen seen;
	int peer;
};

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	test_clock_init(&f->clock);
	assert_int_equal(loop_new(1, &f->clock.clock, NULL, &f->loop, &why), ERR_OK);
	seen_init(&f->seen, f->loop);
	f->peer = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	seen_fini(&f->seen);
	if (f->peer >= 0)
		close(f->peer);
	loop_free(f->loop);
	mem_free(f);
	return 0;
}

/* An open connection of the server side, with f->peer at its other end. */
static void make_accepted(struct fixture *f, const struct conn_options *o)
{
	int fds[2];
	peer_pair(fds);
	f->peer = fds[0];
	f->seen.in_call = true;
	f->seen.conn = conn_accepted(f->loop, fds[1], o, &seen_events, &f->seen);
	f->seen.in_call = false;
	assert_non_null(f->seen.conn);
}

static void make_default(struct fixture *f)
{
	struct conn_options o = peer_options();
	make_accepted(f, &o);
}

static void put_frame(struct buf *b, size_t n, unsigned seed)
{
	buf_put_be32(b, (uint32_t)n);
	uint8_t *p = buf_extend(b, n);
	assert_non_null(p);
	pattern_fill(p, n, seed);
}

static void check_frame(const struct frame *fr, size_t n, unsigned seed)
{
	assert_int_equal(fr->n, n);
	assert_true(pattern_ok(fr->data, n, seed));
}

/* Opening */

static void connect_and_talk(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	uint16_t port;
	uint8_t got[4 + 10], frame[] = {0, 0, 0, 3, 1, 2, 3};
	int listening = peer_listen(&port);
	f->seen.in_call = true;
	f->seen.conn = conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->seen);
	f->seen.in_call = false;
	send_pattern(&f->seen, 10, 7); /* before it is open */
	assert_int_equal(conn_unsent(f->seen.conn), 14);
	f->peer = peer_accept(f->loop, listening);
	peer_recv(f->loop, f->peer, got, sizeof got);
	assert_int_equal(be32_get(got), 10);
	assert_true(pattern_ok(got + 4, 10, 7));
	assert_int_equal(f->seen.opened, 1);
	assert_int_equal(conn_unsent(f->seen.conn), 0);
	peer_send(f->loop, f->peer, frame, sizeof frame);
	pump_until_frames(&f->seen, 1);
	assert_int_equal(f->seen.frames[0]->n, 3);
	assert_memory_equal(f->seen.frames[0]->data, frame + 4, 3);
	assert_int_equal(conn_bytes_in(f->seen.conn), 7);
	assert_int_equal(conn_bytes_out(f->seen.conn), 14);
	char name[32];
	snprintf(name, sizeof name, "127.0.0.1:%u", port);
	assert_string_equal(conn_name(f->seen.conn), name);
	close(listening);
}

static void ipv6_with_brackets(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	f->seen.conn = conn_connect(f->loop, "[::1]", 1, &o, &seen_events, &f->seen);
	assert_string_equal(conn_name(f->seen.conn), "[::1]:1");
	pump_until(f->loop, &f->seen.dead, 1); /* refused, or no IPv6 here */
	assert_int_equal(f->seen.e, ERR_CONNECT);
}

/* F9: nobody listens. */
static void refused(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	uint16_t port;
	char text[128];
	close(peer_listen(&port));
	f->seen.in_call = true;
	f->seen.conn = conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->seen);
	f->seen.in_call = false;
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_CONNECT);
	snprintf(text, sizeof text,
		 "127.0.0.1:%u: Connection refused; is a broker listening there?", port);
	assert_string_equal(f->seen.why.text, text);
	assert_int_equal(f->seen.opened, 0);
}

/* F9: a listener whose queue is full drops the SYNs, like a black hole. */
static void blackhole_times_out(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	uint16_t port;
	int listening = peer_listen(&port), fill[2];
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(listen(listening, 0), 0);
	for (int i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (const struct sockaddr *)&sa, sizeof sa);
	}
	f->seen.conn = conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->seen);
	pump_a_while(f->loop);
	f->clock.ahead_ms += o.connect_timeout_ms - 1000;
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 0);
	f->clock.ahead_ms += 1000;
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_TIMEOUT);
	assert_non_null(strstr(f->seen.why.text, "no answer within 30000 ms (TCP connect to 127"));
	close(fill[0]);
	close(fill[1]);
	close(listening);
}

static void close_before_anything(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct conn *c = conn_connect(f->loop, "127.0.0.1", 9, &o, &seen_events, &f->seen);
	conn_close(c);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 0);
	conn_close(NULL);
}

static void host_name_too_long(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	char host[2000];
	memset(host, 'h', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	f->seen.conn = conn_connect(f->loop, host, 9092, &o, &seen_events, &f->seen);
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_DNS);
	assert_non_null(strstr(f->seen.why.text, "longer than 255 bytes"));
}

/* Input */

/* F11: a byte at a time. */
static void shredded_frames(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	make_default(f);
	buf_init(&b, 10000);
	for (unsigned i = 0; i < 10; i++)
		put_frame(&b, 1 + i * 13, i);
	for (size_t i = 0; i < b.len; i++) {
		peer_send(f->loop, f->peer, b.p + i, 1);
		loop_turn(f->loop, 0);
	}
	pump_until_frames(&f->seen, 10);
	for (unsigned i = 0; i < 10; i++)
		check_frame(f->seen.frames[i], 1 + i * 13, i);
	buf_fini(&b);
}

/* F11: many in one segment, with a large one among them. */
static void coalesced_frames(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	make_default(f);
	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < 200; i++)
		put_frame(&b, i == 100 ? 300000 : 1 + i, i);
	peer_send(f->loop, f->peer, b.p, b.len);
	pump_until_frames(&f->seen, 200);
	for (unsigned i = 0; i < 200; i++)
		check_frame(f->seen.frames[i], i == 100 ? 300000 : 1 + i, i);
	assert_int_equal(conn_bytes_in(f->seen.conn), b.len);
	buf_fini(&b);
}

/* F11: the stream ends at each byte; what was whole arrives, then the end. */
static void stream_cut_at_each_byte(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	size_t ends[4] = {0};
	buf_init(&b, 1000);
	for (unsigned i = 0; i < 3; i++) {
		put_frame(&b, 5 + i, i);
		ends[i + 1] = b.len;
	}
	for (size_t cut = 0; cut <= b.len; cut++) {
		size_t whole = 0;
		bool boundary = cut == 0;
		for (size_t i = 1; i < 4; i++) {
			whole += ends[i] <= cut;
			boundary |= ends[i] == cut;
		}
		make_default(f);
		peer_send(f->loop, f->peer, b.p, cut);
		close(f->peer);
		f->peer = -1;
		pump_until(f->loop, &f->seen.dead, 1);
		assert_int_equal(f->seen.e, ERR_CLOSED);
		assert_int_equal(f->seen.frames_n, whole);
		assert_int_equal(strstr(f->seen.why.text, "middle of a frame") == NULL, boundary);
		seen_fini(&f->seen);
		seen_init(&f->seen, f->loop);
	}
	buf_fini(&b);
}

static void half_close_ends_it(void **state)
{
	struct fixture *f = *state;
	static const uint8_t frame[] = {0, 0, 0, 1, 9};
	make_default(f);
	peer_send(f->loop, f->peer, frame, sizeof frame);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_CLOSED);
	assert_int_equal(f->seen.frames_n, 1);
	assert_non_null(strstr(f->seen.why.text, "closed by the peer"));
}

/* F9: a reset. */
static void reset_ends_it(void **state)
{
	struct fixture *f = *state;
	make_default(f);
	pump_a_while(f->loop);
	peer_reset(f->peer);
	f->peer = -1;
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_CLOSED);
	assert_non_null(strstr(f->seen.why.text, "reset"));
}

static void wrong_lengths_end_it(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t length;
		enum err e;
		const char *text;
	} cases[] = {
		{0, ERR_MALFORMED, "frame length 0"},
		{0xffffffff, ERR_MALFORMED, "frame length -1"},
		{0x80000000, ERR_MALFORMED, "-2147483648"},
		{0x7fffffff, ERR_LIMIT, "2147483647 bytes is over the limit of 1000"},
		{1001, ERR_LIMIT, "1001 bytes is over the limit of 1000"},
		{0x15030300, ERR_MALFORMED, "speaks TLS, and this side does not"},
	};
	struct conn_options o = peer_options();
	o.frame_max = 1000;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t head[4];
		make_accepted(f, &o);
		be32_put(head, cases[i].length);
		peer_send(f->loop, f->peer, head, 4);
		pump_until(f->loop, &f->seen.dead, 1);
		assert_int_equal(f->seen.e, cases[i].e);
		assert_non_null(strstr(f->seen.why.text, cases[i].text));
		assert_non_null(strstr(f->seen.why.text, "127.0.0.1:"));
		close(f->peer);
		f->peer = -1;
		seen_fini(&f->seen);
		seen_init(&f->seen, f->loop);
	}
}

static size_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *in = fopen("/proc/self/statm", "r");
	assert_non_null(in);
	assert_int_equal(fscanf(in, "%*u %lu", &pages), 1);
	fclose(in);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* F10: peers that declare large frames and send nothing pin no memory. */
static void declared_frames_cost_nothing(void **state)
{
	enum { N = 40 };
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct seen seen[N];
	int fds[N][2];
	uint8_t head[4];
	size_t before = resident_bytes();
	be32_put(head, 32u << 20);
	for (int i = 0; i < N; i++) {
		peer_pair(fds[i]);
		seen_init(&seen[i], f->loop);
		seen[i].conn = conn_accepted(f->loop, fds[i][1], &o, &seen_events, &seen[i]);
		peer_send(f->loop, fds[i][0], head, 4);
	}
	pump_a_while(f->loop);
	assert_int_equal(conn_bytes_in(seen[N - 1].conn), 4);
	assert_true(resident_bytes() < before + (40 << 20)); /* of 1280 MiB declared */
	for (int i = 0; i < N; i++) {
		assert_int_equal(seen[i].dead, 0);
		seen_fini(&seen[i]);
		close(fds[i][0]);
	}
}

static void pause_first_time(struct seen *s)
{
	if (s->frames_n == 3) {
		s->in_call = true;
		conn_pause(s->conn, true);
		s->in_call = false;
	}
}

static void pause_holds_frames_back(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	make_default(f);
	f->seen.then = pause_first_time;
	buf_init(&b, 100000);
	for (unsigned i = 0; i < 20; i++)
		put_frame(&b, 10 + i, i);
	peer_send(f->loop, f->peer, b.p, b.len);
	pump_until_frames(&f->seen, 3);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.frames_n, 3);
	f->seen.then = NULL;
	f->seen.in_call = true;
	conn_pause(f->seen.conn, false);
	f->seen.in_call = false;
	assert_int_equal(f->seen.frames_n, 3);
	pump_until_frames(&f->seen, 20);
	for (unsigned i = 0; i < 20; i++)
		check_frame(f->seen.frames[i], 10 + i, i);
	/* What comes while it is paused stays in the kernel. */
	conn_pause(f->seen.conn, true);
	peer_send(f->loop, f->peer, b.p, b.len);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.frames_n, 20);
	conn_pause(f->seen.conn, false);
	pump_until_frames(&f->seen, 40);
	buf_fini(&b);
}

/* Output */

struct released {
	unsigned n;
	struct seen *seen;
	unsigned order[64];
};

struct message {
	struct released *to;
	unsigned id;
	uint8_t *heap; /* a slice that lives until the release */
};

static void release(void *arg)
{
	struct message *m = arg;
	assert_false(m->to->seen->in_call);
	assert_true(m->to->n < 64);
	m->to->order[m->to->n++] = m->id;
	mem_free(m->heap);
	m->heap = NULL;
}

/* A message "head", a slice of n pattern bytes in its own heap block, "tail". */
static enum err send_spliced(struct seen *s, struct message *m, size_t n)
{
	struct wire_out out;
	wire_out_init(&out, 1 << 20, 1);
	buf_put_str(&out.buf, "head");
	m->heap = mem_alloc(n);
	pattern_fill(m->heap, n, m->id);
	out.splices = mem_zalloc(2, sizeof *out.splices);
	out.splices[0] = (struct wire_splice){.at = 4, .bytes = bytes_of(m->heap, n)};
	out.splices[1] = (struct wire_splice){.at = 4, .bytes = bytes_of(m->heap, 0)};
	out.splices_n = out.splices_cap = 2;
	out.splice_bytes = n;
	buf_put_str(&out.buf, "tail");
	s->in_call = true;
	enum err e = conn_send(s->conn, &out, release, m);
	s->in_call = false;
	wire_out_fini(&out);
	return e;
}

static void check_spliced(struct fixture *f, size_t n, unsigned seed)
{
	uint8_t head[8], tail[4];
	uint8_t *body = mem_alloc(n);
	peer_recv(f->loop, f->peer, head, 8);
	peer_recv(f->loop, f->peer, body, n);
	peer_recv(f->loop, f->peer, tail, 4);
	assert_int_equal(be32_get(head), n + 8);
	assert_memory_equal(head + 4, "head", 4);
	assert_true(pattern_ok(body, n, seed));
	assert_memory_equal(tail, "tail", 4);
	mem_free(body);
}

static void splices_live_until_release(void **state)
{
	enum { N = 40, SIZE = 100000 };
	struct fixture *f = *state;
	struct released r = {.seen = &f->seen};
	struct message m[N];
	make_default(f);
	pump_a_while(f->loop);
	for (unsigned i = 0; i < N; i++) {
		m[i] = (struct message){.to = &r, .id = i};
		assert_int_equal(send_spliced(&f->seen, &m[i], SIZE), ERR_OK);
	}
	for (unsigned i = 0; i < N; i++)
		check_spliced(f, SIZE, i);
	pump_until(f->loop, &r.n, N);
	pump_a_while(f->loop);
	assert_int_equal(r.n, N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(r.order[i], i);
}

static void file_ranges_are_sent(void **state)
{
	enum { N = 6, SIZE = 3 << 20, SKIP = 777 };
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct released r = {.seen = &f->seen};
	struct message m[N] = {{0}};
	int fd = pattern_file(SKIP, SIZE, 5);
	o.socket_buffer = 65536;
	make_accepted(f, &o);
	for (unsigned i = 0; i < N; i++) {
		m[i] = (struct message){.to = &r, .id = i};
		assert_int_equal(
			send_file_range(&f->seen,
					(struct wire_file){.fd = fd, .position = SKIP, .n = SIZE},
					release, &m[i]),
			ERR_OK);
	}
	for (unsigned i = 0; i < N; i++)
		check_spliced(f, SIZE, 5);
	pump_until(f->loop, &r.n, N);
	assert_int_equal(conn_unsent(f->seen.conn), 0);
	assert_int_equal(conn_bytes_out(f->seen.conn), (SIZE + 12) * (uint64_t)N);
	close(fd);
}

/* The file is shorter than the answer says: the peer must not wait for the rest for ever. */
static void file_that_ends_early_ends_it(void **state)
{
	struct fixture *f = *state;
	int fd = pattern_file(0, 1000, 1);
	make_default(f);
	assert_int_equal(
		send_file_range(&f->seen, (struct wire_file){.fd = fd, .n = 2000}, NULL, NULL),
		ERR_OK);
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_IO);
	assert_non_null(strstr(f->seen.why.text, "the file to be sent cannot be read"));
	close(fd);
}

/* F10: a peer that does not read. */
static void slow_reader_fills_the_queue(void **state)
{
	enum { N = 30, SIZE = 1 << 20 };
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct released r = {.seen = &f->seen};
	struct message m[N];
	o.socket_buffer = 65536;
	make_accepted(f, &o);
	for (unsigned i = 0; i < N; i++) {
		m[i] = (struct message){.to = &r, .id = i};
		assert_int_equal(send_spliced(&f->seen, &m[i], SIZE), ERR_OK);
	}
	pump_a_while(f->loop);
	assert_true(r.n < N / 2);
	assert_true(conn_unsent(f->seen.conn) > SIZE * (size_t)N / 2);
	for (unsigned i = 0; i < N; i++)
		check_spliced(f, SIZE, i);
	pump_until(f->loop, &r.n, N);
	assert_int_equal(conn_unsent(f->seen.conn), 0);
	assert_int_equal(conn_bytes_out(f->seen.conn), (SIZE + 12) * (uint64_t)N);
}

static void death_releases_each_once(void **state)
{
	enum { N = 20, SIZE = 1 << 20 };
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct released r = {.seen = &f->seen};
	struct message m[N + 1];
	o.socket_buffer = 65536;
	make_accepted(f, &o);
	for (unsigned i = 0; i <= N; i++)
		m[i] = (struct message){.to = &r, .id = i};
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(send_spliced(&f->seen, &m[i], SIZE), ERR_OK);
	pump_a_while(f->loop);
	peer_reset(f->peer);
	f->peer = -1;
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(r.n, N);
	assert_int_equal(conn_unsent(f->seen.conn), 0);
	/* The dead take nothing, and keep their hands off. */
	assert_int_equal(send_spliced(&f->seen, &m[N], 10), ERR_CLOSED);
	assert_int_equal(r.n, N);
	mem_free(m[N].heap);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 1);
}

static void close_releases_each_once_but_later(void **state)
{
	enum { N = 20, SIZE = 1 << 20 };
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct released r = {.seen = &f->seen};
	struct message m[N];
	o.socket_buffer = 65536;
	make_accepted(f, &o);
	for (unsigned i = 0; i < N; i++) {
		m[i] = (struct message){.to = &r, .id = i};
		assert_int_equal(send_spliced(&f->seen, &m[i], SIZE), ERR_OK);
	}
	pump_a_while(f->loop);
	unsigned before = r.n;
	f->seen.in_call = true;
	conn_close(f->seen.conn);
	f->seen.in_call = false;
	f->seen.conn = NULL;
	assert_int_equal(r.n, before);
	pump_until(f->loop, &r.n, N);
	assert_int_equal(f->seen.dead, 0);
}

/* The peer says a last word and resets after the loop looked at the sockets and before it writes.
 */
static void last_word_and_reset(void *arg)
{
	struct fixture *f = arg;
	static const uint8_t frame[] = {0, 0, 0, 1, 9};
	peer_send(f->loop, f->peer, frame, sizeof frame);
	peer_reset(f->peer);
	f->peer = -1;
}

static void write_into_a_reset(struct fixture *f)
{
	struct loop_deferred d = {.fn = last_word_and_reset, .arg = f};
	make_default(f);
	pump_a_while(f->loop);
	loop_defer(f->loop, &d);
	for (unsigned i = 0; i < 3; i++)
		send_pattern(&f->seen, 1 << 20, i);
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.frames_n, 1);
	assert_int_equal(f->seen.e, ERR_CLOSED);
}

static void last_words_are_heard(void **state)
{
	write_into_a_reset(*state);
}

static void pause_at_once(struct seen *s)
{
	if (s->dead == 0)
		conn_pause(s->conn, true);
}

/* Paused by the last word: nobody reads on to the end, which must be told all the same. */
static void last_words_pause_it(void **state)
{
	struct fixture *f = *state;
	f->seen.then = pause_at_once;
	write_into_a_reset(f);
}

static void write_failure_while_paused(void **state)
{
	struct fixture *f = *state;
	make_default(f);
	pump_a_while(f->loop);
	conn_pause(f->seen.conn, true);
	pump_a_while(f->loop);
	peer_reset(f->peer);
	f->peer = -1;
	send_pattern(&f->seen, 1 << 20, 0);
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_CLOSED);
}

/* 16 MiB both ways at once, in one message each. */
static void large_frames_both_ways(void **state)
{
	enum { SIZE = 16 << 20 };
	struct fixture *f = *state;
	int fds[2];
	struct seen other;
	struct conn_options o = peer_options();
	peer_pair(fds);
	seen_init(&other, f->loop);
	f->seen.conn = conn_accepted(f->loop, fds[0], &o, &seen_events, &f->seen);
	other.conn = conn_accepted(f->loop, fds[1], &o, &seen_events, &other);
	for (unsigned i = 0; i < 2; i++) {
		send_pattern(&f->seen, SIZE, 1 + i);
		send_pattern(&other, SIZE + 1, 3 + i);
	}
	pump_until_frames(&f->seen, 2);
	pump_until_frames(&other, 2);
	for (unsigned i = 0; i < 2; i++) {
		check_frame(other.frames[i], SIZE, 1 + i);
		check_frame(f->seen.frames[i], SIZE + 1, 3 + i);
	}
	seen_fini(&other);
}

static void oversize_message_is_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_out out;
	make_default(f);
	wire_out_init(&out, 10, 0);
	out.splice_bytes = (size_t)INT32_MAX + 1;
	assert_int_equal(conn_send(f->seen.conn, &out, NULL, NULL), ERR_LIMIT);
	out.splice_bytes = 0;
	buf_put_str(&out.buf, "longer than ten");
	assert_int_equal(conn_send(f->seen.conn, &out, NULL, NULL), ERR_LIMIT);
	wire_out_fini(&out);
}

/* Re-entry */

static void close_it(struct seen *s)
{
	struct conn *c = s->conn;
	s->conn = NULL;
	s->then = NULL;
	s->in_call = true;
	conn_close(c);
	s->in_call = false;
}

static void close_in_on_frame(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	make_default(f);
	f->seen.then = close_it;
	buf_init(&b, 1000);
	put_frame(&b, 10, 0);
	put_frame(&b, 10, 1);
	peer_send(f->loop, f->peer, b.p, b.len);
	pump_until_frames(&f->seen, 1);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.frames_n, 1);
	assert_int_equal(f->seen.dead, 0);
	buf_fini(&b);
}

static void close_in_on_open(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	uint16_t port;
	int listening = peer_listen(&port);
	f->seen.then = close_it;
	f->seen.conn = conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->seen);
	send_pattern(&f->seen, 100, 0);
	pump_until(f->loop, &f->seen.opened, 1);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 0);
	close(listening);
}

static void close_in_on_dead(void **state)
{
	struct fixture *f = *state;
	make_default(f);
	f->seen.then = close_it;
	close(f->peer);
	f->peer = -1;
	pump_until(f->loop, &f->seen.dead, 1);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 1);
}

static void release_and_close(void *arg)
{
	struct message *m = arg;
	release(m);
	if (m->to->seen->conn != NULL)
		close_it(m->to->seen);
}

static void close_in_release(void **state)
{
	struct fixture *f = *state;
	struct released r = {.seen = &f->seen};
	struct message m[3];
	make_default(f);
	for (unsigned i = 0; i < 3; i++) {
		struct wire_out out;
		wire_out_init(&out, 100, 0);
		buf_put_str(&out.buf, "x");
		m[i] = (struct message){.to = &r, .id = i};
		assert_int_equal(conn_send(f->seen.conn, &out, release_and_close, &m[i]), ERR_OK);
		wire_out_fini(&out);
	}
	pump_until(f->loop, &r.n, 3);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 0);
}

static void close_in_release_of_a_dying_one(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct released r = {.seen = &f->seen};
	struct message m = {.to = &r};
	struct wire_out out;
	uint16_t port;
	close(peer_listen(&port));
	f->seen.conn = conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->seen);
	wire_out_init(&out, 100, 0);
	buf_put_str(&out.buf, "x");
	assert_int_equal(conn_send(f->seen.conn, &out, release_and_close, &m), ERR_OK);
	pump_until(f->loop, &r.n, 1);
	pump_a_while(f->loop);
	assert_int_equal(f->seen.dead, 0); /* closed before it could be told */
	wire_out_fini(&out);
}

static void echo(struct seen *s)
{
	if (s->frames_n == 0 || s->conn == NULL)
		return;
	const struct frame *last = s->frames[s->frames_n - 1];
	struct wire_out out;
	wire_out_init(&out, 1 << 20, 0);
	buf_put(&out.buf, last->data, last->n);
	s->in_call = true;
	assert_int_equal(conn_send(s->conn, &out, NULL, NULL), ERR_OK);
	s->in_call = false;
	wire_out_fini(&out);
}

static void send_in_on_frame(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	uint8_t got[1000];
	make_default(f);
	f->seen.then = echo;
	buf_init(&b, sizeof got);
	for (unsigned i = 0; i < 30; i++)
		put_frame(&b, 1 + i, i);
	peer_send(f->loop, f->peer, b.p, b.len);
	peer_recv(f->loop, f->peer, got, b.len);
	assert_memory_equal(got, b.p, b.len);
	f->seen.then = NULL;
	buf_fini(&b);
}

/* A fast peer must not keep the loop from others: one turn reads a bounded amount. */
static void reading_is_bounded_per_turn(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	struct seen other;
	int fds[2];
	static const uint8_t small[] = {0, 0, 0, 1, 1};
	struct buf b;
	o.socket_buffer = 8 << 20;
	make_accepted(f, &o);
	peer_pair(fds);
	seen_init(&other, f->loop);
	other.conn = conn_accepted(f->loop, fds[1], &o, &seen_events, &other);
	pump_a_while(f->loop);
	buf_init(&b, 64 << 20);
	for (unsigned i = 0; i < 200; i++)
		put_frame(&b, 20000, i);
	ssize_t put = send(f->peer, b.p, b.len, MSG_NOSIGNAL);
	assert_true(put > 0);
	peer_send(f->loop, fds[0], small, sizeof small);
	usleep(10000);
	loop_turn(f->loop, 0);
	assert_true(conn_bytes_in(f->seen.conn) < (2 << 20));
	pump_until_frames(&other, 1);
	seen_fini(&other);
	close(fds[0]);
	buf_fini(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connect_and_talk),
		T(ipv6_with_brackets),
		T(refused),
		T(blackhole_times_out),
		T(close_before_anything),
		T(host_name_too_long),
		T(shredded_frames),
		T(coalesced_frames),
		T(stream_cut_at_each_byte),
		T(half_close_ends_it),
		T(reset_ends_it),
		T(wrong_lengths_end_it),
		T(declared_frames_cost_nothing),
		T(pause_holds_frames_back),
		T(splices_live_until_release),
		T(file_ranges_are_sent),
		T(file_that_ends_early_ends_it),
		T(slow_reader_fills_the_queue),
		T(death_releases_each_once),
		T(close_releases_each_once_but_later),
		T(last_words_are_heard),
		T(last_words_pause_it),
		T(write_failure_while_paused),
		T(large_frames_both_ways),
		T(oversize_message_is_refused),
		T(close_in_on_frame),
		T(close_in_on_open),
		T(close_in_on_dead),
		T(close_in_release),
		T(close_in_release_of_a_dying_one),
		T(send_in_on_frame),
		T(reading_is_bounded_per_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
