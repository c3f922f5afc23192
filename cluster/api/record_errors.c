/* SPDX-License-Identifier: Apache-2.0 */
/* A second look at a batch that the log refused for one of its records: the log stops at the first,
 * the client is to hear of all (LogValidator.java, processRecordErrors). */
#include "cluster/api/record_errors.h"

#include "lib/wire/records.h"

enum { PAYLOAD_MAX = 64 << 20 };

static bool is_wrong(const struct record *r, enum err e, const struct plog_config *c, int64_t now)
{
	if (e == ERR_KAFKA_INVALID_RECORD)
		return r->key.p == NULL;
	return r->timestamp > now
		       ? r->timestamp - now > c->timestamp_after_max_ms
		       : now - (r->timestamp < 0 ? 0 : r->timestamp) > c->timestamp_before_max_ms;
}

const int32_t *record_errors_list(struct arena *a, struct bytes batch, enum err e, int32_t first,
				  const struct plog_config *c, int64_t now, int32_t *n)
{
	struct records_reader *rr;
	struct record r;
	int32_t *list = arena_zalloc(a, RECORD_ERRORS_MAX, sizeof *list);
	if (list == NULL)
		return NULL;
	list[0] = first;
	*n = 1;
	if (records_reader_open(batch, PAYLOAD_MAX, &rr, NULL) != ERR_OK)
		return list;
	for (int32_t i = 0; *n < RECORD_ERRORS_MAX && records_reader_next(rr, &r); i++)
		if (i > first && is_wrong(&r, e, c, now))
			list[(*n)++] = i;
	records_reader_free(rr);
	return list;
}
