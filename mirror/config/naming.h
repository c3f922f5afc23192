/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which topics are mirrored and what they are called on the target: MM2's rules
 * (DefaultReplicationPolicy, IdentityReplicationPolicy, LegacyReplicationPolicy,
 * DefaultTopicFilter, MirrorSourceConnector.shouldReplicateTopic).
 */
#ifndef FARSHORE_MIRROR_NAMING_H
#define FARSHORE_MIRROR_NAMING_H

#include "mirror/config/config.h"

/*
 * A comma list of names and patterns, joined with "|", full match, with an exclude list that wins.
 * An empty include list matches nothing. PCRE2 with match, depth and heap limits: a name on which a
 * pattern runs over them does not pass, and is counted. ERR_CONFIG: `why` names the pattern and
 * what is wrong with it (constructs that Java reads in another way are refused too); ERR_NOMEM.
 */
struct topic_filter;
enum err topic_filter_new(const char *include, const char *exclude, struct topic_filter **out,
			  struct errmsg *why) ERR_MUST_USE;
void topic_filter_free(struct topic_filter *f);
bool topic_filter_match(const struct topic_filter *f, const char *name);

/* How many matches ran over a limit so far; whoever sees it leave zero tells the operator. */
uint64_t topic_filter_exceeded(const struct topic_filter *f);

enum { TOPIC_NAME_MAX = 249 };

/* The name on the target of source topic `topic`. ERR_LIMIT when it would be longer than Kafka's
 * 249. */
enum err naming_remote(const struct link_config *link, const char *topic,
		       char out[TOPIC_NAME_MAX + 1]) ERR_MUST_USE;

/* True for what is never mirrored: MM2's internal topics, Kafka's, ours ("*.internal",
 * "*-internal", "__*", ".*"). */
bool naming_is_internal(const struct link_config *link, const char *topic);

/* True if `topic` came from the link's target (directly or through others): mirroring it would be a
 * loop. */
bool naming_is_cycle(const struct link_config *link, const char *topic);

/* The name at the target of a topic that is a copy from there ("west.orders", going to west:
 * "orders"; MirrorCheckpointTask.renameTopicPartition). NULL: it is none. Within `topic`. */
const char *naming_original(const struct link_config *link, const char *topic);

/* The same for a copy from the link's own source ("east.orders", coming from east), which a source has
 * that is the target, too. */
const char *naming_own(const struct link_config *link, const char *topic);

/* All rules together: mirror this source topic? */
bool naming_should_mirror(const struct link_config *link, const struct topic_filter *f,
			  const char *topic);

/* "<source>.offset-runs.internal", whatever the link's separator: a name that differs only in "."
 * and
 * "_" would collide with it (Kafka's rule), and changing the separator must not lose the tables. */
enum err naming_runs_topic(const struct link_config *link,
			   char out[TOPIC_NAME_MAX + 1]) ERR_MUST_USE;

/* "mm2-offset-syncs.<alias>.internal", with the link's internal separator; `alias` is that of the
 * cluster at the other end of the flow: the target's if the topic is on the source, and the other
 * way round (ReplicationPolicy.offsetSyncsTopic, KIP-716). */
enum err naming_offset_syncs_topic(const struct link_config *link, const char *alias,
				   char out[TOPIC_NAME_MAX + 1]) ERR_MUST_USE;

/* "<source>.checkpoints.internal", with the link's separator for internal topics
 * (ReplicationPolicy.checkpointsTopic). */
enum err naming_checkpoints_topic(const struct link_config *link,
				  char out[TOPIC_NAME_MAX + 1]) ERR_MUST_USE;

/* "<source><suffix>" for another topic of ours; `suffix` as ".gaps.internal". The same rules. */
enum err naming_source_topic(const struct link_config *link, const char *suffix,
			     char out[TOPIC_NAME_MAX + 1]) ERR_MUST_USE;

#endif
