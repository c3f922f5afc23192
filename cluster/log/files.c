/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant: a file with a slot is in the list, from the one used latest to the one used longest
 * ago, and its slot points to it; a file without one lives by its references alone and knows no
 * `files`.
 */
#include "cluster/log/files.h"

#include <assert.h>
#include <errno.h>

#include "lib/base/mem.h"

struct plog_file {
	const struct disk *disk;
	struct files *files; /* NULL without a slot */
	struct plog_file **slot;
	struct plog_file *newer, *older;
	unsigned refs; /* the slot's included */
	int fd;
};

struct files {
	const struct disk *disk;
	struct plog_file *newest, *oldest;
	int n, max;
};

struct files *files_new(const struct disk *d, int max)
{
	struct files *f = mem_zalloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	f->disk = d;
	f->max = max > 0 ? max : 1;
	return f;
}

void files_free(struct files *f)
{
	if (f == NULL)
		return;
	while (f->oldest != NULL)
		files_close(f->oldest->slot);
	mem_free(f);
}

static void unlink_file(struct plog_file *p)
{
	struct files *f = p->files;

	*(p->newer != NULL ? &p->newer->older : &f->newest) = p->older;
	*(p->older != NULL ? &p->older->newer : &f->oldest) = p->newer;
	f->n--;
}

static void link_newest(struct files *f, struct plog_file *p)
{
	p->newer = NULL;
	p->older = f->newest;
	*(f->newest != NULL ? &f->newest->newer : &f->oldest) = p;
	f->newest = p;
	f->n++;
}

void plog_file_unref(struct plog_file *p)
{
	if (p == NULL)
		return;
	assert(p->refs > 0);
	if (--p->refs > 0)
		return;
	assert(p->files == NULL);
	/* Data that has to be on disk was synced: nothing hangs on what close says. */
	(void)p->disk->close(p->disk->ctx, p->fd);
	mem_free(p);
}

void files_close(struct plog_file **slot)
{
	struct plog_file *p = *slot;

	if (p == NULL)
		return;
	assert(p->slot == slot);
	unlink_file(p);
	p->files = NULL;
	p->slot = NULL;
	*slot = NULL;
	plog_file_unref(p);
}

/* When descriptors run out before the cap is reached, those of files that nobody uses go first. */
static int open_with_room(struct files *f, const char *path, int flags)
{
	for (;;) {
		int fd = f->disk->open(f->disk->ctx, path, flags, 0644);
		if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || f->oldest == NULL)
			return fd;
		files_close(f->oldest->slot);
	}
}

enum err files_open(struct files *f, struct plog_file **slot, const char *path, int flags,
		    struct errmsg *why)
{
	struct plog_file *p = *slot;

	if (p != NULL) {
		if (p != f->newest) {
			unlink_file(p);
			link_newest(f, p);
		}
		return ERR_OK;
	}
	while (f->n >= f->max)
		files_close(f->oldest->slot);
	p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", path);
	p->fd = open_with_room(f, path, flags);
	if (p->fd < 0) {
		enum err e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
		errmsg_set(why, e, "%s: open: %s", path, strerror(errno));
		mem_free(p);
		return e;
	}
	p->disk = f->disk;
	p->files = f;
	p->slot = slot;
	p->refs = 1;
	*slot = p;
	link_newest(f, p);
	return ERR_OK;
}

int files_count(const struct files *f)
{
	return f->n;
}

int files_fd(const struct plog_file *p)
{
	return p->fd;
}

struct plog_file *files_ref(struct plog_file *p)
{
	p->refs++;
	return p;
}
