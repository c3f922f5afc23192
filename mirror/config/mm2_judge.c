/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key is taken apart into where it stands (the file, a cluster, a flow), the client that it is
 * for
 * ("consumer."), and the key proper, which the table then knows or not. Keys that MM2 accepts in a
 * place where neither it nor Farshore looks for them are told apart from unknown ones.
 */
#include "mirror/config/mm2_judge.h"

#include <strings.h>

#include "lib/base/config_value.h"

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

void mm2_judge_key(struct mm2 *m, const struct mm2_property *p)
{
	struct place place;
	/* What Java makes of a stray "=" or backslash. */
	if (*p->key == '\0' && *p->value == '\0')
		return;
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
