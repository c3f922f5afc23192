/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the question strictly, finds the one partition that it means, asks its run table. A
 * question that two links could answer is refused: a wrong link's answer looks as good as the
 * right one's. */
#include "mirror/http/translate_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/translate.h"
#include "lib/base/jsontext.h"
#include "lib/base/map.h"
#include "mirror/group/group_translate.h"
#include "mirror/link/link_parts.h"

enum { REPLY_BYTES = 64 << 10 };

/* What is asked. */
struct question {
	const char *link; /* NULL: whichever has the topic */
	const char *topic;
	int32_t partition;
	int64_t offset;
	enum translate_direction direction;
};

static bool refuse(struct http_request *req, int status, const struct errmsg *why)
{
	struct buf text;
	buf_init(&text, REPLY_BYTES);
	buf_printf(&text, "%s\n", why->text);
	http_reply(req, status, "text/plain; charset=utf-8", buf_bytes(&text));
	buf_fini(&text);
	return false;
}

/* A number 0..max; -1 if the text is none. */
static int64_t number(const char *text, int64_t max)
{
	size_t n = text == NULL ? 0 : strspn(text, "0123456789");
	if (n == 0 || text[n] != '\0')
		return -1;
	errno = 0;
	long long value = strtoll(text, NULL, 10);
	return errno != 0 || value > max ? -1 : value;
}

/* False: it was refused. */
static bool read_question(struct http_request *req, struct question *q)
{
	static const char *const names[] = {"link", "topic", "partition", "offset", "direction"};
	struct errmsg why = {""};
	const char *direction = http_request_query(req, "direction");
	*q = (struct question){
		.link = http_request_query(req, "link"),
		.topic = http_request_query(req, "topic"),
		.partition = (int32_t)number(http_request_query(req, "partition"), INT32_MAX),
		.offset = number(http_request_query(req, "offset"), INT64_MAX),
	};
	if (!http_request_only(req, names, sizeof names / sizeof *names))
		errmsg_set(&why, ERR_MALFORMED,
			   "Only the parameters link, topic, partition, offset and direction are "
			   "known here, each once.");
	else if (q->topic == NULL || q->topic[0] == '\0')
		errmsg_set(&why, ERR_MALFORMED, "Say which topic=.");
	else if (q->partition < 0)
		errmsg_set(&why, ERR_MALFORMED, "partition= is needed, a number from 0 on.");
	else if (q->offset < 0)
		errmsg_set(&why, ERR_MALFORMED, "offset= is needed, a number from 0 on.");
	else if (direction != NULL && !translate_direction_parse(direction, &q->direction))
		errmsg_set(&why, ERR_MALFORMED, "direction= is forward or back.");
	return why.text[0] == '\0' || refuse(req, 400, &why);
}

/* ---- which partition ---- */

/* The topic that has this name at the source, or at the target. */
static struct topic_entry *topic_of(const struct link *k, const char *name, bool at_target)
{
	if (!at_target)
		return map_get(k->entries, bytes_str(name));
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		if (strcmp(t->target_name, name) == 0)
			return t;
	}
	return NULL;
}

/* The only topic that is meant. The name of the side whose offset is given counts first. ERR_LIMIT:
 * several are, `why` names their links; ERR_NOT_FOUND. */
static enum err find_topic(const struct translate_api *a, const struct question *q,
			   struct topic_entry **out, struct errmsg *why)
{
	bool here = q->direction == TRANSLATE_BACK, link_seen = false;
	*out = NULL;
	for (int turn = 0; turn < 2 && *out == NULL; turn++, here = !here) {
		for (size_t i = 0; i < a->links_n; i++) {
			struct link *k = a->links[i];
			if (q->link != NULL && strcmp(q->link, k->config->name) != 0)
				continue;
			link_seen = true;
			struct topic_entry *t = topic_of(k, q->topic, here);
			if (t != NULL && *out != NULL)
				return errmsg_set(why, ERR_LIMIT,
						  "More than one link has this topic (%s, %s): say "
						  "which by link=.",
						  (*out)->link->config->name, k->config->name);
			*out = t != NULL ? t : *out;
		}
	}
	if (*out != NULL)
		return ERR_OK;
	errmsg_set(why, ERR_NOT_FOUND, "%s",
		   link_seen ? "No such topic is mirrored; /v1/links has them all, by both names."
			     : "There is no such link; /v1/links has them all.");
	return ERR_NOT_FOUND;
}

/* Tables are loaded first, topics are found meanwhile. NULL: all that are asked are. */
static const struct link *not_started(const struct translate_api *a, const struct question *q)
{
	for (size_t i = 0; i < a->links_n; i++)
		if (!a->links[i]->started &&
		    (q->link == NULL || strcmp(q->link, a->links[i]->config->name) == 0))
			return a->links[i];
	return NULL;
}

static const struct slot *find_slot(const struct translate_api *a, struct http_request *req,
				    const struct question *q)
{
	struct errmsg why = {""};
	struct topic_entry *t;
	const struct link *late;
	enum err e = find_topic(a, q, &t, &why);
	if (e == ERR_LIMIT) {
		refuse(req, 400, &why);
		return NULL;
	}
	/* Without its table, or where another link may have the topic as well, nothing is known. */
	late = e == ERR_OK ? (t->link->started ? NULL : t->link) : not_started(a, q);
	if (late != NULL) {
		errmsg_set(&why, ERR_TIMEOUT, "The link %s is starting: its run tables are not %s",
			   late->config->name, "loaded yet. Ask again.");
		refuse(req, 503, &why);
		return NULL;
	}
	if (e == ERR_OK && q->partition >= t->slots_n)
		e = errmsg_set(&why, ERR_NOT_FOUND, "%s has the partitions 0 to %d, says link %s.",
			       t->source_name, t->slots_n - 1, t->link->config->name);
	if (e == ERR_OK)
		return t->slots[q->partition];
	refuse(req, 404, &why);
	return NULL;
}

/* ---- the answer ---- */

/* Is the table's end the end of what was copied? While copying it is, but for answers that are on
 * their way; after a start or a fault only once the target's tail was looked at. */
static bool settled(const struct partition *p)
{
	switch (p->phase) {
	case PHASE_STORE:
	case PHASE_COPY:
		return true;
	case PHASE_STOPPED:
		return p->state == STATE_PAUSED && p->end_known;
	case PHASE_IDLE:
	case PHASE_PROBE:
	case PHASE_ALIGN:
	case PHASE_RECORD:
	case PHASE_TAKEOVER:
	case PHASE_DRAIN:
	case PHASE_WAIT:
		return false;
	}
	return false;
}

/* Why the table may not be about the topics that are there now; "" if it is. */
static const char *doubt(const struct slot *slot)
{
	const struct partition *p = slot->p;
	if (slot->topic->gone)
		return "the source has this topic no more";
	switch (p->state) {
	case STATE_TOPIC_RECREATED:
	case STATE_SOURCE_TRUNCATED:
		return p->reason.text;
	case STATE_FOREIGN_WRITE:
		/* What others wrote behind our records does not touch the table; that the topic was
		 * made again does. */
		if (p->target_made_again || p->last_fault == ERR_KAFKA_OFFSET_OUT_OF_RANGE)
			return p->reason.text;
		break;
	case STATE_TARGET_TRUNCATED: /* the table was cut already */
	case STATE_ACTIVE:
	case STATE_CATCHING_UP:
	case STATE_STARTING:
	case STATE_PAUSED:
	case STATE_SOURCE_UNAVAILABLE:
	case STATE_TARGET_UNAVAILABLE:
	case STATE_REFUSED:
	case STATE_DATA_LOSS:
	case STATE_COUNT:
		break;
	}
	return "";
}

/* Both sides write to the topic: the position is the earlier of what this link's table and the
 * other link's say. */
static void answer_both(const struct slot *slot, const struct question *q, struct translation *t)
{
	const struct link *k = slot->topic->link;
	const struct partition *p = slot->p;
	struct group_translation both;
	const struct run_entry *other = NULL;
	if (k->reverse != NULL && reverse_ready(k->reverse, NULL))
		other = reverse_entry(k->reverse, slot->topic->source_name, p->index);
	bool quiet = p->phase == PHASE_COPY && p->in_flight.n == 0 &&
		     p->src_acked == runs_src_end(p->runs);
	bool known =
		other != NULL && t->translated >= 0 &&
		(q->direction == TRANSLATE_FORWARD
			 ? group_translate_both(p->runs, other->runs, quiet, q->offset, &both)
			 : group_translate_both(other->runs, p->runs, quiet, q->offset, &both));
	if (!known) {
		translate_fail(t, "both sides write to this topic, and the other link's run table "
				  "is not known yet");
		return;
	}
	t->translated = both.offset;
	t->pending = both.pending;
	if (t->max_behind < 0)
		return; /* a doubt about our own table stays */
	t->exact = both.exact;
	t->max_behind = both.max_behind;
}

static void answer(struct http_request *req, const struct slot *slot, const struct question *q)
{
	char why[JSONTEXT_MAX];
	const struct translate_facts facts = {
		.settled = settled(slot->p),
		.other_end = -1,
		.doubt = jsontext_clean(doubt(slot), why),
		.state = mirror_state_name(slot->p->state),
	};
	struct translation t = {
		.link = slot->topic->link->config->name,
		.topic = slot->topic->source_name,
		.target_topic = slot->topic->target_name,
		.partition = slot->p->index,
	};
	struct buf page;
	(void)translate_offset(slot->p->runs, q->direction, q->offset, &facts, &t);
	if (slot->p->env->two_way)
		answer_both(slot, q, &t);
	json_t *root = translate_to_json(&t);
	buf_init(&page, REPLY_BYTES);
	jsontext_put(root, &page);
	json_decref(root);
	if (page.err == ERR_OK)
		http_reply(req, 200, "application/json", buf_bytes(&page));
	else
		http_reply_text(req, 500, "out of memory\n");
	buf_fini(&page);
}

static void on_translate(void *arg, struct http_request *req)
{
	const struct translate_api *a = arg;
	struct question q;
	if (!read_question(req, &q))
		return;
	const struct slot *slot = find_slot(a, req, &q);
	if (slot != NULL)
		answer(req, slot, &q);
}

enum err translate_api_serve(struct http_server *s, struct translate_api *t)
{
	return http_server_route(s, "/v1/translate", on_translate, t);
}
