/* SPDX-License-Identifier: Apache-2.0 */
/* The store's periodic work, and the clean stop. */
#ifndef FARSHORE_CLUSTER_LOG_STORE_TIMERS_H
#define FARSHORE_CLUSTER_LOG_STORE_TIMERS_H

#include "cluster/log/store_impl.h"

enum err store_timers_start(struct store *s) ERR_MUST_USE; /* ERR_NOMEM */
/* For store_free: a clean stop that is under way never ends. */
void store_timers_stop(struct store *s);

/* The cleaner came to rest, after a round over `l` (NULL: it was deleted): a clean stop may go
 * on. */
void store_timers_cleaner_idle(struct store *s, struct plog *l);

#endif
