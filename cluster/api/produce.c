/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce: each partition's batch is appended at once, in the order of the request. With acks=1 the
 * answer follows the write; with acks=-1 it waits until all batches count as stored, or the
 * client's timeout is over. With acks=0 there is no answer, and an error closes the connection
 * (KafkaApis.scala, handleProduceRequest).
 *
 * The client's timeout is how long it gives other replicas. Kafka alone on its node waits for none,
 * so that clients get by with 0; here the own disk gets STORE_MIN_MS whatever they say.
 *
 * This broker has no transactions. A transactional id is refused with an error that clients take
 * for final; they meet it in InitProducerId before they come here.
 */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/record_errors.h"
#include "cluster/deadline.h"
#include "lib/wire/batch.h"
#include "lib/wire/messages.h"

enum {
	IDS_FROM = 13,
	LEADER_HINTS_FROM = 10, /* KIP-951 */
	RECORD_ERRORS_FROM = 8, /* KIP-467 */
	ZSTD_FROM = 7,
	STORE_MIN_MS = 5000,
};

struct produce_wait {
	struct plog_wait wait;
	struct produce *of;
	struct produce_response_partition_produce_response *out;
	bool over;
};

struct produce {
	struct request *r;
	const struct produce_request *in;
	struct produce_response *out;
	bool internal_allowed;
	unsigned failed;
	/* acks=-1 */
	struct produce_wait *waits;
	size_t waits_n, waiting;
	struct deadline deadline;
};

/* ---- answering ---- */

static void answer(struct produce *p)
{
	if (p->in->acks != 0) {
		request_answer(p->r, p->out);
		return;
	}
	if (p->failed > 0)
		request_hang_up(p->r, "a batch that was sent with acks=0 was refused");
	else
		request_finish(p->r);
}

static void on_stored(struct plog_wait *w, enum err e)
{
	struct produce_wait *pw = (struct produce_wait *)w;
	struct produce *p = pw->of;
	pw->over = true;
	if (e != ERR_OK) {
		pw->out->error_code = access_code(e);
		pw->out->base_offset = -1;
	}
	if (--p->waiting > 0)
		return;
	deadline_clear(&p->deadline);
	answer(p);
}

static void forget_waits(struct produce *p)
{
	deadline_clear(&p->deadline);
	for (size_t i = 0; i < p->waits_n; i++)
		if (!p->waits[i].over)
			plog_wait_cancel(&p->waits[i].wait);
}

static void on_timeout(struct deadline *d)
{
	struct produce *p = (struct produce *)((char *)d - offsetof(struct produce, deadline));
	forget_waits(p);
	for (size_t i = 0; i < p->waits_n; i++)
		if (!p->waits[i].over)
			p->waits[i].out->error_code = err_to_kafka(ERR_KAFKA_REQUEST_TIMED_OUT);
	answer(p);
}

static void on_cancel(struct request *r)
{
	forget_waits(r->state);
}

/* ---- one partition ---- */

/* Exactly one batch of the current format (ProduceRequest.validateRecords). */
static enum err check_records(const struct produce *p, struct bytes records, struct errmsg *why)
{
	struct batch_walk walk = {.left = records};
	struct batch_head head;
	struct bytes whole;
	int version = p->r->version;
	switch (batch_walk_next(&walk, &head, &whole, why)) {
	case BATCH_WALK_BATCH:
		break;
	case BATCH_WALK_OLD:
		return errmsg_set(why, ERR_KAFKA_INVALID_RECORD,
				  "Produce v%d takes record batches of magic 2 only", version);
	case BATCH_WALK_END:
		return errmsg_set(why, ERR_KAFKA_INVALID_RECORD,
				  "Produce v%d must have a whole record batch for each partition",
				  version);
	case BATCH_WALK_MALFORMED:
		/* The log refuses it too, and tells what clients send again (2) from what they do
		 * not (87): a wrong head whose checksum is right will not get better. */
		return ERR_OK;
	}
	if (walk.left.n > 0)
		return errmsg_set(why, ERR_KAFKA_INVALID_RECORD,
				  "Produce v%d takes exactly one record batch for each partition",
				  version);
	if (version < ZSTD_FROM && batch_codec(&head) == CODEC_ZSTD)
		return errmsg_set(why, ERR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
				  "Produce v%d does not allow zstd", version);
	return ERR_OK;
}

static enum err append(struct produce *p, const struct partition *to, struct bytes records,
		       struct plog_appended *done, struct errmsg *why)
{
	enum err e = access_check(p->r->broker, to, -1);
	if (e == ERR_OK)
		e = check_records(p, records, why);
	if (e != ERR_OK)
		return e;
	if (to->topic->internal && !p->internal_allowed)
		return errmsg_set(why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION,
				  "cannot append to the internal topic %s", to->topic->name);
	const struct plog_append how = {.leader_epoch = to->leader_epoch};
	return plog_append(to->log, records, &how, done, why);
}

/* The records that are wrong (KIP-467). */
static void put_record_errors(struct produce *p, const struct partition *to, struct bytes batch,
			      struct produce_response_partition_produce_response *out, enum err e,
			      int32_t first)
{
	int64_t now = clock_wall_ms(loop_clock(broker_loop(p->r->broker)));
	int32_t n = 0;
	const int32_t *list =
		record_errors_list(&p->r->arena, batch, e, first, &to->topic->log_config, now, &n);
	out->record_errors = wire_array_new(
		&p->r->arena, &wire_produce_response_batch_index_and_error_message, n);
	if (list == NULL || out->record_errors == NULL)
		return;
	out->record_errors_n = n;
	for (int32_t i = 0; i < n; i++) {
		out->record_errors[i].batch_index = list[i];
		out->record_errors[i].batch_index_error_message = out->error_message;
	}
}

/* Where the leader is, for a client that came to the wrong place (KIP-951). */
static void put_leader(struct produce *p, const struct partition *to,
		       struct produce_response_partition_produce_response *out)
{
	if (p->r->version < LEADER_HINTS_FROM)
		return;
	out->current_leader.leader_id = to->leader;
	out->current_leader.leader_epoch = to->leader_epoch;
}

/* What of a partition's data was refused. */
struct refusal {
	enum err e;
	int32_t bad_record; /* -1: none by itself */
	struct bytes batch;
	const struct errmsg *why;
};

static void put_error(struct produce *p, const struct partition *to,
		      struct produce_response_partition_produce_response *out,
		      const struct refusal *f)
{
	p->failed++;
	out->error_code = access_code(f->e);
	out->base_offset = -1;
	if (f->e == ERR_KAFKA_NOT_LEADER_OR_FOLLOWER)
		put_leader(p, to, out);
	if (to != NULL && to->log != NULL)
		out->log_start_offset = plog_start(to->log);
	if (p->r->version < RECORD_ERRORS_FROM || f->why->text[0] == '\0')
		return;
	out->error_message = bytes_str(arena_strndup(&p->r->arena, bytes_str(f->why->text)));
	bool of_record = f->e == ERR_KAFKA_INVALID_RECORD || f->e == ERR_KAFKA_INVALID_TIMESTAMP;
	if (of_record && f->bad_record >= 0)
		put_record_errors(p, to, f->batch, out, f->e, f->bad_record);
}

static void await(struct produce *p, struct plog *log, int64_t end,
		  struct produce_response_partition_produce_response *out)
{
	if (plog_high_watermark(log) >= end)
		return;
	struct produce_wait *w = &p->waits[p->waits_n++];
	*w = (struct produce_wait){.wait = {.offset = end, .done = on_stored}, .of = p, .out = out};
	p->waiting++;
	plog_wait_stored(log, &w->wait);
}

static void take_partition(struct produce *p, const struct partition *to, enum err refused,
			   const struct produce_request_partition_produce_data *in,
			   struct produce_response_partition_produce_response *out)
{
	struct errmsg why = {{0}};
	struct plog_appended done = {.bad_record = -1};
	out->index = in->index;
	enum err e = refused;
	if (e == ERR_OK)
		e = append(p, to, in->records.data, &done, &why);
	if (e != ERR_OK) {
		put_error(p, to, out,
			  &(struct refusal){.e = e,
					    .bad_record = done.bad_record,
					    .batch = in->records.data,
					    .why = &why});
		return;
	}
	out->base_offset = done.base_offset;
	out->log_append_time_ms = done.append_time;
	out->log_start_offset = plog_start(to->log);
	if (p->in->acks == -1)
		await(p, to->log, done.last_offset + 1, out);
}

/* ---- the request ---- */

/* Why nothing of it can be done. */
static enum err check_request(const struct produce_request *in)
{
	if (in->transactional_id.p != NULL)
		return ERR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	if (in->acks < -1 || in->acks > 1)
		return ERR_KAFKA_INVALID_REQUIRED_ACKS;
	return ERR_OK;
}

static bool take_topic(struct produce *p, const struct produce_request_topic_produce_data *in,
		       struct produce_response_topic_produce_response *out, enum err refused)
{
	struct metadata *m = broker_metadata(p->r->broker);
	bool by_id = p->r->version >= IDS_FROM;
	out->name = in->name;
	out->topic_id = in->topic_id;
	out->partition_responses =
		wire_array_new(&p->r->arena, &wire_produce_response_partition_produce_response,
			       in->partition_data_n);
	if (out->partition_responses == NULL && in->partition_data_n > 0)
		return false;
	out->partition_responses_n = in->partition_data_n;
	if (by_id && refused == ERR_OK && metadata_topic_by_id(m, &in->topic_id) == NULL)
		refused = ERR_KAFKA_UNKNOWN_TOPIC_ID;
	for (int32_t i = 0; i < in->partition_data_n; i++) {
		int32_t index = in->partition_data[i].index;
		const struct partition *to =
			by_id ? metadata_partition_by_id(m, &in->topic_id, index)
			      : metadata_partition(m, in->name, index);
		take_partition(p, to, refused, &in->partition_data[i],
			       &out->partition_responses[i]);
	}
	return true;
}

static bool make_answer(struct produce *p)
{
	struct request *r = p->r;
	size_t partitions = 0;
	for (int32_t i = 0; i < p->in->topic_data_n; i++)
		partitions += (size_t)p->in->topic_data[i].partition_data_n;
	p->out = request_response(r);
	if (p->out == NULL)
		return false;
	p->out->responses = wire_array_new(&r->arena, &wire_produce_response_topic_produce_response,
					   p->in->topic_data_n);
	if (p->out->responses == NULL && p->in->topic_data_n > 0)
		return false;
	p->out->responses_n = p->in->topic_data_n;
	if (p->in->acks == -1)
		p->waits = arena_zalloc(&r->arena, partitions, sizeof *p->waits);
	return p->in->acks != -1 || p->waits != NULL || partitions == 0;
}

void api_produce(struct request *r)
{
	struct produce *p = arena_zalloc(&r->arena, 1, sizeof *p);
	if (p == NULL) {
		request_no_memory(r);
		return;
	}
	p->r = r;
	p->in = r->msg;
	/* AdminUtils.ADMIN_CLIENT_ID */
	p->internal_allowed = bytes_eq_str(r->client_id, "__admin_client");
	p->deadline.fn = on_timeout;
	enum err refused = check_request(p->in);
	bool fits = make_answer(p);
	for (int32_t i = 0; fits && i < p->in->topic_data_n; i++)
		fits = take_topic(p, &p->in->topic_data[i], &p->out->responses[i], refused);
	if (!fits) {
		forget_waits(p);
		request_no_memory(r);
		return;
	}
	if (p->waiting == 0) {
		answer(p);
		return;
	}
	r->state = p;
	r->cancel = on_cancel;
	int32_t ms = p->in->timeout_ms > STORE_MIN_MS ? p->in->timeout_ms : STORE_MIN_MS;
	deadline_set(broker_produce_deadlines(r->broker), &p->deadline, ms);
}
