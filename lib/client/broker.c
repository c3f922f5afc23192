/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One broker. Invariants: the channels borrow `at`, whose host is replaced only together with
 * channel_moved; after broker_retire nothing is logged any more.
 */
#include "lib/client/broker.h"

#include <assert.h>
#include <stdio.h>

#include "lib/base/mem.h"

/* RFC 1035: a name has at most 255 octets. */
enum { HOST_MAX = 255 };

/* A channel and what its events need to say. */
struct slot {
	struct broker *broker;
	struct channel *channel;
	uint8_t number;
};

struct broker {
	struct loop *loop;
	const struct channel_config *cfg;
	const struct broker_events *ev;
	void *arg;
	int32_t id;
	struct address at;
	struct slot slots[CLIENT_CHANNELS_MAX];
	struct errmsg reason; /* why it cannot be reached; empty when it can */
	bool retired;
};

bool broker_host_valid(struct bytes host)
{
	if (host.p == NULL || host.n == 0 || host.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		if (host.p[i] <= ' ' || host.p[i] >= 0x7f)
			return false;
	}
	return true;
}

static void broker_log(const struct broker *b, enum log_level level, const char *event,
		       const char *reason)
{
	char name[HOST_MAX + 16];
	snprintf(name, sizeof name, "%s:%u", b->at.host, b->at.port);
	log_event(loop_log(b->loop), level, event, LOG_S("cluster", b->cfg->cluster),
		  LOG_S("broker", name), LOG_I("node", b->id), LOG_S("reason", reason));
}

static void broker_on_ready(void *arg)
{
	const struct slot *s = arg;
	struct broker *b = s->broker;
	if (b->reason.text[0] != '\0') {
		b->reason.text[0] = '\0';
		broker_log(b, LOG_INFO, "broker_reachable", "connected");
	}
	b->ev->on_ready(b->arg, b, s->number);
}

static void broker_on_failed(void *arg, enum err e, const struct errmsg *why)
{
	const struct slot *s = arg;
	struct broker *b = s->broker;
	if (!b->retired && strcmp(b->reason.text, why->text) != 0) {
		b->reason = *why;
		broker_log(b, LOG_WARN, "broker_unreachable", why->text);
	}
	b->ev->on_failed(b->arg, b, s->number, e, why);
}

static void broker_on_lost(void *arg, const struct errmsg *why)
{
	const struct slot *s = arg;
	s->broker->ev->on_lost(s->broker->arg, s->broker, why);
}

static void broker_on_idle(void *arg)
{
	const struct slot *s = arg;
	s->broker->ev->on_idle(s->broker->arg, s->broker);
}

struct broker *broker_new(struct loop *l, const struct channel_config *cfg,
			  const struct endpoint *at, const struct broker_events *ev, void *arg)
{
	struct broker *b = mem_zalloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->loop = l;
	b->cfg = cfg;
	b->ev = ev;
	b->arg = arg;
	b->id = at->id;
	b->at.port = at->port;
	b->at.host = mem_strndup(at->host);
	if (b->at.host == NULL) {
		mem_free(b);
		return NULL;
	}
	return b;
}

void broker_free(struct broker *b)
{
	if (b == NULL)
		return;
	for (size_t i = 0; i < CLIENT_CHANNELS_MAX; i++)
		channel_free(b->slots[i].channel);
	mem_free(b->at.host);
	mem_free(b);
}

int32_t broker_id(const struct broker *b)
{
	return b->id;
}

bool broker_is_at(const struct broker *b, const struct endpoint *at)
{
	return b->at.port == at->port && bytes_eq_str(at->host, b->at.host);
}

void broker_identify(struct broker *b, int32_t id)
{
	assert(b->id == BROKER_ID_UNKNOWN);
	b->id = id;
}

enum err broker_move(struct broker *b, const struct endpoint *to)
{
	if (broker_is_at(b, to))
		return ERR_OK;
	char *host = mem_strndup(to->host);
	if (host == NULL)
		return ERR_NOMEM;
	mem_free(b->at.host);
	b->at = (struct address){.host = host, .port = to->port};
	b->reason.text[0] = '\0';
	for (size_t i = 0; i < CLIENT_CHANNELS_MAX; i++) {
		if (b->slots[i].channel != NULL)
			channel_moved(b->slots[i].channel);
	}
	return ERR_OK;
}

struct channel *broker_channel(struct broker *b, uint8_t channel)
{
	static const struct channel_events events = {broker_on_ready, broker_on_failed,
						     broker_on_lost, broker_on_idle};
	assert(channel < CLIENT_CHANNELS_MAX);
	struct slot *s = &b->slots[channel];
	if (s->channel == NULL) {
		*s = (struct slot){.broker = b, .number = channel};
		s->channel = channel_new(b->loop, b->cfg, &b->at, &events, s);
	}
	return s->channel;
}

struct channel *broker_peek(const struct broker *b, uint8_t channel)
{
	assert(channel < CLIENT_CHANNELS_MAX);
	return b->slots[channel].channel;
}

void broker_joined(const struct broker *b)
{
	broker_log(b, LOG_INFO, "broker_joined", "named in the metadata");
}

void broker_retire(struct broker *b)
{
	struct errmsg why;
	errmsg_set(&why, ERR_CONNECT, "%s:%u: broker %d left the cluster", b->at.host, b->at.port,
		   b->id);
	b->retired = true;
	broker_log(b, LOG_INFO, "broker_left", "no longer in the metadata");
	for (size_t i = 0; i < CLIENT_CHANNELS_MAX; i++) {
		if (b->slots[i].channel != NULL)
			channel_retire(b->slots[i].channel, ERR_CONNECT, &why);
	}
}

bool broker_idle(const struct broker *b)
{
	for (size_t i = 0; i < CLIENT_CHANNELS_MAX; i++) {
		if (b->slots[i].channel != NULL && !channel_idle(b->slots[i].channel))
			return false;
	}
	return true;
}

size_t broker_ready(const struct broker *b)
{
	size_t n = 0;
	for (size_t i = 0; i < CLIENT_CHANNELS_MAX; i++)
		n += b->slots[i].channel != NULL && channel_ready(b->slots[i].channel);
	return n;
}
