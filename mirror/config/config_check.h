/* SPDX-License-Identifier: Apache-2.0 */
/* The checks that one row of the table cannot make. Faults go to the store of settings, doubts to
 * `warnings`, a line each. */
#ifndef FARSHORE_MIRROR_CONFIG_CHECK_H
#define FARSHORE_MIRROR_CONFIG_CHECK_H

#include "mirror/config/config_table.h"

/* "host:port", "[v6]:port"; port 0 only with `any_port`. */
bool config_check_address(const char *address, bool any_port);

void config_check_mirror(struct config *c, const struct mirror_config *m);
void config_check_cluster(struct config *c, const struct cluster_config *k, FILE *warnings);

/* The link by itself; link.source and link.target need not be set yet. */
void config_check_link(struct config *c, const struct link_draft *d, FILE *warnings);

/* That the two are not one cluster, as far as their addresses tell. */
void config_check_ends(struct config *c, const struct link_draft *d,
		       const struct cluster_config *source, const struct cluster_config *target,
		       FILE *warnings);

/* Links that get in each other's way. */
void config_check_together(const struct link_draft *links, size_t n, FILE *warnings);

#endif
