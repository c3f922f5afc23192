/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All brokers of one cluster. The seeds are the bootstrap list, the known ones come from metadata.
 *
 * While no known broker has a ready control connection, candidates are tried in turn, alternately a
 * known broker and a seed: so a cluster that moved as a whole is found again without waiting until
 * each old address timed out. The first round goes without a pause; a candidate that neither
 * connects nor fails within a while (a black hole) is joined by the next one. After a whole round
 * without success there is one attempt per back-off.
 *
 * A seed whose address the metadata give to a broker is that broker: its connection is kept, which
 * saves a start two round trips. A new seed of the same address takes its place in the list.
 *
 * Invariants: events of the channels come from deep inside, so nothing is freed there: brokers that
 * left wait in `gone` until the deferred `tend` finds them idle. After brokers_close `closed` is
 * set and nothing is connected any more.
 */
#include "lib/client/brokers.h"

#include <limits.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum {
	STAGGER_MS = 1000, /* a candidate's head start */
	PARALLEL_MAX = 3   /* candidates under way at once */
};

struct set {
	struct broker **p;
	size_t n;
};

struct brokers {
	struct loop *loop;
	const struct channel_config *cfg;
	const struct brokers_events *ev;
	void *arg;
	struct set seeds;
	struct set known; /* sorted by id */
	struct set gone;
	size_t next_seed;
	size_t next_known;
	size_t next_any;
	bool seed_turn;
	unsigned tries;    /* candidates opened since a known broker was ready */
	unsigned failures; /* since any control connection was ready */
	int64_t next_try;  /* monotonic ms */
	struct loop_timer *timer;
	struct loop_deferred tend;
	int64_t down_since;
	struct errmsg reason;
	bool closed;
};

static enum err set_resize(struct set *s, size_t n)
{
	struct broker **p = mem_resize(s->p, n, sizeof(struct broker *));
	if (p == NULL)
		return ERR_NOMEM;
	s->p = p;
	return ERR_OK;
}

static void set_fini(struct set *s)
{
	for (size_t i = 0; i < s->n; i++)
		broker_free(s->p[i]);
	mem_free(s->p);
	*s = (struct set){0};
}

static size_t set_ready(const struct set *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += broker_ready(s->p[i]);
	return n;
}

static struct channel *control_of(const struct broker *b)
{
	return broker_peek(b, CLIENT_CHANNEL_CONTROL);
}

/* The next ready control channel of a set from position `at` on; NULL if none. */
static struct channel *set_ready_control(const struct set *s, size_t at)
{
	for (size_t i = 0; i < s->n; i++) {
		struct channel *ch = control_of(s->p[(at + i) % s->n]);
		if (ch != NULL && channel_ready(ch))
			return ch;
	}
	return NULL;
}

static size_t set_pending(const struct set *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct channel *ch = control_of(s->p[i]);
		n += ch != NULL && channel_pending(ch);
	}
	return n;
}

/* The index of `id` among the known ones, or where it would stand. */
static size_t known_index(const struct brokers *bs, int32_t id)
{
	size_t lo = 0, hi = bs->known.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (broker_id(bs->known.p[mid]) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void brokers_tend_soon(struct brokers *bs)
{
	if (!bs->closed && !bs->tend.pending)
		loop_defer(bs->loop, &bs->tend);
}

/* ---- one control connection at all times ---- */

/* The next of a set that is not under way already; NULL if all are. */
static struct broker *set_candidate(const struct set *s, size_t *at)
{
	for (size_t i = 0; i < s->n; i++) {
		struct broker *b = s->p[(*at)++ % s->n];
		struct channel *ch = control_of(b);
		if (ch == NULL || (!channel_pending(ch) && !channel_ready(ch)))
			return b;
	}
	return NULL;
}

static struct broker *next_candidate(struct brokers *bs, bool seed_ready)
{
	bs->seed_turn = !bs->seed_turn;
	bool seed = !seed_ready && (bs->seed_turn || bs->known.n == 0);
	struct broker *b = seed ? set_candidate(&bs->seeds, &bs->next_seed)
				: set_candidate(&bs->known, &bs->next_known);
	if (b == NULL && !seed_ready)
		b = seed ? set_candidate(&bs->known, &bs->next_known)
			 : set_candidate(&bs->seeds, &bs->next_seed);
	return b;
}

static void try_candidate(struct brokers *bs, bool seed_ready)
{
	size_t pending = set_pending(&bs->known) + (seed_ready ? 0 : set_pending(&bs->seeds));
	if (pending >= PARALLEL_MAX)
		return;
	int64_t now = loop_now_ms(bs->loop);
	if (now < bs->next_try) {
		loop_timer_set(bs->timer, bs->next_try - now);
		return;
	}
	struct broker *b = next_candidate(bs, seed_ready);
	bs->next_try = now + STAGGER_MS;
	loop_timer_set(bs->timer, STAGGER_MS);
	struct channel *ch = b == NULL ? NULL : broker_channel(b, CLIENT_CHANNEL_CONTROL);
	if (ch == NULL)
		return;
	bs->tries++;
	channel_open(ch);
}

static void keep_connected(struct brokers *bs)
{
	if (set_ready_control(&bs->known, 0) != NULL) {
		bs->tries = 0;
		bs->next_try = 0;
		for (size_t i = 0; i < bs->seeds.n; i++) {
			struct channel *ch = control_of(bs->seeds.p[i]);
			if (ch != NULL)
				channel_release(ch);
		}
		return;
	}
	bool seed_ready = set_ready_control(&bs->seeds, 0) != NULL;
	if (!seed_ready || bs->known.n > 0)
		try_candidate(bs, seed_ready);
}

static void sweep_gone(struct brokers *bs)
{
	for (size_t i = bs->gone.n; i-- > 0;) {
		if (!broker_idle(bs->gone.p[i]))
			continue;
		broker_free(bs->gone.p[i]);
		bs->gone.p[i] = bs->gone.p[--bs->gone.n];
	}
}

static void brokers_on_tend(void *arg)
{
	struct brokers *bs = arg;
	sweep_gone(bs);
	keep_connected(bs);
}

/* ---- events of the channels ---- */

static void note_if_down(struct brokers *bs)
{
	if (bs->down_since != 0 || brokers_ready(bs, NULL) > 0)
		return;
	int64_t now = loop_now_ms(bs->loop);
	bs->down_since = now > 0 ? now : 1;
}

static void brokers_on_ready(void *arg, struct broker *b, uint8_t channel)
{
	(void)b;
	struct brokers *bs = arg;
	bs->down_since = 0;
	bs->reason.text[0] = '\0';
	brokers_tend_soon(bs);
	if (channel != CLIENT_CHANNEL_CONTROL)
		return;
	bs->failures = 0;
	bs->ev->on_ready(bs->arg);
}

/* When the next candidate may be tried: at once in the first round. */
static void control_failed(struct brokers *bs, enum err e, const struct errmsg *why)
{
	size_t all = bs->seeds.n + bs->known.n;
	int64_t wait = 0;
	if (bs->tries >= all)
		wait = clock_backoff_ms(loop_clock(bs->loop), bs->tries - (unsigned)all,
					bs->cfg->backoff_min_ms, bs->cfg->backoff_max_ms);
	bs->next_try = loop_now_ms(bs->loop) + wait;
	if (bs->failures < UINT_MAX)
		bs->failures++;
	if (brokers_any_peek(bs) == NULL && bs->failures >= all)
		bs->ev->on_unreachable(bs->arg, e, why);
}

static void brokers_trouble(struct brokers *bs, const struct broker *b, const struct errmsg *why)
{
	note_if_down(bs);
	if (bs->down_since != 0)
		bs->reason = *why;
	brokers_tend_soon(bs);
	if (broker_id(b) != BROKER_ID_UNKNOWN)
		bs->ev->on_trouble(bs->arg);
}

static void brokers_on_failed(void *arg, struct broker *b, uint8_t channel, enum err e,
			      const struct errmsg *why)
{
	struct brokers *bs = arg;
	brokers_trouble(bs, b, why);
	if (channel == CLIENT_CHANNEL_CONTROL)
		control_failed(bs, e, why);
}

static void brokers_on_lost(void *arg, struct broker *b, const struct errmsg *why)
{
	brokers_trouble(arg, b, why);
}

static void brokers_on_idle(void *arg, struct broker *b)
{
	(void)b;
	struct brokers *bs = arg;
	note_if_down(bs);
	brokers_tend_soon(bs);
}

static const struct broker_events broker_events = {brokers_on_ready, brokers_on_failed,
						   brokers_on_lost, brokers_on_idle};

static void brokers_on_timer(void *arg)
{
	brokers_tend_soon(arg);
}

/* ---- life ---- */

static bool parse_port(const char *s, uint16_t *port)
{
	char *end;
	if (*s < '0' || *s > '9')
		return false;
	unsigned long v = strtoul(s, &end, 10);
	if (*end != '\0' || v == 0 || v > UINT16_MAX)
		return false;
	*port = (uint16_t)v;
	return true;
}

static enum err parse_seed(const char *s, struct endpoint *at, struct errmsg *why)
{
	const char *colon = strrchr(s, ':');
	at->id = BROKER_ID_UNKNOWN;
	if (colon != NULL) {
		at->host = bytes_of(s, (size_t)(colon - s));
		if (broker_host_valid(at->host) && parse_port(colon + 1, &at->port))
			return ERR_OK;
	}
	return errmsg_set(why, ERR_CONFIG, "bootstrap server \"%s\": want host:port", s);
}

static enum err add_seeds(struct brokers *bs, const struct client_options *o, struct errmsg *why)
{
	if (o->bootstrap_n == 0)
		return errmsg_set(why, ERR_CONFIG, "no bootstrap servers");
	if (set_resize(&bs->seeds, o->bootstrap_n) != ERR_OK)
		return ERR_NOMEM;
	for (size_t i = 0; i < o->bootstrap_n; i++) {
		struct endpoint at;
		enum err e = parse_seed(o->bootstrap[i], &at, why);
		if (e != ERR_OK)
			return e;
		bs->seeds.p[i] = broker_new(bs->loop, bs->cfg, &at, &broker_events, bs);
		if (bs->seeds.p[i] == NULL)
			return ERR_NOMEM;
		bs->seeds.n++;
	}
	return ERR_OK;
}

enum err brokers_new(struct loop *l, const struct channel_config *cfg,
		     const struct client_options *o, const struct brokers_events *ev, void *arg,
		     struct brokers **out, struct errmsg *why)
{
	struct brokers *bs = mem_zalloc(1, sizeof *bs);
	if (bs == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	bs->loop = l;
	bs->cfg = cfg;
	bs->ev = ev;
	bs->arg = arg;
	bs->tend = (struct loop_deferred){.fn = brokers_on_tend, .arg = bs};
	bs->timer = loop_timer_new(l, brokers_on_timer, bs);
	enum err e = bs->timer == NULL ? ERR_NOMEM : add_seeds(bs, o, why);
	if (e != ERR_OK)
		goto err_after_alloc;
	note_if_down(bs);
	brokers_tend_soon(bs);
	*out = bs;
	return ERR_OK;

err_after_alloc:
	if (e == ERR_NOMEM)
		errmsg_set(why, e, "%s", err_text(e));
	brokers_close(bs);
	brokers_free(bs);
	return e;
}

void brokers_close(struct brokers *bs)
{
	bs->closed = true;
	set_fini(&bs->known);
	set_fini(&bs->gone);
	set_fini(&bs->seeds);
	loop_timer_free(bs->timer);
	bs->timer = NULL;
	loop_undefer(bs->loop, &bs->tend);
}

void brokers_free(struct brokers *bs)
{
	mem_free(bs);
}

/* ---- what the metadata say ---- */

static void retire(struct brokers *bs, struct broker *b)
{
	/* Without memory for the list of the gone, the calls in flight are cut off instead of
	 * ended. */
	if (set_resize(&bs->gone, bs->gone.n + 1) != ERR_OK) {
		broker_free(b);
		return;
	}
	bs->gone.p[bs->gone.n++] = b;
	broker_retire(b);
	brokers_tend_soon(bs);
}

/* The seed that is connected to this very address, as the broker that it is; NULL: none is. */
static struct broker *adopt_seed(struct brokers *bs, const struct endpoint *at)
{
	for (size_t i = 0; i < bs->seeds.n; i++) {
		struct broker *b = bs->seeds.p[i];
		if (!broker_is_at(b, at) || broker_ready(b) == 0)
			continue;
		struct endpoint seed = *at;
		seed.id = BROKER_ID_UNKNOWN;
		struct broker *fresh = broker_new(bs->loop, bs->cfg, &seed, &broker_events, bs);
		if (fresh == NULL)
			return NULL;
		bs->seeds.p[i] = fresh;
		broker_identify(b, at->id);
		return b;
	}
	return NULL;
}

/* The broker that has this id already, moved if need be, or a new one; NULL: out of memory. */
static struct broker *find_or_make(struct brokers *bs, const struct endpoint *at, enum err *e)
{
	struct broker *b = brokers_find(bs, at->id);
	if (b != NULL) {
		if (broker_move(b, at) != ERR_OK)
			*e = ERR_NOMEM;
		return b;
	}
	b = adopt_seed(bs, at);
	if (b == NULL)
		b = broker_new(bs->loop, bs->cfg, at, &broker_events, bs);
	if (b == NULL)
		*e = ERR_NOMEM;
	else if (bs->known.n > 0)
		broker_joined(b);
	return b;
}

enum err brokers_apply(struct brokers *bs, const struct endpoint *list, size_t n)
{
	struct set fresh = {0};
	enum err e = set_resize(&fresh, n);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n; i++) {
		struct broker *b = find_or_make(bs, &list[i], &e);
		if (b != NULL)
			fresh.p[fresh.n++] = b;
	}
	struct set old = bs->known;
	bs->known = fresh;
	for (size_t i = 0; i < old.n; i++) {
		if (brokers_find(bs, broker_id(old.p[i])) == NULL)
			retire(bs, old.p[i]);
	}
	mem_free(old.p);
	const struct clock *clock = loop_clock(bs->loop);
	if (old.n == 0 && fresh.n > 0) {
		bs->next_known = (size_t)(clock->random(clock->ctx) % fresh.n);
		bs->next_try = 0; /* the head start was for the seeds */
	}
	brokers_tend_soon(bs);
	return e;
}

enum err brokers_hint(struct brokers *bs, const struct endpoint *at)
{
	struct broker *b = brokers_find(bs, at->id);
	if (b != NULL)
		return broker_move(b, at);
	b = broker_new(bs->loop, bs->cfg, at, &broker_events, bs);
	if (b == NULL)
		return ERR_NOMEM;
	if (set_resize(&bs->known, bs->known.n + 1) != ERR_OK) {
		broker_free(b);
		return ERR_NOMEM;
	}
	size_t i = known_index(bs, at->id);
	memmove(&bs->known.p[i + 1], &bs->known.p[i], (bs->known.n - i) * sizeof(struct broker *));
	bs->known.p[i] = b;
	bs->known.n++;
	return ERR_OK;
}

void brokers_rebootstrap(struct brokers *bs)
{
	struct set old = bs->known;
	bs->known = (struct set){0};
	for (size_t i = 0; i < old.n; i++)
		retire(bs, old.p[i]);
	mem_free(old.p);
	bs->tries = 0;
	bs->next_try = 0;
	brokers_tend_soon(bs);
}

/* ---- connections for users ---- */

struct broker *brokers_find(const struct brokers *bs, int32_t id)
{
	size_t i = known_index(bs, id);
	return i < bs->known.n && broker_id(bs->known.p[i]) == id ? bs->known.p[i] : NULL;
}

const struct channel *brokers_any_peek(const struct brokers *bs)
{
	struct channel *ch = set_ready_control(&bs->known, bs->next_any);
	return ch != NULL ? ch : set_ready_control(&bs->seeds, 0);
}

struct channel *brokers_any(struct brokers *bs)
{
	struct channel *ch = set_ready_control(&bs->known, bs->next_any++);
	return ch != NULL ? ch : set_ready_control(&bs->seeds, 0);
}

static void set_reject(const struct set *s, const struct channel *ch, enum err e,
		       const struct errmsg *why)
{
	for (size_t i = 0; i < s->n; i++) {
		struct channel *control = control_of(s->p[i]);
		if (control == ch)
			channel_reject(control, e, why);
	}
}

void brokers_reject(struct brokers *bs, const struct channel *ch, enum err e,
		    const struct errmsg *why)
{
	set_reject(&bs->known, ch, e, why);
	set_reject(&bs->seeds, ch, e, why);
}

size_t brokers_ready(const struct brokers *bs, struct errmsg *why)
{
	size_t n = set_ready(&bs->known) + set_ready(&bs->seeds);
	if (n == 0 && why != NULL)
		*why = bs->reason;
	if (n == 0 && bs->reason.text[0] == '\0')
		errmsg_set(why, ERR_CONNECT, "no broker has answered yet");
	return n;
}

int64_t brokers_down_since(const struct brokers *bs)
{
	return bs->down_since;
}

const struct errmsg *brokers_reason(const struct brokers *bs)
{
	return &bs->reason;
}
