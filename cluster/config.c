/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load: put all values (the file's lines, then the command line), fill the drafts from the table,
 * then check what no single row can check. Faults are collected and reported together.
 *
 * The file is in the format of Java's properties as far as people use it: "name = value" or
 * "name=value", comments from # or ! at the start of a line. A value may stand in double quotes.
 */
#include "cluster/config.h"

#include <ctype.h>
#include <string.h>

#include "cluster/config_table.h"
#include "lib/base/config_doc.h"
#include "lib/base/config_file.h"
#include "lib/base/config_value.h"

enum { ARENA_MAX = 8 << 20, PATH_MAX_TEXT = 512, HOST_MAX = 255 };

struct load {
	const struct broker_config_source *src;
	struct config *c;
	struct broker_draft draft;
};

/* ---- the file ---- */

static struct bytes trim(struct bytes s)
{
	while (s.n > 0 && isspace(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && isspace(s.p[s.n - 1]))
		s.n--;
	return s;
}

static void put_line(struct load *l, struct bytes line, unsigned number)
{
	char path[PATH_MAX_TEXT], origin[PATH_MAX_TEXT + 64];
	line = trim(line);
	if (line.n == 0 || line.p[0] == '#' || line.p[0] == '!')
		return;
	const uint8_t *eq = memchr(line.p, '=', line.n);
	if (eq == NULL) {
		config_fault(l->c, "%s:%u: write NAME = VALUE", l->src->file, number);
		return;
	}
	struct bytes name = trim(bytes_of(line.p, (size_t)(eq - line.p)));
	struct bytes value = trim(bytes_of(eq + 1, (size_t)(line.p + line.n - eq - 1)));
	if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		value = bytes_of(value.p + 1, value.n - 2);
	if (name.n == 0 || name.n >= sizeof path) {
		config_fault(l->c, "%s:%u: not the name of a setting", l->src->file, number);
		return;
	}
	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	char *text = arena_strndup(config_arena(l->c), value);
	snprintf(origin, sizeof origin, "%.48s:%u: %s", l->src->file, number, path);
	if (text == NULL)
		config_fault(l->c, "%s: out of memory", origin);
	else
		config_assign(l->c, path, text, origin);
}

static enum err put_file(struct load *l, struct errmsg *why)
{
	struct buf text;
	buf_init(&text, CONFIG_FILE_MAX);
	enum err e = config_file_read(l->src->file, &text, why);
	struct bytes rest = buf_bytes(&text);
	for (unsigned number = 1; e == ERR_OK && rest.n > 0; number++) {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
		put_line(l, bytes_of(rest.p, n), number);
		n += end != NULL;
		rest = bytes_of(rest.p + n, rest.n - n);
	}
	buf_fini(&text);
	return e;
}

static enum err put_all(struct load *l, struct errmsg *why)
{
	enum err e = l->src->file == NULL ? ERR_OK : put_file(l, why);
	if (l->src->listen != NULL)
		config_assign(l->c, "listeners.PLAINTEXT.listen", l->src->listen, "--listen");
	for (size_t i = 0; i < l->src->sets_n; i++)
		config_override(l->c, l->src->sets[i]);
	if (l->src->data != NULL)
		config_assign(l->c, "log.dir", l->src->data, "--data");
	return e;
}

/* ---- checks ---- */

/* "host:port" in two; false if it is not that. */
static bool split_address(struct load *l, const char *text, const char **host, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	int64_t v;
	if (colon == NULL || colon - text > HOST_MAX || !config_value_int(colon + 1, &v) || v < 0 ||
	    v > UINT16_MAX || !isdigit((unsigned char)colon[1]))
		return false;
	struct bytes name = bytes_of(text, (size_t)(colon - text));
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = bytes_of(name.p + 1, name.n - 2);
	else if (memchr(name.p, ':', name.n) != NULL)
		return false; /* an IPv6 address without brackets */
	*host = arena_strndup(config_arena(l->c), name);
	*port = (uint16_t)v;
	return *host != NULL;
}

static bool is_wildcard(const char *host)
{
	return *host == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void check_addresses(struct load *l, struct listener_config *c)
{
	if (c->listen == NULL) {
		config_fault(l->c, "listeners.%s.listen: is required, host:port", c->name);
		return;
	}
	if (!split_address(l, c->listen, &c->host, &c->port)) {
		config_fault(
			l->c,
			"listeners.%s.listen: \"%.100s\" is not an address; write host:port, as in "
			"127.0.0.1:9092 or [::1]:9092",
			c->name, c->listen);
		return;
	}
	c->advertised_host = c->host;
	if (c->advertised == NULL && is_wildcard(c->host))
		config_fault(
			l->c,
			"listeners.%s.advertised: is required when listening on all addresses: the "
			"host:port that clients are to connect to",
			c->name);
	else if (c->advertised != NULL &&
		 (!split_address(l, c->advertised, &c->advertised_host, &c->advertised_port) ||
		  is_wildcard(c->advertised_host) || c->advertised_port == 0))
		config_fault(l->c, "listeners.%s.advertised: \"%.100s\" is not host:port", c->name,
			     c->advertised);
}

static void check_tls(struct load *l, const struct listener_config *c)
{
	if (c->protocol == LISTENER_SSL && c->cert_file == NULL)
		config_fault(l->c, "listeners.%s.tls.cert: SSL needs a certificate", c->name);
	if (c->protocol == LISTENER_SSL && c->client_auth != CLIENT_AUTH_NONE && c->ca_file == NULL)
		config_fault(l->c, "listeners.%s.tls.ca: client_auth needs it", c->name);
	if (c->protocol == LISTENER_PLAINTEXT &&
	    (c->cert_file != NULL || c->client_auth != CLIENT_AUTH_NONE))
		config_fault(l->c,
			     "listeners.%s.protocol: write SSL, or leave out the tls settings",
			     c->name);
}

static void check_twins(struct load *l, const struct broker_config *c)
{
	for (size_t i = 0; i < c->listeners_n; i++)
		for (size_t k = 0; k < i; k++)
			if (c->listeners[i].port != 0 && c->listeners[i].listen != NULL &&
			    c->listeners[k].listen != NULL &&
			    strcmp(c->listeners[i].listen, c->listeners[k].listen) == 0)
				config_fault(l->c, "listeners.%s.listen: %s listens there, too",
					     c->listeners[i].name, c->listeners[k].name);
}

static void fill_listeners(struct load *l, struct broker_config *c)
{
	const char *const *names;
	c->listeners_n = config_names(l->c, "listeners", &names);
	c->listeners = arena_zalloc(config_arena(l->c), c->listeners_n + 1, sizeof *c->listeners);
	if (c->listeners == NULL || config_nomem(l->c)) {
		config_fault(l->c, "out of memory");
		c->listeners_n = 0;
		return;
	}
	for (size_t i = 0; i < c->listeners_n; i++) {
		struct listener_draft d = {.protocol = 0};
		config_fill(l->c, "listeners", names[i], &d);
		d.l.name = names[i];
		d.l.protocol = (enum listener_protocol)d.protocol;
		d.l.client_auth = (enum listener_client_auth)d.client_auth;
		c->listeners[i] = d.l;
		check_addresses(l, &c->listeners[i]);
		check_tls(l, &c->listeners[i]);
	}
	if (c->listeners_n == 0)
		config_fault(l->c, "no listener: give --listen HOST:PORT");
	check_twins(l, c);
}

/* "delete", "compact" or both (LogConfig's ValidList). */
static void take_cleanup_policy(struct load *l, struct plog_config *c, const char *list)
{
	const char *const *items;
	size_t n = 0;
	c->cleanup_delete = c->cleanup_compact = false;
	if (list == NULL || !config_value_split(config_arena(l->c), list, &items, &n))
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(items[i], "delete") == 0)
			c->cleanup_delete = true;
		else if (strcmp(items[i], "compact") == 0)
			c->cleanup_compact = true;
		else
			config_fault(l->c, "log.cleanup.policy: \"%.40s\" is not delete or compact",
				     items[i]);
	}
	if (n == 0)
		config_fault(l->c, "log.cleanup.policy: write delete, compact, or delete,compact");
}

static void finish(struct load *l, struct broker_config *out)
{
	struct broker_draft *d = &l->draft;
	take_cleanup_policy(l, &d->c.log, d->cleanup_policy);
	/* "producer" is -1, "uncompressed" CODEC_NONE, and so on in the order of the codecs. */
	d->c.log.compression = (int8_t)(d->compression - 1);
	d->c.log_level = config_table_levels[d->log_level];
	d->c.offsets_retention_ms = d->offsets_retention_minutes * 60 * 1000;
	if (d->c.data == NULL || *d->c.data == '\0')
		config_fault(l->c, "no data directory: give --data DIR");
	if (d->c.group_min_session_timeout_ms > d->c.group_max_session_timeout_ms)
		config_fault(l->c, "group.min.session.timeout.ms: is larger than the maximum");
	struct arena arena = out->arena;
	*out = d->c;
	out->arena = arena;
	fill_listeners(l, out);
}

enum err broker_config_load(const struct broker_config_source *src, struct broker_config *out,
			    FILE *faults, struct errmsg *why)
{
	struct load l = {.src = src};
	*out = (struct broker_config){.data = NULL};
	plog_config_init(&l.draft.c.log);
	arena_init(&out->arena, ARENA_MAX);
	enum err e = config_new(config_table_schema(), &out->arena, &l.c);
	if (e == ERR_OK)
		e = put_all(&l, why);
	if (e == ERR_OK) {
		config_fill(l.c, "", "", &l.draft);
		/* The arena is `out`'s own, and stays there. */
		if (!config_nomem(l.c))
			finish(&l, out);
		e = config_result(l.c, faults, why);
	}
	if (e == ERR_NOMEM)
		errmsg_set(why, e, "configuration: out of memory, or too large");
	config_free(l.c);
	if (e != ERR_OK)
		broker_config_fini(out);
	return e;
}

void broker_config_fini(struct broker_config *c)
{
	arena_fini(&c->arena);
	*c = (struct broker_config){.data = NULL};
}

/* ---- what it tells about itself ---- */

static int32_t word_index(const char *const *words, const char *word)
{
	for (int32_t i = 0; word != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return 0;
}

void broker_config_dump(const struct broker_config *c, FILE *out)
{
	const struct config_schema *s = config_table_schema();
	const struct broker_draft d = {
		.c = *c,
		.cleanup_policy = !c->log.cleanup_compact ? "delete"
				  : c->log.cleanup_delete ? "delete,compact"
							  : "compact",
		.compression = c->log.compression + 1,
		.log_level = word_index(config_table_levels, c->log_level),
		.offsets_retention_minutes = c->offsets_retention_ms / 60000,
	};
	config_doc_dump(s, "", "", &d, out);
	for (size_t i = 0; i < c->listeners_n; i++) {
		const struct listener_draft l = {.l = c->listeners[i],
						 .protocol = (int32_t)c->listeners[i].protocol,
						 .client_auth =
							 (int32_t)c->listeners[i].client_auth};
		config_doc_dump(s, "listeners", c->listeners[i].name, &l, out);
	}
}

static void describe_row(const struct config_row *row, const char *prefix, const char *live,
			 FILE *out)
{
	struct buf kind;
	buf_init(&kind, 512);
	config_value_describe(&kind, row);
	fprintf(out, "# %s\n# (%.*s)\n", row->help, (int)kind.len, (const char *)kind.p);
	buf_fini(&kind);
	const char *unset = row->type == CONFIG_FILE ? "/path/to/file" : "";
	const char *value = live != NULL ? live : row->def != NULL ? row->def : unset;
	fprintf(out, "%s%s%s =%s%s\n\n", live != NULL ? "" : "# ", prefix, row->key,
		*value == '\0' ? "" : " ", value);
}

void broker_config_describe(FILE *out)
{
	static const char *const live[][2] = {{"log.dir", "farshore-data"},
					      {"listen", "127.0.0.1:9092"}};
	const struct config_schema *s = config_table_schema();
	fputs("# Configuration of farshore-broker: name = value, as in Kafka's server.properties.\n"
	      "# Live lines are what has to be set (or --data and --listen); a line with # shows "
	      "a\n"
	      "# setting with its default. Durations are \"10 s\" (ms s min h d) or plain "
	      "milliseconds,\n"
	      "# sizes \"64 MiB\" (B KiB MiB GiB TiB) or plain bytes. --set NAME=VALUE overrides "
	      "any.\n\n",
	      out);
	for (size_t i = 0; i < s->rows_n; i++) {
		const struct config_row *row = &s->rows[i];
		const char *value = NULL;
		for (size_t k = 0; k < sizeof live / sizeof *live; k++)
			if (strcmp(live[k][0], row->key) == 0)
				value = live[k][1];
		describe_row(row, *row->section == '\0' ? "" : "listeners.PLAINTEXT.", value, out);
	}
}

void broker_config_manual(FILE *out)
{
	fputs("# Configuration of farshore-broker\n\n"
	      "Made from the table in `cluster/config_table.c`; a test keeps it in step.\n\n"
	      "No file is needed: `farshore-broker --data DIR --listen HOST:PORT`. `--config FILE` "
	      "reads "
	      "lines of\n`name = value`, as Kafka's `server.properties` has them; `--set "
	      "NAME=VALUE` "
	      "overrides one.\n`--check-config` reports all faults with file and line, or prints "
	      "what is "
	      "in force.\n"
	      "`configs/farshore-broker.conf` shows every setting. Names are Kafka's where Kafka "
	      "has "
	      "one.\n\n"
	      "A listener is a group of settings under its name: `listeners.NAME.listen = "
	      "127.0.0.1:9093`.\n"
	      "Durations are `10 s` (ms s min h d) or plain milliseconds, sizes `64 MiB` (B KiB "
	      "MiB GiB "
	      "TiB) or\nplain bytes. File names are relative to the working directory.\n\n",
	      out);
	config_doc_manual(config_table_schema(), out);
}
