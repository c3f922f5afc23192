/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why chains and not simply "each block replaces what lies behind it": the log is compacted, so old
 * blocks that a cut made void can stand in it without the blocks that they followed, which have
 * been written anew since, further on. To take such a block for the end of the table for a while
 * would drop what lies before it, and that is needed again later.
 *
 * Blocks are kept by first offset, as their values' bytes (some 3 bytes a run), beside the table
 * that was made from them. A block that continues the table, or rewrites its last block, which is
 * what a writer does all day, extends the table in place; anything else builds it anew.
 */
#include "checkpoint/chain.h"

#include "lib/base/mem.h"

enum {
	DAMAGED_MAX = 64,   /* keys remembered for deletion */
	BLOCKS_MIN = 1024,  /* most blocks, for usual budgets */
	BLOCK_USUAL = 1024, /* bytes of a full block, at least, but for odd ones */
};

struct chain_link {
	struct block_info info; /* topic unset */
	struct runs_past end;   /* what was mirrored before the end of its last run */
	uint64_t age;           /* place in the log: the higher the newer */
	uint8_t *value;
	size_t value_n;
	bool in_table;
};

struct chain {
	struct runs *runs;
	struct block_info info;
	struct chain_link *links; /* by first offset */
	size_t links_n, links_cap;
	size_t links_max;
	size_t bytes, bytes_max; /* of all values */
	uint64_t clock;
	int64_t newest; /* first offset of the block that ends the table; -1: there is no table */
	int64_t damaged[DAMAGED_MAX];
	size_t damaged_n;
};

struct chain *chain_new(struct bytes topic, int32_t partition, size_t budget)
{
	struct chain *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->runs = runs_new(budget);
	c->info.topic = bytes_of(mem_strndup(topic), topic.n);
	if (c->runs == NULL || c->info.topic.p == NULL) {
		chain_free(c);
		return NULL;
	}
	c->info.partition = partition;
	c->info.src_end = c->info.dst_end = -1;
	c->newest = -1;
	c->links_max = budget / BLOCK_USUAL < BLOCKS_MIN ? BLOCKS_MIN : budget / BLOCK_USUAL;
	c->bytes_max = budget > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * budget;
	c->bytes_max += (size_t)2 * BLOCK_VALUE_MAX;
	return c;
}

void chain_free(struct chain *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->links_n; i++)
		mem_free(c->links[i].value);
	mem_free(c->links);
	mem_free((void *)(uintptr_t)c->info.topic.p);
	runs_free(c->runs);
	mem_free(c);
}

const struct runs *chain_runs(const struct chain *c)
{
	return c->runs;
}

const struct block_info *chain_info(const struct chain *c)
{
	return &c->info;
}

bool chain_is_empty(const struct chain *c)
{
	return c->links_n == 0 && c->damaged_n == 0;
}

static bool past_eq(const struct runs_past *a, const struct runs_past *b)
{
	return a->src == b->src && a->dst == b->dst && a->src_end == b->src_end &&
	       a->dst_end == b->dst_end && a->n == b->n;
}

static bool topic_eq(const struct uuid *a, const struct uuid *b)
{
	return uuid_is_zero(a) || uuid_is_zero(b) || uuid_eq(a, b);
}

/* The set of blocks */

/* Index of the first block with first offset >= `first`. */
static size_t link_lower(const struct chain *c, int64_t first)
{
	size_t lo = 0;
	size_t hi = c->links_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (c->links[mid].info.first_src < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct chain_link *link_find(const struct chain *c, int64_t first)
{
	size_t i = link_lower(c, first);
	return i < c->links_n && c->links[i].info.first_src == first ? &c->links[i] : NULL;
}

static void link_remove(struct chain *c, struct chain_link *link)
{
	c->bytes -= link->value_n;
	mem_free(link->value);
	c->links_n--;
	size_t i = (size_t)(link - c->links);
	memmove(link, link + 1, (c->links_n - i) * sizeof *link);
}

/* Keep within the bounds: the oldest go, never the newest. */
static void links_shrink(struct chain *c)
{
	while (c->links_n > 1 && (c->links_n > c->links_max || c->bytes > c->bytes_max)) {
		struct chain_link *oldest = &c->links[0];
		for (size_t i = 1; i < c->links_n; i++)
			if (c->links[i].age < oldest->age)
				oldest = &c->links[i];
		link_remove(c, oldest);
	}
}

/* An empty place for the block, in order. */
static struct chain_link *link_insert(struct chain *c, int64_t first)
{
	if (c->links_n == c->links_cap) {
		size_t cap = c->links_cap == 0 ? 1 : 2 * c->links_cap;
		struct chain_link *links = mem_resize(c->links, cap, sizeof *links);
		if (links == NULL)
			return NULL;
		c->links = links;
		c->links_cap = cap;
	}
	size_t i = link_lower(c, first);
	memmove(c->links + i + 1, c->links + i, (c->links_n - i) * sizeof *c->links);
	c->links_n++;
	c->links[i] = (struct chain_link){.info = {.first_src = first}};
	return &c->links[i];
}

static struct runs_past end_of(const struct runs_past *past, const struct run *runs, size_t n)
{
	struct runs_past end = *past;
	if (n > 0 && past->n == 0) {
		end.src = runs[0].src;
		end.dst = runs[0].dst;
	}
	for (size_t i = 0; i < n && past->n != RUNS_UNCOUNTED; i++)
		end.n += runs[i].n;
	if (n > 0) {
		end.src_end = runs[n - 1].src + runs[n - 1].n;
		end.dst_end = runs[n - 1].dst + runs[n - 1].n;
	}
	return end;
}

static enum err link_put(struct chain *c, const struct block_info *info, const struct run *runs,
			 size_t n, struct bytes value)
{
	uint8_t *copy = mem_alloc(value.n);
	if (copy == NULL)
		return ERR_NOMEM;
	memcpy(copy, value.p, value.n);
	struct chain_link *link = link_find(c, info->first_src);
	if (link == NULL)
		link = link_insert(c, info->first_src);
	if (link == NULL) {
		mem_free(copy);
		return ERR_NOMEM;
	}
	c->bytes -= link->value_n;
	c->bytes += value.n;
	mem_free(link->value);
	link->info = *info;
	link->info.topic = (struct bytes){0};
	link->end = end_of(&info->past, runs, n);
	link->value = copy;
	link->value_n = value.n;
	link->age = ++c->clock;
	links_shrink(c);
	return ERR_OK;
}

/* The table */

static enum err table_append(void *arg, struct run run)
{
	struct chain *c = arg;
	return runs_append(c->runs, run.src, run.dst, run.n);
}

/* Take over the newest block's head; its ends become those of the table. */
static void table_end(struct chain *c, const struct block_info *info)
{
	struct bytes topic = c->info.topic;
	c->info = *info;
	c->info.topic = topic;
	c->newest = info->first_src;
	runs_advance_source(c->runs, info->src_end);
	runs_advance_target(c->runs, info->dst_end);
	/* What was cut here, the log knows of. */
	runs_take_cut(c->runs);
}

/* The block that `link` follows; NULL: it is the table's first. */
static struct chain_link *link_before(const struct chain *c, const struct chain_link *link)
{
	const struct runs_past *past = &link->info.past;
	struct chain_link *best = NULL;
	if (past->n == 0)
		return NULL;
	for (size_t i = 0; i < c->links_n && &c->links[i] < link; i++) {
		struct chain_link *l = &c->links[i];
		if (past_eq(&l->end, past) && topic_eq(&l->info.topic_id, &link->info.topic_id) &&
		    (best == NULL || l->age > best->age))
			best = l;
	}
	return best;
}

/* Mark the blocks of the table; the first of them, NULL if there is no block. */
static struct chain_link *table_mark(struct chain *c)
{
	struct chain_link *newest = NULL;
	for (size_t i = 0; i < c->links_n; i++) {
		c->links[i].in_table = false;
		if (newest == NULL || c->links[i].age > newest->age)
			newest = &c->links[i];
	}
	c->newest = newest == NULL ? -1 : newest->info.first_src;
	struct chain_link *first = NULL;
	for (struct chain_link *l = newest; l != NULL; l = link_before(c, l)) {
		l->in_table = true;
		first = l;
	}
	return first;
}

/* Build the table from the blocks. */
static enum err table_build(struct chain *c)
{
	runs_clear(c->runs);
	c->info.src_end = c->info.dst_end = -1;
	struct chain_link *first = table_mark(c);
	if (first == NULL)
		return ERR_OK;
	enum err e = ERR_OK;
	if (first->info.past.src >= 0)
		e = runs_restore(c->runs, &first->info.past);
	for (size_t i = 0; i < c->links_n && e == ERR_OK; i++) {
		struct chain_link *l = &c->links[i];
		if (!l->in_table)
			continue;
		struct block_info info = l->info;
		info.topic = c->info.topic;
		info.partition = c->info.partition;
		e = block_decode_value(bytes_of(l->value, l->value_n), &info, table_append, c,
				       NULL);
		if (e == ERR_OK && info.first_src == c->newest)
			table_end(c, &info);
	}
	return e;
}

/* The usual case: the block continues the table or rewrites its last block. */
static bool table_continues(struct chain *c, const struct block_info *info)
{
	struct runs_past have;
	if (c->newest < 0 || info->first_src < c->newest || info->past.n == 0 ||
	    !topic_eq(&c->info.topic_id, &info->topic_id))
		return false;
	if (info->first_src == c->newest)
		runs_truncate_source(c->runs, info->first_src);
	runs_past_at(c->runs, runs_count(c->runs), &have);
	return past_eq(&have, &info->past);
}

enum err chain_add(struct chain *c, const struct block_info *info, const struct run *runs, size_t n,
		   struct bytes value)
{
	for (size_t i = 0; i < c->damaged_n; i++)
		if (c->damaged[i] == info->first_src)
			c->damaged[i--] = c->damaged[--c->damaged_n];
	enum err e = link_put(c, info, runs, n, value);
	if (e != ERR_OK)
		return e;
	if (!table_continues(c, info))
		return table_build(c);
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = table_append(c, runs[i]);
	/* A block before may have claimed an end that lies inside this one: no writer of ours does.
	 */
	if (e == ERR_MALFORMED)
		return table_build(c);
	link_find(c, info->first_src)->in_table = true;
	table_end(c, info);
	return e;
}

void chain_damage(struct chain *c, int64_t first_src)
{
	for (size_t i = 0; i < c->damaged_n; i++)
		if (c->damaged[i] == first_src)
			return;
	if (c->damaged_n < DAMAGED_MAX)
		c->damaged[c->damaged_n++] = first_src;
}

enum err chain_delete(struct chain *c, int64_t first_src)
{
	for (size_t i = 0; i < c->damaged_n; i++)
		if (c->damaged[i] == first_src)
			c->damaged[i--] = c->damaged[--c->damaged_n];
	struct chain_link *link = link_find(c, first_src);
	if (link == NULL)
		return ERR_OK;
	bool rebuild = link->in_table;
	if (first_src == c->newest) {
		/* The table is being deleted, from its end: what is left of it is void, and waits
		 * to be deleted too. */
		link_remove(c, link);
		for (size_t i = 0; i < c->links_n; i++)
			chain_damage(c, c->links[i].info.first_src);
		while (c->links_n > 0)
			link_remove(c, &c->links[c->links_n - 1]);
	} else {
		link_remove(c, link);
	}
	return rebuild ? table_build(c) : ERR_OK;
}

/* The hand-over to a writer */

static bool is_damaged(const struct chain *c, int64_t first_src)
{
	for (size_t i = 0; i < c->damaged_n; i++)
		if (c->damaged[i] == first_src)
			return true;
	return false;
}

enum err chain_tell_stored(const struct chain *c, struct stored *s)
{
	enum err e = ERR_OK;
	for (size_t i = 0; i < c->links_n && e == ERR_OK; i++) {
		const struct chain_link *l = &c->links[i];
		if (l->in_table)
			e = stored_saw_block(s, l->info.first_src,
					     !is_damaged(c, l->info.first_src));
		else
			e = stored_saw_void(s, l->info.first_src);
	}
	for (size_t i = 0; i < c->damaged_n && e == ERR_OK; i++) {
		const struct chain_link *l = link_find(c, c->damaged[i]);
		if (l == NULL)
			e = stored_saw_void(s, c->damaged[i]);
	}
	if (e == ERR_OK && c->newest >= 0)
		stored_saw_table(s, &c->info, c->runs, c->damaged_n == 0);
	return e;
}

struct runs *chain_take_runs(struct chain *c)
{
	struct runs *r = c->runs;
	c->runs = NULL;
	/* Whatever was cut while the log was read, the log knows of; but where there is no table,
	 * everything that is stored is void. */
	if (c->newest >= 0)
		runs_take_cut(r);
	return r;
}
