/* SPDX-License-Identifier: Apache-2.0 */
/* Two arrays with binary search; the same search over the files. */
#include "cluster/log/index.h"

#include "cluster/log/diskio.h"
#include "lib/base/mem.h"

struct index *index_new(int64_t base)
{
	struct index *ix = mem_zalloc(1, sizeof *ix);

	if (ix == NULL)
		return NULL;
	ix->base = base;
	ix->built = true;
	return ix;
}

void index_free(struct index *ix)
{
	if (ix == NULL)
		return;
	mem_free(ix->entries);
	mem_free(ix->times);
	mem_free(ix);
}

static enum err grow(void **v, uint32_t *cap, uint32_t n, size_t each)
{
	if (n <= *cap)
		return ERR_OK;
	uint32_t want = *cap < 4 ? 8 : *cap + *cap / 2;
	if (want < n)
		want = n;
	void *bigger = mem_resize(*v, want, each);
	if (bigger == NULL)
		return ERR_NOMEM;
	*v = bigger;
	*cap = want;
	return ERR_OK;
}

static enum err reserve(struct index *ix, uint32_t entries, uint32_t times)
{
	void *e = ix->entries, *t = ix->times;
	enum err err = grow(&e, &ix->entries_cap, entries, sizeof *ix->entries);

	ix->entries = e;
	if (err == ERR_OK)
		err = grow(&t, &ix->times_cap, times, sizeof *ix->times);
	ix->times = t;
	return err;
}

/* One more for the time entry that a roll adds. */
enum err index_reserve(struct index *ix)
{
	return reserve(ix, ix->entries_n + 1, ix->times_n + 2);
}

/* Offsets and positions in the files are of 31 bits. */
static bool fits(int64_t v)
{
	return v >= 0 && v <= INT32_MAX;
}

bool index_add(struct index *ix, int64_t last_offset, int64_t position, size_t size,
	       int64_t interval)
{
	bool due = ix->since > interval;

	if (due) {
		ix->since = 0;
		if (fits(last_offset - ix->base) && fits(position))
			ix->entries[ix->entries_n++] = (struct index_entry){
				.offset = (uint32_t)(last_offset - ix->base),
				.position = (uint32_t)position,
			};
	}
	ix->since += (int64_t)size;
	return due;
}

void index_add_time(struct index *ix, int64_t timestamp, int64_t offset)
{
	if (timestamp < 0 || !fits(offset - ix->base))
		return;
	if (ix->times_n > 0) {
		const struct index_time *last = &ix->times[ix->times_n - 1];
		if (timestamp <= last->timestamp || (uint32_t)(offset - ix->base) < last->offset)
			return;
	}
	ix->times[ix->times_n++] = (struct index_time){.timestamp = timestamp,
						       .offset = (uint32_t)(offset - ix->base)};
}

int64_t index_find(const struct index *ix, int64_t offset)
{
	uint32_t lo = 0, hi = ix->entries_n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ix->base + ix->entries[mid].offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? 0 : ix->entries[lo - 1].position;
}

int64_t index_find_time(const struct index *ix, int64_t timestamp)
{
	uint32_t lo = 0, hi = ix->times_n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ix->times[mid].timestamp <= timestamp)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? ix->base : ix->base + ix->times[lo - 1].offset;
}

void index_truncate(struct index *ix, int64_t offset, int64_t position)
{
	while (ix->entries_n > 0 && (ix->base + ix->entries[ix->entries_n - 1].offset >= offset ||
				     ix->entries[ix->entries_n - 1].position >= position))
		ix->entries_n--;
	while (ix->times_n > 0 && ix->base + ix->times[ix->times_n - 1].offset >= offset)
		ix->times_n--;
	if (ix->entries_saved > ix->entries_n)
		ix->entries_saved = ix->entries_n;
	if (ix->times_saved > ix->times_n)
		ix->times_saved = ix->times_n;
	ix->since = position - (ix->entries_n > 0 ? ix->entries[ix->entries_n - 1].position : 0);
}

void index_encode(const struct index *ix, struct buf *out)
{
	for (uint32_t i = ix->entries_saved; i < ix->entries_n; i++) {
		buf_put_be32(out, ix->entries[i].offset);
		buf_put_be32(out, ix->entries[i].position);
	}
}

void index_encode_times(const struct index *ix, struct buf *out)
{
	for (uint32_t i = ix->times_saved; i < ix->times_n; i++) {
		buf_put_be64(out, (uint64_t)ix->times[i].timestamp);
		buf_put_be32(out, ix->times[i].offset);
	}
}

static struct index_entry get_entry(const uint8_t *p)
{
	return (struct index_entry){.offset = be32_get(p), .position = be32_get(p + 4)};
}

static struct index_time get_time(const uint8_t *p)
{
	return (struct index_time){.timestamp = (int64_t)be64_get(p), .offset = be32_get(p + 8)};
}

static bool entries_right(struct bytes b, int64_t size, int64_t room)
{
	struct index_entry last = {0};

	for (size_t i = 0; i < b.n; i += INDEX_ENTRY) {
		struct index_entry x = get_entry(b.p + i);
		if (x.offset >= room || x.position >= size ||
		    (i > 0 && (x.offset <= last.offset || x.position <= last.position)))
			return false;
		last = x;
	}
	return true;
}

static bool times_right(struct bytes b, int64_t room)
{
	struct index_time last = {0};

	for (size_t i = 0; i < b.n; i += INDEX_TIME_ENTRY) {
		struct index_time x = get_time(b.p + i);
		if (x.timestamp < 0 || x.offset >= room ||
		    (i > 0 && (x.timestamp <= last.timestamp || x.offset < last.offset)))
			return false;
		last = x;
	}
	return true;
}

enum err index_decode(struct index *ix, struct bytes entries, struct bytes times, int64_t size,
		      int64_t end)
{
	int64_t room = end - ix->base;

	if (entries.n % INDEX_ENTRY != 0 || times.n % INDEX_TIME_ENTRY != 0 ||
	    entries.n / INDEX_ENTRY >= UINT32_MAX || times.n / INDEX_TIME_ENTRY >= UINT32_MAX ||
	    !entries_right(entries, size, room) || !times_right(times, room))
		return ERR_MALFORMED;
	uint32_t n = (uint32_t)(entries.n / INDEX_ENTRY);
	uint32_t times_n = (uint32_t)(times.n / INDEX_TIME_ENTRY);
	enum err e = reserve(ix, n, times_n);
	if (e != ERR_OK)
		return e;
	for (uint32_t i = 0; i < n; i++)
		ix->entries[i] = get_entry(entries.p + (size_t)i * INDEX_ENTRY);
	for (uint32_t i = 0; i < times_n; i++)
		ix->times[i] = get_time(times.p + (size_t)i * INDEX_TIME_ENTRY);
	ix->entries_n = ix->entries_saved = n;
	ix->times_n = ix->times_saved = times_n;
	ix->built = false;
	ix->since = size - (n > 0 ? ix->entries[n - 1].position : 0);
	return ERR_OK;
}

enum err index_file_find(const struct disk *d, int fd, uint32_t n, uint32_t offset,
			 struct index_entry *out)
{
	uint32_t lo = 0, hi = n;

	*out = (struct index_entry){0};
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint8_t p[INDEX_ENTRY];
		enum err e = diskio_read_at(d, fd, p, sizeof p, (int64_t)mid * INDEX_ENTRY);
		if (e != ERR_OK)
			return e;
		struct index_entry x = get_entry(p);
		if (x.offset <= offset) {
			*out = x;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return ERR_OK;
}

enum err index_file_find_time(const struct disk *d, int fd, uint32_t n, int64_t timestamp,
			      struct index_time *out)
{
	uint32_t lo = 0, hi = n;

	*out = (struct index_time){0};
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint8_t p[INDEX_TIME_ENTRY];
		enum err e = diskio_read_at(d, fd, p, sizeof p, (int64_t)mid * INDEX_TIME_ENTRY);
		if (e != ERR_OK)
			return e;
		struct index_time x = get_time(p);
		if (x.timestamp <= timestamp) {
			*out = x;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return ERR_OK;
}
