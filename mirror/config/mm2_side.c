/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The precedence follows from how MirrorMakerConfig and MirrorConnectorConfig build the properties
 * of a client: MirrorMakerConfig.clusterProps copies "A.k" and, for security settings, top-level
 * "k" under "consumer." and the like where these are absent; connectorBaseConfig puts them all
 * under "source." or "target." and then the flow's own over them; sourceConsumerConfig takes
 * "source.cluster.", then "consumer.", then "source.consumer.". What is copied goes through the
 * producer of Connect's worker, for which "producer.override." of the flow comes first.
 */
#include "mirror/config/mm2_side.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/config_value.h"

enum { KEY_TEXT_MAX = 512, WARNING_MAX = 1024 };

static const struct mm2_property *find(const struct mm2_side *s, const char *a, const char *b,
				       const char *key)
{
	char text[KEY_TEXT_MAX];
	int n = snprintf(text, sizeof text, "%s%s%s", a, b, key);
	if (n < 0 || (size_t)n >= sizeof text)
		return NULL;
	return mm2_properties_find(&s->m->props, text);
}

const struct mm2_property *mm2_side_value(const struct mm2_side *s, const char *key)
{
	const struct mm2_key *k = mm2_keys_find(key, MM2_AT_SECURITY | MM2_AT_CLIENT);
	unsigned at = k == NULL ? 0 : k->at;
	bool security = (at & MM2_AT_SECURITY) != 0;
	/* A target is read from too, but by the cluster's own consumer settings only. */
	if (!s->source && (at & MM2_AT_CLIENT) == MM2_AT_CONSUMER)
		return find(s, s->alias, ".consumer.", key);
	const char *role = s->source ? ".consumer." : ".producer.";
	const struct mm2_property *p = NULL;
	if (!s->source)
		p = find(s, s->flow, ".producer.override.", key);
	if (p == NULL)
		p = find(s, s->flow, s->source ? ".source.consumer." : ".target.producer.", key);
	if (p == NULL)
		p = find(s, s->alias, role, key);
	if (p == NULL && (at & (MM2_AT_SECURITY | MM2_AT_WORKER)) != 0)
		p = find(s, s->alias, ".", key);
	if (p == NULL && security)
		p = find(s, "", "", key);
	if (p == NULL)
		p = find(s, s->flow, role, key);
	if (p == NULL && security)
		p = find(s, s->flow, s->source ? ".source.cluster." : ".target.cluster.", key);
	return p;
}

const struct mm2_property *mm2_side_link_value(const struct mm2_side *s, const char *key)
{
	const struct mm2_property *p = find(s, s->flow, ".", key);
	return p != NULL ? p : find(s, "", "", key);
}

void mm2_side_fault(struct mm2 *m, const struct mm2_property *p, const char *fmt, ...)
{
	char text[sizeof(struct errmsg)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	config_fault(m->c, "%s:%u: %s: %s", m->file, p->line, p->key, text);
}

void mm2_side_warn(struct mm2 *m, const struct mm2_property *p, const char *fmt, ...)
{
	char text[sizeof(struct errmsg)], line[WARNING_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(line, sizeof line, "%s:%u: %s: %s\n", m->file, p->line, p->key, text);
	/* Out of memory here only means that a warning may come twice. */
	if (map_get(m->told, bytes_str(line)) == NULL)
		fputs(line, m->warnings);
	enum err ignored = map_put(m->told, bytes_str(line), m);
	(void)ignored;
}

void mm2_side_put(const struct mm2_side *s, const char *to, const char *value,
		  const struct mm2_property *p)
{
	char origin[KEY_TEXT_MAX * 2];
	if (p != NULL)
		snprintf(origin, sizeof origin, "%s:%u: %s", s->m->file, p->line, p->key);
	else
		snprintf(origin, sizeof origin, "MM2's default of %s", to);
	config_put(s->m->c, &(struct config_put){.section = s->section,
						 .name = s->name,
						 .key = to,
						 .value = value,
						 .origin = origin,
						 .literal = true,
						 .hidden = p != NULL && p->hidden});
}

static void put_bool(const struct mm2_side *s, const char *to, const struct mm2_property *p)
{
	if (strcasecmp(p->value, "true") == 0)
		mm2_side_put(s, to, "true", p);
	else if (strcasecmp(p->value, "false") == 0)
		mm2_side_put(s, to, "false", p);
	else
		mm2_side_fault(s->m, p, "write true or false");
}

static void put_seconds(const struct mm2_side *s, const char *to, const struct mm2_property *p)
{
	char text[64];
	int64_t v;
	if (!config_value_int(p->value, &v)) {
		mm2_side_fault(s->m, p, "write a whole number of seconds");
		return;
	}
	snprintf(text, sizeof text, "%lld s", (long long)v);
	mm2_side_put(s, to, text, p);
}

void mm2_side_put_formed(const struct mm2_side *s, const struct mm2_key *key,
			 const struct mm2_property *p)
{
	switch (key->form) {
	case MM2_TEXT:
		mm2_side_put(s, key->to, p->value, p);
		break;
	case MM2_BOOL:
		put_bool(s, key->to, p);
		break;
	case MM2_SECONDS:
		put_seconds(s, key->to, p);
		break;
	}
}
