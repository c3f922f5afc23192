/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteTopics, by name or (version 6) by id: each topic is a change of its own, and the answer
 * comes when all of them are stored and applied.
 */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/changes.h"
#include "cluster/api/repeats.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

enum { IDS_FROM = 6 };

struct deleting {
	struct request *r;
	struct delete_topics_response_deletable_topic_result *out;
};

static void put_error(const struct deleting *d, enum err e, const struct errmsg *why)
{
	d->out->error_code = access_code(e);
	d->out->error_message = changes_text(d->r, e, why);
}

static void on_done(void *arg, enum err e)
{
	put_error(arg, e, NULL);
}

/* The topic that `d->out` names by one of name and id, and not by both; NULL with `*e` set. */
static const struct topic *find(const struct deleting *d, enum err *e, struct errmsg *why)
{
	const struct metadata *m = broker_metadata(d->r->broker);
	bool by_name = d->out->name.p != NULL, by_id = !uuid_is_zero(&d->out->topic_id);
	const struct topic *t = NULL;

	if (by_name && by_id)
		*e = errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				"You may not specify both topic name and topic id.");
	else if (by_name)
		t = metadata_topic(m, d->out->name);
	else if (by_id)
		t = metadata_topic_by_id(m, &d->out->topic_id);
	else
		*e = errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				"Neither topic name nor id were specified.");
	if (t != NULL || by_name == by_id)
		return t;
	*e = by_id ? errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_ID,
				"This server does not host this topic ID.")
		   : errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				"This server does not host this topic-partition.");
	return NULL;
}

static enum err delete_one(struct deleting *d, struct changes *c, struct errmsg *why)
{
	struct metadata *m = broker_metadata(d->r->broker);
	enum err e = ERR_OK;
	const struct topic *t = find(d, &e, why);

	if (t == NULL)
		return e;
	if (!broker_config(d->r->broker)->delete_topics)
		return errmsg_set(why,
				  d->r->version < 3 ? ERR_KAFKA_INVALID_REQUEST
						    : ERR_KAFKA_TOPIC_DELETION_DISABLED,
				  "Topic deletion is disabled.");
	/* The answer has both, as Kafka's does. */
	d->out->name = bytes_str(arena_strndup(&d->r->arena, bytes_str(t->name)));
	d->out->topic_id = t->id;
	struct metadata_change *change = changes_add(c, on_done, d);
	e = metadata_delete_topic(m, t, change, why);
	if (e != ERR_OK)
		changes_drop(c, change);
	return e;
}

/* What a topic is asked for by: its name, or its id. */
static struct bytes key_of(const struct delete_topics_response_deletable_topic_result *t)
{
	return t->name.p != NULL ? t->name : bytes_of(t->topic_id.b, sizeof t->topic_id.b);
}

static void put_asked(const struct request *r, int32_t i,
		      struct delete_topics_response_deletable_topic_result *out)
{
	const struct delete_topics_request *in = r->msg;

	if (r->version >= IDS_FROM) {
		out->name = in->topics[i].name;
		out->topic_id = in->topics[i].topic_id;
	} else {
		out->name = in->topic_names[i];
	}
}

static bool delete_all(struct request *r, struct delete_topics_response *out, size_t n,
		       struct changes *c)
{
	const struct wire_struct *s = &wire_delete_topics_response_deletable_topic_result;
	struct delete_topics_response_deletable_topic_result *asked =
		wire_array_new(&r->arena, s, (int32_t)n);
	struct deleting *all = arena_zalloc(&r->arena, n, sizeof *all);
	struct bytes *keys = arena_zalloc(&r->arena, n, sizeof *keys);

	out->responses = wire_array_new(&r->arena, s, (int32_t)n);
	if (asked == NULL || all == NULL || keys == NULL || out->responses == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		put_asked(r, (int32_t)i, &asked[i]);
		keys[i] = key_of(&asked[i]);
	}
	const enum repeat *repeats = repeats_find(&r->arena, keys, n);
	if (repeats == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct errmsg why = {0};
		enum err e;
		if (repeats[i] == REPEAT_AGAIN)
			continue;
		all[i] = (struct deleting){r, &out->responses[out->responses_n++]};
		*all[i].out = asked[i];
		if (repeats[i] == REPEAT_NONE)
			e = delete_one(&all[i], c, &why);
		else
			e = errmsg_set(&why, ERR_KAFKA_INVALID_REQUEST, "Duplicate topic %s.",
				       asked[i].name.p == NULL ? "id" : "name");
		if (e != ERR_OK)
			put_error(&all[i], e, &why);
	}
	return true;
}

void api_delete_topics(struct request *r)
{
	const struct delete_topics_request *in = r->msg;
	int32_t n = r->version >= IDS_FROM ? in->topics_n : in->topic_names_n;
	struct delete_topics_response *out = request_response(r);
	struct changes *c = out == NULL ? NULL : changes_new(r, out, (size_t)n);

	if (c != NULL && delete_all(r, out, (size_t)n, c))
		changes_finish(c);
	else
		changes_abandon(c, r);
}
