/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __consumer_offsets as a start finds it, written by anybody. If the first byte is odd, the rest is
 * taken for batches; else for records: key length (2 bytes), value length (2 bytes, 0xffff: a
 * tombstone), key, value. Then the groups that came of it live on: subscriptions are read, a client
 * joins each, all members' time runs out.
 */
#include <assert.h>
#include <stdlib.h>

#include "cluster/group/replay.h"
#include "cluster/group/subscription.h"
#include "cluster/group/table.h"

enum { TOMBSTONE = 0xffff, WRITES_MAX = 4096 };

struct world {
	int64_t now;
	struct group_write *writes;
	struct group_waiter *answers;
};

/* The host's calls have the entry for an argument, and here its `groups` is the world. */
static struct world *world_of(void *arg)
{
	return (struct world *)(void *)((struct entry *)arg)->groups;
}

static int64_t now(void *arg)
{
	return world_of(arg)->now;
}

static void uuid(void *arg, char out[GROUP_UUID])
{
	static const char id[GROUP_UUID] = "00000000-0000-4000-8000-000000000000";
	(void)arg;
	memcpy(out, id, GROUP_UUID);
}

static void arm(void *arg, int64_t deadline)
{
	(void)arg;
	(void)deadline;
}

static void store(void *arg, struct bytes key, struct bytes value, struct group_write *w)
{
	struct arena a;
	struct group_record r;
	arena_init(&a, 64 << 20);
	/* What is written can be read. */
	enum err e = group_record_get(key, value, &a, &r, NULL);
	assert(e == ERR_OK && r.type == GROUP_RECORD_GROUP);
	arena_fini(&a);
	w->next = world_of(arg)->writes;
	world_of(arg)->writes = w;
}

static void answer(void *arg, struct group_waiter *w)
{
	w->next = world_of(arg)->answers;
	world_of(arg)->answers = w;
}

static const struct group_host host = {
	.mono_ms = now, .wall_ms = now, .uuid = uuid, .arm = arm, .store = store, .answer = answer};

static enum err apply(void *arg, const struct group_record *r, struct errmsg *why)
{
	return table_apply(arg, 0, r, why);
}

static bool take(struct bytes *in, size_t n, struct bytes *out)
{
	if (n > in->n)
		return false;
	*out = bytes_of(in->p, n);
	in->p += n;
	in->n -= n;
	return true;
}

static void records(struct table *t, struct bytes in)
{
	struct bytes head, key, value;
	while (take(&in, 4, &head) && take(&in, be16_get(head.p), &key)) {
		struct arena a;
		struct group_record r;
		struct errmsg why = {{0}};
		uint16_t n = be16_get(head.p + 2);
		value = bytes_of(NULL, 0);
		if (n != TOMBSTONE && !take(&in, n, &value))
			return;
		arena_init(&a, 16 << 20);
		if (group_record_get(key, value, &a, &r, &why) == ERR_OK)
			(void)!table_apply(t, 0, &r, &why);
		arena_fini(&a);
	}
}

static void batches(struct table *t, struct bytes in)
{
	struct replay r = {.apply = apply, .arg = t};
	struct batch_walk walk = {.left = in};
	struct batch_head head;
	struct bytes whole;
	while (batch_walk_next(&walk, &head, &whole, NULL) == BATCH_WALK_BATCH)
		if (replay_batch(&r, &head, whole) != ERR_OK)
			return;
}

static void settle(struct world *w)
{
	while (w->writes != NULL) {
		struct group_write *one = w->writes;
		w->writes = one->next;
		one->done(one, ERR_OK);
	}
	while (w->answers != NULL) {
		struct group_waiter *one = w->answers;
		w->answers = one->next;
		one->answered(one);
	}
}

static void answered(struct group_waiter *w)
{
	group_join_fini((struct group_join *)w);
}

static void use(struct world *w, struct entry *e)
{
	struct group *g = e->group;
	struct group_join join;
	struct join_group_request_join_group_request_protocol protocol = {
		.name = bytes_str("range"), .metadata = bytes_str("")};
	struct join_group_request q;
	struct map *topics = map_new();
	assert(topics != NULL);
	(void)group_subscribed(g, topics);
	map_free(topics);
	group_check(g);
	group_loaded(g);
	wire_init(&wire_join_group_request, &q);
	q.session_timeout_ms = 10000;
	q.protocol_type = bytes_str("consumer");
	q.protocols = &protocol;
	q.protocols_n = 1;
	group_join_init(&join);
	join.request = &q;
	join.client_host = bytes_str("/h");
	join.waiter.answered = answered;
	group_join(g, &join);
	for (int i = 0; i < 4; i++) {
		w->now += INT32_MAX;
		group_tick(g);
		group_check(g);
		settle(w);
	}
	group_join_fini(&join);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct group_config config = {
		.max_size = 100, .member_bytes_max = 1 << 20, .initial_rebalance_delay_ms = 3000};
	struct world w = {.now = 1};
	struct table *t = table_new(&(struct table_options){.config = &config,
							    .host = &host,
							    .groups = (struct groups *)(void *)&w,
							    .groups_max = 1000,
							    .bytes_max = 64 << 20});
	assert(t != NULL);
	if (size > 0 && data[0] % 2 == 1)
		batches(t, bytes_of(data + 1, size - 1));
	else if (size > 0)
		records(t, bytes_of(data + 1, size - 1));
	size_t at = 0, bytes = 0, offsets = 0;
	struct entry *e;
	while ((e = table_next(t, &at)) != NULL) {
		bytes += e->bytes;
		offsets += e->offsets == NULL ? 0 : offsets_count(e->offsets);
	}
	assert(bytes == table_bytes(t) && offsets == table_offsets(t));
	at = 0;
	while ((e = table_next(t, &at)) != NULL)
		use(&w, e);
	table_free(t);
	return 0;
}
