/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch: which partition a record is about, and what becomes of records that are not valid. How
 * a table follows from its blocks is in chain.h.
 */
#include "checkpoint/store.h"

#include <stdio.h>

#include "checkpoint/chain.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"

enum {
	LINKS_MAX = 1024,
	DECODE_BYTES = 8 << 20, /* of one batch */
};

struct run_store {
	struct run_store_config config;
	struct map *parts;               /* by partition, then topic (key_of): struct part */
	struct map *links;               /* by member: struct block_link, member unset */
	struct run runs[BLOCK_RUNS_MAX]; /* of the record at hand */
	size_t runs_n;
};

struct part {
	struct chain *chain;
	struct run_entry entry; /* a view of the chain, for those who look */
};

enum { ENTRY_KEY_MAX = 4 + BLOCK_NAME_MAX };

struct run_store *run_store_new(const struct run_store_config *config)
{
	struct run_store *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->config = *config;
	s->parts = map_new();
	if (s->parts == NULL)
		goto err_after_store;
	s->links = map_new();
	if (s->links == NULL)
		goto err_after_parts;
	return s;

err_after_parts:
	map_free(s->parts);
err_after_store:
	mem_free(s);
	return NULL;
}

static void part_free(struct part *p)
{
	if (p == NULL)
		return;
	chain_free(p->chain);
	mem_free(p);
}

void run_store_free(struct run_store *s)
{
	if (s == NULL)
		return;
	void *v;
	for (size_t at = 0; map_next(s->parts, &at, NULL, &v);)
		part_free(v);
	for (size_t at = 0; map_next(s->links, &at, NULL, &v);)
		mem_free(v);
	map_free(s->parts);
	map_free(s->links);
	mem_free(s);
}

/* Partitions */

static struct bytes key_of(struct bytes topic, int32_t partition, uint8_t p[ENTRY_KEY_MAX])
{
	if (topic.p == NULL || topic.n > BLOCK_NAME_MAX)
		return bytes_of(p, 0);
	be32_put(p, (uint32_t)partition);
	memcpy(p + 4, topic.p, topic.n);
	return bytes_of(p, 4 + topic.n);
}

static struct part *part_find(const struct run_store *s, struct bytes topic, int32_t partition)
{
	uint8_t key[ENTRY_KEY_MAX];
	return map_get(s->parts, key_of(topic, partition, key));
}

static struct part *part_take(struct run_store *s, struct bytes topic, int32_t partition)
{
	uint8_t key[ENTRY_KEY_MAX];
	return map_take(s->parts, key_of(topic, partition, key));
}

/* The block's partition, made if need be. ERR_LIMIT: too many partitions. */
static enum err part_make(struct run_store *s, const struct block_info *info, struct part **out)
{
	*out = part_find(s, info->topic, info->partition);
	if (*out != NULL)
		return ERR_OK;
	if (map_count(s->parts) >= s->config.max_partitions)
		return ERR_LIMIT;
	struct part *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->chain = chain_new(info->topic, info->partition, s->config.budget);
	uint8_t key[ENTRY_KEY_MAX];
	if (p->chain == NULL ||
	    map_put(s->parts, key_of(info->topic, info->partition, key), p) != ERR_OK) {
		part_free(p);
		return ERR_NOMEM;
	}
	*out = p;
	return ERR_OK;
}

/* Reports */

static void lost_report(const struct run_store *s, const struct block_info *info, enum err err,
			const char *what)
{
	if (s->config.lost == NULL)
		return;
	const struct run_store_lost lost = {.topic = info->topic,
					    .partition = info->partition,
					    .first_src = info->first_src,
					    .err = err,
					    .what = what};
	s->config.lost(s->config.arg, &lost);
}

/* Blocks */

static enum err take_run(void *arg, struct run run)
{
	struct run_store *s = arg;
	s->runs[s->runs_n++] = run;
	return ERR_OK;
}

static enum err apply_block(struct run_store *s, struct block_info *info, struct bytes value)
{
	struct errmsg why = {""};
	s->runs_n = 0;
	enum err e = block_decode_value(value, info, take_run, s, &why);
	struct part *p = NULL;
	if (e != ERR_UNSUPPORTED) {
		enum err made = part_make(s, info, &p);
		if (made == ERR_NOMEM)
			return ERR_NOMEM;
		if (made == ERR_LIMIT)
			e = errmsg_set(&why, ERR_LIMIT, "more than %zu partitions",
				       s->config.max_partitions);
	}
	if (e == ERR_OK)
		return chain_add(p->chain, info, s->runs, s->runs_n, value);
	char what[sizeof why.text + 64];
	snprintf(what, sizeof what, "the runs from source offset %lld on as last written: %s",
		 (long long)info->first_src, why.text);
	lost_report(s, info, e, what);
	/* A writer replaces or deletes what is damaged; what is newer than us it leaves alone. */
	if (p != NULL)
		chain_damage(p->chain, info->first_src);
	return ERR_OK;
}

static enum err apply_delete(struct run_store *s, const struct block_info *info)
{
	struct part *p = part_find(s, info->topic, info->partition);
	if (p == NULL)
		return ERR_OK;
	enum err e = chain_delete(p->chain, info->first_src);
	if (chain_is_empty(p->chain))
		part_free(part_take(s, info->topic, info->partition));
	return e;
}

/* Links */

static enum err apply_link(struct run_store *s, struct bytes key, struct bytes value)
{
	struct block_link link;
	struct errmsg why = {""};
	enum err e = block_decode_link_key(key, &link, &why);
	if (e == ERR_OK && value.p == NULL) {
		mem_free(map_take(s->links, link.member));
		return ERR_OK;
	}
	struct bytes member = link.member;
	if (e == ERR_OK)
		e = block_decode_link_value(value, &link, &why);
	if (e == ERR_OK && map_get(s->links, member) == NULL && map_count(s->links) >= LINKS_MAX)
		e = errmsg_set(&why, ERR_LIMIT, "more than %d members", LINKS_MAX);
	if (e != ERR_OK) {
		errmsg_wrap(&why, e, "the producer of a link's member");
		lost_report(s, &(struct block_info){.partition = -1, .first_src = -1}, e, why.text);
		return ERR_OK;
	}
	struct block_link *copy = map_get(s->links, member);
	if (copy == NULL) {
		copy = mem_zalloc(1, sizeof *copy);
		if (copy == NULL)
			return ERR_NOMEM;
		if (map_put(s->links, member, copy) != ERR_OK) {
			mem_free(copy);
			return ERR_NOMEM;
		}
	}
	*copy = link;
	copy->member = (struct bytes){0};
	return ERR_OK;
}

/* The contract's functions */

enum err run_store_apply(struct run_store *s, struct bytes key, struct bytes value)
{
	enum block_kind kind;
	struct errmsg why = {""};
	struct block_info info = {.partition = -1, .first_src = -1};
	enum err e = block_key_kind(key, &kind, &why);
	if (e == ERR_OK && kind == BLOCK_LINK)
		return apply_link(s, key, value);
	if (e == ERR_OK)
		e = block_decode_key(key, &info, &why);
	if (e != ERR_OK) {
		info = (struct block_info){.partition = -1, .first_src = -1};
		lost_report(s, &info, e, why.text);
		return ERR_OK;
	}
	if (s->config.want != NULL && !s->config.want(s->config.arg, info.topic, info.partition))
		return ERR_OK;
	return value.p == NULL ? apply_delete(s, &info) : apply_block(s, &info, value);
}

static enum err apply_batch(struct run_store *s, struct bytes whole, struct errmsg *why)
{
	struct records_reader *rr;
	enum err e = records_reader_open(whole, DECODE_BYTES, &rr, why);
	if (e != ERR_OK)
		return e;
	struct record r;
	while (e == ERR_OK && records_reader_next(rr, &r))
		e = run_store_apply(s, r.key, r.value);
	if (e == ERR_OK)
		e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

enum err run_store_apply_records(struct run_store *s, struct bytes records, int64_t *next,
				 struct errmsg *why)
{
	struct batch_walk w = {.left = records};
	struct batch_head h;
	struct bytes whole;
	enum err e = ERR_OK;
	while (e == ERR_OK) {
		switch (batch_walk_next(&w, &h, &whole, why)) {
		case BATCH_WALK_BATCH:
			if (!(h.attributes & BATCH_CONTROL) && h.count > 0)
				e = apply_batch(s, whole, why);
			*next = batch_last_offset(&h) + 1;
			break;
		case BATCH_WALK_END:
			return ERR_OK;
		case BATCH_WALK_OLD:
			return errmsg_set(why, ERR_MALFORMED, "a batch of an old format");
		case BATCH_WALK_MALFORMED:
			return ERR_MALFORMED;
		}
	}
	return e;
}

static const struct run_entry *part_entry(struct part *p)
{
	p->entry = (struct run_entry){.info = *chain_info(p->chain), .runs = chain_runs(p->chain)};
	return &p->entry;
}

const struct run_entry *run_store_get(const struct run_store *s, struct bytes topic,
				      int32_t partition)
{
	struct part *p = part_find(s, topic, partition);
	return p == NULL ? NULL : part_entry(p);
}

const struct run_entry *run_store_next(const struct run_store *s, size_t *at)
{
	void *p;
	return map_next(s->parts, at, NULL, &p) ? part_entry(p) : NULL;
}

enum err run_store_take(struct run_store *s, struct bytes topic, int32_t partition,
			struct run_taken *out)
{
	*out = (struct run_taken){0};
	struct part *p = part_find(s, topic, partition);
	if (p == NULL)
		return ERR_NOT_FOUND;
	out->stored = stored_new();
	if (out->stored == NULL || chain_tell_stored(p->chain, out->stored) != ERR_OK) {
		stored_free(out->stored);
		out->stored = NULL;
		return ERR_NOMEM;
	}
	out->info = *chain_info(p->chain);
	out->info.topic = topic;
	out->runs = chain_take_runs(p->chain);
	part_free(part_take(s, topic, partition));
	return ERR_OK;
}

bool run_store_link(const struct run_store *s, struct bytes member, struct block_link *link)
{
	const struct block_link *have = map_get(s->links, member);
	if (have == NULL)
		return false;
	*link = *have;
	link->member = member;
	return true;
}
