/* SPDX-License-Identifier: Apache-2.0 */
/* One timer; at each end a writer, which gets a record when it has nothing else to do. */
#include "mirror/link/heartbeats.h"

#include "checkpoint/mm2_records.h"
#include "lib/base/mem.h"
#include "mirror/clusters/topic_writer.h"
#include "mirror/link/link_parts.h"

enum { BATCH_BYTES = 4096, VALUE_BYTES = 16 };

static const char TOPIC[] = "heartbeats"; /* under every policy (ReplicationPolicy.java) */

/* One end. */
struct beat {
	struct loop *loop;
	struct topic_writer *writer; /* NULL: none is written here */
	const char *source, *target; /* what it says */
	int64_t put_ms, stored_ms;   /* wall clock */
};

struct heartbeats {
	struct link *link;
	struct loop_timer *timer;
	struct beat ends[2]; /* by "is it the source" */
};

static void on_stored(void *arg, uint64_t ticket)
{
	struct beat *b = arg;
	(void)ticket;
	b->stored_ms = b->put_ms;
}

static enum err beat_init(struct beat *b, struct link *k, bool source)
{
	const struct link_config *c = k->config;
	const struct cluster_config *here = source ? c->source : c->target;
	b->loop = k->loop;
	b->source = source ? c->target->name : c->source->name;
	b->target = here->name;
	if (source ? !c->emit_heartbeats_at_source : !c->emit_heartbeats)
		return ERR_OK;
	const struct topic_writer_options o = {
		.topic = {.client = source ? k->source_client : k->target_client,
			  .link = c->name,
			  .name = TOPIC,
			  .replication_factor = c->heartbeats_replication_factor,
			  .settings = own_topic_compacted,
			  .settings_n = OWN_TOPIC_COMPACTED_N,
			  .timeout_ms = here->request_timeout_ms},
		.batch_bytes = BATCH_BYTES,
		.stored = on_stored,
		.arg = b,
	};
	return topic_writer_new(k->loop, &o, &b->writer);
}

static enum err beat_write(struct beat *b)
{
	const struct mm2_heartbeat h = {
		.source = bytes_str(b->source),
		.target = bytes_str(b->target),
		.timestamp_ms = clock_wall_ms(loop_clock(b->loop)),
	};
	struct buf key, value;
	buf_init(&key, BATCH_BYTES);
	buf_init(&value, VALUE_BYTES);
	enum err e = mm2_records_encode_heartbeat(&h, &key, &value);
	if (e == ERR_OK) {
		const struct record r = {
			.timestamp = h.timestamp_ms,
			.key = buf_bytes(&key),
			.value = buf_bytes(&value),
		};
		e = topic_writer_put(b->writer, &r, NULL);
	}
	if (e == ERR_OK)
		b->put_ms = h.timestamp_ms;
	buf_fini(&key);
	buf_fini(&value);
	return e;
}

static void on_timer(void *arg)
{
	struct heartbeats *h = arg;
	for (size_t i = 0; i < 2; i++) {
		struct beat *b = &h->ends[i];
		/* Out of memory: the next one. */
		if (b->writer != NULL && topic_writer_idle(b->writer))
			(void)!beat_write(b);
	}
	loop_timer_set(h->timer, h->link->config->emit_heartbeats_ms);
}

enum err heartbeats_new(struct link *k, struct heartbeats **out)
{
	struct heartbeats *h = mem_zalloc(1, sizeof *h);
	if (h == NULL)
		return ERR_NOMEM;
	h->link = k;
	h->timer = loop_timer_new(k->loop, on_timer, h);
	enum err e = h->timer == NULL ? ERR_NOMEM : beat_init(&h->ends[0], k, false);
	if (e == ERR_OK)
		e = beat_init(&h->ends[1], k, true);
	if (e != ERR_OK) {
		heartbeats_free(h);
		return e;
	}
	if (h->ends[0].writer != NULL || h->ends[1].writer != NULL)
		loop_timer_set(h->timer, 0);
	*out = h;
	return ERR_OK;
}

void heartbeats_stop(struct heartbeats *h)
{
	if (h == NULL)
		return;
	loop_timer_stop(h->timer);
	topic_writer_stop(h->ends[0].writer);
	topic_writer_stop(h->ends[1].writer);
}

void heartbeats_free(struct heartbeats *h)
{
	if (h == NULL)
		return;
	loop_timer_free(h->timer);
	topic_writer_free(h->ends[0].writer);
	topic_writer_free(h->ends[1].writer);
	mem_free(h);
}

void heartbeats_on_metadata(struct heartbeats *h, bool source)
{
	if (h->ends[source].writer != NULL)
		topic_writer_on_metadata(h->ends[source].writer);
}

int64_t heartbeats_last_ms(const struct heartbeats *h, bool source)
{
	return h->ends[source].writer == NULL ? -1 : h->ends[source].stored_ms;
}
