/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delta between what is wanted and what the broker's session holds.
 *
 * A part is `held` if the session (once the request that was built last has been taken in) has it,
 * with `sent` as its position. A full request (epoch 0) makes exactly the wanted parts held; an
 * incremental one names the wanted parts that are not held or have moved, and forgets the held ones
 * that are not wanted. A removed part stays in the table, without a user, while it is held.
 *
 * Answers are matched by `generation`, which moves when a part's position changes or the part is
 * removed: what was asked for under another generation is stale.
 *
 * A session may have 10 000 parts of which a few change from one request to the next. So what was
 * touched since the last build is listed (by topic, as requests are), and only that is looked at;
 * all of it when the request is full. Of a part that is not listed `held` and `asked` are what
 * `wanted` is, `sent` is what `want` is, and it has a user.
 *
 * Brokers answer session id 0 when they keep no session: then every request is full. A full request
 * that names the old session's id lets the broker drop that (FetchSession.scala,
 * FetchManager.newContext).
 */
#include "lib/client/fetch_session.h"

#include <assert.h>

#include "lib/base/mem.h"

enum { EPOCH_FULL = 0, EPOCH_FIRST = 1, VERSION_SESSIONS = 7, VERSION_IDS = 13 };

struct fetch_part {
	struct topic *topic;
	int32_t partition;
	bool used; /* has a user */
	bool wanted;
	bool held;
	bool asked; /* the last request asked for it, under asked_generation */
	bool listed;
	struct fetch_part *next; /* in its topic's list */
	uint32_t generation;
	uint32_t asked_generation;
	uint64_t named; /* number of the last answer that named it */
	struct fetch_want want;
	struct fetch_want sent;
	void *arg;
};

struct topic {
	struct fetch_session *session;
	char *name;
	struct uuid id;
	struct fetch_part **parts; /* sorted by partition */
	size_t parts_n;
	struct fetch_part *touched; /* since the last build */
	bool listed;
	struct topic *next; /* in the session's list */
};

struct fetch_session {
	void *owner;
	struct topic **topics; /* sorted by name, then id */
	struct topic **by_id;  /* the same ones, sorted by id */
	size_t topics_n;
	size_t topics_cap;
	size_t without_id;     /* topics that have none */
	struct topic *touched; /* topics that have touched parts */
	size_t parts;          /* used */
	size_t wanted;
	int32_t id;    /* 0: none */
	int32_t epoch; /* of the next request */
	bool ids;      /* the session was made with topic ids allowed ... */
	bool by_name;  /* ... but the broker knows topics by name only (before 3.1) */
	bool full;     /* the request that was built last */
	size_t asked;  /* parts in it, when full */
	uint64_t answers;
};

/* ---- the table of parts ---- */

static int topic_compare(const struct topic *t, struct bytes name, const struct uuid *id)
{
	size_t n = strlen(t->name);
	size_t common = n < name.n ? n : name.n;
	int order = common == 0 ? 0 : memcmp(t->name, name.p, common);
	if (order == 0)
		order = (n > name.n) - (n < name.n);
	if (order == 0 && id != NULL)
		order = memcmp(t->id.b, id->b, sizeof id->b);
	return order;
}

/* The first topic that is not before (name, id); `id` NULL: the first of that name. */
static size_t topic_index(const struct fetch_session *s, struct bytes name, const struct uuid *id)
{
	size_t lo = 0, hi = s->topics_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (topic_compare(s->topics[mid], name, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static size_t id_index(const struct fetch_session *s, const struct uuid *id)
{
	size_t lo = 0, hi = s->topics_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (memcmp(s->by_id[mid]->id.b, id->b, sizeof id->b) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static size_t part_index(const struct topic *t, int32_t partition)
{
	size_t lo = 0, hi = t->parts_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->parts[mid]->partition < partition)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct fetch_part *topic_part(const struct topic *t, int32_t partition)
{
	size_t i = part_index(t, partition);
	return i < t->parts_n && t->parts[i]->partition == partition ? t->parts[i] : NULL;
}

static void topic_free(struct topic *t)
{
	for (size_t i = 0; i < t->parts_n; i++)
		mem_free(t->parts[i]);
	mem_free(t->parts);
	mem_free(t->name);
	mem_free(t);
}

static bool topics_grow(struct fetch_session *s)
{
	if (s->topics_n < s->topics_cap)
		return true;
	size_t cap = s->topics_cap == 0 ? 4 : s->topics_cap * 2;
	struct topic **p = mem_resize(s->topics, cap, sizeof *p);
	if (p == NULL)
		return false;
	s->topics = p;
	p = mem_resize(s->by_id, cap, sizeof *p);
	if (p == NULL)
		return false;
	s->by_id = p;
	s->topics_cap = cap;
	return true;
}

static void topic_insert(struct topic **list, size_t n, size_t at, struct topic *t)
{
	memmove(&list[at + 1], &list[at], (n - at) * sizeof *list);
	list[at] = t;
}

static struct topic *topic_get(struct fetch_session *s, const char *name, const struct uuid *id)
{
	size_t at = topic_index(s, bytes_str(name), id);
	if (at < s->topics_n && topic_compare(s->topics[at], bytes_str(name), id) == 0)
		return s->topics[at];
	struct topic *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->session = s;
	t->id = *id;
	t->name = mem_strdup(name);
	if (t->name == NULL || !topics_grow(s)) {
		topic_free(t);
		return NULL;
	}
	topic_insert(s->topics, s->topics_n, at, t);
	topic_insert(s->by_id, s->topics_n, id_index(s, id), t);
	s->topics_n++;
	s->without_id += uuid_is_zero(id);
	return t;
}

static void topic_drop(struct topic *t)
{
	struct fetch_session *s = t->session;
	size_t at = topic_index(s, bytes_str(t->name), &t->id);
	memmove(&s->topics[at], &s->topics[at + 1],
		(s->topics_n - at - 1) * sizeof(struct topic *));
	at = id_index(s, &t->id);
	while (s->by_id[at] != t) /* zero ids are many */
		at++;
	memmove(&s->by_id[at], &s->by_id[at + 1], (s->topics_n - at - 1) * sizeof(struct topic *));
	s->topics_n--;
	s->without_id -= uuid_is_zero(&t->id);
	topic_free(t);
}

static void part_drop(struct fetch_part *p)
{
	struct topic *t = p->topic;
	size_t at = part_index(t, p->partition);
	memmove(&t->parts[at], &t->parts[at + 1],
		(t->parts_n - at - 1) * sizeof(struct fetch_part *));
	t->parts_n--;
	mem_free(p);
}

/* List the part for the next build. */
static void part_touch(struct fetch_part *p)
{
	struct topic *t = p->topic;
	if (p->listed)
		return;
	p->listed = true;
	p->next = t->touched;
	t->touched = p;
	if (t->listed)
		return;
	t->listed = true;
	t->next = t->session->touched;
	t->session->touched = t;
}

/* Free the parts that neither a user nor the broker has; a removed part was touched. */
static void sweep(struct fetch_session *s)
{
	for (struct topic **at = &s->touched; *at != NULL;) {
		struct topic *t = *at;
		for (struct fetch_part **part = &t->touched; *part != NULL;) {
			struct fetch_part *p = *part;
			if (p->used || p->held) {
				part = &p->next;
				continue;
			}
			*part = p->next;
			part_drop(p);
		}
		if (t->parts_n > 0) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		topic_drop(t);
	}
}

/* Take all parts off the lists. */
static void forget_touched(struct fetch_session *s)
{
	for (struct topic *t = s->touched; t != NULL; t = t->next) {
		for (struct fetch_part *p = t->touched; p != NULL; p = p->next)
			p->listed = false;
		t->touched = NULL;
		t->listed = false;
	}
	s->touched = NULL;
}

struct fetch_session *fetch_session_new(void *owner)
{
	struct fetch_session *s = mem_zalloc(1, sizeof *s);
	if (s != NULL)
		s->owner = owner;
	return s;
}

void fetch_session_free(struct fetch_session *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->topics_n; i++)
		topic_free(s->topics[i]);
	mem_free(s->topics);
	mem_free(s->by_id);
	mem_free(s);
}

static struct fetch_part *part_get(struct topic *t, int32_t partition)
{
	size_t at = part_index(t, partition);
	if (at < t->parts_n && t->parts[at]->partition == partition)
		return t->parts[at];
	struct fetch_part **parts = mem_resize(t->parts, t->parts_n + 1, sizeof *parts);
	if (parts == NULL)
		return NULL;
	t->parts = parts;
	struct fetch_part *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->topic = t;
	p->partition = partition;
	memmove(&parts[at + 1], &parts[at], (t->parts_n - at) * sizeof(struct fetch_part *));
	parts[at] = p;
	t->parts_n++;
	return p;
}

struct fetch_part *fetch_session_add(struct fetch_session *s, const char *topic,
				     const struct uuid *id, int32_t partition, void *arg)
{
	struct topic *t = topic_get(s, topic, id);
	if (t == NULL)
		return NULL;
	struct fetch_part *p = part_get(t, partition);
	if (p == NULL) {
		if (t->parts_n == 0)
			topic_drop(t);
		return NULL;
	}
	assert(!p->used);
	p->used = true;
	p->arg = arg;
	s->parts++;
	return p;
}

void fetch_session_remove(struct fetch_part *p)
{
	fetch_session_pause(p);
	p->topic->session->parts--;
	p->used = false;
	p->arg = NULL;
	p->generation++;
	part_touch(p);
}

static bool same_place(const struct fetch_want *a, const struct fetch_want *b)
{
	return a->offset == b->offset && a->leader_epoch == b->leader_epoch &&
	       a->last_epoch == b->last_epoch;
}

void fetch_session_want(struct fetch_part *p, const struct fetch_want *w)
{
	if (!same_place(&p->want, w))
		p->generation++;
	p->want = *w;
	if (!p->wanted)
		p->topic->session->wanted++;
	p->wanted = true;
	part_touch(p);
}

void fetch_session_pause(struct fetch_part *p)
{
	if (p->wanted)
		p->topic->session->wanted--;
	p->wanted = false;
	part_touch(p);
}

void *fetch_session_owner(const struct fetch_part *p)
{
	return p->topic->session->owner;
}

void *fetch_session_arg(const struct fetch_part *p)
{
	return p->arg;
}

const char *fetch_session_topic(const struct fetch_part *p)
{
	return p->topic->name;
}

size_t fetch_session_parts(const struct fetch_session *s)
{
	return s->parts;
}

size_t fetch_session_wanted(const struct fetch_session *s)
{
	return s->wanted;
}

/* ---- building a request ---- */

/* The topics, and in each the parts, that a request has to look at: all, or what was touched. */
struct walk {
	bool full;
	struct topic *const *topics;
	size_t topics_left, parts_left;
	struct topic *touched;
	struct fetch_part *const *parts;
	struct fetch_part *touched_part;
};

static struct walk walk_of(const struct fetch_session *s, bool full)
{
	return (struct walk){.full = full,
			     .topics = s->topics,
			     .topics_left = s->topics_n,
			     .touched = s->touched};
}

static struct topic *next_topic(struct walk *w)
{
	struct topic *t;
	if (w->full) {
		t = w->topics_left > 0 ? *w->topics : NULL;
		w->topics_left -= t != NULL;
		w->topics += t != NULL;
	} else {
		t = w->touched;
		w->touched = t == NULL ? NULL : t->next;
	}
	if (t != NULL) {
		w->parts = t->parts;
		w->parts_left = t->parts_n;
		w->touched_part = t->touched;
	}
	return t;
}

static struct fetch_part *next_part(struct walk *w)
{
	struct fetch_part *p;
	if (w->full) {
		p = w->parts_left > 0 ? *w->parts : NULL;
		w->parts_left -= p != NULL;
		w->parts += p != NULL;
	} else {
		p = w->touched_part;
		w->touched_part = p == NULL ? NULL : p->next;
	}
	return p;
}

static bool part_must_send(const struct fetch_part *p, bool full)
{
	return p->wanted && (full || !p->held || p->sent.max_bytes != p->want.max_bytes ||
			     !same_place(&p->sent, &p->want));
}

static bool part_must_forget(const struct fetch_part *p, bool full)
{
	return !full && p->held && !p->wanted;
}

/* All topics that the request or the session is about have ids. */
static bool all_have_ids(const struct fetch_session *s)
{
	for (size_t i = 0; s->without_id > 0 && i < s->topics_n; i++) {
		const struct topic *t = s->topics[i];
		if (!uuid_is_zero(&t->id))
			continue;
		for (size_t j = 0; j < t->parts_n; j++) {
			if (t->parts[j]->wanted || t->parts[j]->held)
				return false;
		}
	}
	return true;
}

/* Two topics of one name: the older was deleted. By name a session cannot tell them apart, and a
 * broker forgets after it adds, so that an incremental request might lose the new one. */
static bool has_namesakes(const struct fetch_session *s)
{
	for (size_t i = 1; i < s->topics_n; i++) {
		if (strcmp(s->topics[i - 1]->name, s->topics[i]->name) == 0)
			return true;
	}
	return false;
}

/* How many topics and parts a request names. */
struct counts {
	int32_t topics, parts;
	int32_t forgotten_topics, forgotten;
};

static struct counts count(const struct fetch_session *s, bool full)
{
	struct counts n = {0, 0, 0, 0};
	struct walk w = walk_of(s, full);
	while (next_topic(&w) != NULL) {
		int32_t send = 0, forget = 0;
		for (const struct fetch_part *p; (p = next_part(&w)) != NULL;) {
			send += part_must_send(p, full);
			forget += part_must_forget(p, full);
		}
		n.topics += send > 0;
		n.forgotten_topics += forget > 0;
		n.parts += send;
		n.forgotten += forget;
	}
	return n;
}

static void put_wanted(struct fetch_request_fetch_partition *o, const struct fetch_part *p)
{
	o->partition = p->partition;
	o->fetch_offset = p->want.offset;
	o->current_leader_epoch = p->want.leader_epoch;
	o->last_fetched_epoch = p->want.last_epoch;
	o->partition_max_bytes = p->want.max_bytes;
}

static bool fill(const struct fetch_session *s, bool full, struct arena *a,
		 struct fetch_request *req)
{
	struct counts n = count(s, full);
	req->topics = wire_array_new(a, &wire_fetch_request_fetch_topic, n.topics);
	req->forgotten_topics_data =
		wire_array_new(a, &wire_fetch_request_forgotten_topic, n.forgotten_topics);
	struct fetch_request_fetch_partition *parts =
		wire_array_new(a, &wire_fetch_request_fetch_partition, n.parts);
	int32_t *forgotten = arena_zalloc(a, (size_t)n.forgotten + 1, sizeof *forgotten);
	if ((n.topics > 0 && (req->topics == NULL || parts == NULL)) || forgotten == NULL ||
	    (n.forgotten > 0 && req->forgotten_topics_data == NULL))
		return false;
	struct fetch_request_fetch_topic *send = req->topics;
	struct fetch_request_forgotten_topic *forget = req->forgotten_topics_data;
	struct walk w = walk_of(s, full);
	for (const struct topic *t; (t = next_topic(&w)) != NULL;) {
		int32_t sent = 0, gone = 0;
		for (const struct fetch_part *p; (p = next_part(&w)) != NULL;) {
			if (part_must_send(p, full))
				put_wanted(&parts[sent++], p);
			else if (part_must_forget(p, full))
				forgotten[gone++] = p->partition;
		}
		if (sent > 0) {
			send->topic = bytes_str(t->name);
			send->topic_id = t->id;
			send->partitions = parts;
			send++->partitions_n = sent;
		}
		if (gone > 0) {
			forget->topic = bytes_str(t->name);
			forget->topic_id = t->id;
			forget->partitions = forgotten;
			forget++->partitions_n = gone;
		}
		parts += sent;
		forgotten += gone;
	}
	req->topics_n = n.topics;
	req->forgotten_topics_data_n = n.forgotten_topics;
	return true;
}

/* What the broker's session will hold, and what an answer may be about. */
static void note_sent(struct fetch_session *s, bool full)
{
	struct walk w = walk_of(s, full);
	size_t asked = 0;
	while (next_topic(&w) != NULL) {
		for (struct fetch_part *p; (p = next_part(&w)) != NULL;) {
			p->held = p->wanted;
			p->asked = p->wanted;
			p->asked_generation = p->generation;
			p->sent = p->want;
			asked += p->wanted;
		}
	}
	s->full = full;
	s->asked = asked;
}

enum err fetch_session_build(struct fetch_session *s, struct arena *a, struct fetch_request *req,
			     bool *ids)
{
	sweep(s);
	bool with_ids = all_have_ids(s);
	bool names = !with_ids || s->by_name;
	bool full = s->epoch == EPOCH_FULL || with_ids != s->ids || (names && has_namesakes(s));
	if (!fill(s, full, a, req))
		return ERR_NOMEM;
	req->session_id = s->id;
	req->session_epoch = full ? EPOCH_FULL : s->epoch;
	s->ids = with_ids;
	*ids = with_ids;
	note_sent(s, full);
	sweep(s);
	forget_touched(s);
	return ERR_OK;
}

/* ---- reading an answer ---- */

static struct fetch_part *find_held(const struct fetch_session *s, int16_t version,
				    const struct fetch_response_fetchable_topic_response *topic,
				    int32_t partition)
{
	if (version >= VERSION_IDS) {
		size_t i = id_index(s, &topic->topic_id);
		if (i == s->topics_n || !uuid_eq(&s->by_id[i]->id, &topic->topic_id))
			return NULL;
		struct fetch_part *p = topic_part(s->by_id[i], partition);
		return p != NULL && p->held ? p : NULL;
	}
	if (topic->topic.p == NULL)
		return NULL;
	for (size_t i = topic_index(s, topic->topic, NULL);
	     i < s->topics_n && topic_compare(s->topics[i], topic->topic, NULL) == 0; i++) {
		struct fetch_part *p = topic_part(s->topics[i], partition);
		if (p != NULL && p->held)
			return p;
	}
	return NULL;
}

/* Each partition of the answer must be one of the request or the session, and come once; a full
 * fetch is answered in full. */
static enum err check_partitions(struct fetch_session *s, int16_t version,
				 const struct fetch_response *r, struct errmsg *why)
{
	size_t named = 0;
	s->answers++;
	for (int32_t i = 0; i < r->responses_n; i++) {
		for (int32_t j = 0; j < r->responses[i].partitions_n; j++) {
			int32_t partition = r->responses[i].partitions[j].partition_index;
			struct fetch_part *p = find_held(s, version, &r->responses[i], partition);
			if (p == NULL)
				return errmsg_set(
					why, ERR_MALFORMED,
					"fetch: answer for a partition %d that was not asked for",
					partition);
			if (p->named == s->answers)
				return errmsg_set(why, ERR_MALFORMED,
						  "fetch: two answers for %s-%d", p->topic->name,
						  partition);
			p->named = s->answers;
			named++;
		}
	}
	if (s->full && named != s->asked)
		return errmsg_set(why, ERR_MALFORMED, "fetch: %zu partitions asked, %zu answered",
				  s->asked, named);
	return ERR_OK;
}

static enum err check_session(const struct fetch_session *s, int16_t version,
			      const struct fetch_response *r, struct errmsg *why)
{
	if (version < VERSION_SESSIONS)
		return ERR_OK;
	enum err e = err_from_kafka(r->error_code);
	if (e != ERR_OK)
		return errmsg_set(why, e, "fetch: %s", err_text(e));
	if (!s->full && r->session_id != 0 && r->session_id != s->id)
		return errmsg_set(why, ERR_MALFORMED, "fetch: answer for session %d instead of %d",
				  r->session_id, s->id);
	return ERR_OK;
}

enum err fetch_session_accept(struct fetch_session *s, int16_t version,
			      const struct fetch_response *r, struct errmsg *why)
{
	enum err e = check_session(s, version, r, why);
	if (e == ERR_OK)
		e = check_partitions(s, version, r, why);
	if (e != ERR_OK) {
		if (e == ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND)
			s->id = 0;
		fetch_session_reset(s);
		return e;
	}
	s->by_name = version < VERSION_IDS;
	s->id = version < VERSION_SESSIONS ? 0 : r->session_id;
	if (s->id == 0)
		s->epoch = EPOCH_FULL;
	else if (s->full || s->epoch == INT32_MAX)
		s->epoch = EPOCH_FIRST;
	else
		s->epoch++;
	return ERR_OK;
}

void fetch_session_reset(struct fetch_session *s)
{
	s->epoch = EPOCH_FULL;
}

struct fetch_part *fetch_session_find(const struct fetch_session *s, int16_t version,
				      const struct fetch_response_fetchable_topic_response *topic,
				      int32_t partition)
{
	struct fetch_part *p = find_held(s, version, topic, partition);
	bool current = p != NULL && p->used && p->wanted && p->asked &&
		       p->asked_generation == p->generation;
	return current ? p : NULL;
}
