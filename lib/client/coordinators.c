/* SPDX-License-Identifier: Apache-2.0 */
/* The request is fitted to the version when the connection is known; what a request did not ask
 * about goes into the next. */
#include "lib/client/coordinators.h"

#include "lib/base/mem.h"

enum { KEY_TYPE_GROUP = 0, BATCHED_FROM = 4, KEYS_MAX = 1000 };

struct coordinators_call {
	struct client *client;
	uint8_t channel;
	const char *const *groups;
	size_t n;
	size_t at;    /* the first that is not answered */
	size_t asked; /* how many the request is about */
	struct coordinators_events ev;
	void *arg;
	struct find_coordinator_request msg;
	struct bytes *keys; /* room for KEYS_MAX, or n */
	bool *told;         /* of those that the request is about */
};

static size_t batch_of(const struct coordinators_call *f)
{
	return f->n - f->at < KEYS_MAX ? f->n - f->at : KEYS_MAX;
}

static void prepare(void *arg, int16_t version)
{
	struct coordinators_call *f = arg;
	wire_init(&wire_find_coordinator_request, &f->msg);
	f->msg.key_type = KEY_TYPE_GROUP;
	f->asked = version >= BATCHED_FROM ? batch_of(f) : 1;
	if (version < BATCHED_FROM) {
		f->msg.key = bytes_str(f->groups[f->at]);
		return;
	}
	for (size_t i = 0; i < f->asked; i++)
		f->keys[i] = bytes_str(f->groups[f->at + i]);
	f->msg.coordinator_keys = f->keys;
	f->msg.coordinator_keys_n = (int32_t)f->asked;
}

static void tell(struct coordinators_call *f, size_t i, int16_t code, int32_t node)
{
	enum err e = err_from_kafka(code);
	if (e == ERR_OK && node < 0)
		e = ERR_MALFORMED;
	f->told[i] = true;
	f->ev.on_group(f->arg, f->at + i, e, node);
}

/* Answers come in the order of the questions; one that does not is searched for. */
static void tell_all(struct coordinators_call *f, const struct find_coordinator_response *r)
{
	size_t hint = 0;
	for (int32_t k = 0; k < r->coordinators_n; k++) {
		const struct find_coordinator_response_coordinator *x = &r->coordinators[k];
		size_t i = hint;
		if (i >= f->asked || !bytes_eq(x->key, f->keys[i]))
			for (i = 0; i < f->asked && !bytes_eq(x->key, f->keys[i]);)
				i++;
		hint = i + 1;
		if (i < f->asked && !f->told[i])
			tell(f, i, x->error_code, x->node_id);
	}
	for (size_t i = 0; i < f->asked; i++)
		if (!f->told[i])
			f->ev.on_group(f->arg, f->at + i, ERR_MALFORMED, -1);
}

static void send(struct coordinators_call *f);

static void on_found(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct coordinators_call *f = arg;
	if (e == ERR_OK) {
		const struct find_coordinator_response *r = reply->msg;
		memset(f->told, 0, f->asked * sizeof *f->told);
		if (reply->version >= BATCHED_FROM)
			tell_all(f, r);
		else
			tell(f, 0, r->error_code, r->node_id);
		f->at += f->asked;
		if (f->at < f->n) {
			send(f);
			return;
		}
	}
	f->ev.on_done(f->arg, e, why);
	mem_free(f->keys);
	mem_free(f->told);
	mem_free(f);
}

static void send(struct coordinators_call *f)
{
	const struct client_call call = {
		.node = CLIENT_ANY,
		.channel = f->channel,
		.api_key = WIRE_API_FIND_COORDINATOR,
		.msg = &f->msg,
		.prepare = prepare,
		.done = on_found,
		.arg = f,
	};
	client_call(f->client, &call);
}

enum err coordinators_find(struct client *c, uint8_t channel, const char *const *groups, size_t n,
			   const struct coordinators_events *ev, void *arg)
{
	struct coordinators_call *f = mem_zalloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	*f = (struct coordinators_call){
		.client = c, .channel = channel, .groups = groups, .n = n, .ev = *ev, .arg = arg};
	size_t room = batch_of(f);
	f->keys = mem_zalloc(room, sizeof *f->keys);
	f->told = mem_zalloc(room, sizeof *f->told);
	if (f->keys == NULL || f->told == NULL) {
		mem_free(f->keys);
		mem_free(f->told);
		mem_free(f);
		return ERR_NOMEM;
	}
	send(f);
	return ERR_OK;
}
