/* SPDX-License-Identifier: Apache-2.0 */
/* Each check says what is wrong and what to write instead. */
#include "mirror/config/config_check.h"

#include <ctype.h>
#include <stdlib.h>

#include "mirror/config/naming.h"

enum { MEMORY_MIN = 16 * 1024 * 1024, ALIAS_MAX = 100, SEPARATOR_MAX = 16, CHECK_LINKS_MAX = 1024 };

static bool port_ok(const char *s, bool zero)
{
	size_t n = strlen(s);
	if (n == 0 || n > 5 || strspn(s, "0123456789") != n)
		return false;
	long v = strtol(s, NULL, 10);
	return v <= 65535 && (v > 0 || zero);
}

bool config_check_address(const char *address, bool any_port)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon == address || !port_ok(colon + 1, any_port))
		return false;
	size_t n = (size_t)(colon - address);
	if (address[0] == '[')
		return n > 2 && address[n - 1] == ']' &&
		       strspn(address + 1, "0123456789abcdefABCDEF:.%") == n - 2;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)address[i]) && strchr("-._", address[i]) == NULL)
			return false;
	return true;
}

void config_check_mirror(struct config *c, const struct mirror_config *m)
{
	if (*m->http_listen != '\0' && !config_check_address(m->http_listen, true))
		config_fault(c, "http.listen: \"%.80s\" is not host:port (or empty for none)",
			     m->http_listen);
	if (m->memory_max != 0 && m->memory_max < MEMORY_MIN)
		config_fault(c, "memory.max: at least 16 MiB is needed (or 0 for the default)");
}

/* Java key stores cannot be read here; PKCS#12 under the name of JKS, which Java takes too, can. */
static void check_store(struct config *c, const char *cluster, const char *file)
{
	uint8_t head[4];
	FILE *f = file == NULL ? NULL : fopen(file, "rbe");
	if (f == NULL)
		return;
	size_t n = fread(head, 1, sizeof head, f);
	fclose(f);
	if (n == sizeof head && (be32_get(head) == 0xfeedfeed || be32_get(head) == 0xcececece))
		config_fault(c,
			     "cluster %s: %s is a Java key store (JKS); convert it: keytool "
			     "-importkeystore -srckeystore %s -destkeystore %s.p12 -deststoretype "
			     "PKCS12",
			     cluster, file, file, file);
}

static void check_tls(struct config *c, const struct cluster_config *k, FILE *warnings)
{
	if (!k->tls && (k->ca_file != NULL || k->cert_file != NULL || k->key_file != NULL))
		fprintf(warnings, "cluster %s: certificates are set, but TLS is not enabled\n",
			k->name);
	if (!k->tls)
		return;
	if (k->key_file != NULL && k->cert_file == NULL)
		config_fault(c, "cluster %s: tls.key is set without tls.cert", k->name);
	if (!k->verify_host)
		fprintf(warnings,
			"cluster %s: host names are not verified; who has any certificate that is "
			"trusted can pose as a broker\n",
			k->name);
	check_store(c, k->name, k->ca_file);
	check_store(c, k->name, k->cert_file);
}

static void check_sasl(struct config *c, const struct cluster_config *k, FILE *warnings)
{
	if (k->sasl_mechanism == NULL) {
		if (k->sasl_username != NULL || k->sasl_password != NULL)
			fprintf(warnings,
				"cluster %s: SASL user or password is set, but no mechanism: not "
				"used\n",
				k->name);
		return;
	}
	if (k->sasl_username == NULL || k->sasl_password == NULL)
		config_fault(c, "cluster %s: SASL %s needs a user name and a password", k->name,
			     k->sasl_mechanism);
	else if (!k->tls && strcmp(k->sasl_mechanism, "PLAIN") == 0)
		fprintf(warnings,
			"cluster %s: SASL PLAIN without TLS sends the password in the clear\n",
			k->name);
}

/* The alias becomes part of topic names. */
static bool alias_ok(const char *s)
{
	size_t n = strlen(s), ok = 0;
	for (; ok < n; ok++)
		if (!isalnum((unsigned char)s[ok]) && strchr("-._", s[ok]) == NULL)
			break;
	return n > 0 && n <= ALIAS_MAX && ok == n;
}

void config_check_cluster(struct config *c, const struct cluster_config *k, FILE *warnings)
{
	if (!alias_ok(k->name))
		config_fault(c,
			     "cluster \"%.120s\": a name is 1 to %d letters, digits, dots, dashes "
			     "and underscores",
			     k->name, ALIAS_MAX);
	if (k->bootstrap_n == 0)
		config_fault(c, "cluster %s: no bootstrap servers are set", k->name);
	for (size_t i = 0; i < k->bootstrap_n; i++)
		if (!config_check_address(k->bootstrap[i], false))
			config_fault(c, "cluster %s: bootstrap server \"%.80s\" is not host:port",
				     k->name, k->bootstrap[i]);
	if (k->backoff_min_ms > k->backoff_max_ms)
		config_fault(c, "cluster %s: the first back-off is longer than the longest one",
			     k->name);
	check_tls(c, k, warnings);
	check_sasl(c, k, warnings);
}

static void check_patterns(struct config *c, const char *link, const char *what, const char *list)
{
	struct topic_filter *f;
	struct errmsg why = {{0}};
	if (topic_filter_new(list, "", &f, &why) == ERR_OK)
		topic_filter_free(f);
	else
		config_fault(c, "link %s: %s: %s", link, what, why.text);
}

void config_check_link(struct config *c, const struct link_draft *d, FILE *warnings)
{
	const struct link_config *link = &d->link;
	if (strcmp(d->source, d->target) == 0)
		config_fault(c, "link %s: source and target are the same", link->name);
	if (link->replication_factor == 0 || link->runs_replication_factor == 0 ||
	    link->heartbeats_replication_factor == 0 || link->offset_syncs_replication_factor == 0)
		config_fault(c, "link %s: a replication factor is 1 or more, or -1", link->name);
	size_t n = strlen(link->separator);
	if (n == 0 || n > SEPARATOR_MAX)
		config_fault(c, "link %s: the separator must have 1 to %d characters", link->name,
			     SEPARATOR_MAX);
	for (size_t i = 0; i < n && n <= SEPARATOR_MAX; i++) {
		if (isalnum((unsigned char)link->separator[i]) ||
		    strchr("-._", link->separator[i]) != NULL)
			continue;
		config_fault(c, "link %s: a topic name cannot have the separator \"%s\"",
			     link->name, link->separator);
		break;
	}
	if (link->two_way_mode == TWO_WAY_ON && link->policy == POLICY_DEFAULT)
		config_fault(
			c,
			"link %s: two_way = on is for links that keep topic names; with naming = "
			"default names tell where a topic came from, and nothing goes round",
			link->name);
	if (*link->topics == '\0')
		fprintf(warnings, "link %s: no topics are set, so none are copied\n", link->name);
	check_patterns(c, link->name, "topics", link->topics);
	check_patterns(c, link->name, "excluded topics", link->topics_exclude);
	check_patterns(c, link->name, "groups", link->groups);
	check_patterns(c, link->name, "excluded groups", link->groups_exclude);
	check_patterns(c, link->name, "excluded topic settings", link->config_exclude);
	struct policies *policies;
	struct errmsg why = {{0}};
	if (policies_new(link->on, link->policies, &policies, &why) == ERR_OK)
		policies_free(policies);
	else
		config_fault(c, "link %s: %s", link->name, why.text);
}

/* Both ways under equal names. */
static void check_pair(const struct link_draft *a, const struct link_draft *b, FILE *warnings)
{
	const struct link_draft *const links[] = {a, b};
	for (size_t i = 0; i < 2; i++)
		if (!links[i]->link.two_way)
			fprintf(warnings,
				"links %s and %s keep topic names, and %s has two_way = off: a "
				"topic "
				"that both copy would go round in circles\n",
				a->link.name, b->link.name, links[i]->link.name);
	if (a->link.sync_configs && b->link.sync_configs)
		fprintf(warnings,
			"links %s and %s both have sync_configs: a topic setting that is changed "
			"at one "
			"cluster only may be undone by the other's; set sync_configs = false for "
			"one\n",
			a->link.name, b->link.name);
}

/* Groups of clusters that are connected: `up` leads from each to its group's first. */
struct groups {
	const char *names[2 * CHECK_LINKS_MAX];
	size_t up[2 * CHECK_LINKS_MAX];
	size_t n;
};

static size_t group_of(struct groups *g, const char *name)
{
	size_t i = 0;
	while (i < g->n && strcmp(g->names[i], name) != 0)
		i++;
	if (i == g->n) {
		g->names[i] = name;
		g->up[i] = i;
		g->n++;
	}
	while (g->up[i] != i)
		i = g->up[i];
	return i;
}

/* Do links before the i-th connect the same two clusters, in either direction? */
static bool connected_before(const struct link_draft *links, size_t i)
{
	const struct link_draft *b = &links[i];
	for (size_t k = 0; k < i; k++) {
		const struct link_draft *a = &links[k];
		bool same =
			(strcmp(a->source, b->source) == 0 && strcmp(a->target, b->target) == 0) ||
			(strcmp(a->source, b->target) == 0 && strcmp(a->target, b->source) == 0);
		if (same && a->link.policy != POLICY_DEFAULT)
			return true;
	}
	return false;
}

/* Links that keep names and connect three or more clusters to a ring: a record has two ways. */
static void check_rings(const struct link_draft *links, size_t n, FILE *warnings)
{
	struct groups g = {.n = 0};
	for (size_t i = 0; i < n && i < CHECK_LINKS_MAX; i++) {
		if (links[i].link.policy == POLICY_DEFAULT || connected_before(links, i))
			continue;
		size_t a = group_of(&g, links[i].source), b = group_of(&g, links[i].target);
		if (a == b)
			fprintf(warnings,
				"links around %s keep topic names and connect three or more "
				"clusters in a "
				"ring: records of a topic that all of them copy would arrive "
				"twice, or go "
				"round in circles\n",
				links[i].link.name);
		g.up[b] = a;
	}
}

static const char *shared_address(const struct cluster_config *a, const struct cluster_config *b)
{
	for (size_t i = 0; i < a->bootstrap_n; i++)
		for (size_t k = 0; k < b->bootstrap_n; k++)
			if (strcmp(a->bootstrap[i], b->bootstrap[k]) == 0)
				return a->bootstrap[i];
	return NULL;
}

void config_check_ends(struct config *c, const struct link_draft *d,
		       const struct cluster_config *source, const struct cluster_config *target,
		       FILE *warnings)
{
	const char *address = shared_address(source, target);
	if (address == NULL)
		return;
	if (d->link.policy == POLICY_DEFAULT)
		fprintf(warnings,
			"link %s: source and target are one cluster, %s: is that meant?\n",
			d->link.name, address);
	else
		config_fault(
			c,
			"link %s: source and target are one cluster, %s, and names are kept: each "
			"topic would be copied into itself",
			d->link.name, address);
}

void config_check_together(const struct link_draft *links, size_t n, FILE *warnings)
{
	for (size_t i = 0; i < n; i++) {
		const struct link_draft *a = &links[i];
		if (a->link.policy == POLICY_DEFAULT)
			continue;
		for (size_t k = i + 1; k < n; k++) {
			const struct link_draft *b = &links[k];
			if (b->link.policy == POLICY_DEFAULT)
				continue;
			if (strcmp(a->source, b->target) == 0 && strcmp(a->target, b->source) == 0)
				check_pair(a, b, warnings);
			else if (strcmp(a->target, b->target) == 0)
				fprintf(warnings,
					"links %s and %s keep topic names: a topic that both copy "
					"%s\n",
					a->link.name, b->link.name,
					a->link.two_way && b->link.two_way
						? "holds the records of both"
						: "would be refused by one of them "
						  "(FOREIGN_WRITE)");
		}
	}
	check_rings(links, n, warnings);
}
