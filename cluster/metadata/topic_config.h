/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic configurations of Kafka 4.1 (LogConfig.java, TopicConfig.java): one table with types,
 * ranges, the broker setting that gives a topic's default, and what each does here. Checks and
 * their words are Kafka's.
 */
#ifndef FARSHORE_CLUSTER_METADATA_TOPIC_CONFIG_H
#define FARSHORE_CLUSTER_METADATA_TOPIC_CONFIG_H

#include "cluster/log/plog.h"
#include "lib/base/buf.h"
#include "lib/base/map.h"

/* DescribeConfigsResponse.ConfigType. */
enum topic_config_type {
	CONFIG_TYPE_BOOLEAN = 1,
	CONFIG_TYPE_STRING = 2,
	CONFIG_TYPE_INT = 3,
	CONFIG_TYPE_LONG = 5,
	CONFIG_TYPE_DOUBLE = 6,
	CONFIG_TYPE_LIST = 7,
};

/* What a configuration does on this broker. */
enum topic_config_use {
	TOPIC_CONFIG_USED,    /* it has its effect */
	TOPIC_CONFIG_STORED,  /* kept and shown; on one node there is nothing for it to do */
	TOPIC_CONFIG_REFUSED, /* only its default is taken: what it asks for is not offered */
};

struct topic_config {
	const char *name;
	const char *broker; /* the broker setting behind it; NULL: none */
	enum topic_config_type type;
	enum topic_config_use use;
	const char *def;   /* Kafka's default */
	int64_t min, max;  /* INT, LONG, DOUBLE */
	const char *words; /* the words that STRING and LIST take, as Kafka lists them; NULL: any */
	/* Field of struct plog_config; -1: none, or one that topic_config.c handles by name. */
	int offset;
	const char *doc;
};

/* All, ordered by name. */
const struct topic_config *topic_config_all(size_t *n);
const struct topic_config *topic_config_find(struct bytes name);
/* The one whose default the broker setting `name` gives; NULL: none. */
const struct topic_config *topic_config_by_broker(struct bytes name);

/* Is `value` one that the configuration takes? `name` is what messages call it (the broker
 * setting's name, when that is set). ERR_KAFKA_INVALID_CONFIG with Kafka's text. */
enum err topic_config_check(const struct topic_config *tc, const char *name, struct bytes value,
			    struct errmsg *why) ERR_MUST_USE;

/* Rules over more than one configuration, over what a topic would have.
 * ERR_KAFKA_INVALID_CONFIG. */
enum err topic_config_check_all(const struct plog_config *c, struct errmsg *why) ERR_MUST_USE;

/* Put a checked value into the log's configuration. */
void topic_config_apply(const struct topic_config *tc, struct bytes value, struct plog_config *c);

/* All that a map sets (name -> char *; with `broker_names`, keyed by the broker settings), but for
 * compression levels. */
void topic_config_apply_map(const struct map *set, bool broker_names, struct plog_config *c);

/* The level that the map sets for the codec that came out, if it sets one. */
void topic_config_apply_level(const struct map *set, struct plog_config *c);

/* The value as text, as it stands in a log's configuration, or Kafka's default where the log has no
 * such field. */
enum { TOPIC_CONFIG_TEXT = 48 };
void topic_config_show(const struct topic_config *tc, const struct plog_config *c,
		       char out[TOPIC_CONFIG_TEXT]);

/* LIST: `value` with the items of `change` added or taken out, as Kafka's APPEND and SUBTRACT
 * do, to `out`. */
void topic_config_list_append(struct bytes value, struct bytes change, struct buf *out);
void topic_config_list_subtract(struct bytes value, struct bytes change, struct buf *out);

#endif
