/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's settings; see broker_settings.h. */
#include "cluster/api/broker_settings.h"

#include <inttypes.h>
#include <stdio.h>

#include "cluster/broker.h"
#include "cluster/config_table.h"
#include "lib/base/buf.h"
#include "lib/base/config_value.h"

enum {
	FIXED_N = 6,
	LISTENERS_N = 3,     /* listeners, advertised.listeners, listener.security.protocol.map */
	TEXT_MAX = 64 << 10, /* of all listeners together */
	MINUTE_MS = 60000,
	CONFIG_TYPE_SHORT = 4,
	CONFIG_TYPE_PASSWORD = 9,
};

struct list {
	struct broker *b;
	struct arena *arena;
	struct broker_setting *all;
	size_t n;
	bool nomem;
};

static const char *copy(struct list *l, struct bytes text)
{
	const char *p = arena_strndup(l->arena, text);

	l->nomem = l->nomem || p == NULL;
	return p;
}

static void put(struct list *l, struct broker_setting s)
{
	l->all[l->n++] = s;
}

/* ---- rows of the table ---- */

static int8_t type_of(const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_BOOL:
		return CONFIG_TYPE_BOOLEAN;
	case CONFIG_INT:
		return row->max > INT32_MAX ? CONFIG_TYPE_LONG : CONFIG_TYPE_INT;
	case CONFIG_DURATION:
	case CONFIG_BYTES:
		return CONFIG_TYPE_LONG;
	case CONFIG_ENUM:
	case CONFIG_STRING:
	case CONFIG_FILE:
		return CONFIG_TYPE_STRING;
	case CONFIG_SECRET:
		return CONFIG_TYPE_PASSWORD;
	case CONFIG_LIST:
	case CONFIG_ARRAY:
		return CONFIG_TYPE_LIST;
	}
	return CONFIG_TYPE_STRING;
}

static const char *show_int(struct list *l, const struct config_row *row, int64_t v)
{
	char text[24];

	if (row->type == CONFIG_ENUM)
		return row->words[v];
	if (row->type == CONFIG_BOOL)
		return v != 0 ? "true" : "false";
	snprintf(text, sizeof text, "%" PRId64, v);
	return copy(l, bytes_str(text));
}

/* The row's default as a number; rows are checked by the tests of the table. */
static int64_t default_of(const struct config_row *row)
{
	int64_t v = 0;
	bool yes = false;

	switch (row->type) {
	case CONFIG_BOOL:
		(void)config_value_bool(row->def, &yes);
		return yes;
	case CONFIG_INT:
		(void)config_value_int(row->def, &v);
		return v;
	case CONFIG_DURATION:
		(void)config_value_duration(row->def, &v);
		return v;
	case CONFIG_BYTES:
		(void)config_value_bytes(row->def, &v);
		return v;
	case CONFIG_ENUM:
		while (row->words[v] != NULL && strcmp(row->words[v], row->def) != 0)
			v++;
		return v;
	case CONFIG_STRING:
	case CONFIG_FILE:
	case CONFIG_SECRET:
	case CONFIG_LIST:
	case CONFIG_ARRAY:
		break;
	}
	return 0;
}

static bool is_text(const struct config_row *row)
{
	return row->type == CONFIG_STRING || row->type == CONFIG_FILE || row->type == CONFIG_SECRET;
}

static void put_row(struct list *l, const struct config_row *row)
{
	const struct broker_config *c = broker_config(l->b);
	struct broker_setting s = {
		.name = row->key,
		.type = type_of(row),
		.read_only = true,
		.sensitive = row->type == CONFIG_SECRET,
		.source = CONFIG_SOURCE_DEFAULT,
		.doc = row->help,
	};

	if (is_text(row)) {
		const char *text = config_value_get_str(row, c);
		bool same = text == NULL || (row->def != NULL && strcmp(text, row->def) == 0);
		s.value = text == NULL || s.sensitive ? NULL : copy(l, bytes_str(text));
		s.source = same ? CONFIG_SOURCE_DEFAULT : CONFIG_SOURCE_STATIC;
	} else {
		int64_t v = config_value_get_int(row, c);
		s.value = show_int(l, row, v);
		if (row->def == NULL || v != default_of(row))
			s.source = CONFIG_SOURCE_STATIC;
	}
	put(l, s);
}

/* Rows that fill the draft and not the configuration itself. */
static void put_draft_row(struct list *l, const struct config_row *row)
{
	const struct broker_config *c = broker_config(l->b);
	struct broker_setting s = {
		.name = row->key, .type = type_of(row), .read_only = true, .doc = row->help};
	char text[24];

	if (strcmp(row->key, "log.level") == 0)
		s.value = copy(l, bytes_str(c->log_level));
	if (strcmp(row->key, "offsets.retention.minutes") == 0) {
		snprintf(text, sizeof text, "%" PRId64, c->offsets_retention_ms / MINUTE_MS);
		s.value = copy(l, bytes_str(text));
	}
	s.source = s.value != NULL && strcmp(s.value, row->def) == 0 ? CONFIG_SOURCE_DEFAULT
								     : CONFIG_SOURCE_STATIC;
	put(l, s);
}

/* ---- defaults of topics ---- */

static void put_topic_default(struct list *l, const struct topic_config *tc)
{
	struct config_chain chain;

	config_chain_of(l->b, tc, NULL, &chain);
	put(l, (struct broker_setting){
		       .name = tc->broker,
		       .value = copy(l, bytes_str(chain.links[0].value)),
		       .type = (int8_t)tc->type,
		       .source = chain.links[0].source,
		       .doc = tc->doc,
		       .topic = tc,
	       });
}

/* ---- listeners ---- */

static void put_listeners(struct list *l, const char *name, const char *doc,
			  void (*one)(struct buf *b, const struct listener_config *c))
{
	const struct broker_config *c = broker_config(l->b);
	struct buf text;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < c->listeners_n; i++) {
		if (i > 0)
			buf_put_u8(&text, ',');
		one(&text, &c->listeners[i]);
	}
	if (text.err != ERR_OK)
		l->nomem = true;
	else
		put(l, (struct broker_setting){.name = name,
					       .value = copy(l, buf_bytes(&text)),
					       .type = CONFIG_TYPE_STRING,
					       .read_only = true,
					       .source = CONFIG_SOURCE_STATIC,
					       .doc = doc});
	buf_fini(&text);
}

static void show_listen(struct buf *b, const struct listener_config *c)
{
	buf_printf(b, "%s://%s", c->name, c->listen);
}

static void show_advertised(struct buf *b, const struct listener_config *c)
{
	buf_printf(b, "%s://%s", c->name, c->advertised == NULL ? c->listen : c->advertised);
}

static void show_protocol(struct buf *b, const struct listener_config *c)
{
	buf_printf(b, "%s:%s", c->name, c->protocol == LISTENER_SSL ? "SSL" : "PLAINTEXT");
}

/* ---- what cannot be set ---- */

/* Programs look these up in every broker, and some do not expect that one is missing: who makes a
 * topic asks for default.replication.factor. */
static void put_fixed(struct list *l)
{
	const struct broker_config *c = broker_config(l->b);
	char id[16], fetch_max[16];

	snprintf(id, sizeof id, "%" PRId32, c->node_id);
	snprintf(fetch_max, sizeof fetch_max, "%d", FETCH_MAX_BYTES);
	const struct broker_setting fixed[FIXED_N] = {
		{.name = "default.replication.factor",
		 .value = "1",
		 .type = CONFIG_TYPE_INT,
		 .source = CONFIG_SOURCE_DEFAULT,
		 .doc = "Replicas of a topic; this broker is alone."},
		{.name = "offsets.topic.replication.factor",
		 .value = "1",
		 .type = CONFIG_TYPE_SHORT,
		 .source = CONFIG_SOURCE_DEFAULT,
		 .doc = "Replicas of __consumer_offsets; this broker is alone."},
		{.name = "broker.id",
		 .value = copy(l, bytes_str(id)),
		 .type = CONFIG_TYPE_INT,
		 .source = CONFIG_SOURCE_STATIC,
		 .doc = "The same as node.id."},
		{.name = "log.dirs",
		 .value = copy(l, bytes_str(c->data)),
		 .type = CONFIG_TYPE_STRING,
		 .source = CONFIG_SOURCE_STATIC,
		 .doc = "The same as log.dir."},
		{.name = "process.roles",
		 .value = "broker,controller",
		 .type = CONFIG_TYPE_LIST,
		 .source = CONFIG_SOURCE_STATIC,
		 .doc = "What this process does in the cluster: everything."},
		{.name = "fetch.max.bytes",
		 .value = copy(l, bytes_str(fetch_max)),
		 .type = CONFIG_TYPE_INT,
		 .source = CONFIG_SOURCE_DEFAULT,
		 .doc = "Most bytes of records in the answer to one fetch."},
	};
	for (size_t i = 0; i < FIXED_N; i++) {
		put(l, fixed[i]);
		l->all[l->n - 1].read_only = true;
	}
}

/* ---- all ---- */

const struct broker_setting *broker_settings_all(struct broker *b, struct arena *a, size_t *n)
{
	const struct config_schema *schema = config_table_schema();
	size_t topics_n;
	const struct topic_config *topics = topic_config_all(&topics_n);
	struct list l = {.b = b, .arena = a};

	l.all = arena_zalloc(a, schema->rows_n + topics_n + FIXED_N + LISTENERS_N, sizeof *l.all);
	if (l.all == NULL)
		return NULL;
	for (size_t i = 0; i < topics_n; i++)
		if (topics[i].broker != NULL)
			put_topic_default(&l, &topics[i]);
	for (size_t i = 0; i < schema->rows_n; i++) {
		const struct config_row *row = &schema->rows[i];
		if (row->section[0] != 0 || topic_config_by_broker(bytes_str(row->key)) != NULL)
			continue;
		if (row->offset < sizeof(struct broker_config))
			put_row(&l, row);
		else
			put_draft_row(&l, row);
	}
	put_fixed(&l);
	put_listeners(&l, "listeners", "What the broker listens on.", show_listen);
	put_listeners(&l, "advertised.listeners", "What clients are told to connect to.",
		      show_advertised);
	put_listeners(&l, "listener.security.protocol.map", "What each listener speaks.",
		      show_protocol);
	*n = l.n;
	return l.nomem ? NULL : l.all;
}
