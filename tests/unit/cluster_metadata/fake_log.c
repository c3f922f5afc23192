/* SPDX-License-Identifier: Apache-2.0 */
/* cluster/log in memory; see fake_log.h. */
#include "fake_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum { FOLDERS_MAX = 20000, BATCHES_MAX = 20000 };

/* Tests that let one allocation fail mean the metadata's, not these. */
static void *must(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		p = calloc(n, size);
	assert(p != NULL);
	return p;
}

struct plog {
	char name[280];
	char topic[256];
	int32_t partition;
	struct uuid id;
	struct fake_disk *disk;
	bool open;
	struct plog_config config;
	struct bytes *batches; /* owned */
	size_t batches_n, synced_n;
	int64_t end;
	struct plog_wait *waits;
};

struct store {
	struct fake_disk *disk;
};

struct fake_disk {
	struct loop *loop;
	struct store store;
	struct plog *folders[FOLDERS_MAX];
	size_t n;
	bool hold, fail_append, fail_truncate, fail_open;
	struct loop_deferred sync;
};

static void on_sync(void *arg)
{
	fake_disk_sync(arg, true);
}

struct fake_disk *fake_disk_new(struct loop *l)
{
	struct fake_disk *d = must(1, sizeof *d);

	d->loop = l;
	d->store.disk = d;
	d->sync = (struct loop_deferred){.fn = on_sync, .arg = d};
	return d;
}

static void cut(struct plog *l, size_t n)
{
	while (l->batches_n > n)
		free((void *)l->batches[--l->batches_n].p);
	if (l->synced_n > n)
		l->synced_n = n;
	l->end = 0;
	if (n > 0) {
		struct batch_head h;
		batch_head_get(l->batches[n - 1].p, &h);
		l->end = batch_last_offset(&h) + 1;
	}
}

static void folder_free(struct plog *l)
{
	cut(l, 0);
	free(l->batches);
	free(l);
}

void fake_disk_free(struct fake_disk *d)
{
	loop_undefer(d->loop, &d->sync);
	for (size_t i = 0; i < d->n; i++)
		folder_free(d->folders[i]);
	free(d);
}

struct store *fake_disk_store(struct fake_disk *d)
{
	return &d->store;
}

void fake_disk_hold_syncs(struct fake_disk *d, bool hold)
{
	d->hold = hold;
}

void fake_disk_fail_append(struct fake_disk *d, bool fail)
{
	d->fail_append = fail;
}

void fake_disk_fail_truncate(struct fake_disk *d, bool fail)
{
	d->fail_truncate = fail;
}

void fake_disk_fail_open(struct fake_disk *d, bool fail)
{
	d->fail_open = fail;
}

void fake_disk_sync(struct fake_disk *d, bool ok)
{
	for (size_t i = 0; i < d->n; i++) {
		struct plog *l = d->folders[i];
		if (ok)
			l->synced_n = l->batches_n;
		while (l->waits != NULL) {
			struct plog_wait *w = l->waits;
			plog_wait_cancel(w);
			w->done(w, ok ? ERR_OK : ERR_KAFKA_KAFKA_STORAGE_ERROR);
		}
	}
}

void fake_disk_crash(struct fake_disk *d, size_t keep)
{
	loop_undefer(d->loop, &d->sync);
	d->fail_append = d->fail_truncate = d->fail_open = false;
	for (size_t i = 0; i < d->n; i++) {
		struct plog *l = d->folders[i];
		assert(l->waits == NULL);
		l->open = false;
		size_t n = l->synced_n + keep < l->batches_n ? l->synced_n + keep : l->batches_n;
		cut(l, n);
		l->synced_n = n;
	}
}

static struct plog *find(const struct fake_disk *d, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->folders[i]->topic, topic) == 0 &&
		    d->folders[i]->partition == partition)
			return d->folders[i];
	return NULL;
}

size_t fake_disk_unsynced(struct fake_disk *d)
{
	struct plog *l = find(d, "__cluster_metadata", 0);

	return l == NULL ? 0 : l->batches_n - l->synced_n;
}

size_t fake_disk_folders(const struct fake_disk *d)
{
	return d->n;
}

bool fake_disk_has(const struct fake_disk *d, const char *topic, int32_t partition)
{
	return find(d, topic, partition) != NULL;
}

static struct plog *add(struct fake_disk *d, const char *topic, int32_t partition,
			const struct uuid *id)
{
	struct plog *l = must(1, sizeof *l);

	assert(d->n < FOLDERS_MAX);
	snprintf(l->topic, sizeof l->topic, "%s", topic);
	snprintf(l->name, sizeof l->name, "%s-%d", topic, partition);
	l->partition = partition;
	l->id = *id;
	l->disk = d;
	d->folders[d->n++] = l;
	return l;
}

void fake_disk_add_folder(struct fake_disk *d, const char *topic, int32_t partition,
			  const struct uuid *id)
{
	add(d, topic, partition, id);
}

/* ---- store.h ---- */

enum err store_log(struct store *s, const char *topic, int32_t partition,
		   const struct uuid *topic_id, const struct plog_config *config, bool create,
		   struct plog **out, struct errmsg *why)
{
	struct plog *l = find(s->disk, topic, partition);

	if (s->disk->fail_open && strcmp(topic, "__cluster_metadata") != 0)
		return errmsg_set(why, ERR_IO, "no space left");
	if (l == NULL && !create)
		return ERR_NOT_FOUND;
	if (l == NULL)
		l = add(s->disk, topic, partition, topic_id);
	if (!uuid_eq(&l->id, topic_id))
		return errmsg_set(why, ERR_MALFORMED, "it belongs to another topic id");
	l->open = true;
	l->config = *config;
	*out = l;
	return ERR_OK;
}

static void remove_at(struct fake_disk *d, size_t i)
{
	folder_free(d->folders[i]);
	d->folders[i] = d->folders[--d->n];
}

void store_delete(struct store *s, struct plog *log)
{
	for (size_t i = 0; i < s->disk->n; i++)
		if (s->disk->folders[i] == log) {
			remove_at(s->disk, i);
			return;
		}
	assert(false);
}

void store_strays(struct store *s,
		  bool (*fn)(void *arg, const char *topic, int32_t partition,
			     const struct uuid *topic_id),
		  void *arg)
{
	for (size_t i = 0; i < s->disk->n;) {
		struct plog *l = s->disk->folders[i];
		if (!l->open && fn(arg, l->topic, l->partition, &l->id))
			remove_at(s->disk, i);
		else
			i++;
	}
}

const char *store_dir(const struct store *s)
{
	(void)s;
	return "/fake";
}

struct uuid store_directory_id(const struct store *s)
{
	(void)s;
	return (struct uuid){{1}};
}

/* ---- plog.h ---- */

void plog_config_init(struct plog_config *c)
{
	*c = (struct plog_config){
		.segment_bytes = 1 << 30,
		.segment_ms = 604800000,
		.segment_index_bytes = 10485760,
		.index_interval_bytes = 4096,
		.retention_ms = 604800000,
		.retention_bytes = -1,
		.cleanup_delete = true,
		.delete_retention_ms = 86400000,
		.max_compaction_lag_ms = INT64_MAX,
		.min_cleanable_dirty_ratio = 0.5,
		.max_message_bytes = 1048588,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = 3600000,
		.compression = -1,
		.flush_messages = INT64_MAX,
		.flush_ms = INT64_MAX,
	};
}

void plog_configure(struct plog *l, const struct plog_config *c)
{
	l->config = *c;
}

const struct plog_config *fake_log_config(const struct plog *l)
{
	return &l->config;
}

const char *plog_name(const struct plog *l)
{
	return l->name;
}

int64_t plog_start(const struct plog *l)
{
	(void)l;
	return 0;
}

int64_t plog_end(const struct plog *l)
{
	return l->end;
}

static void append(struct plog *l, struct bytes batch, struct plog_appended *out)
{
	uint8_t *copy = must(1, batch.n);
	struct batch_head h;

	memcpy(copy, batch.p, batch.n);
	be64_put(copy, (uint64_t)l->end);
	batch_head_get(copy, &h);
	out->base_offset = l->end;
	out->last_offset = batch_last_offset(&h);
	if (l->batches == NULL)
		l->batches = must(BATCHES_MAX, sizeof *l->batches);
	assert(l->batches_n < BATCHES_MAX);
	l->batches[l->batches_n++] = bytes_of(copy, batch.n);
	l->end = out->last_offset + 1;
}

enum err plog_append(struct plog *l, struct bytes batch, const struct plog_append *how,
		     struct plog_appended *out, struct errmsg *why)
{
	assert(how->internal);
	if (l->disk->fail_append)
		return errmsg_set(why, ERR_KAFKA_KAFKA_STORAGE_ERROR, "no space left");
	append(l, batch, out);
	return ERR_OK;
}

void fake_disk_plant(struct fake_disk *d, struct bytes batch)
{
	static const struct uuid no_id;
	struct plog *l = find(d, "__cluster_metadata", 0);
	struct plog_appended out;

	if (l == NULL)
		l = add(d, "__cluster_metadata", 0, &no_id);
	append(l, batch, &out);
	l->synced_n = l->batches_n;
}

void fake_disk_damage(struct fake_disk *d)
{
	struct plog *l = find(d, "__cluster_metadata", 0);
	struct bytes last = l->batches[l->batches_n - 1];

	((uint8_t *)last.p)[last.n - 1] ^= 1;
}

void plog_wait_stored(struct plog *l, struct plog_wait *w)
{
	w->next = l->waits;
	w->back = &l->waits;
	if (w->next != NULL)
		w->next->back = &w->next;
	l->waits = w;
	if (!l->disk->hold && !l->disk->sync.pending)
		loop_defer(l->disk->loop, &l->disk->sync);
}

void plog_wait_cancel(struct plog_wait *w)
{
	if (w->back == NULL)
		return;
	*w->back = w->next;
	if (w->next != NULL)
		w->next->back = w->back;
	w->next = NULL;
	w->back = NULL;
}

enum err plog_truncate(struct plog *l, int64_t offset, struct errmsg *why)
{
	size_t n = 0;

	if (l->disk->fail_truncate)
		return errmsg_set(why, ERR_IO, "input/output error");
	for (; n < l->batches_n; n++) {
		struct batch_head h;
		batch_head_get(l->batches[n].p, &h);
		if (h.base_offset >= offset)
			break;
	}
	cut(l, n);
	return ERR_OK;
}

struct plog_reader {
	struct plog *l;
	size_t at, end;
};

enum err plog_reader_open(struct plog *l, int64_t from, struct plog_reader **out,
			  struct errmsg *why)
{
	struct plog_reader *r = mem_zalloc(1, sizeof *r);

	assert(from == 0);
	if (r == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	*r = (struct plog_reader){l, 0, l->batches_n};
	*out = r;
	return ERR_OK;
}

enum err plog_reader_next(struct plog_reader *r, struct batch_head *head, struct bytes *whole,
			  struct errmsg *why)
{
	(void)why;
	if (r->at == r->end)
		return ERR_NOT_FOUND;
	*whole = r->l->batches[r->at++];
	batch_head_get(whole->p, head);
	return ERR_OK;
}

void plog_reader_free(struct plog_reader *r)
{
	mem_free(r);
}
