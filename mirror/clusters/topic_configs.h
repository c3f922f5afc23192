/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic configurations as DescribeConfigs tells them, and what must be changed at the target so
 * that it follows the source: MM2's rules (MirrorSourceConnector.targetConfig,
 * DefaultConfigPropertyFilter), but only real differences.
 */
#ifndef FARSHORE_MIRROR_TOPIC_CONFIGS_H
#define FARSHORE_MIRROR_TOPIC_CONFIGS_H

#include "lib/base/arena.h"
#include "lib/wire/messages.h"
#include "mirror/config/naming.h"

/* Where a value comes from (DescribeConfigs, KIP-226). */
enum { CONFIG_FROM_TOPIC = 1, CONFIG_FROM_STATIC_BROKER = 4, CONFIG_FROM_DEFAULT = 5 };

struct topic_config {
	const char *name, *value; /* value NULL: null */
	int8_t from;
	bool read_only, sensitive;
};

/* One topic's configuration; lives in an arena. */
struct topic_configs {
	struct topic_config *v;
	size_t n;
};

/* Copy out of an answer. ERR_NOMEM or ERR_LIMIT: the arena is full. */
enum err topic_configs_take(struct topic_configs *c,
			    const struct describe_configs_response_describe_configs_result *r,
			    struct arena *a) ERR_MUST_USE;

/* The same out of the answer to a creation (KIP-525). Without any, as from older brokers: none. */
enum err topic_configs_take_created(struct topic_configs *c,
				    const struct create_topics_response_creatable_topic_result *r,
				    struct arena *a) ERR_MUST_USE;

/* A number that differs when names or values do, in whatever order they come. */
uint64_t topic_configs_print(const struct topic_configs *c);

/* The value, or NULL if there is no such setting (or it is null). */
const char *topic_configs_value(const struct topic_configs *c, const char *name);

struct config_rules {
	const struct topic_filter *exclude; /* names that are not copied */
	bool defaults_from_source;          /* use.defaults.from=source */
};

enum { CONFIG_OP_SET = 0, CONFIG_OP_DELETE = 1 }; /* KIP-339 */

struct config_change {
	const char *name;
	int8_t op;
	const char *value; /* SET only */
};

/* What to change at the target; `target` NULL: the topic is yet to be made, so only SETs come. At
 * most source->n changes are written to `out`; returns how many. Strings are those of the inputs.
 */
size_t topic_configs_diff(const struct topic_configs *source, const struct topic_configs *target,
			  const struct config_rules *rules, struct config_change *out);

#endif
