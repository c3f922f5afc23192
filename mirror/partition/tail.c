/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants: breaks rise in both `at` and `offset`, the first is at 0; there is one as soon as
 * there is a record. */
#include "mirror/partition/tail.h"

#include "lib/base/mem.h"

/* The lowest bit of a hash: the target has its own timestamp, so the record's was not hashed. */
enum { HASH_NO_TIMESTAMP = 1 };

/* From list index `at` on, offsets run on from `offset`. */
struct tail_break {
	size_t at;
	int64_t offset;
};

void tail_fini(struct tail *t)
{
	mem_free(t->hashes);
	mem_free(t->breaks);
	mem_free(t->skips);
}

static uint64_t hash_of(const struct record *r, bool no_timestamp)
{
	struct record copy = *r;
	if (no_timestamp)
		copy.timestamp = 0;
	return record_hash(&copy) << 1 | (no_timestamp ? HASH_NO_TIMESTAMP : 0);
}

struct tail_hashes tail_hashes_of(const struct tail *t, const struct record *r)
{
	return (struct tail_hashes){.with = hash_of(r, false),
				    .without = t->no_timestamps ? hash_of(r, true) : 0};
}

bool tail_is(const struct tail *t, size_t i, const struct tail_hashes *h)
{
	return t->hashes[i] == (t->hashes[i] & HASH_NO_TIMESTAMP ? h->without : h->with);
}

/* The next slot of an array that doubles. */
static void *grow(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	size_t more = *cap == 0 ? 16 : 2 * *cap;
	void *q = mem_resize(p, more, size);
	if (q != NULL)
		*cap = more;
	return q;
}

int64_t tail_offset(const struct tail *t, size_t i)
{
	size_t lo = 0;
	size_t hi = t->breaks_n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->breaks[mid].at <= i)
			lo = mid;
		else
			hi = mid;
	}
	return t->breaks[lo].offset + (int64_t)(i - t->breaks[lo].at);
}

bool tail_find(const struct tail *t, int64_t offset, size_t *i)
{
	size_t lo = 0;
	size_t hi = t->breaks_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->breaks[mid].offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return false;
	const struct tail_break *b = &t->breaks[lo - 1];
	size_t end = lo < t->breaks_n ? t->breaks[lo].at : t->n;
	if (offset - b->offset >= (int64_t)(end - b->at))
		return false;
	*i = b->at + (size_t)(offset - b->offset);
	return true;
}

enum err tail_add(struct tail *t, const struct record *r, bool no_timestamp)
{
	if (t->n == t->max)
		return ERR_LIMIT;
	uint64_t *hashes = grow(t->hashes, t->n, &t->cap, sizeof *hashes);
	if (hashes == NULL)
		return ERR_NOMEM;
	t->hashes = hashes;
	if (t->n == 0 || tail_offset(t, t->n - 1) + 1 != r->offset) {
		struct tail_break *breaks =
			grow(t->breaks, t->breaks_n, &t->breaks_cap, sizeof *breaks);
		if (breaks == NULL)
			return ERR_NOMEM;
		t->breaks = breaks;
		t->breaks[t->breaks_n++] = (struct tail_break){.at = t->n, .offset = r->offset};
	}
	t->hashes[t->n++] = hash_of(r, no_timestamp);
	t->no_timestamps = t->no_timestamps || no_timestamp;
	return ERR_OK;
}

enum err tail_add_skip(struct tail *t, int64_t n)
{
	struct tail_skip *skips = grow(t->skips, t->skips_n, &t->skips_cap, sizeof *skips);
	if (skips == NULL)
		return ERR_NOMEM;
	t->skips = skips;
	t->skips[t->skips_n++] = (struct tail_skip){.at = t->n, .n = n};
	return ERR_OK;
}
