/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing; the table is a power of two, at most 3/4 full (dead slots
 * count). A slot is free (key NULL), dead (key == tombstone) or live.
 */
#include "lib/base/map.h"

#include <sys/random.h>

#include "lib/base/mem.h"
#include "lib/base/siphash.h"

struct slot {
	uint8_t *key;
	size_t key_n;
	uint64_t hash;
	void *value;
};

struct map {
	struct slot *slots;
	size_t cap;  /* power of two */
	size_t live; /* entries */
	size_t used; /* entries and dead slots */
	uint64_t seed[2];
};

/* Its address marks a dead slot; nothing reads or writes it. */
static const uint8_t tombstone;

/* SipHash-1-3, the variant of reduced rounds. */
static uint64_t sip_hash(const uint64_t seed[2], struct bytes key)
{
	uint64_t v[4];
	size_t i = 0;
	siphash_begin(v, seed);
	for (; key.n - i >= 8; i += 8) {
		uint64_t w;
		memcpy(&w, key.p + i, 8);
		siphash_word(v, w, 1);
	}
	uint64_t last = (uint64_t)key.n << 56;
	for (unsigned shift = 0; i < key.n; i++, shift += 8)
		last |= (uint64_t)key.p[i] << shift;
	siphash_word(v, last, 1);
	v[2] ^= 0xff;
	siphash_rounds(v, 3);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
	struct map *m = mem_zalloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	if (getrandom(m->seed, sizeof m->seed, 0) != (ssize_t)sizeof m->seed) {
		mem_free(m);
		return NULL;
	}
	return m;
}

static bool slot_live(const struct slot *s)
{
	return s->key != NULL && s->key != &tombstone;
}

void map_free(struct map *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->cap; i++)
		if (slot_live(&m->slots[i]))
			mem_free(m->slots[i].key);
	mem_free(m->slots);
	mem_free(m);
}

size_t map_count(const struct map *m)
{
	return m->live;
}

static struct slot *map_find(const struct map *m, struct bytes key, uint64_t hash)
{
	if (m->cap == 0)
		return NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct slot *s = &m->slots[i];
		if (s->key == NULL)
			return NULL;
		if (s->key != &tombstone && s->hash == hash && s->key_n == key.n &&
		    (key.n == 0 || memcmp(s->key, key.p, key.n) == 0))
			return s;
	}
}

void *map_get(const struct map *m, struct bytes key)
{
	struct slot *s = map_find(m, key, sip_hash(m->seed, key));
	return s == NULL ? NULL : s->value;
}

static enum err map_rehash(struct map *m)
{
	size_t cap = 16;
	while (cap * 3 / 4 <= m->live * 2)
		cap *= 2;
	struct slot *slots = mem_zalloc(cap, sizeof *slots);
	if (slots == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		if (!slot_live(&m->slots[i]))
			continue;
		size_t at = m->slots[i].hash & (cap - 1);
		while (slots[at].key != NULL)
			at = (at + 1) & (cap - 1);
		slots[at] = m->slots[i];
	}
	mem_free(m->slots);
	m->slots = slots;
	m->cap = cap;
	m->used = m->live;
	return ERR_OK;
}

enum err map_put(struct map *m, struct bytes key, void *value)
{
	uint64_t hash = sip_hash(m->seed, key);
	struct slot *s = map_find(m, key, hash);
	if (s != NULL) {
		s->value = value;
		return ERR_OK;
	}
	if (m->used + 1 > m->cap * 3 / 4 && map_rehash(m) != ERR_OK)
		return ERR_NOMEM;
	uint8_t *copy = (uint8_t *)mem_strndup(key);
	if (copy == NULL)
		return ERR_NOMEM;
	size_t i = hash & (m->cap - 1);
	while (m->slots[i].key != NULL)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (struct slot){.key = copy, .key_n = key.n, .hash = hash, .value = value};
	m->live++;
	m->used++;
	return ERR_OK;
}

void *map_take(struct map *m, struct bytes key)
{
	struct slot *s = map_find(m, key, sip_hash(m->seed, key));
	if (s == NULL)
		return NULL;
	void *value = s->value;
	mem_free(s->key);
	s->key = (uint8_t *)&tombstone;
	m->live--;
	return value;
}

bool map_next(const struct map *m, size_t *at, struct bytes *key, void **value)
{
	while (*at < m->cap) {
		struct slot *s = &m->slots[(*at)++];
		if (!slot_live(s))
			continue;
		if (key != NULL)
			*key = bytes_of(s->key, s->key_n);
		if (value != NULL)
			*value = s->value;
		return true;
	}
	return false;
}
