/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InitProducerId for idempotent producers. Without a transactional id every request gets a new
 * producer id (TransactionCoordinator.handleInitProducerId). This broker has no transactions: a
 * transactional id gets the error that clients take for final, where most others would be tried
 * again for ever.
 */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "lib/wire/messages.h"

struct init {
	struct metadata_producer_id id;
	struct request *r;
	struct init_producer_id_response *out;
};

static void on_id(struct metadata_producer_id *p, enum err e, int64_t id)
{
	struct init *i = (struct init *)p;
	i->out->error_code = access_code(e);
	if (e == ERR_OK)
		i->out->producer_id = id;
	i->out->producer_epoch = e == ERR_OK ? 0 : -1;
	request_answer(i->r, i->out);
}

static void on_cancel(struct request *r)
{
	struct init *i = r->state;
	metadata_producer_id_cancel(broker_metadata(r->broker), &i->id);
}

static enum err check(const struct init_producer_id_request *in)
{
	if (in->transactional_id.p != NULL && in->transactional_id.n == 0)
		return ERR_KAFKA_INVALID_REQUEST;
	if (in->transactional_id.p != NULL)
		return ERR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	/* An id goes with an epoch (KafkaApis.handleInitProducerIdRequest). */
	if ((in->producer_id == -1) != (in->producer_epoch == -1))
		return ERR_KAFKA_INVALID_REQUEST;
	return ERR_OK;
}

void api_init_producer_id(struct request *r)
{
	struct init *i = arena_zalloc(&r->arena, 1, sizeof *i);
	struct init_producer_id_response *out = request_response(r);
	if (i == NULL || out == NULL) {
		request_no_memory(r);
		return;
	}
	enum err e = check(r->msg);
	if (e != ERR_OK) {
		out->error_code = err_to_kafka(e);
		out->producer_epoch = -1;
		request_answer(r, out);
		return;
	}
	*i = (struct init){.id = {.done = on_id}, .r = r, .out = out};
	r->state = i;
	r->cancel = on_cancel;
	metadata_producer_id(broker_metadata(r->broker), &i->id);
}
