/* SPDX-License-Identifier: Apache-2.0 */
/* What AlterConfigs and IncrementalAlterConfigs share: the same answer to nearly the same
 * question. */
#ifndef FARSHORE_CLUSTER_API_ALTER_H
#define FARSHORE_CLUSTER_API_ALTER_H

#include "cluster/metadata/metadata.h"

struct request;

/* One resource of a request, and where its answer goes. */
struct alter_item {
	struct metadata_alter alter;
	int16_t *error_code;
	struct bytes *error_message;
	/* alter.c's */
	struct request *r;
};

/* Check, propose unless `validate_only`, and answer with `response` when all is done. */
void alter_run(struct request *r, const void *response, struct alter_item *items, size_t n,
	       bool validate_only);

#endif
