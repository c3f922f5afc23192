/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's settings as DescribeConfigs tells them, from the table that reads them. Those that
 * are defaults of topics (log.retention.ms and the like) can be set while the broker runs; all
 * others are read-only.
 */
#ifndef FARSHORE_CLUSTER_API_BROKER_SETTINGS_H
#define FARSHORE_CLUSTER_API_BROKER_SETTINGS_H

#include "cluster/api/config_answer.h"
#include "lib/base/arena.h"

/* fetch.max.bytes, which cannot be set: records in the answer to one Fetch. */
enum { FETCH_MAX_BYTES = 55 << 20 };

struct broker_setting {
	const char *name;
	const char *value; /* NULL: not set */
	int8_t type;       /* DescribeConfigsResponse.ConfigType */
	bool read_only, sensitive;
	enum config_source source;
	const char *doc;
	const struct topic_config *topic; /* the topics' configuration that it is the default of */
};

/* All of them, in the arena; NULL when out of memory. */
const struct broker_setting *broker_settings_all(struct broker *b, struct arena *a, size_t *n);

#endif
