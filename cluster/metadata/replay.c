/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start: read __cluster_metadata-0 from its first record to its end into the image.
 *
 * Nothing is skipped. A record that cannot be right, or that only a newer version knows, ends the
 * start with its offset and what can be done; the log is left as it is.
 */
#include <inttypes.h>

#include "cluster/metadata/metadata_priv.h"
#include "cluster/metadata/record_frame.h"
#include "lib/wire/records.h"

/* Say where, and what to do about it. */
static enum err refuse(struct metadata *m, enum err e, int64_t offset, struct errmsg *why)
{
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "out of memory while reading the metadata log");
	const char *advice =
		e == ERR_UNSUPPORTED
			? "start the version that wrote it"
			: "restore the folder from a copy, or start with an empty data "
			  "directory";
	errmsg_wrap(why, e, "metadata record %" PRId64, offset);
	char text[sizeof why->text];
	memcpy(text, why->text, sizeof text);
	return errmsg_set(why, ERR_CONFIG, "%.250s (%s/%s; %s)", text, store_dir(m->store),
			  plog_name(m->log), advice);
}

static enum err apply_batch(struct metadata *m, const struct batch_head *head, struct bytes whole,
			    struct errmsg *why)
{
	struct records_reader *rr = NULL;
	struct record r;
	int64_t next = m->image.offset + 1;

	/* The records of the quorum itself, such as a leader change. */
	if ((head->attributes & BATCH_CONTROL) != 0) {
		m->image.offset = batch_last_offset(head);
		return ERR_OK;
	}
	enum err e = records_reader_open(whole, RECORD_FRAME_BATCH_MAX, &rr, why);
	while (e == ERR_OK && records_reader_next(rr, &r)) {
		next = r.offset;
		if (r.offset != m->image.offset + 1)
			e = errmsg_set(why, ERR_MALFORMED,
				       "the records before it, from %" PRId64 " on, are missing",
				       m->image.offset + 1);
		else
			e = image_apply(&m->image, r.offset, r.value, why);
	}
	if (e == ERR_OK) {
		e = records_reader_error(rr, why);
		next = m->image.offset + 1;
	}
	records_reader_free(rr);
	return e == ERR_OK ? ERR_OK : refuse(m, e, next, why);
}

enum err replay_run(struct metadata *m, struct errmsg *why)
{
	struct plog_reader *reader = NULL;
	struct batch_head head;
	struct bytes whole;

	if (plog_start(m->log) != 0) {
		errmsg_set(why, ERR_MALFORMED, "the log begins at offset %" PRId64,
			   plog_start(m->log));
		return refuse(m, ERR_MALFORMED, 0, why);
	}
	enum err e = plog_reader_open(m->log, 0, &reader, why);
	if (e != ERR_OK)
		return refuse(m, e, 0, why);
	while ((e = plog_reader_next(reader, &head, &whole, why)) == ERR_OK) {
		e = apply_batch(m, &head, whole, why);
		if (e != ERR_OK)
			goto err_after_reader;
	}
	if (e == ERR_NOT_FOUND)
		e = ERR_OK;
	else
		e = refuse(m, e, m->image.offset + 1, why);
	if (e == ERR_OK && m->image.offset + 1 != plog_end(m->log)) {
		errmsg_set(why, ERR_MALFORMED, "the log's last records are missing");
		e = refuse(m, ERR_MALFORMED, m->image.offset + 1, why);
	}
err_after_reader:
	plog_reader_free(reader);
	return e;
}
