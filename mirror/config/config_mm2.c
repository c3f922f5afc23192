/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two passes over the properties. The first (mm2_judge.c) looks at every key once and finds what is
 * unknown, ignored or refused. The second goes over the flows and puts the values that count for
 * each.
 */
#include "mirror/config/config_mm2.h"

#include <stdlib.h>
#include <strings.h>

#include "lib/base/config_file.h"
#include "lib/base/config_value.h"
#include "mirror/config/mm2_judge.h"
#include "mirror/config/mm2_provider.h"
#include "mirror/config/mm2_security.h"

enum { CLUSTERS_MAX = 64, NAME_TEXT_MAX = 600 };

/* ---- every flow ---- */

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

static bool is_on(const struct mm2_property *p, bool without)
{
	return p == NULL ? without : strcasecmp(p->value, "true") == 0;
}

/*
 * MM2 runs the flow back for its heartbeats alone if it is not enabled (MirrorMakerConfig.
 * clusterPairs): they are written at the source, and copied to the target as "SOURCE.heartbeats",
 * by which Java's MirrorClient knows the upstream clusters. A flow back that is enabled does so
 * itself.
 */
static void put_heartbeats_back(const struct mm2_side *s, const char *source, const char *target)
{
	char flow[NAME_TEXT_MAX];
	struct mm2_side back = *s;
	snprintf(flow, sizeof flow, "%s->%s", target, source);
	back.flow = flow;
	const struct mm2_property *p = mm2_side_link_value(&back, "emit.heartbeats.enabled");
	bool at_source = is_on(p, true) && !is_on(mm2_side_link_value(&back, "enabled"), false);
	mm2_side_put(s, "emit_heartbeats_at_source", at_source ? "true" : "false", p);
}

/* The run tables do the work of MM2's offset syncs, and are to be as safe. */
static void put_syncs_replication(const struct mm2_side *s)
{
	const struct mm2_property *p =
		mm2_side_link_value(s, "offset-syncs.topic.replication.factor");
	if (p == NULL)
		return;
	mm2_side_put(s, "offset_syncs_replication_factor", p->value, p);
	mm2_side_put(s, "runs_replication_factor", p->value, p);
}

static void put_link(struct mm2 *m, const char *flow, const char *source, const char *target)
{
	/* Where MM2's default is not that of a native link. refresh.topics.interval.seconds is not
	 * here: looking for topics is cheap, 5 s instead of MM2's 600 s costs one small request. */
	static const char *const defaults[][2] = {
		{"enabled", "false"},
		{"heartbeats", "true"},
		{"emit_heartbeats", "true"},
		{"heartbeats_replication_factor", "3"},
		{"emit_offset_syncs", "true"},
		{"offset_syncs_location", "source"},
		{"offset_syncs_replication_factor", "3"},
		{"replication_factor", "2"},
		{"runs_replication_factor", "3"},
		{"sync_configs_interval", "600 s"},
		{"sync_group_offsets", "false"},
		{"checkpoints_replication_factor", "3"},
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
	put_heartbeats_back(&s, source, target);
	put_syncs_replication(&s);
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

/* What MM2 would do unasked. */
static void warn_defaults(struct mm2 *m)
{
	static const char key[] = "sync.topic.acls.enabled";
	if (mm2_properties_find(&m->props, key) == NULL)
		fprintf(m->warnings, "%s: on by MM2's default, but not done by this version: %s\n",
			m->file, key);
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

static enum err translate(struct mm2 *m)
{
	struct mm2_providers providers;
	struct errmsg detail = {{0}};
	load_aliases(m);
	enum err e = mm2_provider_load(&m->props, m->arena, &providers, &detail);
	if (e == ERR_CONFIG)
		config_fault(m->c, "%s:%s", m->file, detail.text);
	else if (e == ERR_OK)
		e = expand_all(m, &providers);
	if (e == ERR_NOMEM)
		return e;
	for (size_t i = 0; i < m->props.n && m->aliases_n > 0; i++)
		mm2_judge_key(m, &m->props.items[i]);
	put_flows(m);
	if (m->aliases_n > 0)
		warn_defaults(m);
	return ERR_OK;
}

enum err config_mm2_load(struct config *c, const char *file, FILE *warnings, struct errmsg *why)
{
	struct mm2 m = {.c = c, .arena = config_arena(c), .warnings = warnings, .file = file};
	enum err e = read_properties(&m, why);
	if (e != ERR_OK)
		return e;
	m.told = map_new();
	e = m.told == NULL ? ERR_NOMEM : translate(&m);
	map_free(m.told);
	return e;
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
		{MM2_AT_DRIVER, "file"},       {MM2_AT_CONNECTOR, "top, flow"},
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
	      "- Heartbeats are written at the clusters of enabled flows, for both ways, as MM2 "
	      "does "
	      "it; not for pairs of clusters\n  without an enabled flow between them.\n"
	      "- New topics are looked for every 5 s where `refresh.topics.interval.seconds` is "
	      "not "
	      "set (MM2: 600 s).\n"
	      "- Groups are looked at every 5 s where `sync.group.offsets.interval.seconds` and "
	      "the "
	      "like are not set (MM2: 60 and\n  600 s). `sync.group.offsets.enabled` works without "
	      "`emit.checkpoints.enabled` too.\n"
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
	      "Where a key may stand: `file` and `top` as it is, `flow` behind `A->B.`, `cluster` "
	      "behind `A.` (and, as a\n"
	      "security setting, at top), `worker` behind `A.`; `consumer`, `producer` and `admin` "
	      "behind these prefixes.\n"
	      "A value that fits what is done anyway is accepted in silence.\n\n"
	      "| key | where | what becomes of it |\n|---|---|---|\n",
	      out);
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++)
		manual_key(k, out);
}
