/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partitions' logs: opened, made, configured and deleted as the image says.
 *
 * A log that cannot be opened leaves its partition offline (clients get KAFKA_STORAGE_ERROR) and is
 * tried again every few seconds: a full disk may have room later. It never stops the broker.
 * The logs of new partitions are made a slice at a time, so that a topic with thousands of them
 * does not hold up everybody; until then those are offline, too.
 *
 * After a start's logs are open, the folders that are left are looked at. Those of topics that the
 * metadata log removed are deleted: a crash came between the record and the removal. (A topic of
 * the same name may be in the way of such a folder, so what could not be opened is tried once
 * more.) A folder that the metadata never heard of is kept and complained about: it may be all that
 * is left of somebody's data.
 */
#include "cluster/metadata/metadata_priv.h"
#include "lib/base/mem.h"

enum {
	REOPEN_MS = 5000,
	/* What is made in one turn of the loop: a folder takes some system calls and syncs. */
	SLICE = 64,
	SLICE_MS = 10,
};

static enum err open_log(struct metadata *m, struct partition *p, bool create, struct errmsg *why)
{
	const struct topic *t = p->topic;

	return store_log(m->store, t->name, p->index, &t->id, &t->log_config, create, &p->log, why);
}

static void open_partition(struct metadata *m, struct partition *p, bool quiet)
{
	struct errmsg why = {0};

	p->log_error = open_log(m, p, true, &why);
	if (p->log_error == ERR_OK)
		return;
	p->log = NULL;
	if (!quiet)
		log_event(loop_log(m->loop), LOG_ERROR, "partition_offline",
			  LOG_S("topic", p->topic->name), LOG_I("partition", p->index),
			  LOG_S("reason", why.text));
	if (!loop_timer_armed(m->reopen))
		loop_timer_set(m->reopen, REOPEN_MS);
}

/* At a start a folder should be there; where it is not, somebody took it away, or a crash came
 * before it was made. */
static void open_existing(struct metadata *m, struct partition *p)
{
	struct errmsg why = {0};

	p->log_error = open_log(m, p, false, &why);
	if (p->log_error == ERR_NOT_FOUND)
		log_event(loop_log(m->loop), LOG_WARN, "partition_made_anew",
			  LOG_S("topic", p->topic->name), LOG_I("partition", p->index),
			  LOG_S("reason", "its folder is missing"));
	if (p->log_error != ERR_OK)
		p->log = NULL;
}

/* Note it for partition_logs_follow_some. A change adds partitions of one topic, in order; of
 * another one they are opened at once. */
static void partition_added(void *arg, struct partition *p)
{
	struct metadata *m = arg;
	struct proposal *of = m->head;

	if (of->open_end == 0) {
		of->opening = p->topic->id;
		of->open_next = of->open_end = p->index;
	}
	if (uuid_eq(&of->opening, &p->topic->id) && p->index == of->open_end)
		of->open_end++;
	else
		open_partition(m, p, false);
}

/* Until `end`, and at least one thing. */
static bool is_enough(struct metadata *m, int done, int64_t end)
{
	return done == SLICE || (done > 0 && loop_now_ms(m->loop) >= end);
}

bool partition_logs_follow_some(struct metadata *m, struct proposal *p)
{
	const struct image_topic *it = image_find_id(&m->image, &p->opening);
	int64_t end = loop_now_ms(m->loop) + SLICE_MS;
	int done = 0;

	for (; p->doomed_n > 0; done++) {
		if (is_enough(m, done, end))
			return false;
		store_delete(m->store, p->doomed[--p->doomed_n]);
	}
	for (; it != NULL && p->open_next < p->open_end; done++) {
		if (is_enough(m, done, end))
			return false;
		struct partition *part = &it->t.partitions[p->open_next++];
		if (part->log == NULL)
			open_partition(m, part, false);
	}
	return true;
}

/* Its logs are deleted by partition_logs_follow_some, before any later change is applied: the
 * name may be taken again. Those of a second topic in one change, or without memory, at once. */
static void topic_removed(void *arg, struct topic *t)
{
	struct metadata *m = arg;
	struct proposal *of = m->head;
	struct plog **list =
		of->doomed != NULL ? NULL : mem_zalloc((size_t)t->partitions_n, sizeof *list);

	if (m->on_topic_deleted != NULL)
		m->on_topic_deleted(m->on_topic_deleted_arg, t);
	if (list != NULL)
		of->doomed = list;
	for (int32_t i = t->partitions_n - 1; i >= 0; i--) {
		struct plog *log = t->partitions[i].log;
		t->partitions[i].log = NULL;
		if (log == NULL)
			continue;
		if (list != NULL)
			list[of->doomed_n++] = log;
		else
			store_delete(m->store, log);
	}
}

static void topic_configured(void *arg, struct topic *t)
{
	(void)arg;
	for (int32_t i = 0; i < t->partitions_n; i++)
		if (t->partitions[i].log != NULL)
			plog_configure(t->partitions[i].log, &t->log_config);
}

static void broker_configured(void *arg)
{
	struct metadata *m = arg;

	for (size_t i = 0; i < m->image.topics_n; i++)
		topic_configured(m, &m->image.sorted[i]->t);
}

void partition_logs_follow(struct metadata *m)
{
	m->image.events = (struct image_events){
		.partition_added = partition_added,
		.topic_removed = topic_removed,
		.topic_configured = topic_configured,
		.broker_configured = broker_configured,
		.arg = m,
	};
}

enum opening {
	OPEN_FIRST, /* only what is there */
	OPEN_LOUD,  /* complain about what fails */
	OPEN_AGAIN, /* what was complained about before: tell what works now */
};

/* Open what is not open. */
static void open_closed(struct metadata *m, enum opening how)
{
	for (size_t i = 0; i < m->image.topics_n; i++) {
		struct topic *t = &m->image.sorted[i]->t;
		for (int32_t k = 0; k < t->partitions_n; k++) {
			struct partition *p = &t->partitions[k];
			if (p->log != NULL)
				continue;
			if (how == OPEN_FIRST)
				open_existing(m, p);
			else
				open_partition(m, p, how == OPEN_AGAIN);
			if (p->log != NULL && how == OPEN_AGAIN)
				log_event(loop_log(m->loop), LOG_INFO, "partition_online",
					  LOG_S("topic", t->name), LOG_I("partition", k));
		}
	}
}

static void reopen(void *arg)
{
	open_closed(arg, OPEN_AGAIN);
}

static bool on_stray(void *arg, const char *topic, int32_t partition, const struct uuid *topic_id)
{
	struct metadata *m = arg;
	const struct image_topic *it = image_find_id(&m->image, topic_id);
	bool removed = image_was_removed(&m->image, topic_id);

	if (it != NULL && bytes_eq_str(bytes_str(topic), it->name) && partition >= 0 &&
	    partition < it->t.partitions_n)
		return false; /* it could not be opened; that is complained about */
	log_event(
		loop_log(m->loop), removed ? LOG_INFO : LOG_WARN,
		removed ? "stray_partition_removed" : "stray_partition_kept", LOG_S("topic", topic),
		LOG_I("partition", partition),
		LOG_S("reason", removed ? "its topic was deleted"
					: "the metadata do not know it; move its folder away if it "
					  "is not needed"));
	return removed && it == NULL;
}

enum err partition_logs_init(struct metadata *m)
{
	m->reopen = loop_timer_new(m->loop, reopen, m);
	return m->reopen == NULL ? ERR_NOMEM : ERR_OK;
}

void partition_logs_open_all(struct metadata *m)
{
	open_closed(m, OPEN_FIRST);
	store_strays(m->store, on_stray, m);
	open_closed(m, OPEN_LOUD);
}

void partition_logs_fini(struct metadata *m)
{
	loop_timer_free(m->reopen);
}
