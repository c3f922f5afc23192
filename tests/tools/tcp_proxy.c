/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP proxy that misbehaves on command, for the tests.
 *
 *     tcp-proxy LISTEN_PORT TARGET_PORT      both on 127.0.0.1; prints "ready"
 *
 * Commands come on stdin, a line each, and are answered "ok ..." or "error ..." on stdout:
 *
 *     delay MS             each way, for bytes that come from now on
 *     rate BYTES           a second, each way, all connections together; 0: no limit
 *     shred BYTES          at most so many in one segment; 0: no limit
 *     window BYTES         that a connection may hold each way
 *     stall 0|1            nothing moves, nothing closes: a peer that is gone without a word
 *     refuse 0|1           new connections are closed at once
 *     cut                  all connections end by RST
 *     flip API MIN COUNT   flip a bit in the next COUNT frames of this API of at least MIN bytes
 *     stats                connections, flips done, bytes to the broker, bytes back
 *
 * It ends when stdin does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/link.h"

enum { EVENTS_MAX = 64, LINE_MAX_BYTES = 256, IDLE_MS = 1000 };

static const int64_t MS = 1000000, SECOND = 1000000000;
static const int64_t BURST_PER_SECOND = 20; /* a rate is spent in slices of 1/20 s */

struct proxy {
	int epoll, listener;
	uint16_t target_port;
	bool refuse;
	struct manner manner;
	struct link *links;
	unsigned connections;
	int64_t refilled_ns;
	char line[LINE_MAX_BYTES];
	size_t line_len;
};

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void drop_links(struct proxy *p, bool all)
{
	struct link **at = &p->links;
	while (*at != NULL) {
		struct link *l = *at;
		if (!all && !l->dead) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		link_free(l, &p->manner, all || !(l->flow[0].shut && l->flow[1].shut));
	}
}

static void accept_one(struct proxy *p)
{
	int client = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client < 0)
		return;
	int broker =
		p->refuse ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (broker < 0) {
		close(client);
		return;
	}
	struct sockaddr_in to = loopback(p->target_port);
	if (connect(broker, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
		close(client);
		close(broker);
		return;
	}
	struct link *l = link_new(p->epoll, client, broker);
	if (l == NULL)
		return;
	l->next = p->links;
	p->links = l;
	p->connections++;
}

static bool command_number(struct proxy *p, const char *word, uint64_t n)
{
	struct manner *m = &p->manner;
	if (strcmp(word, "delay") == 0)
		m->delay_ns = (int64_t)n * MS;
	else if (strcmp(word, "rate") == 0)
		m->rate = n;
	else if (strcmp(word, "shred") == 0)
		m->shred = n;
	else if (strcmp(word, "window") == 0)
		m->window = n;
	else if (strcmp(word, "stall") == 0)
		m->stalled = n != 0;
	else if (strcmp(word, "refuse") == 0)
		p->refuse = n != 0;
	else
		return false;
	return true;
}

static void command(struct proxy *p, const char *line)
{
	struct manner *m = &p->manner;
	char word[16];
	uint64_t n[3];
	int fields =
		sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64, word, &n[0], &n[1], &n[2]);
	if (fields == 1 && strcmp(word, "cut") == 0) {
		drop_links(p, true);
		puts("ok");
	} else if (fields == 1 && strcmp(word, "stats") == 0) {
		printf("ok %u %u %" PRIu64 " %" PRIu64 "\n", p->connections, m->flips.done,
		       m->bytes[0], m->bytes[1]);
	} else if (fields == 4 && strcmp(word, "flip") == 0) {
		m->flips.api = (int16_t)n[0];
		m->flips.min_bytes = (uint32_t)n[1];
		m->flips.left = (uint32_t)n[2];
		puts("ok");
	} else if (fields == 2 && command_number(p, word, n[0])) {
		puts("ok");
	} else {
		printf("error: %s\n", line);
	}
	fflush(stdout);
}

/* False when stdin has ended. */
static bool read_commands(struct proxy *p)
{
	ssize_t got = read(STDIN_FILENO, p->line + p->line_len, sizeof p->line - p->line_len);
	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	p->line_len += (size_t)got;
	char *end;
	while ((end = memchr(p->line, '\n', p->line_len)) != NULL) {
		*end = '\0';
		command(p, p->line);
		size_t used = (size_t)(end - p->line) + 1;
		p->line_len -= used;
		memmove(p->line, p->line + used, p->line_len);
	}
	return p->line_len < sizeof p->line;
}

static void refill(struct proxy *p, int64_t now_ns)
{
	struct manner *m = &p->manner;
	int64_t passed = now_ns - p->refilled_ns;
	p->refilled_ns = now_ns;
	if (passed > SECOND)
		passed = SECOND;
	int64_t burst = (int64_t)m->rate / BURST_PER_SECOND + 1;
	for (int side = 0; side < 2; side++) {
		/* In doubles: rate times nanoseconds does not fit 64 bits. */
		m->budget[side] += (int64_t)((double)m->rate * (double)passed / (double)SECOND);
		if (m->budget[side] > burst)
			m->budget[side] = burst;
	}
}

/* Move what is due on every link; how long to sleep, in ms. */
static int run_links(struct proxy *p, int64_t now_ns)
{
	int64_t due = INT64_MAX;
	for (struct link *l = p->links; l != NULL; l = l->next) {
		link_run(l, &p->manner, now_ns);
		int64_t mine = link_due_ns(l);
		if (mine < due)
			due = mine;
	}
	drop_links(p, false);
	if (p->manner.stalled || due > now_ns + IDLE_MS * MS)
		return IDLE_MS;
	if (due > now_ns)
		return (int)((due - now_ns + MS - 1) / MS);
	return p->manner.rate != 0 ? 1 : 0;
}

static void run(struct proxy *p)
{
	struct epoll_event events[EVENTS_MAX];
	for (;;) {
		int64_t now_ns = now();
		if (p->manner.rate != 0)
			refill(p, now_ns);
		int n = epoll_wait(p->epoll, events, EVENTS_MAX, run_links(p, now_ns));
		now_ns = now();
		for (int i = 0; i < n; i++) {
			uint64_t tag = events[i].data.u64;
			if (tag == STDIN_FILENO + 2) {
				/* A cut frees links that later events of this turn may name. */
				if (!read_commands(p))
					return;
				break;
			}
			if (tag == (uint64_t)p->listener + 2) {
				accept_one(p);
				continue;
			}
			link_on_event((struct link *)(uintptr_t)(tag & ~1ull), &p->manner,
				      (int)(tag & 1), events[i].events, now_ns);
		}
	}
}

/* Watch a file descriptor that belongs to no link; its tag is the descriptor + 2. */
static bool watch_fd(struct proxy *p, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)fd + 2};
	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool start(struct proxy *p, uint16_t port)
{
	int on = 1;
	struct sockaddr_in at = loopback(port);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->epoll < 0 || p->listener < 0)
		return false;
	setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return bind(p->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
	       listen(p->listener, 128) == 0 && watch_fd(p, p->listener) &&
	       watch_fd(p, STDIN_FILENO);
}

static uint16_t port_of(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	return *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

int main(int argc, char **argv)
{
	uint16_t port = argc == 3 ? port_of(argv[1]) : 0;
	struct proxy p = {.target_port = argc == 3 ? port_of(argv[2]) : 0,
			  .manner = {.window = 64 << 20}};
	if (port == 0 || p.target_port == 0) {
		fputs("usage: tcp-proxy LISTEN_PORT TARGET_PORT\n", stderr);
		return 2;
	}
	if (!start(&p, port)) {
		fprintf(stderr, "tcp-proxy: port %u: %s\n", port, strerror(errno));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	run(&p);
	drop_links(&p, true);
	return 0;
}
