/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of farshore-mirror, from a native file (libconfig, --config) or from
 * mm2.properties (--mm2), with --set overrides. One table names every native setting; every MM2 key
 * is either mapped, or named in one warning line with the reason, or an error that names the
 * nearest known key.
 */
#ifndef FARSHORE_MIRROR_CONFIG_H
#define FARSHORE_MIRROR_CONFIG_H

#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "mirror/config/policy.h"

enum mirror_two_way { TWO_WAY_AUTO, TWO_WAY_ON, TWO_WAY_OFF };

enum mirror_policy { POLICY_DEFAULT, POLICY_IDENTITY, POLICY_LEGACY };
enum mirror_take_over { TAKE_OVER_NO, TAKE_OVER_POSITIONS, TAKE_OVER_RUNS };

/* How to reach one cluster. */
struct cluster_config {
	const char *name;             /* alias; see mirror_config.clusters */
	const char *const *bootstrap; /* host:port */
	size_t bootstrap_n;
	bool tls;
	const char *ca_file, *ca_password; /* see lib/net/tls.h; NULL where not set */
	const char *cert_file, *key_file, *key_password;
	const char *ciphers;
	bool verify_host;
	const char *sasl_mechanism, *sasl_username, *sasl_password; /* NULL: none */
	const char *client_id;
	const char *rack; /* client.rack; NULL none */
	int64_t request_timeout_ms;
	int64_t connect_timeout_ms;
	int64_t metadata_max_age_ms;
	int64_t backoff_min_ms, backoff_max_ms;
	int64_t user_timeout_ms;
	int socket_buffer;
	int32_t fetch_max_wait_ms;
	int32_t fetch_max_bytes; /* of one answer; 0: sized by the mirror */
	bool read_committed;     /* as a source */
};

/* One direction, source->target. */
struct link_config {
	const char *name; /* "east->west" */
	const struct cluster_config *source, *target;
	const char *topics, *topics_exclude; /* comma lists of patterns, MM2's rules */
	enum mirror_policy policy;
	enum mirror_two_way two_way_mode; /* as set */
	/* Another link copies the same topics the other way under equal names, here or in another
	 * process: `two_way_mode` is on, or it is auto and the file has that link. */
	bool two_way;
	const char *separator;
	bool internal_separator;         /* replication.policy.internal.topic.separator.enabled */
	int16_t replication_factor;      /* of created topics; -1: the target's default */
	int16_t runs_replication_factor; /* of <source>.offset-runs.internal */
	const char
		*config_exclude;   /* comma list of patterns of topic configs that are not copied */
	bool defaults_from_source; /* use.defaults.from */
	bool refresh_topics, sync_configs;
	int64_t refresh_topics_ms, sync_configs_ms;
	bool heartbeats; /* mirror heartbeats topics whatever `topics` says (KIP-1089) */
	/* MM2's internal topics; see heartbeats.h and offset_syncs.h. */
	bool emit_heartbeats;           /* on the target */
	bool emit_heartbeats_at_source; /* on the source, for the flow back, as if it were one */
	int64_t emit_heartbeats_ms;
	int16_t heartbeats_replication_factor;
	bool emit_offset_syncs;
	bool offset_syncs_at_source; /* false: on the target */
	int64_t offset_lag_max;      /* records */
	int16_t offset_syncs_replication_factor;
	bool paused;       /* begins held: see link_hold */
	bool start_latest; /* where a partition without a position starts: false: earliest */
	/* What to do with a partition that has no run table here, but records on the target. */
	enum mirror_take_over take_over;
	const char *take_over_offsets; /* topic of MM2's stored positions; "": MM2's default */
	int32_t max_request_bytes;     /* of one produce request */
	int32_t max_in_flight;         /* produce requests per target broker */
	int64_t delivery_timeout_ms;
	int64_t request_lifetime_ms;         /* of a produce request that nobody waits for */
	size_t runs_budget;                  /* bytes of memory for one partition's run table */
	const char *groups, *groups_exclude; /* comma lists of patterns; groups "" or NULL: none */
	bool refresh_groups;                 /* false: those found at the start only */
	int64_t refresh_groups_ms;
	bool sync_group_offsets; /* commit translated offsets at the target */
	int64_t sync_groups_ms;
	bool follow_rewinds; /* also when a group went back at the source */
	bool delete_groups;  /* delete at the target what was deleted at the source */
	bool emit_checkpoints;
	int64_t emit_checkpoints_ms;
	int16_t checkpoints_replication_factor;
	bool on[ON_EVENTS];            /* see policy.h: the link's own settings, */
	const char *policies;          /* and its list */
	int64_t retention_warning_ms;  /* warn when the source deletes what is not copied that soon;
					 0: never */
	int64_t topic_deleted_wait_ms; /* a topic is gone for so long before it counts as deleted */
};

struct mirror_config {
	/*
	 * The clusters that enabled links use. One entry is one set of client settings: an alias
	 * stands here more than once when flows of an MM2 file set different ones for it (such as
	 * "A->B.consumer.isolation.level"). A client belongs to an entry, not to an alias.
	 */
	struct cluster_config *clusters;
	size_t clusters_n;
	struct link_config *links; /* the enabled ones */
	size_t links_n;
	const char *http_listen; /* "127.0.0.1:8380"; "" for none */
	bool metrics_mm2;        /* /metrics has MM2's metrics under their names, too */
	const char *log_level;
	size_t memory_max;  /* bytes, the hard cap of buffers; 0: 64 MiB plus 4 KiB a partition */
	unsigned workers;   /* threads of the pool */
	int64_t drain_ms;   /* SIGTERM: how long to wait for answers before leaving */
	struct arena arena; /* owns all of it */
};

/* What the command line said. `sets` are "path=value" strings; borrowed during the load. */
struct config_source {
	const char *file;
	bool mm2;
	const char *const *sets;
	size_t sets_n;
	const char *const *
		only_targets; /* MM2's --clusters: only flows whose target is listed; n == 0: all */
	size_t only_targets_n;
	enum mirror_take_over take_over; /* for all links, unless they ask for more themselves */
};

/*
 * Load and check. Warnings (a mapped-to-nothing MM2 key, a value that another overrides) go to
 * `warnings`, a line each, in words for an operator. ERR_CONFIG: `why` says file, line, key, what
 * is wrong and what to do; if more than one thing is wrong it says how many and the first, and all
 * of them (up to 20) are in `warnings`, as "error: ..." lines. ERR_IO: the file cannot be read.
 * ERR_NOMEM. After an error `out` holds nothing and needs no mirror_config_fini.
 */
enum err mirror_config_load(const struct config_source *src, struct mirror_config *out,
			    FILE *warnings, struct errmsg *why) ERR_MUST_USE;
void mirror_config_fini(struct mirror_config *c);

/* The enabled link of this name, or NULL. */
const struct link_config *mirror_config_link(const struct mirror_config *c, const char *name);

/* Call `fn` for each setting in which two configurations of the same file differ, once; `path` is
 * as for --set, `reloads` if a running program can take it over. A link or cluster that only one of
 * them has counts as one setting. */
void mirror_config_compare(const struct mirror_config *a, const struct mirror_config *b,
			   void (*fn)(void *arg, const char *path, bool reloads), void *arg);

/* Print every setting with type, unit, range, default and help, as a file that runs: --help-config
 * and configs/farshore-mirror.conf. */
void mirror_config_describe(FILE *out);

/* Print docs/configuration.md: the native settings, and what becomes of each MM2 key. */
void mirror_config_manual(FILE *out);

/* Print the effective configuration, secrets redacted (--check-config). */
void mirror_config_dump(const struct mirror_config *c, FILE *out);

#endif
