/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the value of a topic's configuration comes from: what was set for the topic, the broker's
 * dynamic settings, what it was started with, the default (ConfigHelper.scala).
 */
#ifndef FARSHORE_CLUSTER_API_CONFIG_ANSWER_H
#define FARSHORE_CLUSTER_API_CONFIG_ANSWER_H

#include "cluster/metadata/topic_config.h"

struct broker;

/* DescribeConfigsResponse.ConfigSource. */
enum config_source {
	CONFIG_SOURCE_TOPIC = 1,
	CONFIG_SOURCE_BROKER = 2,  /* set for this broker while it runs */
	CONFIG_SOURCE_CLUSTER = 3, /* set for all brokers while they run */
	CONFIG_SOURCE_STATIC = 4,  /* the broker was started with it */
	CONFIG_SOURCE_DEFAULT = 5,
};

struct config_link {
	const char *name; /* of the configuration, or of the broker setting behind it */
	const char *value;
	enum config_source source;
};

/* The first link counts, the others are its synonyms. Values live until the metadata change, or as
 * long as this. */
struct config_chain {
	struct config_link links[5];
	size_t n;
	char from_start[TOPIC_CONFIG_TEXT], by_default[TOPIC_CONFIG_TEXT];
};

/* `own`: what the topic sets; NULL: nothing. */
void config_chain_of(struct broker *b, const struct topic_config *tc, const char *own,
		     struct config_chain *out);

#endif
