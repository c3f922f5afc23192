/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch is opened by lib/wire's reader; what its producer made unreadable is guessed at, so that
 * no producer can break lookups for everybody else.
 */
#include "cluster/log/time_find.h"

#include "lib/wire/records.h"

/* Faults that a producer can put into a batch whose checksum is right; a broken disk cannot. */
static bool is_producers_fault(enum err e)
{
	return e == ERR_MALFORMED || e == ERR_LIMIT || e == ERR_UNSUPPORTED;
}

static enum err head_get(struct bytes batch, struct batch_head *h, struct errmsg *why)
{
	struct batch_walk w = {.left = batch};
	struct bytes whole = {0};
	enum batch_walk_result found = batch_walk_next(&w, h, &whole, why);

	if (found == BATCH_WALK_MALFORMED)
		return ERR_MALFORMED;
	if (found != BATCH_WALK_BATCH || w.left.n != 0)
		return errmsg_set(why, ERR_MALFORMED, "not exactly one whole batch");
	return ERR_OK;
}

static struct time_found guess(const struct batch_head *h, int64_t from)
{
	return (struct time_found){
		.offset = h->base_offset > from ? h->base_offset : from,
		.timestamp = h->max_timestamp,
		.guessed = true,
	};
}

/* The best record of a reader: the first one at or over `timestamp`, or, with `max`, the first of
 * those with the largest timestamp. */
static bool search(struct records_reader *rr, int64_t from, int64_t timestamp, bool max,
		   struct time_found *out)
{
	struct record r;
	bool found = false;

	while ((max || !found) && records_reader_next(rr, &r)) {
		if (r.offset < from || r.timestamp < timestamp)
			continue;
		if (found && r.timestamp <= out->timestamp)
			continue;
		*out = (struct time_found){.offset = r.offset, .timestamp = r.timestamp};
		found = true;
	}
	return found;
}

struct time_query {
	int64_t from;
	int64_t timestamp;
	bool max;
};

static enum err find(struct bytes batch, const struct time_query *q, size_t inflate_max,
		     struct time_found *out, struct errmsg *why)
{
	struct records_reader *rr;
	struct batch_head h;
	enum err e = head_get(batch, &h, why);

	if (e != ERR_OK)
		return e;
	if (h.count == 0 || batch_last_offset(&h) < q->from)
		return ERR_NOT_FOUND;
	e = records_reader_open(batch, inflate_max, &rr, why);
	if (e == ERR_OK) {
		bool found = search(rr, q->from, q->timestamp, q->max, out);
		e = records_reader_error(rr, why);
		records_reader_free(rr);
		if (e == ERR_OK)
			return found ? ERR_OK : ERR_NOT_FOUND;
	}
	if (!is_producers_fault(e))
		return e;
	*out = guess(&h, q->from);
	return out->timestamp >= q->timestamp ? ERR_OK : ERR_NOT_FOUND;
}

enum err time_find_first(struct bytes batch, int64_t from, int64_t timestamp, size_t inflate_max,
			 struct time_found *out, struct errmsg *why)
{
	const struct time_query q = {.from = from, .timestamp = timestamp};

	return find(batch, &q, inflate_max, out, why);
}

enum err time_find_max(struct bytes batch, int64_t from, size_t inflate_max, struct time_found *out,
		       struct errmsg *why)
{
	const struct time_query q = {.from = from, .timestamp = INT64_MIN, .max = true};

	return find(batch, &q, inflate_max, out, why);
}
