/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FindCoordinator: this broker coordinates all groups. The first one asked for makes
 * __consumer_offsets; its client waits until it is there, instead of coming again and again.
 *
 * There are no transactions and no share groups. A transactional id gets the error that the Java
 * client and librdkafka take for final, where COORDINATOR_NOT_AVAILABLE would be tried for ever.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

enum key_type { KEY_GROUP = 0, KEY_TRANSACTION = 1 };
enum { BATCHED_FROM = 4 };

struct find {
	struct groups_wait wait;
	struct request *r;
};

static enum err check(const struct find_coordinator_request *q, int32_t keys, const char **why)
{
	*why = "";
	switch (q->key_type) {
	case KEY_GROUP:
		if (keys > 0)
			return ERR_OK;
		*why = "no key";
		return ERR_KAFKA_INVALID_REQUEST;
	case KEY_TRANSACTION:
		*why = "this broker has no transactions";
		return ERR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	default:
		*why = "this broker coordinates groups only";
		return ERR_KAFKA_INVALID_REQUEST;
	}
}

static void fill_one(const struct request *r, struct find_coordinator_response *out, enum err e,
		     const char *why)
{
	bool ok = e == ERR_OK;
	out->error_code = err_to_kafka(e);
	/* FindCoordinatorResponse.prepareOldResponse */
	out->error_message = bytes_str(ok ? "NONE" : why);
	out->node_id = ok ? broker_config(r->broker)->node_id : -1;
	out->host = bytes_str(ok ? request_advertised_host(r) : "");
	out->port = ok ? request_advertised_port(r) : -1;
}

static bool fill_many(struct request *r, struct find_coordinator_response *out, enum err e,
		      const char *why)
{
	const struct find_coordinator_request *q = r->msg;
	int32_t n = q->coordinator_keys_n;
	struct find_coordinator_response_coordinator *list =
		wire_array_new(&r->arena, &wire_find_coordinator_response_coordinator, n);
	if (list == NULL)
		return false;
	for (int32_t i = 0; i < n; i++) {
		bool ok = e == ERR_OK;
		list[i].key = q->coordinator_keys[i];
		list[i].error_code = err_to_kafka(e);
		list[i].error_message = bytes_str(why);
		list[i].node_id = ok ? broker_config(r->broker)->node_id : -1;
		list[i].host = bytes_str(ok ? request_advertised_host(r) : "");
		list[i].port = ok ? request_advertised_port(r) : -1;
	}
	out->coordinators = list;
	out->coordinators_n = n;
	return true;
}

static void answer(struct request *r, enum err e, const char *why)
{
	struct find_coordinator_response *out = request_response(r);
	bool fits = out != NULL;
	if (fits && r->version < BATCHED_FROM)
		fill_one(r, out, e, why);
	else if (fits)
		fits = fill_many(r, out, e, why);
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}

static void created(struct groups_wait *w, enum err e)
{
	struct find *f = (struct find *)w;
	answer(f->r, e, "");
}

static void cancel(struct request *r)
{
	struct find *f = r->state;
	groups_wait_cancel(&f->wait);
}

void api_find_coordinator(struct request *r)
{
	const struct find_coordinator_request *q = r->msg;
	const char *why;
	enum err e = check(q, r->version < BATCHED_FROM ? 1 : q->coordinator_keys_n, &why);
	if (e != ERR_OK) {
		answer(r, e, why);
		return;
	}
	struct find *f = arena_zalloc(&r->arena, 1, sizeof *f);
	if (f == NULL) {
		request_no_memory(r);
		return;
	}
	f->wait.done = created;
	f->r = r;
	r->state = f;
	r->cancel = cancel;
	groups_create(broker_groups(r->broker), &f->wait);
}
