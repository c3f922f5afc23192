/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client makes of a broker's answer: bytes 0 and 1 choose Metadata or Fetch and the
 * version, the rest is the body. A snapshot must keep its promises whatever the answer says; a
 * fetch answer is read by a session that asked for some of the partitions that it names.
 */
#include <stdlib.h>

#include "lib/client/fetch_session.h"
#include "lib/client/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECODE_MAX = 16 << 20, SNAPSHOT_MAX = 1 << 20 };

static void check_topics(const struct metadata *m)
{
	const struct client_topic *const *list;
	size_t n = metadata_topics(m, &list);
	for (size_t i = 0; i < n; i++) {
		const struct client_topic *t = list[i];
		if (!metadata_topic_name_valid(bytes_str(t->name)) ||
		    metadata_topic(m, t->name) != t ||
		    (i > 0 && strcmp(list[i - 1]->name, t->name) >= 0))
			abort();
		if (!uuid_is_zero(&t->id) && metadata_topic_by_id(m, &t->id) == NULL)
			abort();
		for (int32_t p = 0; p < t->partitions_n; p++) {
			if (t->partitions[p].leader < -1 || t->partitions[p].leader_epoch < -1)
				abort();
		}
	}
}

static void run_metadata(const struct metadata_response *r)
{
	struct errmsg why = {0};
	struct metadata *m = NULL, *next = NULL;
	if (metadata_new(r, NULL, SNAPSHOT_MAX, &m, &why) != ERR_OK)
		return;
	check_topics(m);
	if (metadata_new(r, m, SNAPSHOT_MAX, &next, &why) == ERR_OK)
		check_topics(next);
	metadata_free(next);
	metadata_free(m);
}

/* Ask for partitions as the answer names them; the second of a pair is not asked for twice. */
static void ask(struct fetch_session *s, const struct fetch_response_fetchable_topic_response *t)
{
	const struct fetch_want want = {.offset = 0, .max_bytes = 1};
	char name[METADATA_TOPIC_NAME_MAX + 1] = "by-id";
	if (metadata_topic_name_valid(t->topic)) {
		memcpy(name, t->topic.p, t->topic.n);
		name[t->topic.n] = '\0';
	}
	int32_t last = -1;
	for (int32_t i = 0; i < t->partitions_n && i < 8; i++) {
		if (t->partitions[i].partition_index <= last)
			continue;
		last = t->partitions[i].partition_index;
		struct fetch_part *p = fetch_session_add(s, name, &t->topic_id, last, NULL);
		if (p == NULL)
			abort();
		fetch_session_want(p, &want);
	}
}

static void read_answer(struct fetch_session *s, int16_t version, const struct fetch_response *r)
{
	for (int32_t i = 0; i < r->responses_n; i++) {
		for (int32_t j = 0; j < r->responses[i].partitions_n; j++) {
			int32_t partition = r->responses[i].partitions[j].partition_index;
			struct fetch_part *p =
				fetch_session_find(s, version, &r->responses[i], partition);
			/* Accepted means: asked for, and named once. */
			if (p == NULL)
				abort();
			fetch_session_remove(p);
		}
	}
}

static void run_fetch(int16_t version, const struct fetch_response *r)
{
	struct errmsg why = {0};
	struct fetch_request req;
	struct arena a;
	bool ids;
	struct fetch_session *s = fetch_session_new(NULL);
	arena_init(&a, DECODE_MAX);
	wire_init(&wire_fetch_request, &req);
	if (s == NULL)
		abort();
	if (r->responses_n > 0)
		ask(s, &r->responses[0]);
	if (fetch_session_build(s, &a, &req, &ids) != ERR_OK)
		abort();
	if (fetch_session_accept(s, version, r, &why) == ERR_OK)
		read_answer(s, version, r);
	fetch_session_free(s);
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union {
		struct metadata_response metadata;
		struct fetch_response fetch;
	} msg;
	struct errmsg why = {0};
	struct arena a;
	if (size < 2)
		return 0;
	bool fetch = data[0] & 1;
	int16_t version = data[1];
	const struct wire_message *m = fetch ? &wire_fetch_response : &wire_metadata_response;
	arena_init(&a, DECODE_MAX);
	if (wire_decode(m, version, bytes_of(data + 2, size - 2), &a, &msg, &why) == ERR_OK) {
		if (fetch)
			run_fetch(version, &msg.fetch);
		else
			run_metadata(&msg.metadata);
	}
	arena_fini(&a);
	return 0;
}
