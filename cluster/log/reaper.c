/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/log/reaper.h"

#include <stdio.h>

#include "cluster/log/diskio.h"
#include "lib/base/mem.h"

struct reaper {
	struct worker_job job;
	struct loop *loop;
	const struct disk *disk;
	char *folder;
	struct buf names; /* each with its NUL */
	bool whole;       /* the folder goes, too */
	bool sync;
	enum err e;
	struct errmsg why;
};

static void reaper_free(struct reaper *r)
{
	buf_fini(&r->names);
	mem_free(r->folder);
	mem_free(r);
}

static void run(struct worker_job *job)
{
	struct reaper *r = (struct reaper *)job;
	char path[DISKIO_PATH + 256];

	if (r->whole) {
		(void)snprintf(path, sizeof path, "%s", r->folder);
		*strrchr(path, '/') = '\0';
		r->e = diskio_sync_dir(r->disk, path, &r->why);
		if (r->e == ERR_OK)
			r->e = diskio_remove_folder(r->disk, r->folder, &r->why);
		return;
	}
	if (r->sync)
		r->e = diskio_sync_dir(r->disk, r->folder, &r->why);
	for (size_t at = 0; at < r->names.len && r->e == ERR_OK;) {
		const char *name = (const char *)r->names.p + at;
		(void)snprintf(path, sizeof path, "%s/%s", r->folder, name);
		r->e = diskio_remove(r->disk, path, &r->why);
		at += strlen(name) + 1;
	}
}

static void done(struct worker_job *job)
{
	struct reaper *r = (struct reaper *)job;

	if (r->e != ERR_OK)
		log_event(loop_log(r->loop), LOG_WARN, "log_file_left",
			  LOG_S("reason", r->why.text));
	reaper_free(r);
}

struct reaper *reaper_new(struct loop *l, const struct disk *d, const char *folder)
{
	struct reaper *r = mem_zalloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->folder = mem_strdup(folder);
	if (r->folder == NULL) {
		mem_free(r);
		return NULL;
	}
	r->job = (struct worker_job){.run = run, .done = done};
	r->loop = l;
	r->disk = d;
	buf_init(&r->names, SIZE_MAX / 4);
	return r;
}

enum err reaper_add(struct reaper *r, const char *name)
{
	size_t n = r->names.len;

	buf_put(&r->names, name, strlen(name) + 1);
	if (r->names.err == ERR_OK)
		return ERR_OK;
	r->names.err = ERR_OK;
	r->names.len = n;
	return ERR_NOMEM;
}

void reaper_add_folder(struct reaper *r)
{
	r->whole = true;
}

void reaper_start(struct reaper *r, bool sync)
{
	if (r == NULL)
		return;
	r->sync = sync;
	worker_pool_submit(loop_pool(r->loop), &r->job);
}
