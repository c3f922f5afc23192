/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings, and the drafts that it fills: the public structs with the few values that
 * need one more step. */
#ifndef FARSHORE_CLUSTER_CONFIG_TABLE_H
#define FARSHORE_CLUSTER_CONFIG_TABLE_H

#include "cluster/config.h"
#include "lib/base/config.h"

struct broker_draft {
	struct broker_config c;
	const char *cleanup_policy; /* a list of "delete" and "compact" */
	int32_t compression;        /* index of config_table_compressions */
	int32_t log_level;          /* index of config_table_levels */
	int64_t offsets_retention_minutes;
};

struct listener_draft {
	struct listener_config l;
	int32_t protocol;    /* index of config_table_protocols */
	int32_t client_auth; /* index of config_table_client_auths */
};

extern const char *const config_table_levels[];
extern const char *const config_table_compressions[]; /* [0] is "producer" */
extern const char *const config_table_protocols[];    /* by enum listener_protocol */
extern const char *const config_table_client_auths[]; /* by enum listener_client_auth */

/* Static storage. */
const struct config_schema *config_table_schema(void);

#endif
