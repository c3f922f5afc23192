/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds, and which records count. */
#include "cluster/group/replay.h"

#include "lib/wire/records.h"

enum {
	PAYLOAD_MAX = 128 << 20, /* bytes of a decompressed batch */
	RECORD_MAX = 256 << 20   /* bytes of a decoded record in memory */
};

static void skip(struct replay *r, int64_t offset, const char *what)
{
	r->skipped++;
	log_event(r->log, LOG_INFO, "group_record_skipped", LOG_I("partition", r->partition),
		  LOG_I("offset", offset), LOG_S("what", what));
}

static void bad(struct replay *r, int64_t offset, const char *event, const struct errmsg *why)
{
	r->bad++;
	log_event(r->log, LOG_ERROR, event, LOG_I("partition", r->partition),
		  LOG_I("offset", offset), LOG_S("why", why->text));
}

static enum err apply(struct replay *r, const struct record *from)
{
	struct arena a;
	struct group_record record;
	struct errmsg why = {{0}};
	arena_init(&a, RECORD_MAX);
	enum err e = group_record_get(from->key, from->value, &a, &record, &why);
	if (e == ERR_LIMIT)
		e = errmsg_set(&why, ERR_MALFORMED, "a record that takes too much memory");
	if (e == ERR_OK && record.type == GROUP_RECORD_OTHER) {
		skip(r, from->offset, record.kind);
	} else if (e == ERR_OK) {
		e = r->apply(r->arg, &record, &why);
		r->applied += e == ERR_OK;
	}
	arena_fini(&a);
	if (e == ERR_OK || e == ERR_NOMEM || e == ERR_LIMIT)
		return e;
	bad(r, from->offset, "group_record_bad", &why);
	return ERR_OK;
}

enum err replay_batch(struct replay *r, const struct batch_head *head, struct bytes whole)
{
	struct errmsg why = {{0}};
	struct records_reader *reader;
	struct record record;
	if (head->attributes & BATCH_CONTROL) {
		skip(r, head->base_offset, "a control batch");
		return ERR_OK;
	}
	if (head->attributes & BATCH_TRANSACTIONAL) {
		/* Whether it was committed is told by a marker that nobody here reads. */
		skip(r, head->base_offset, "a batch of a transaction");
		return ERR_OK;
	}
	enum err e = records_reader_open(whole, PAYLOAD_MAX, &reader, &why);
	if (e == ERR_OK) {
		while (e == ERR_OK && records_reader_next(reader, &record))
			e = apply(r, &record);
		if (e != ERR_OK) {
			records_reader_free(reader);
			return e;
		}
		e = records_reader_error(reader, &why);
		records_reader_free(reader);
	}
	if (e == ERR_NOMEM)
		return e;
	if (e != ERR_OK)
		bad(r, head->base_offset, "group_batch_bad", &why);
	return ERR_OK;
}
