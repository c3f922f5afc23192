/* SPDX-License-Identifier: Apache-2.0 */
/* Pure: no I/O, no state. See topic_configs.h for the rules' source. */
#include "mirror/topic_configs.h"

enum err topic_configs_take(struct topic_configs *c,
			    const struct describe_configs_response_describe_configs_result *r,
			    struct arena *a)
{
	c->n = 0;
	c->v = arena_zalloc(a, (size_t)r->configs_n, sizeof *c->v);
	if (c->v == NULL)
		return ERR_NOMEM;
	for (int32_t i = 0; i < r->configs_n; i++) {
		const struct describe_configs_response_describe_configs_resource_result *from =
			&r->configs[i];
		struct topic_config *to = &c->v[c->n];
		to->name = arena_strndup(a, from->name);
		to->value = from->value.p == NULL ? NULL : arena_strndup(a, from->value);
		if (to->name == NULL || (from->value.p != NULL && to->value == NULL))
			return ERR_NOMEM;
		to->from = from->config_source;
		to->read_only = from->read_only;
		to->sensitive = from->is_sensitive;
		c->n++;
	}
	return ERR_OK;
}

static const struct topic_config *find(const struct topic_configs *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].name, name) == 0)
			return &c->v[i];
	return NULL;
}

const char *topic_configs_value(const struct topic_configs *c, const char *name)
{
	const struct topic_config *x = find(c, name);
	return x == NULL ? NULL : x->value;
}

static bool copied(const struct topic_config *s, const struct config_rules *rules)
{
	return !s->read_only && !s->sensitive && s->value != NULL &&
	       s->from != CONFIG_FROM_STATIC_BROKER && !topic_filter_match(rules->exclude, s->name);
}

size_t topic_configs_diff(const struct topic_configs *source, const struct topic_configs *target,
			  const struct config_rules *rules, struct config_change *out)
{
	size_t n = 0;
	for (size_t i = 0; i < source->n; i++) {
		const struct topic_config *s = &source->v[i];
		if (!copied(s, rules))
			continue;
		const struct topic_config *t = target == NULL ? NULL : find(target, s->name);
		bool own = t != NULL && t->from == CONFIG_FROM_TOPIC;
		if (s->from == CONFIG_FROM_DEFAULT && !rules->defaults_from_source) {
			if (own)
				out[n++] = (struct config_change){.name = s->name,
								  .op = CONFIG_OP_DELETE};
			continue;
		}
		if (t != NULL && t->value != NULL && strcmp(t->value, s->value) == 0 &&
		    (own || s->from == CONFIG_FROM_DEFAULT))
			continue;
		out[n++] = (struct config_change){
			.name = s->name, .op = CONFIG_OP_SET, .value = s->value};
	}
	return n;
}
