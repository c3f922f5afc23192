/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of several resources' configurations; see alter.h. */
#include "cluster/api/alter.h"

#include "cluster/api/access.h"
#include "cluster/api/changes.h"
#include "cluster/api/repeats.h"
#include "cluster/broker.h"
#include "cluster/request.h"

static void put_error(const struct alter_item *i, enum err e, const struct errmsg *why)
{
	*i->error_code = access_code(e);
	*i->error_message = changes_text(i->r, e, why);
}

static void on_done(void *arg, enum err e)
{
	put_error(arg, e, NULL);
}

static void alter_one(struct alter_item *i, struct changes *c, bool validate_only)
{
	struct metadata *m = broker_metadata(i->r->broker);
	struct metadata_change *change = validate_only ? NULL : changes_add(c, on_done, i);
	struct errmsg why = {0};
	bool unchanged;
	enum err e = metadata_alter_configs(m, &i->alter, change, &unchanged, &why);

	if (change != NULL && (e != ERR_OK || unchanged))
		changes_drop(c, change);
	put_error(i, e, &why);
}

/* Resources are the same by type and name. */
static const enum repeat *find_repeats(struct request *r, const struct alter_item *items, size_t n)
{
	struct bytes *keys = arena_zalloc(&r->arena, n, sizeof *keys);

	for (size_t i = 0; i < n && keys != NULL; i++) {
		struct bytes name = items[i].alter.resource;
		uint8_t *key = arena_zalloc(&r->arena, name.n + 1, 1);
		if (key == NULL)
			return NULL;
		key[0] = (uint8_t)items[i].alter.resource_type;
		if (name.n > 0)
			memcpy(key + 1, name.p, name.n);
		keys[i] = bytes_of(key, name.n + 1);
	}
	return keys == NULL ? NULL : repeats_find(&r->arena, keys, n);
}

void alter_run(struct request *r, const void *response, struct alter_item *items, size_t n,
	       bool validate_only)
{
	struct changes *c = changes_new(r, response, n);
	const enum repeat *repeats = c == NULL ? NULL : find_repeats(r, items, n);

	if (repeats == NULL) {
		changes_abandon(c, r);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		items[i].r = r;
		if (repeats[i] == REPEAT_NONE)
			alter_one(&items[i], c, validate_only);
		else
			put_error(&items[i], ERR_KAFKA_INVALID_REQUEST,
				  &(struct errmsg){"Each resource must appear at most once."});
	}
	changes_finish(c);
}
