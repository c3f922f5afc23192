/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants: a chunk's due time never lies before its predecessor's; `queued` is the sum of the
 * waiting bytes; a socket is in the epoll set exactly while its mask is not 0, so that a stalled
 * link whose peer hangs up does not spin.
 */
#include "tests/tools/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

static const int64_t MS = 1000000;

struct link *link_new(int epoll, int client, int broker)
{
	struct link *l = mem_zalloc(1, sizeof *l);
	if (l == NULL) {
		close(client);
		close(broker);
		return NULL;
	}
	l->epoll = epoll;
	l->fd[0] = client;
	l->fd[1] = broker;
	int on = 1;
	for (int side = 0; side < 2; side++)
		setsockopt(l->fd[side], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return l;
}

static struct chunk *chunk_take(struct manner *m, int64_t due_ns)
{
	struct chunk *c = m->spare;
	if (c != NULL)
		m->spare = c->next;
	else
		c = mem_alloc(sizeof *c);
	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->due_ns = due_ns;
	c->from = c->to = 0;
	return c;
}

static void chunk_give(struct manner *m, struct chunk *c)
{
	c->next = m->spare;
	m->spare = c;
}

static void flow_drop_head(struct flow *f, struct manner *m)
{
	struct chunk *c = f->head;
	f->head = c->next;
	if (f->head == NULL)
		f->tail = NULL;
	chunk_give(m, c);
}

void link_free(struct link *l, struct manner *m, bool reset)
{
	for (int side = 0; side < 2; side++) {
		while (l->flow[side].head != NULL)
			flow_drop_head(&l->flow[side], m);
		struct linger now = {.l_onoff = 1, .l_linger = 0};
		if (reset)
			setsockopt(l->fd[side], SOL_SOCKET, SO_LINGER, &now, sizeof now);
		close(l->fd[side]);
	}
	mem_free(l);
}

/* The chunk to read into: the last one if it is of the same millisecond and has room. */
static struct chunk *flow_room(struct flow *f, struct manner *m, int64_t due_ns)
{
	struct chunk *c = f->tail;
	if (c != NULL && c->to < LINK_CHUNK && due_ns - c->due_ns < MS)
		return c;
	c = chunk_take(m, due_ns);
	if (c == NULL)
		return NULL;
	if (f->tail != NULL)
		f->tail->next = c;
	else
		f->head = c;
	f->tail = c;
	return c;
}

/*
 * The socket of `side` is gone. What came from it is still on its way, as it would be on a real
 * network, and arrives; what was to go to it is dropped.
 */
static void side_lost(struct link *l, struct manner *m, int side)
{
	struct flow *towards = &l->flow[!side];
	l->flow[side].eof = true;
	while (towards->head != NULL)
		flow_drop_head(towards, m);
	towards->queued = 0;
	towards->eof = towards->shut = true;
	l->blocked[side] = false;
}

static void flow_read(struct link *l, struct manner *m, int side, int64_t now_ns)
{
	struct flow *f = &l->flow[side];
	while (!f->eof && f->queued < m->window) {
		struct chunk *c = flow_room(f, m, now_ns + m->delay_ns);
		if (c == NULL) {
			l->dead = true;
			return;
		}
		ssize_t got = recv(l->fd[side], c->data + c->to, LINK_CHUNK - c->to, 0);
		if (got < 0) {
			if (errno != EAGAIN && errno != EINTR)
				side_lost(l, m, side);
			return;
		}
		if (got == 0) {
			f->eof = true;
			return;
		}
		tracker_pass(&l->tracker, &m->flips, side == 0, c->data + c->to, (size_t)got);
		bool filled = (size_t)got == LINK_CHUNK - c->to;
		c->to += (size_t)got;
		f->queued += (size_t)got;
		m->bytes[side] += (uint64_t)got;
		if (!filled)
			return;
	}
}

/* How much of `n` bytes may go in one send now. */
static size_t allowed(const struct manner *m, int side, size_t n)
{
	if (m->shred != 0 && n > m->shred)
		n = m->shred;
	if (m->rate != 0 && m->budget[side] < (int64_t)n)
		n = m->budget[side] > 0 ? (size_t)m->budget[side] : 0;
	return n;
}

static void flow_write(struct link *l, struct manner *m, int side, int64_t now_ns)
{
	struct flow *f = &l->flow[side];
	l->blocked[!side] = false;
	while (f->head != NULL && f->head->due_ns <= now_ns) {
		struct chunk *c = f->head;
		if (c->from == c->to) {
			flow_drop_head(f, m);
			continue;
		}
		size_t n = allowed(m, side, c->to - c->from);
		if (n == 0)
			return;
		ssize_t sent = send(l->fd[!side], c->data + c->from, n, MSG_NOSIGNAL);
		if (sent < 0) {
			l->blocked[!side] = errno == EAGAIN;
			if (errno != EAGAIN && errno != EINTR)
				side_lost(l, m, !side);
			return;
		}
		c->from += (size_t)sent;
		f->queued -= (size_t)sent;
		if (m->rate != 0)
			m->budget[side] -= sent;
		if (m->shred != 0)
			return;
	}
	if (f->head == NULL && f->eof && !f->shut) {
		f->shut = true;
		shutdown(l->fd[!side], SHUT_WR);
	}
}

static void watch(struct link *l, int side, uint32_t mask)
{
	if (mask == l->mask[side])
		return;
	/* The low bit of the pointer tells the side: links are aligned. */
	struct epoll_event e = {.events = mask,
				.data.u64 = (uint64_t)(uintptr_t)l | (uint64_t)side};
	int op = mask == 0 ? EPOLL_CTL_DEL : l->mask[side] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (epoll_ctl(l->epoll, op, l->fd[side], &e) != 0)
		l->dead = true;
	l->mask[side] = mask;
}

void link_on_event(struct link *l, struct manner *m, int side, uint32_t events, int64_t now_ns)
{
	if (l->dead || m->stalled)
		return;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		flow_read(l, m, side, now_ns);
	if ((events & EPOLLERR) != 0 && !l->flow[!side].shut)
		side_lost(l, m, side);
}

void link_run(struct link *l, struct manner *m, int64_t now_ns)
{
	for (int side = 0; side < 2 && !l->dead && !m->stalled; side++)
		flow_write(l, m, side, now_ns);
	for (int side = 0; side < 2; side++) {
		const struct flow *f = &l->flow[side];
		uint32_t mask = 0;
		if (!m->stalled && !f->eof && f->queued < m->window)
			mask |= EPOLLIN;
		if (!m->stalled && l->blocked[side])
			mask |= EPOLLOUT;
		watch(l, side, mask);
	}
	if (l->flow[0].shut && l->flow[1].shut)
		l->dead = true;
}

int64_t link_due_ns(const struct link *l)
{
	int64_t due = INT64_MAX;
	for (int side = 0; side < 2; side++) {
		const struct chunk *c = l->flow[side].head;
		if (c != NULL && !l->blocked[!side] && c->due_ns < due)
			due = c->due_ns;
	}
	return due;
}
