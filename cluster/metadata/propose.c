/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam that every change goes through: encode, append, wait until it is stored, apply, tell the
 * proposer.
 *
 * Invariants:
 *  - Proposals stand in the order of their offsets, and are applied in it. What is applied is read
 *    back from the batch that was appended, by the function that replays use.
 *  - When a sync fails, that proposal and all behind it end with an error and leave no trace in the
 *    image; the log is cut back to the last record applied before anything else is appended. Until
 *    that worked, nothing can be proposed. (A crash before the cut may bring such a change back to
 *    life in the next replay: to a client a failed change is one whose outcome it has to ask for.)
 *  - A record that is stored gets applied: when memory is short, again a little later.
 *  - `done` comes from a deferred call, never from inside the log or a proposal.
 */
#include <assert.h>
#include <inttypes.h>

#include "cluster/metadata/metadata_priv.h"
#include "cluster/metadata/record_frame.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"

enum {
	/* The epoch of a quorum of one, whose leader never changes. */
	QUORUM_EPOCH = 1,
	RETRY_MS = 100,
};

static void settle(void *arg);

static void retry(void *arg)
{
	settle(arg);
}

enum err propose_init(struct metadata *m)
{
	m->tail = &m->head;
	m->settle = (struct loop_deferred){.fn = settle, .arg = m};
	m->creating = map_new();
	m->retry = loop_timer_new(m->loop, retry, m);
	return m->creating == NULL || m->retry == NULL ? ERR_NOMEM : ERR_OK;
}

static void proposal_free(struct proposal *p)
{
	buf_fini(&p->batch);
	mem_free(p->doomed);
	mem_free(p->creating);
	mem_free(p);
}

/* Others may try the same again. */
static void forget_about(struct metadata *m, const struct proposal *p)
{
	if (p->creating != NULL)
		map_take(m->creating, bytes_str(p->creating));
	struct image_topic *it = image_find_id(&m->image, &p->topic_id);
	if (it == NULL)
		return;
	if (p->deleting)
		it->deleting = false;
	if (p->partitions == it->partitions_wanted)
		it->partitions_wanted = 0;
}

/* Take the first one out and tell its proposer. */
static void finish_head(struct metadata *m, enum err e)
{
	struct proposal *p = m->head;
	struct metadata_change *c = p->change;

	m->head = p->next;
	if (m->head == NULL)
		m->tail = &m->head;
	if (p->waiting)
		plog_wait_cancel(&p->wait);
	forget_about(m, p);
	proposal_free(p);
	if (c == NULL)
		return;
	c->proposal = NULL;
	c->done(c, e);
}

void propose_fini(struct metadata *m)
{
	loop_undefer(m->loop, &m->settle);
	loop_timer_free(m->retry);
	while (m->head != NULL)
		finish_head(m, ERR_CANCELED);
	map_free(m->creating);
}

void metadata_change_cancel(struct metadata_change *c)
{
	if (c->proposal == NULL)
		return;
	c->proposal->change = NULL;
	c->proposal = NULL;
}

/* ---- applying ---- */

/* Apply the rest of a stored batch. ERR_NOMEM: go on later. */
static enum err apply_rest(struct metadata *m, struct proposal *p, struct errmsg *why)
{
	struct records_reader *rr = NULL;
	struct record r;
	enum err e;

	if (p->applied == p->end)
		return ERR_OK;
	e = records_reader_open(buf_bytes(&p->batch), RECORD_FRAME_BATCH_MAX, &rr, why);

	/* The batch counts from 0: the log numbers a copy. */
	while (e == ERR_OK && records_reader_next(rr, &r)) {
		int64_t offset = p->base + r.offset;
		if (offset < p->applied)
			continue;
		e = image_apply(&m->image, offset, r.value, why);
		if (e == ERR_OK)
			p->applied = offset + 1;
	}
	if (e == ERR_OK)
		e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

/* All that ended badly, oldest first. Proposers may propose again meanwhile: those wait behind. */
static void fail_all(struct metadata *m)
{
	struct proposal *last = NULL;
	bool more = m->head != NULL;

	m->failed = false;
	for (struct proposal *p = m->head; p != NULL; p = p->next)
		last = p;
	while (more) {
		more = m->head != last;
		finish_head(m, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	}
}

static void settle(void *arg)
{
	struct metadata *m = arg;

	while (m->head != NULL && !m->head->waiting) {
		struct proposal *p = m->head;
		struct errmsg why = {0};
		enum err e = apply_rest(m, p, &why);
		if (e == ERR_NOMEM) {
			loop_timer_set(m->retry, RETRY_MS);
			return;
		}
		if (e != ERR_OK)
			log_event(loop_log(m->loop), LOG_ERROR, "metadata_apply_failed",
				  LOG_I("offset", p->applied), LOG_S("reason", why.text));
		/* Our own checks let through what the image refuses: the log cannot be replayed. */
		assert(e == ERR_OK);
		if (!partition_logs_follow_some(m, p)) {
			loop_timer_set(m->retry, 0);
			return;
		}
		finish_head(m, ERR_OK);
	}
	if (m->failed)
		fail_all(m);
}

static void defer_settle(struct metadata *m)
{
	if (!m->settle.pending)
		loop_defer(m->loop, &m->settle);
}

static void stored(struct plog_wait *w, enum err e)
{
	struct proposal *p = (struct proposal *)((char *)w - offsetof(struct proposal, wait));
	struct metadata *m = p->metadata;

	if (e == ERR_OK) {
		/* What stands before it is stored with it. */
		for (struct proposal *q = m->head; q != p; q = q->next) {
			if (q->waiting)
				plog_wait_cancel(&q->wait);
			q->waiting = false;
		}
		p->waiting = false;
	} else if (!m->failed) {
		m->failed = true;
		m->truncate_due = true;
		log_event(loop_log(m->loop), LOG_ERROR, "metadata_sync_failed",
			  LOG_I("offset", p->base), LOG_S("error", err_text(e)));
	}
	if (e != ERR_OK)
		p->waiting = true;
	defer_settle(m);
}

/* ---- proposing ---- */

int64_t propose_next_offset(const struct metadata *m)
{
	return plog_end(m->log);
}

/* Cut off what was given up, so that the log ends with what the image has. */
static enum err cut_back(struct metadata *m, struct errmsg *why)
{
	if (!m->truncate_due)
		return ERR_OK;
	if (m->failed)
		return errmsg_set(why, ERR_KAFKA_KAFKA_STORAGE_ERROR,
				  "the metadata log could not be synced");
	enum err e = plog_truncate(m->log, m->image.offset + 1, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, ERR_KAFKA_KAFKA_STORAGE_ERROR,
				   "the metadata log cannot be cut back to its last good record");
	m->truncate_due = false;
	return ERR_OK;
}

static enum err proposal_new(struct metadata *m, const struct propose_about *about,
			     struct proposal **out)
{
	struct proposal *p = mem_zalloc(1, sizeof *p);

	if (p == NULL)
		return ERR_NOMEM;
	p->metadata = m;
	buf_init(&p->batch, RECORD_FRAME_BATCH_MAX + BATCH_HEAD);
	*out = p;
	if (about == NULL)
		return ERR_OK;
	p->topic_id = about->topic_id;
	p->partitions = about->partitions;
	p->deleting = about->deleting;
	p->altering = about->altering;
	if (about->creating == NULL)
		return ERR_OK;
	p->creating = mem_strdup(about->creating);
	if (p->creating != NULL && map_put(m->creating, bytes_str(p->creating), p) == ERR_OK)
		return ERR_OK;
	proposal_free(p);
	return ERR_NOMEM;
}

/* Mark the topic, so that others see what is coming. */
static void remember_about(struct metadata *m, const struct proposal *p)
{
	struct image_topic *it = image_find_id(&m->image, &p->topic_id);

	if (it == NULL)
		return;
	it->deleting = it->deleting || p->deleting;
	if (p->partitions > it->partitions_wanted)
		it->partitions_wanted = p->partitions;
}

static enum err append(struct metadata *m, struct proposal *p, struct errmsg *why)
{
	const struct plog_append how = {.leader_epoch = QUORUM_EPOCH, .internal = true};
	struct plog_appended done;
	enum err e = cut_back(m, why);

	if (e == ERR_OK)
		e = plog_append(m->log, buf_bytes(&p->batch), &how, &done, why);
	if (e != ERR_OK)
		return e;
	p->base = p->applied = done.base_offset;
	p->end = done.last_offset + 1;
	return ERR_OK;
}

enum err propose_change(struct metadata *m, const struct metadata_record *records, size_t n,
			const struct propose_about *about, struct metadata_change *c,
			struct errmsg *why)
{
	struct proposal *p = NULL;
	enum err e = proposal_new(m, about, &p);

	if (e != ERR_OK)
		return errmsg_set(why, e, "out of memory");
	e = record_frame_batch(records, n, clock_wall_ms(loop_clock(m->loop)), &p->batch, why);
	if (e != ERR_OK)
		goto err_after_proposal;
	e = append(m, p, why);
	if (e != ERR_OK)
		goto err_after_proposal;
	p->change = c;
	if (c != NULL)
		c->proposal = p;
	*m->tail = p;
	m->tail = &p->next;
	remember_about(m, p);
	p->waiting = true;
	p->wait = (struct plog_wait){.offset = p->end, .done = stored};
	plog_wait_stored(m->log, &p->wait);
	return ERR_OK;

err_after_proposal:
	if (p->creating != NULL)
		map_take(m->creating, bytes_str(p->creating));
	proposal_free(p);
	return e;
}

enum err metadata_propose(struct metadata *m, const struct metadata_record *records, size_t n,
			  struct metadata_change *c, struct errmsg *why)
{
	return propose_change(m, records, n, NULL, c, why);
}
