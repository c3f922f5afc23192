/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map by topic and partition. Of a partition's pairs three places are kept: the newest, one that
 * is half to a whole TAKEOVER_COMPARED_MAX older (`early`), and one between them that takes its
 * place when it has become too old. A pair that lies below the one before it on the target shows
 * that the target was made again: all older ones are forgotten. (On the source MM2 may go back, to
 * copy again what it had copied: older pairs stay true.)
 */
#include "mirror/link/takeover_book.h"

#include <string.h>

#include "checkpoint/mm2_records.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/link/mm2_position.h"

enum { KEY_MAX = 4 + MM2_TOPIC_MAX };

struct pair {
	int64_t src, dst;
};

struct entry {
	int64_t believed;
	struct pair newest, between, early;
};

struct takeover_book {
	const char *alias;
	struct map *entries;
};

static const struct pair none = {-1, -1};

struct takeover_book *takeover_book_new(const char *alias)
{
	struct takeover_book *b = mem_zalloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->alias = alias;
	b->entries = map_new();
	if (b->entries == NULL) {
		mem_free(b);
		return NULL;
	}
	return b;
}

void takeover_book_free(struct takeover_book *b)
{
	size_t at = 0;
	void *v;
	if (b == NULL)
		return;
	while (map_next(b->entries, &at, NULL, &v))
		mem_free(v);
	map_free(b->entries);
	mem_free(b);
}

static struct bytes key_of(struct bytes topic, int32_t partition, uint8_t out[KEY_MAX])
{
	be32_put(out, (uint32_t)partition);
	memcpy(out + 4, topic.p, topic.n);
	return bytes_of(out, 4 + topic.n);
}

static struct entry *entry_find(const struct takeover_book *b, struct bytes topic,
				int32_t partition)
{
	uint8_t key[KEY_MAX];
	return topic.n > MM2_TOPIC_MAX ? NULL : map_get(b->entries, key_of(topic, partition, key));
}

static enum err entry_add(struct takeover_book *b, struct bytes topic, int32_t partition,
			  struct entry **out)
{
	uint8_t key[KEY_MAX];
	*out = entry_find(b, topic, partition);
	if (*out != NULL)
		return ERR_OK;
	if (map_count(b->entries) >= TAKEOVER_PARTITIONS_MAX)
		return ERR_LIMIT;
	struct entry *x = mem_zalloc(1, sizeof *x);
	if (x == NULL)
		return ERR_NOMEM;
	*x = (struct entry){.believed = -1, .newest = none, .between = none, .early = none};
	enum err e = map_put(b->entries, key_of(topic, partition, key), x);
	if (e != ERR_OK) {
		mem_free(x);
		return e;
	}
	*out = x;
	return ERR_OK;
}

enum err takeover_book_position(struct takeover_book *b, struct bytes key, struct bytes value,
				struct errmsg *why)
{
	struct mm2_position p;
	struct entry *x;
	enum err e = mm2_position_decode(key, value, &p, why);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	if (strcmp(p.cluster, b->alias) != 0)
		return ERR_OK;
	e = entry_add(b, bytes_str(p.topic), p.partition, &x);
	if (e != ERR_OK)
		return errmsg_set(why, e, "%s", err_text(e));
	x->believed = p.offset < 0 ? -1 : p.offset + 1;
	return ERR_OK;
}

static void take_pair(struct entry *x, struct pair p)
{
	bool made_again = p.dst < x->newest.dst;
	x->newest = p;
	if (x->early.src < 0 || made_again) {
		x->early = x->between = p;
		return;
	}
	int64_t behind = p.dst - x->early.dst;
	if (behind > TAKEOVER_COMPARED_MAX) {
		bool too_old = p.dst - x->between.dst > TAKEOVER_COMPARED_MAX;
		x->early = too_old ? p : x->between;
		x->between = p;
	} else if (x->between.dst == x->early.dst && behind > TAKEOVER_COMPARED_MAX / 2) {
		x->between = p;
	}
}

enum err takeover_book_sync(struct takeover_book *b, struct bytes key, struct bytes value,
			    struct errmsg *why)
{
	struct mm2_offset_sync s;
	enum err e = mm2_records_decode_offset_sync(key, value, &s, why);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	struct entry *x = entry_find(b, s.topic, s.partition);
	if (x != NULL && s.upstream < x->believed)
		take_pair(x, (struct pair){s.upstream, s.downstream});
	return ERR_OK;
}

struct takeover_word takeover_book_find(const struct takeover_book *b, const char *topic,
					int32_t partition)
{
	const struct entry *x = entry_find(b, bytes_str(topic), partition);
	if (x == NULL)
		return (struct takeover_word){-1, -1, -1};
	return (struct takeover_word){x->believed, x->early.src, x->early.dst};
}

size_t takeover_book_positions(const struct takeover_book *b)
{
	return map_count(b->entries);
}
