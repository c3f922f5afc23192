/* SPDX-License-Identifier: Apache-2.0 */
/* Pure: no I/O, no state. See topic_configs.h for the rules' source. */
#include "mirror/clusters/topic_configs.h"

/* Room for `n` of them. */
static enum err make_room(struct topic_configs *c, int32_t n, struct arena *a)
{
	c->n = 0;
	c->v = arena_zalloc(a, n > 0 ? (size_t)n : 0, sizeof *c->v);
	return c->v == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err put_texts(struct topic_config *to, struct bytes name, struct bytes value,
			  struct arena *a)
{
	to->name = arena_strndup(a, name);
	to->value = value.p == NULL ? NULL : arena_strndup(a, value);
	return to->name == NULL || (value.p != NULL && to->value == NULL) ? ERR_NOMEM : ERR_OK;
}

enum err topic_configs_take(struct topic_configs *c,
			    const struct describe_configs_response_describe_configs_result *r,
			    struct arena *a)
{
	enum err e = make_room(c, r->configs_n, a);
	for (int32_t i = 0; e == ERR_OK && i < r->configs_n; i++) {
		const struct describe_configs_response_describe_configs_resource_result *from =
			&r->configs[i];
		struct topic_config *to = &c->v[c->n++];
		e = put_texts(to, from->name, from->value, a);
		to->from = from->config_source;
		to->read_only = from->read_only;
		to->sensitive = from->is_sensitive;
	}
	return e;
}

enum err topic_configs_take_created(struct topic_configs *c,
				    const struct create_topics_response_creatable_topic_result *r,
				    struct arena *a)
{
	enum err e = make_room(c, r->configs_n, a);
	for (int32_t i = 0; e == ERR_OK && i < r->configs_n; i++) {
		const struct create_topics_response_creatable_topic_configs *from = &r->configs[i];
		struct topic_config *to = &c->v[c->n++];
		e = put_texts(to, from->name, from->value, a);
		to->from = from->config_source;
		to->read_only = from->read_only;
		to->sensitive = from->is_sensitive;
	}
	return e;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3;
	return (h ^ 0xff) * 0x100000001b3;
}

uint64_t topic_configs_print(const struct topic_configs *c)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < c->n; i++) {
		uint64_t h = hash_text(0xcbf29ce484222325, c->v[i].name);
		sum += c->v[i].value == NULL ? h : hash_text(h, c->v[i].value);
	}
	return sum;
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
