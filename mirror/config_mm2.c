/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two passes over the properties. The first looks at every key once: where it stands, whether it is
 * known there, and whether it is mapped, ignored or refused. The second goes over the flows and
 * puts the values that count for each. Nothing is mapped that the first pass has not accepted.
 */
#include "mirror/config_mm2.h"

#include <stdlib.h>
#include <strings.h>

#include "lib/base/config_file.h"
#include "lib/base/config_value.h"
#include "mirror/mm2_provider.h"
#include "mirror/mm2_security.h"

enum { CLUSTERS_MAX = 64, NAME_TEXT_MAX = 600 };

/* ---- first pass: every key ---- */

enum scope { TOP, CLUSTER, FLOW };

struct place {
	enum scope scope;
	const char *rest; /* the key behind the alias or the flow */
};

/* The longest alias that `s` begins with and a dot follows; NULL: none. */
static const char *leading_alias(const struct mm2 *m, const char *s)
{
	const char *best = NULL;
	for (size_t i = 0; i < m->aliases_n; i++) {
		size_t n = strlen(m->aliases[i]);
		if (strncmp(s, m->aliases[i], n) == 0 && s[n] == '.' &&
		    (best == NULL || n > strlen(best)))
			best = m->aliases[i];
	}
	return best;
}

static bool is_alias(const struct mm2 *m, const char *s, size_t n)
{
	for (size_t i = 0; i < m->aliases_n; i++)
		if (bytes_eq_str(bytes_of(s, n), m->aliases[i]))
			return true;
	return false;
}

static void fault_alias(struct mm2 *m, const struct mm2_property *p, const char *s, size_t n)
{
	char word[128];
	snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), s);
	struct config_nearest near = {.word = word};
	for (size_t i = 0; i < m->aliases_n; i++)
		config_value_nearest(&near, m->aliases[i]);
	if (near.best != NULL)
		mm2_side_fault(m, p, "\"%s\" is not in clusters; did you mean \"%s\"?", word,
			       near.best);
	else
		mm2_side_fault(m, p, "\"%s\" is not in clusters", word);
}

/* False: a flow between clusters that are not there; has been noted. */
static bool find_place(struct mm2 *m, const struct mm2_property *p, struct place *out)
{
	const char *arrow = strstr(p->key, "->");
	*out = (struct place){.scope = TOP, .rest = p->key};
	if (arrow != NULL) {
		const char *target = leading_alias(m, arrow + 2);
		if (!is_alias(m, p->key, (size_t)(arrow - p->key))) {
			fault_alias(m, p, p->key, (size_t)(arrow - p->key));
			return false;
		}
		if (target == NULL) {
			fault_alias(m, p, arrow + 2, strcspn(arrow + 2, "."));
			return false;
		}
		out->scope = FLOW;
		out->rest = arrow + 2 + strlen(target) + 1;
		return true;
	}
	const char *alias = leading_alias(m, p->key);
	if (alias != NULL) {
		out->scope = CLUSTER;
		out->rest = p->key + strlen(alias) + 1;
	}
	return true;
}

/* Which client a key is for. */
struct role {
	const char *prefix;
	unsigned at;
	bool used; /* Farshore has a client for it */
};

static const struct role cluster_roles[] = {
	{"consumer.", MM2_AT_CONSUMER | MM2_AT_SECURITY, true},
	{"producer.", MM2_AT_PRODUCER | MM2_AT_SECURITY, true},
	{"admin.", MM2_AT_ADMIN | MM2_AT_SECURITY, false},
	{.prefix = NULL},
};

/* Longer prefixes first. */
static const struct role flow_roles[] = {
	{"source.cluster.", MM2_AT_SECURITY, true},
	{"target.cluster.", MM2_AT_SECURITY, true},
	{"source.consumer.", MM2_AT_CONSUMER | MM2_AT_SECURITY, true},
	{"source.producer.", MM2_AT_PRODUCER | MM2_AT_SECURITY, false},
	{"source.admin.", MM2_AT_ADMIN | MM2_AT_SECURITY, false},
	{"target.consumer.", MM2_AT_CONSUMER | MM2_AT_SECURITY, false},
	{"target.producer.", MM2_AT_PRODUCER | MM2_AT_SECURITY, true},
	{"target.admin.", MM2_AT_ADMIN | MM2_AT_SECURITY, false},
	{"consumer.override.", MM2_AT_CONSUMER | MM2_AT_SECURITY, false},
	{"producer.override.", MM2_AT_PRODUCER | MM2_AT_SECURITY, true},
	{"admin.override.", MM2_AT_ADMIN | MM2_AT_SECURITY, false},
	{"consumer.", MM2_AT_CONSUMER | MM2_AT_SECURITY, true},
	{"producer.", MM2_AT_PRODUCER | MM2_AT_SECURITY, true},
	{"admin.", MM2_AT_ADMIN | MM2_AT_SECURITY, false},
	{.prefix = NULL},
};

static const struct role *role_of(const struct role *roles, const char *rest)
{
	for (; roles->prefix != NULL; roles++)
		if (strncmp(rest, roles->prefix, strlen(roles->prefix)) == 0)
			return roles;
	return NULL;
}

/* What was found out about one key. */
struct finding {
	const struct mm2_key *key;
	const char *no_effect; /* known, but neither MM2 nor Farshore looks for it here */
	unsigned at;           /* which keys were possible here, for the nearest name */
	size_t skip;           /* bytes in front of the key proper */
};

static struct finding look_at(const struct place *place)
{
	static const unsigned here[] = {
		[TOP] = MM2_AT_DRIVER | MM2_AT_CONNECTOR | MM2_AT_SECURITY | MM2_AT_WORKER,
		[CLUSTER] = MM2_AT_SECURITY | MM2_AT_WORKER,
		[FLOW] = MM2_AT_CONNECTOR | MM2_AT_WORKER,
	};
	struct finding f = {.at = here[place->scope]};
	f.key = mm2_keys_find(place->rest, f.at);
	if (f.key != NULL) {
		bool mapped = f.key->use == MM2_CLUSTER || f.key->use == MM2_CODE;
		bool security = (f.key->at & MM2_AT_SECURITY) != 0;
		bool client = (f.key->at & MM2_AT_CLIENT) != 0;
		if (place->scope == TOP && mapped && client && !security)
			f.no_effect = "at top level; write CLUSTER.consumer. or CLUSTER.producer. "
				      "in front";
		if (place->scope == FLOW && mapped && client)
			f.no_effect =
				"for a flow without source. or target. and the client in front";
		return f;
	}
	const struct role *role =
		role_of(place->scope == CLUSTER ? cluster_roles : flow_roles, place->rest);
	if (role != NULL) {
		f.skip = strlen(role->prefix);
		f.at = role->at;
		f.key = mm2_keys_find(place->rest + f.skip, role->at);
		if (place->scope == TOP)
			f.no_effect = "at top level; write a cluster or a flow in front";
		else if (!role->used)
			f.no_effect =
				"for this client: one connection pool serves all that is done "
				"at a cluster; set it for consumer (source) or producer (target)";
		return f;
	}
	if (place->scope == CLUSTER) {
		f.key = mm2_keys_find(place->rest, MM2_AT_CLIENT);
		f.no_effect = "without consumer. or producer. in front";
		if (f.key == NULL) {
			f.key = mm2_keys_find(place->rest, MM2_AT_CONNECTOR);
			f.no_effect = "for a cluster; write it at top level or for a flow";
		}
	}
	return f;
}

static void fault_unknown(struct mm2 *m, const struct mm2_property *p, const struct place *place,
			  const struct finding *f)
{
	const char *proper = place->rest + f->skip;
	struct config_nearest near = {.word = proper};
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++)
		if ((k->at & f->at) != 0 && (k->at & MM2_PREFIX) == 0)
			config_value_nearest(&near, k->key);
	/* "Z.bootstrap.servers": an alias that clusters does not have. */
	const char *dot = place->scope == TOP ? strchr(p->key, '.') : NULL;
	while (dot != NULL && mm2_keys_find(dot + 1, MM2_AT_SECURITY) == NULL &&
	       role_of(cluster_roles, dot + 1) == NULL)
		dot = strchr(dot + 1, '.');
	if (dot != NULL)
		fault_alias(m, p, p->key, (size_t)(dot - p->key));
	else if (near.best != NULL)
		mm2_side_fault(m, p, "unknown setting; did you mean \"%.*s%s\"?",
			       (int)(proper - p->key), p->key, near.best);
	else
		mm2_side_fault(m, p, "unknown setting");
}

/* Is the value one of a comma list? An empty item stands for the empty value. */
static bool is_same(const char *list, const char *value)
{
	size_t n = strlen(value);
	for (const char *at = list; at != NULL;) {
		size_t len = strcspn(at, ",");
		if (len == n && strncasecmp(at, value, n) == 0)
			return true;
		at = at[len] == ',' ? at + len + 1 : NULL;
	}
	return false;
}

/* The value may be a list as well ("TLSv1.2,TLSv1.3" in any order). */
static bool all_same(struct mm2 *m, const struct mm2_key *k, const char *value)
{
	const char *const *items;
	size_t n;
	if (k->same == NULL || !config_value_split(m->arena, value, &items, &n))
		return false;
	if (n == 0)
		return is_same(k->same, "");
	for (size_t i = 0; i < n; i++)
		if (!is_same(k->same, items[i]))
			return false;
	return true;
}

static void judge(struct mm2 *m, const struct mm2_property *p)
{
	struct place place;
	if (!find_place(m, p, &place))
		return;
	struct finding f = look_at(&place);
	if (f.key == NULL) {
		fault_unknown(m, p, &place, &f);
		return;
	}
	if (p->repeated)
		mm2_side_warn(m, p, "set more than once; this value counts");
	if (all_same(m, f.key, p->value))
		return;
	if (f.key->use == MM2_REFUSED)
		mm2_side_fault(m, p, "%s", f.key->why);
	else if (f.key->use == MM2_IGNORED)
		mm2_side_warn(m, p, "ignored: %s", f.key->why);
	else if (f.no_effect != NULL)
		mm2_side_warn(m, p, "ignored: it has no effect %s", f.no_effect);
}

/* ---- second pass: every flow ---- */

static void put_buffer(const struct mm2_side *s)
{
	const struct mm2_property *p =
		mm2_side_value(s, s->source ? "receive.buffer.bytes" : "send.buffer.bytes");
	if (p != NULL)
		mm2_side_put(s, "socket_buffer", strcmp(p->value, "-1") == 0 ? "0" : p->value, p);
}

static void put_cluster(struct mm2 *m, const char *flow, const char *alias, bool source)
{
	char name[NAME_TEXT_MAX];
	config_mm2_side_name(name, sizeof name, flow, source);
	const struct mm2_side s = {.m = m,
				   .flow = flow,
				   .alias = alias,
				   .section = "clusters",
				   .name = name,
				   .source = source};
	/* Makes the cluster known even if the file says nothing about it. */
	mm2_side_put(&s, "tls.enabled", "false", NULL);
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++) {
		const struct mm2_property *p =
			k->use == MM2_CLUSTER ? mm2_side_value(&s, k->key) : NULL;
		if (p != NULL)
			mm2_side_put_formed(&s, k, p);
	}
	put_buffer(&s);
	mm2_security_put(&s);
}

static void put_policy(const struct mm2_side *s)
{
	static const struct {
		const char *class, *word;
	} policies[] = {
		{"org.apache.kafka.connect.mirror.DefaultReplicationPolicy", "default"},
		{"org.apache.kafka.connect.mirror.IdentityReplicationPolicy", "identity"},
		{"io.strimzi.kafka.connect.mirror.IdentityReplicationPolicy", "identity"},
		{"org.apache.kafka.connect.mirror.LegacyReplicationPolicy", "legacy"},
	};
	const struct mm2_property *p = mm2_side_link_value(s, "replication.policy.class");
	if (p == NULL)
		return;
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		if (strcmp(policies[i].class, p->value) == 0) {
			mm2_side_put(s, "naming", policies[i].word, p);
			return;
		}
	}
	mm2_side_fault(s->m, p,
		       "%.120s is not available: Java classes cannot be loaded; "
		       "DefaultReplicationPolicy and IdentityReplicationPolicy are built in",
		       p->value);
}

/* Client settings of MM2 that are the link's here. */
static void put_client_settings(const struct mm2_side *link, const char *source, const char *target)
{
	struct mm2_side from = *link, to = *link;
	from.alias = source;
	from.source = true;
	to.alias = target;
	to.source = false;
	const struct mm2_property *p = mm2_side_value(&to, "max.request.size");
	if (p != NULL)
		mm2_side_put(link, "max_request", p->value, p);
	p = mm2_side_value(&to, "delivery.timeout.ms");
	if (p != NULL)
		mm2_side_put(link, "delivery_timeout", p->value, p);
	p = mm2_side_value(&from, "auto.offset.reset");
	if (p == NULL)
		return;
	if (strcasecmp(p->value, "earliest") == 0 || strcasecmp(p->value, "latest") == 0)
		mm2_side_put(link, "start", (p->value[0] | 0x20) == 'e' ? "earliest" : "latest", p);
	else
		mm2_side_fault(link->m, p, "\"%.40s\" is not supported; earliest and latest are",
			       p->value);
}

static void check_alias_key(const struct mm2_side *s, const char *key, const char *alias)
{
	const struct mm2_property *p = mm2_side_link_value(s, key);
	if (p != NULL && strcmp(p->value, alias) != 0)
		mm2_side_fault(s->m, p, "must be %s in the flow %s; leave it out", alias, s->flow);
}

static void put_link(struct mm2 *m, const char *flow, const char *source, const char *target)
{
	/* Where MM2's default is not that of a native link. refresh.topics.interval.seconds is not
	 * here: looking for topics is cheap, 5 s instead of MM2's 600 s costs one small request. */
	static const char *const defaults[][2] = {
		{"enabled", "false"},
		{"heartbeats", "true"},
		{"replication_factor", "2"},
		{"runs_replication_factor", "3"},
		{"sync_configs_interval", "600 s"},
	};
	const struct mm2_side s = {.m = m, .flow = flow, .section = "links", .name = flow};
	mm2_side_put(&s, "source", source, NULL);
	mm2_side_put(&s, "target", target, NULL);
	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
		mm2_side_put(&s, defaults[i][0], defaults[i][1], NULL);
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++) {
		const struct mm2_property *p =
			k->use == MM2_LINK ? mm2_side_link_value(&s, k->key) : NULL;
		if (p != NULL)
			mm2_side_put_formed(&s, k, p);
	}
	check_alias_key(&s, "source.cluster.alias", source);
	check_alias_key(&s, "target.cluster.alias", target);
	put_policy(&s);
	put_client_settings(&s, source, target);
}

/* Does the file name this flow in any key? */
static bool flow_is_named(const struct mm2 *m, const char *flow)
{
	size_t n = strlen(flow);
	for (size_t i = 0; i < m->props.n; i++)
		if (strncmp(m->props.items[i].key, flow, n) == 0 && m->props.items[i].key[n] == '.')
			return true;
	return false;
}

/* MirrorMakerConfig.clusterPairs: a top-level "enabled" reaches every pair that has a herder, and
 * without emit.heartbeats.enabled=false every pair has one. */
static bool all_pairs(const struct mm2 *m)
{
	const struct mm2_property *enabled = mm2_properties_find(&m->props, "enabled");
	const struct mm2_property *beats =
		mm2_properties_find(&m->props, "emit.heartbeats.enabled");
	return enabled != NULL && strcasecmp(enabled->value, "true") == 0 &&
	       (beats == NULL || strcasecmp(beats->value, "true") == 0);
}

static void put_flows(struct mm2 *m)
{
	bool all = all_pairs(m);
	for (size_t i = 0; i < m->aliases_n; i++) {
		for (size_t k = 0; k < m->aliases_n; k++) {
			char flow[NAME_TEXT_MAX];
			snprintf(flow, sizeof flow, "%s->%s", m->aliases[i], m->aliases[k]);
			if (!flow_is_named(m, flow) && (!all || i == k))
				continue;
			put_link(m, flow, m->aliases[i], m->aliases[k]);
			put_cluster(m, flow, m->aliases[i], true);
			put_cluster(m, flow, m->aliases[k], false);
		}
	}
}

/* ---- the whole ---- */

/* One line for what MM2 would do unasked. */
static void warn_defaults(struct mm2 *m)
{
	static const char *const keys[] = {"emit.checkpoints.enabled", "emit.heartbeats.enabled",
					   "emit.offset-syncs.enabled", "sync.topic.acls.enabled"};
	const char *before = "";
	bool any = false;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (mm2_properties_find(&m->props, keys[i]) != NULL)
			continue;
		if (!any)
			fprintf(m->warnings,
				"%s: on by MM2's default, but not done by this version: ", m->file);
		fprintf(m->warnings, "%s%s", before, keys[i]);
		before = ", ";
		any = true;
	}
	if (any)
		fputs("\n", m->warnings);
}

static void load_aliases(struct mm2 *m)
{
	const struct mm2_property *p = mm2_properties_find(&m->props, "clusters");
	if (p == NULL || *p->value == '\0') {
		config_fault(m->c, "%s: clusters is not set; write \"clusters = A, B\"", m->file);
		return;
	}
	if (!config_value_split(m->arena, p->value, &m->aliases, &m->aliases_n)) {
		mm2_side_fault(m, p, "too long");
		m->aliases_n = 0;
	} else if (m->aliases_n > CLUSTERS_MAX) {
		mm2_side_fault(m, p, "more than %d clusters", CLUSTERS_MAX);
		m->aliases_n = 0;
	}
}

static enum err expand_all(struct mm2 *m, const struct mm2_providers *providers)
{
	for (size_t i = 0; i < m->props.n; i++) {
		struct mm2_property *p = &m->props.items[i];
		struct errmsg why = {{0}};
		const char *value;
		enum err e = mm2_provider_expand(providers, p->value, m->arena, &value, &why);
		if (e == ERR_NOMEM)
			return e;
		if (e != ERR_OK)
			mm2_side_fault(m, p, "%s", why.text);
		else if (value != p->value) {
			struct bytes s = bytes_str(value);
			while (s.n > 0 && s.p[s.n - 1] <= ' ')
				s.n--;
			p->value = arena_strndup(m->arena, s);
			p->hidden = true;
			if (p->value == NULL)
				return ERR_NOMEM;
		}
	}
	return ERR_OK;
}

static enum err read_properties(struct mm2 *m, struct errmsg *why)
{
	struct buf text;
	buf_init(&text, CONFIG_FILE_MAX);
	enum err e = config_file_read(m->file, &text, why);
	if (e == ERR_OK) {
		e = mm2_properties_parse(buf_bytes(&text), MM2_LATIN1, m->arena, &m->props, why);
		if (e != ERR_OK)
			errmsg_wrap(why, e, "%s", m->file);
	}
	if (text.cap > 0)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return e == ERR_MALFORMED ? ERR_CONFIG : e;
}

enum err config_mm2_load(struct config *c, const char *file, FILE *warnings, struct errmsg *why)
{
	struct mm2 m = {.c = c, .arena = config_arena(c), .warnings = warnings, .file = file};
	struct mm2_providers providers;
	struct errmsg detail = {{0}};
	enum err e = read_properties(&m, why);
	if (e != ERR_OK)
		return e;
	load_aliases(&m);
	e = mm2_provider_load(&m.props, m.arena, &providers, &detail);
	if (e == ERR_CONFIG)
		config_fault(c, "%s: %s", file, detail.text);
	else if (e == ERR_OK)
		e = expand_all(&m, &providers);
	if (e == ERR_NOMEM)
		return e;
	if (m.aliases_n == 0)
		return ERR_OK;
	for (size_t i = 0; i < m.props.n; i++)
		judge(&m, &m.props.items[i]);
	put_flows(&m);
	warn_defaults(&m);
	return ERR_OK;
}

void config_mm2_side_name(char *out, size_t size, const char *link, bool source)
{
	snprintf(out, size, "%s %s", link, source ? "source" : "target");
}

/* ---- manual ---- */

static void manual_places(unsigned at, FILE *out)
{
	static const struct {
		unsigned at;
		const char *name;
	} places[] = {
		{MM2_AT_DRIVER, "top"},        {MM2_AT_CONNECTOR, "top, flow"},
		{MM2_AT_SECURITY, "cluster"},  {MM2_AT_WORKER, "worker"},
		{MM2_AT_CONSUMER, "consumer"}, {MM2_AT_PRODUCER, "producer"},
		{MM2_AT_ADMIN, "admin"},
	};
	const char *before = "";
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		if ((at & places[i].at) == 0)
			continue;
		fprintf(out, "%s%s", before, places[i].name);
		before = ", ";
	}
}

static void manual_key(const struct mm2_key *k, FILE *out)
{
	fprintf(out, "| `%s%s` | ", k->key, (k->at & MM2_PREFIX) != 0 ? "*" : "");
	manual_places(k->at, out);
	fputs(" | ", out);
	switch (k->use) {
	case MM2_LINK:
		fprintf(out, "`links.*.%s`", k->to);
		break;
	case MM2_CLUSTER:
		fprintf(out, "`clusters.*.%s`", k->to);
		break;
	case MM2_CODE:
		fputs(k->why, out);
		break;
	case MM2_IGNORED:
		fprintf(out, "ignored: %s", k->why);
		break;
	case MM2_REFUSED:
		fprintf(out, "refused: %s", k->why);
		break;
	}
	if (k->same != NULL)
		fprintf(out, " (fits: %s%s)", *k->same == '\0' || *k->same == ',' ? "empty" : "",
			k->same);
	fputs(" |\n", out);
}

void config_mm2_manual(FILE *out)
{
	fputs("## MirrorMaker 2 files\n\n"
	      "`--mm2 FILE` takes the file that `connect-mirror-maker.sh` takes (Kafka 4.1). Every "
	      "key "
	      "is mapped to a native\nsetting, or named in one warning line with the reason, or "
	      "refused where leaving it out would change what is\ncopied or let in. An unknown key "
	      "is "
	      "an error that names the nearest one.\n\n"
	      "What differs from MM2:\n\n"
	      "- Records of aborted transactions are not copied: `read_committed` is the default, "
	      "also "
	      "for MM2 files. MM2's own\n  default, `read_uncommitted`, counts only where it is "
	      "written: `A.consumer.isolation.level = read_uncommitted`.\n"
	      "- New topics are looked for every 5 s where `refresh.topics.interval.seconds` is "
	      "not "
	      "set (MM2: 600 s).\n"
	      "- A variable of a config provider that cannot be resolved is an error; Kafka would "
	      "use "
	      "its text.\n"
	      "- One pool of connections serves all that is done at a cluster: a source is "
	      "configured "
	      "by `consumer.`, a target by\n  `producer.`; `admin.` has no effect.\n\n"
	      "Precedence is MM2's. Connector settings: `A->B.KEY`, `KEY`. Clients of a source: "
	      "`A->B.source.consumer.KEY`,\n`A.consumer.KEY`, `A.KEY`, `KEY` (the last two for "
	      "security settings), `A->B.consumer.KEY`,\n`A->B.source.cluster.KEY`. Clients of a "
	      "target: `A->B.producer.override.KEY`, "
	      "`A->B.target.producer.KEY`,\n`B.producer.KEY`, "
	      "`B.KEY`, `KEY`, `A->B.producer.KEY`, `A->B.target.cluster.KEY`.\n\n"
	      "| key | where | what becomes of it |\n|---|---|---|\n",
	      out);
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++)
		manual_key(k, out);
}
