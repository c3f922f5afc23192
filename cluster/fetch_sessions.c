/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of fetch sessions. Its rules are those of FetchSession.scala; ours is one more bound:
 * on the partitions of all sessions together, since a request may name millions.
 *
 * Who is thrown out for a new session (FetchSessionCache.tryEvict): the one that was not used for
 * longest, if that is over two minutes ago; else the smallest of those that have lived for two
 * minutes, if the new one is larger.
 */
#include "cluster/fetch_sessions.h"

#include <assert.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"

enum {
	EVICTION_MS = 120 * 1000, /* min.incremental.fetch.session.eviction.ms */
	PARTITIONS_MAX = 1 << 20, /* of all sessions */
	NAME_MAX_BYTES = 249,     /* longer names cannot exist (Topic.java) */
	KEY_MAX = NAME_MAX_BYTES + 4,
	FINAL_EPOCH = -1,
	INITIAL_EPOCH = 0,
	IDS_FROM = 13,
};

struct fetch_session {
	int32_t id, epoch;
	bool by_id;
	bool cached; /* in `all->by_session` */
	unsigned refs;
	int64_t created_ms, used_ms;
	size_t counted; /* partitions, as the cache counts them */
	struct map *wishes;
	struct fetch_wish *first, *last;
};

struct fetch_sessions {
	const struct clock *clock;
	int32_t slots;
	struct map *by_session; /* id -> session */
	size_t partitions;
	uint64_t evicted;
};

/* ---- one session ---- */

struct key {
	uint8_t b[KEY_MAX];
	size_t n;
};

/* False for a name that is too long to be any topic's. */
static bool key_of(struct key *k, bool by_id, const struct uuid *id, struct bytes name,
		   int32_t partition)
{
	struct bytes head = by_id ? bytes_of(id->b, sizeof id->b) : name;
	if (head.n > NAME_MAX_BYTES)
		return false;
	if (head.n > 0)
		memcpy(k->b, head.p, head.n);
	be32_put(k->b + head.n, (uint32_t)partition);
	k->n = head.n + 4;
	return true;
}

static void unlink_wish(struct fetch_session *s, struct fetch_wish *w)
{
	*(w->prev == NULL ? &s->first : &w->prev->next) = w->next;
	*(w->next == NULL ? &s->last : &w->next->prev) = w->prev;
}

static void link_last(struct fetch_session *s, struct fetch_wish *w)
{
	w->prev = s->last;
	w->next = NULL;
	*(s->last == NULL ? &s->first : &s->last->next) = w;
	s->last = w;
}

static void session_unref(struct fetch_session *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	while (s->first != NULL) {
		struct fetch_wish *w = s->first;
		s->first = w->next;
		mem_free(w);
	}
	map_free(s->wishes);
	mem_free(s);
}

static struct fetch_session *session_new(bool by_id, int64_t now)
{
	struct fetch_session *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->wishes = map_new();
	if (s->wishes == NULL) {
		mem_free(s);
		return NULL;
	}
	s->by_id = by_id;
	s->refs = 1;
	s->created_ms = s->used_ms = now;
	return s;
}

/* The wish with its own copy of the name behind it. */
static struct fetch_wish *wish_new(const struct uuid *id, struct bytes name, int32_t partition)
{
	struct fetch_wish *w = mem_alloc(sizeof *w + name.n);
	if (w == NULL)
		return NULL;
	*w = (struct fetch_wish){.topic_id = *id, .partition = partition};
	w->name = bytes_of(w + 1, name.n);
	if (name.n > 0)
		memcpy(w + 1, name.p, name.n);
	w->high_watermark = w->start = -1;
	return w;
}

static void want(struct fetch_wish *w, const struct fetch_request_fetch_partition *in)
{
	w->max_bytes = in->partition_max_bytes;
	w->offset = in->fetch_offset;
	w->current_epoch = in->current_leader_epoch;
	w->last_fetched_epoch = in->last_fetched_epoch;
}

/* Add the partition, or change what is wanted of it; NULL when out of memory. */
static struct fetch_wish *put_wish(struct fetch_session *s,
				   const struct fetch_request_fetch_topic *topic,
				   const struct fetch_request_fetch_partition *in)
{
	struct key k;
	struct bytes name = s->by_id ? (struct bytes){.n = 0} : topic->topic;
	if (!key_of(&k, s->by_id, &topic->topic_id, name, in->partition))
		return NULL;
	struct fetch_wish *w = map_get(s->wishes, bytes_of(k.b, k.n));
	if (w == NULL) {
		w = wish_new(&topic->topic_id, name, in->partition);
		if (w == NULL || map_put(s->wishes, bytes_of(k.b, k.n), w) != ERR_OK) {
			mem_free(w);
			return NULL;
		}
		link_last(s, w);
	}
	want(w, in);
	return w;
}

static void drop_wish(struct fetch_session *s, const struct fetch_request_forgotten_topic *topic,
		      int32_t partition)
{
	struct key k;
	if (!key_of(&k, s->by_id, &topic->topic_id, topic->topic, partition))
		return;
	struct fetch_wish *w = map_take(s->wishes, bytes_of(k.b, k.n));
	if (w == NULL)
		return;
	unlink_wish(s, w);
	mem_free(w);
}

/* FetchSession.update. False when out of memory. */
static bool update(struct fetch_session *s, const struct fetch_request *in)
{
	for (int32_t i = 0; i < in->topics_n; i++)
		for (int32_t k = 0; k < in->topics[i].partitions_n; k++)
			if (put_wish(s, &in->topics[i], &in->topics[i].partitions[k]) == NULL)
				return false;
	for (int32_t i = 0; i < in->forgotten_topics_data_n; i++)
		for (int32_t k = 0; k < in->forgotten_topics_data[i].partitions_n; k++)
			drop_wish(s, &in->forgotten_topics_data[i],
				  in->forgotten_topics_data[i].partitions[k]);
	return true;
}

/* ---- the cache ---- */

static struct bytes id_key(const int32_t *id)
{
	return bytes_of(id, sizeof *id);
}

static struct fetch_session *find(const struct fetch_sessions *all, int32_t id)
{
	return map_get(all->by_session, id_key(&id));
}

static void take_out(struct fetch_sessions *all, struct fetch_session *s)
{
	if (s == NULL || !s->cached)
		return;
	(void)map_take(all->by_session, id_key(&s->id));
	s->cached = false;
	all->partitions -= s->counted;
	session_unref(s);
}

static void touch(struct fetch_sessions *all, struct fetch_session *s)
{
	s->used_ms = clock_mono_ms(all->clock);
	all->partitions += map_count(s->wishes) - s->counted;
	s->counted = map_count(s->wishes);
}

/* The next to go: not used for longest, or smallest of the evictable; equals by id. */
static struct fetch_session *pick(const struct fetch_sessions *all, bool oldest)
{
	struct fetch_session *best = NULL;
	struct bytes key;
	size_t at = 0;
	void *value;
	while (map_next(all->by_session, &at, &key, &value)) {
		struct fetch_session *s = value;
		if (!oldest && s->used_ms - s->created_ms <= EVICTION_MS)
			continue;
		int64_t mine = oldest ? s->used_ms : (int64_t)s->counted;
		int64_t other = best == NULL ? 0 : oldest ? best->used_ms : (int64_t)best->counted;
		if (best == NULL || mine < other || (mine == other && s->id < best->id))
			best = s;
	}
	return best;
}

static bool make_room(struct fetch_sessions *all, size_t partitions)
{
	if (map_count(all->by_session) < (size_t)all->slots &&
	    partitions <= PARTITIONS_MAX - all->partitions)
		return true;
	struct fetch_session *s = pick(all, true);
	if (s == NULL)
		return false;
	if (clock_mono_ms(all->clock) - s->used_ms <= EVICTION_MS) {
		s = pick(all, false);
		/* A new one of the same size counts as less worth. */
		if (s == NULL || partitions <= s->counted)
			return false;
	}
	take_out(all, s);
	all->evicted++;
	return partitions <= PARTITIONS_MAX - all->partitions;
}

static int32_t new_id(const struct fetch_sessions *all)
{
	for (;;) {
		int32_t id = (int32_t)(all->clock->random(all->clock->ctx) & INT32_MAX);
		if (id != 0 && find(all, id) == NULL)
			return id;
	}
}

static int32_t next_epoch(int32_t epoch)
{
	return epoch < 0 ? FINAL_EPOCH : epoch == INT32_MAX ? 1 : epoch + 1;
}

/* ---- the interface ---- */

struct fetch_sessions *fetch_sessions_new(const struct clock *clock, int32_t slots)
{
	struct fetch_sessions *all = mem_zalloc(1, sizeof *all);
	if (all == NULL)
		return NULL;
	all->clock = clock;
	all->slots = slots;
	all->by_session = map_new();
	if (all->by_session == NULL) {
		mem_free(all);
		return NULL;
	}
	return all;
}

void fetch_sessions_free(struct fetch_sessions *all)
{
	if (all == NULL)
		return;
	struct bytes key;
	size_t at = 0;
	void *value;
	while (map_next(all->by_session, &at, &key, &value))
		session_unref(value);
	map_free(all->by_session);
	mem_free(all);
}

static void refuse(struct fetch_context *out, enum err e)
{
	*out = (struct fetch_context){.kind = FETCH_REFUSED, .error = e};
}

static void begin_incremental(struct fetch_sessions *all, const struct fetch_request *in,
			      int16_t version, struct fetch_context *out)
{
	struct fetch_session *s = find(all, in->session_id);
	if (s == NULL) {
		refuse(out, ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
		return;
	}
	if (s->epoch != in->session_epoch) {
		refuse(out, ERR_KAFKA_INVALID_FETCH_SESSION_EPOCH);
		return;
	}
	if (s->by_id != (version >= IDS_FROM)) {
		refuse(out, ERR_KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
		return;
	}
	/* From here on a request that waits with this session may not look at its partitions. */
	s->epoch = next_epoch(s->epoch);
	bool fits = update(s, in);
	touch(all, s);
	/* Out of memory or over our bound: the client begins anew. */
	if (!fits || all->partitions > PARTITIONS_MAX) {
		take_out(all, s);
		refuse(out, ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
		return;
	}
	if (s->first == NULL) {
		take_out(all, s);
		*out = (struct fetch_context){.kind = FETCH_SESSIONLESS};
		return;
	}
	s->refs++;
	*out = (struct fetch_context){.kind = FETCH_INCREMENTAL, .session = s, .epoch = s->epoch};
}

void fetch_sessions_begin(struct fetch_sessions *all, const struct fetch_request *in,
			  int16_t version, struct fetch_context *out)
{
	if (in->session_epoch != INITIAL_EPOCH && in->session_epoch != FINAL_EPOCH) {
		begin_incremental(all, in, version, out);
		return;
	}
	/* A full request ends the session that it names. */
	if (in->session_id != 0)
		take_out(all, find(all, in->session_id));
	*out = (struct fetch_context){.kind = in->session_epoch == FINAL_EPOCH ? FETCH_SESSIONLESS
									       : FETCH_FULL};
}

struct fetch_wish *fetch_sessions_first(const struct fetch_context *c)
{
	return c->session == NULL ? NULL : c->session->first;
}

size_t fetch_sessions_size(const struct fetch_context *c)
{
	return c->session == NULL ? 0 : map_count(c->session->wishes);
}

bool fetch_sessions_current(const struct fetch_context *c)
{
	return c->session == NULL || c->session->epoch == c->epoch;
}

/* CachedPartition.maybeUpdateResponseData */
bool fetch_sessions_tell(struct fetch_context *c, struct fetch_wish *w,
			 const struct fetch_outcome *o)
{
	bool tell = o->records || o->diverging || w->high_watermark != o->high_watermark ||
		    w->start != o->start || o->error != ERR_OK;
	w->high_watermark = o->high_watermark;
	w->start = o->start;
	/* When the error goes away the partition is told again. */
	if (o->error != ERR_OK)
		w->high_watermark = -1;
	if (o->records) {
		unlink_wish(c->session, w);
		link_last(c->session, w);
	}
	return tell;
}

static size_t partitions_of(const struct fetch_request *in)
{
	size_t n = 0;
	for (int32_t i = 0; i < in->topics_n; i++)
		n += (size_t)in->topics[i].partitions_n;
	return n;
}

/* A session of a full request, at its answer. NULL: none. */
static struct fetch_session *create(struct fetch_sessions *all, const struct fetch_request *in,
				    int16_t version, const struct fetch_outcome *outcomes)
{
	if (!make_room(all, partitions_of(in)))
		return NULL;
	struct fetch_session *s = session_new(version >= IDS_FROM, clock_mono_ms(all->clock));
	if (s == NULL)
		return NULL;
	for (int32_t i = 0; i < in->topics_n; i++)
		for (int32_t k = 0; k < in->topics[i].partitions_n; k++, outcomes++) {
			struct fetch_wish *w =
				put_wish(s, &in->topics[i], &in->topics[i].partitions[k]);
			if (w == NULL)
				goto err_after_session;
			w->high_watermark = outcomes->high_watermark;
			w->start = outcomes->start;
		}
	s->id = new_id(all);
	s->epoch = next_epoch(INITIAL_EPOCH);
	if (map_put(all->by_session, id_key(&s->id), s) != ERR_OK)
		goto err_after_session;
	s->cached = true;
	touch(all, s);
	return s;

err_after_session:
	session_unref(s);
	return NULL;
}

int32_t fetch_sessions_end(struct fetch_sessions *all, struct fetch_context *c,
			   const struct fetch_request *in, int16_t version,
			   const struct fetch_outcome *outcomes)
{
	struct fetch_session *s = c->session;
	if (c->kind == FETCH_FULL)
		s = create(all, in, version, outcomes);
	return s == NULL ? 0 : s->id;
}

void fetch_context_fini(struct fetch_context *c)
{
	session_unref(c->session);
	c->session = NULL;
}

void fetch_sessions_count(const struct fetch_sessions *all, struct fetch_sessions_count *out)
{
	*out = (struct fetch_sessions_count){.sessions = map_count(all->by_session),
					     .partitions = all->partitions,
					     .evicted = all->evicted};
}
