/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link: everything that is mirrored from one cluster to another. Links share the process, its
 * loop and its memory, nothing else: a fault in one does not disturb another.
 */
#ifndef FARSHORE_MIRROR_LINK_H
#define FARSHORE_MIRROR_LINK_H

#include "lib/net/loop.h"
#include "mirror/config/config.h"
#include "mirror/partition/state.h"

struct link;
struct memory;
struct topic_entry;

/* `config` and `memory` are borrowed. ERR_CONFIG (a certificate that cannot be read ...),
 * ERR_NOMEM. Starts at once. */
enum err link_new(struct loop *l, const struct link_config *config, struct memory *memory,
		  struct link **out, struct errmsg *why) ERR_MUST_USE;
void link_free(struct link *k);

/* Take no more from the source, let answers in flight come, store positions. */
void link_stop(struct link *k);
/* True when link_stop is done. */
bool link_stopped(struct link *k);

/*
 * Hold (`why` says why; static storage) or release (`why` NULL) the whole link, one topic of the
 * source (`partition` -1), or one partition of it. What comes later below it, new topics or new
 * partitions, is held too. `*n`: how many partitions it meant. ERR_NOT_FOUND: there is no such
 * topic or partition.
 */
enum err link_hold(struct link *k, const char *topic, int32_t partition, const char *why,
		   size_t *n) ERR_MUST_USE;

/* The policies changed: take over those of `c`, which was checked. Partitions that stopped go on if
 * their policy says so now. ERR_NOMEM: nothing is changed. */
enum err link_set_policies(struct link *k, const struct link_config *c) ERR_MUST_USE;

/* The setting `paused` changed. */
void link_hold_by_setting(struct link *k, bool paused);

/* ---- for status ---- */
/* True if all of it was held by link_hold. */
bool link_held(const struct link *k);
const struct link_config *link_config(const struct link *k);
enum mirror_state link_state(const struct link *k, const char **reason, int64_t *since_ms);
/* True if records flow or could flow, or if the link is held: ready for /readyz. */
bool link_ready(const struct link *k);
size_t link_partitions(const struct link *k);
/* Topics sorted by source name: the caller frees the array with mem_free. NULL when out of memory
 * or empty. */
struct topic_entry **link_topics_sorted(const struct link *k, size_t *n);

#endif
