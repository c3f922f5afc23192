/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader epochs in a sorted array: epochs are few, and looked up by binary search. The rules are
 * those of LeaderEpochFileCache.java, function by function.
 */
#include "cluster/log/epochs.h"

#include <assert.h>
#include <inttypes.h>

#include "cluster/log/checkpoint_file.h"
#include "lib/base/mem.h"

void epochs_init(struct epochs *e)
{
	*e = (struct epochs){0};
}

void epochs_fini(struct epochs *e)
{
	mem_free(e->v);
	epochs_init(e);
}

static enum err reserve(struct epochs *e)
{
	if (e->n < e->cap)
		return ERR_OK;
	if (e->n >= EPOCHS_MAX)
		return ERR_LIMIT;
	size_t cap = e->cap == 0 ? 4 : e->cap * 2;
	struct epochs_entry *v = mem_resize(e->v, cap, sizeof *v);
	if (v == NULL)
		return ERR_NOMEM;
	e->v = v;
	e->cap = cap;
	return ERR_OK;
}

enum err epochs_assign(struct epochs *e, int32_t epoch, int64_t start, bool *changed)
{
	assert(epoch >= 0 && start >= 0);
	*changed = false;
	if (e->n > 0 && e->v[e->n - 1].epoch == epoch && e->v[e->n - 1].start <= start)
		return ERR_OK;
	enum err err = reserve(e);
	if (err != ERR_OK)
		return err;
	while (e->n > 0 && (e->v[e->n - 1].epoch >= epoch || e->v[e->n - 1].start >= start))
		e->n--;
	e->v[e->n++] = (struct epochs_entry){.epoch = epoch, .start = start};
	*changed = true;
	return ERR_OK;
}

int32_t epochs_latest(const struct epochs *e)
{
	return e->n == 0 ? -1 : e->v[e->n - 1].epoch;
}

/* How many entries have at most this epoch and this start; both rise. */
static size_t count_to(const struct epochs *e, int32_t epoch, int64_t start)
{
	size_t low = 0, high = e->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (e->v[middle].epoch <= epoch && e->v[middle].start <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void epochs_end_for(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found,
		    int64_t *end)
{
	*found = -1;
	*end = -1;
	if (epoch < 0 || epoch > epochs_latest(e))
		return;
	if (epoch == epochs_latest(e)) {
		*found = epoch;
		*end = log_end;
		return;
	}
	size_t n = count_to(e, epoch, INT64_MAX);
	*found = n == 0 ? epoch : e->v[n - 1].epoch;
	*end = e->v[n].start;
}

int32_t epochs_at(const struct epochs *e, int64_t offset)
{
	size_t n = count_to(e, INT32_MAX, offset);

	return n == 0 ? -1 : e->v[n - 1].epoch;
}

bool epochs_truncate_end(struct epochs *e, int64_t end)
{
	size_t n = e->n;

	while (e->n > 0 && e->v[e->n - 1].start >= end)
		e->n--;
	return e->n != n;
}

bool epochs_truncate_start(struct epochs *e, int64_t start)
{
	size_t n = count_to(e, INT32_MAX, start);

	if (n == 0 || (n == 1 && e->v[0].start == start))
		return false;
	e->n -= n - 1;
	memmove(e->v, e->v + (n - 1), e->n * sizeof *e->v);
	e->v[0].start = start;
	return true;
}

void epochs_encode(const struct epochs *e, struct buf *out)
{
	checkpoint_file_put_head(out, e->n);
	for (size_t i = 0; i < e->n; i++)
		buf_printf(out, "%" PRId32 " %" PRId64 "\n", e->v[i].epoch, e->v[i].start);
}

/* Entries of a file that contradict one another are settled as at run time: the later line wins. */
static enum err read_lines(struct epochs *e, struct checkpoint_file *f, struct errmsg *why)
{
	struct bytes line;
	size_t lines = 0;

	for (; checkpoint_file_line(f, &line); lines++) {
		int64_t epoch, start;
		bool changed;
		if (!checkpoint_file_number(&line, INT32_MAX, &epoch) ||
		    !checkpoint_file_number(&line, INT64_MAX, &start) || line.n != 0)
			return errmsg_set(why, ERR_MALFORMED,
					  "line %zu is not an epoch and an offset", f->line);
		enum err err = epochs_assign(e, (int32_t)epoch, start, &changed);
		if (err != ERR_OK)
			return errmsg_set(why, err, "%s", err_text(err));
	}
	if (lines != f->count)
		return errmsg_set(why, ERR_MALFORMED, "%zu entries where the head says %zu", lines,
				  f->count);
	return ERR_OK;
}

enum err epochs_decode(struct epochs *e, struct bytes file, struct errmsg *why)
{
	struct checkpoint_file f;

	e->n = 0;
	enum err err = checkpoint_file_open(&f, file, why);
	if (err == ERR_OK)
		err = read_lines(e, &f, why);
	if (err != ERR_OK)
		e->n = 0;
	return err;
}
