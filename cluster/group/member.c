/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and comparisons of members; what happens to them is in group.c. */
#include "cluster/group/member.h"

#include "lib/base/mem.h"

static bool repeats(const struct join_group_request_join_group_request_protocol *list, int32_t i)
{
	for (int32_t k = 0; k < i; k++)
		if (bytes_eq(list[k].name, list[i].name))
			return true;
	return false;
}

static struct bytes put(uint8_t **at, struct bytes b)
{
	struct bytes copy = bytes_of(*at, b.n);
	if (b.n > 0)
		memcpy(*at, b.p, b.n);
	*at += b.n;
	return copy;
}

struct protocols *protocols_new(const struct join_group_request_join_group_request_protocol *list,
				int32_t n)
{
	size_t bytes = sizeof(struct protocols) + (size_t)n * sizeof(struct protocol);
	for (int32_t i = 0; i < n; i++)
		bytes += list[i].name.n + list[i].metadata.n;
	struct protocols *p = mem_alloc(bytes);
	if (p == NULL)
		return NULL;
	p->bytes = bytes;
	p->n = 0;
	uint8_t *at = (uint8_t *)&p->items[n];
	for (int32_t i = 0; i < n; i++) {
		if (repeats(list, i))
			continue;
		struct protocol *item = &p->items[p->n++];
		item->name = put(&at, list[i].name);
		item->metadata = put(&at, list[i].metadata);
	}
	return p;
}

struct bytes protocols_metadata(const struct protocols *p, struct bytes name)
{
	for (size_t i = 0; i < p->n; i++)
		if (bytes_eq(p->items[i].name, name))
			return p->items[i].metadata;
	return bytes_of(NULL, 0);
}

bool protocols_match(const struct protocols *p,
		     const struct join_group_request_join_group_request_protocol *list, int32_t n)
{
	size_t at = 0;
	for (int32_t i = 0; i < n; i++) {
		if (repeats(list, i))
			continue;
		if (at == p->n || !bytes_eq(p->items[at].name, list[i].name) ||
		    !bytes_eq(p->items[at].metadata, list[i].metadata))
			return false;
		at++;
	}
	return at == p->n;
}

struct group_member *member_new(const struct member_options *o, struct protocols *protocols)
{
	struct group_member *m = mem_zalloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	if (!member_set_bytes(&m->id, o->id) ||
	    !member_set_bytes(&m->instance_id, o->instance_id) ||
	    !member_set_bytes(&m->client_id, o->client_id) ||
	    !member_set_bytes(&m->client_host, o->client_host)) {
		member_free(m);
		return NULL;
	}
	m->session_timeout_ms = o->session_timeout_ms;
	m->rebalance_timeout_ms = o->rebalance_timeout_ms;
	m->protocols = protocols;
	m->deadline = GROUP_NEVER;
	return m;
}

static void drop(struct bytes owned)
{
	mem_free((void *)(uintptr_t)owned.p);
}

void member_free(struct group_member *m)
{
	if (m == NULL)
		return;
	drop(m->id);
	drop(m->instance_id);
	drop(m->client_id);
	drop(m->client_host);
	drop(m->assignment);
	drop(m->next_assignment);
	mem_free(m->protocols);
	mem_free(m);
}

size_t member_bytes(const struct group_member *m)
{
	enum { OVERHEAD = 160 }; /* of its allocations and of the slots in the maps */
	/* The names are keys in maps, too. */
	return sizeof *m + 2 * m->id.n + 2 * m->instance_id.n + m->client_id.n + m->client_host.n +
	       m->protocols->bytes + m->assignment.n + m->next_assignment.n + OVERHEAD;
}

bool member_set_bytes(struct bytes *owned, struct bytes value)
{
	uint8_t *copy = NULL;
	if (value.p != NULL) {
		copy = mem_alloc(value.n);
		if (copy == NULL)
			return false;
		if (value.n > 0)
			memcpy(copy, value.p, value.n);
	}
	drop(*owned);
	*owned = bytes_of(copy, value.n);
	return true;
}
