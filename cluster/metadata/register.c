/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This broker's registration: at each start one batch with RegisterBrokerRecord (the broker epoch
 * is its offset, as in Kafka) and the change that unfences it; before it, in a new cluster, the
 * level of metadata.version.
 *
 * It does not hold up the start: a broker whose disk is full serves reads, and registers when there
 * is room.
 */
#include <assert.h>

#include "cluster/metadata/metadata_priv.h"
#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

enum {
	RETRY_MS = 1000,
	/* SecurityProtocol.java. */
	PROTOCOL_PLAINTEXT = 0,
	PROTOCOL_SSL = 1,
	FENCING_UNFENCE = -1,
	RECORDS_MAX = 3,
};

struct registration {
	struct metadata *m;
	struct metadata_change change;
	struct loop_timer *retry;
	struct uuid incarnation;
	int64_t epoch;
	bool complained;
	char *rack; /* NULL: none */
	size_t listeners_n;
	struct metadata_listener listeners[];
};

static void try_register(void *arg);

static void again(struct registration *g, const char *reason)
{
	if (!g->complained)
		log_event(loop_log(g->m->loop), LOG_ERROR, "registration_failed",
			  LOG_S("reason", reason), LOG_S("next", "it is tried every second"));
	g->complained = true;
	g->epoch = -1;
	loop_timer_set(g->retry, RETRY_MS);
}

static void on_done(struct metadata_change *c, enum err e)
{
	struct registration *g =
		(struct registration *)((char *)c - offsetof(struct registration, change));

	if (e == ERR_CANCELED)
		return;
	if (e != ERR_OK) {
		again(g, err_text(e));
		return;
	}
	log_event(loop_log(g->m->loop), LOG_INFO, "broker_registered", LOG_I("node", g->m->node_id),
		  LOG_I("epoch", g->epoch));
}

/* BrokerRegistration's feature ranges: only metadata.version. */
static enum err fill_registration(const struct registration *g, int64_t epoch, struct arena *a,
				  struct register_broker_record *r)
{
	wire_init(&wire_register_broker_record, r);
	r->broker_id = g->m->node_id;
	r->incarnation_id = g->incarnation;
	r->broker_epoch = epoch;
	r->rack = bytes_str(g->rack);
	r->fenced = true;
	r->end_points = wire_array_new(a, &wire_register_broker_record_broker_endpoint,
				       (int32_t)g->listeners_n);
	r->features = wire_array_new(a, &wire_register_broker_record_broker_feature, 1);
	r->log_dirs = arena_zalloc(a, 1, sizeof *r->log_dirs);
	if (r->end_points == NULL || r->features == NULL || r->log_dirs == NULL)
		return ERR_NOMEM;
	r->end_points_n = (int32_t)g->listeners_n;
	for (size_t i = 0; i < g->listeners_n; i++) {
		r->end_points[i].name = bytes_str(g->listeners[i].name);
		r->end_points[i].host = bytes_str(g->listeners[i].host);
		r->end_points[i].port = g->listeners[i].port;
		r->end_points[i].security_protocol =
			g->listeners[i].tls ? PROTOCOL_SSL : PROTOCOL_PLAINTEXT;
	}
	r->features_n = 1;
	r->features[0].name = bytes_str("metadata.version");
	r->features[0].min_supported_version = METADATA_VERSION_MIN;
	r->features[0].max_supported_version = METADATA_VERSION;
	r->log_dirs_n = 1;
	r->log_dirs[0] = store_directory_id(g->m->store);
	return ERR_OK;
}

static enum err propose(struct registration *g, struct arena *a, struct errmsg *why)
{
	struct metadata *m = g->m;
	struct feature_level_record level;
	struct register_broker_record reg;
	struct broker_registration_change_record unfence;
	struct metadata_record records[RECORDS_MAX];
	size_t n = 0;

	if (m->image.metadata_version == 0) {
		wire_init(&wire_feature_level_record, &level);
		level.name = bytes_str("metadata.version");
		level.feature_level = METADATA_VERSION;
		records[n++] = (struct metadata_record){&wire_feature_level_record, 0, &level};
	}
	int64_t epoch = propose_next_offset(m) + (int64_t)n;
	if (fill_registration(g, epoch, a, &reg) != ERR_OK)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	records[n++] = (struct metadata_record){&wire_register_broker_record, 3, &reg};
	wire_init(&wire_broker_registration_change_record, &unfence);
	unfence.broker_id = m->node_id;
	unfence.broker_epoch = epoch;
	unfence.fenced = FENCING_UNFENCE;
	records[n++] =
		(struct metadata_record){&wire_broker_registration_change_record, 0, &unfence};
	enum err e = metadata_propose(m, records, n, &g->change, why);
	if (e == ERR_OK)
		g->epoch = epoch;
	return e;
}

static void try_register(void *arg)
{
	struct registration *g = arg;
	struct errmsg why = {0};
	struct arena a;

	arena_init(&a, 1 << 16);
	enum err e = propose(g, &a, &why);
	arena_fini(&a);
	if (e != ERR_OK)
		again(g, why.text);
}

static void free_texts(struct registration *g)
{
	for (size_t i = 0; i < g->listeners_n; i++) {
		mem_free((char *)g->listeners[i].name);
		mem_free((char *)g->listeners[i].host);
	}
	mem_free(g->rack);
}

static enum err copy_texts(struct registration *g, const struct metadata_options *o)
{
	g->listeners_n = o->listeners_n;
	for (size_t i = 0; i < o->listeners_n; i++) {
		g->listeners[i] = o->listeners[i];
		g->listeners[i].name = mem_strdup(o->listeners[i].name);
		g->listeners[i].host = mem_strdup(o->listeners[i].host);
	}
	if (o->rack != NULL)
		g->rack = mem_strdup(o->rack);
	for (size_t i = 0; i < g->listeners_n; i++)
		if (g->listeners[i].name == NULL || g->listeners[i].host == NULL)
			return ERR_NOMEM;
	return o->rack != NULL && g->rack == NULL ? ERR_NOMEM : ERR_OK;
}

enum err register_start(struct metadata *m, const struct metadata_options *o)
{
	struct registration *g =
		mem_zalloc(1, sizeof *g + o->listeners_n * sizeof(struct metadata_listener));

	if (g == NULL)
		return ERR_NOMEM;
	m->registration = g;
	g->m = m;
	g->epoch = -1;
	g->change.done = on_done;
	g->retry = loop_timer_new(m->loop, try_register, g);
	if (g->retry == NULL || copy_texts(g, o) != ERR_OK)
		return ERR_NOMEM;
	metadata_random_id(m, &g->incarnation);
	try_register(g);
	return ERR_OK;
}

void register_fini(struct metadata *m)
{
	struct registration *g = m->registration;

	if (g == NULL)
		return;
	loop_timer_free(g->retry);
	free_texts(g);
	mem_free(g);
}

int64_t register_epoch(const struct metadata *m)
{
	return m->registration == NULL ? -1 : m->registration->epoch;
}
