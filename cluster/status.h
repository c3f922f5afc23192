/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side of the broker: /metrics (Prometheus), /v1/groups (JSON), /livez, /readyz. */
#ifndef FARSHORE_CLUSTER_STATUS_H
#define FARSHORE_CLUSTER_STATUS_H

#include "cluster/broker.h"

struct sessions;
struct status;

/* Listens on http.listen, if that is set. ERR_CONFIG, ERR_IO, ERR_NOMEM. */
enum err status_new(struct loop *l, struct broker *b, const struct sessions *all,
		    struct status **out, struct errmsg *why) ERR_MUST_USE;

/* From now on /readyz says no, and /metrics has nothing. */
void status_stop(struct status *s);
void status_free(struct status *s); /* NULL is safe */

#endif
