/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for changes of the metadata; see changes.h. */
#include "cluster/api/changes.h"

#include <assert.h>

#include "cluster/request.h"

struct slot {
	struct metadata_change change;
	struct changes *of;
	void (*done)(void *out, enum err e);
	void *out;
};

struct changes {
	struct request *r;
	const void *response;
	size_t waiting, used, max;
	bool all_proposed;
	struct slot *slots;
};

static void cancel(struct request *r)
{
	struct changes *c = r->state;

	for (size_t i = 0; i < c->used; i++)
		metadata_change_cancel(&c->slots[i].change);
}

struct changes *changes_new(struct request *r, const void *response, size_t max)
{
	struct changes *c = arena_zalloc(&r->arena, 1, sizeof *c);

	if (c == NULL)
		return NULL;
	*c = (struct changes){.r = r, .response = response, .max = max};
	c->slots = arena_zalloc(&r->arena, max, sizeof *c->slots);
	if (c->slots == NULL)
		return NULL;
	r->state = c;
	r->cancel = cancel;
	return c;
}

static void on_done(struct metadata_change *change, enum err e)
{
	struct slot *s = (struct slot *)change;
	struct changes *c = s->of;

	s->done(s->out, e);
	c->waiting--;
	if (c->waiting == 0 && c->all_proposed)
		request_answer(c->r, c->response);
}

struct metadata_change *changes_add(struct changes *c, void (*done)(void *out, enum err e),
				    void *out)
{
	assert(c->used < c->max);
	struct slot *s = &c->slots[c->used++];

	*s = (struct slot){.change.done = on_done, .of = c, .done = done, .out = out};
	c->waiting++;
	return &s->change;
}

void changes_drop(struct changes *c, struct metadata_change *change)
{
	assert(c->used > 0 && change == &c->slots[c->used - 1].change);
	c->used--;
	c->waiting--;
}

void changes_finish(struct changes *c)
{
	c->all_proposed = true;
	if (c->waiting == 0)
		request_answer(c->r, c->response);
}

void changes_abandon(struct changes *c, struct request *r)
{
	if (c != NULL)
		cancel(r);
	request_no_memory(r);
}

struct bytes changes_text(struct request *r, enum err e, const struct errmsg *why)
{
	const char *text = why == NULL || why->text[0] == 0 ? err_text(e) : why->text;

	if (e == ERR_OK)
		return bytes_of(NULL, 0);
	return bytes_str(arena_strndup(&r->arena, bytes_str(text)));
}
