/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings, and the drafts that it fills: the public structs with the few values that
 * need one more step (a name that becomes a pointer, a word that stays text). */
#ifndef FARSHORE_MIRROR_CONFIG_TABLE_H
#define FARSHORE_MIRROR_CONFIG_TABLE_H

#include "lib/base/config.h"
#include "mirror/config/config.h"

struct mirror_draft {
	struct mirror_config m;
	int32_t log_level; /* index of config_table_levels */
};

struct cluster_draft {
	struct cluster_config c;
	int32_t mechanism; /* index of config_table_mechanisms */
};

struct link_draft {
	struct link_config link;
	const char *source, *target;
	bool enabled;
};

extern const char *const config_table_levels[];
extern const char *const config_table_mechanisms[]; /* [0] is "none" */

/* Static storage. */
const struct config_schema *config_table_schema(void);

#endif
