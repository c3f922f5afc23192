/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of farshore-broker: one table (config_table.c) of settings with Kafka's own
 * names where Kafka has one, from a file of "name = value" lines (Kafka's server.properties is
 * one), --set, --data and --listen.
 */
#ifndef FARSHORE_CLUSTER_CONFIG_H
#define FARSHORE_CLUSTER_CONFIG_H

#include <stdio.h>

#include "cluster/log/store.h"
#include "lib/base/arena.h"

enum listener_protocol { LISTENER_PLAINTEXT, LISTENER_SSL };
enum listener_client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_REQUESTED, CLIENT_AUTH_REQUIRED };

struct listener_config {
	const char *name;
	const char *listen;     /* host:port */
	const char *advertised; /* host:port; NULL: listen */
	const char *host;       /* of `listen`, without brackets */
	uint16_t port;
	const char *advertised_host;
	uint16_t advertised_port; /* 0: the one that is listened on */
	enum listener_protocol protocol;
	const char *cert_file, *key_file, *ca_file;
	enum listener_client_auth client_auth;
};

struct broker_config {
	const char *data; /* the data directory */
	int32_t node_id;
	const char *rack; /* NULL: none */
	struct listener_config *listeners;
	size_t listeners_n;

	bool auto_create_topics;
	bool delete_topics;
	int32_t num_partitions;

	/* Logs; what a topic sets for itself wins. */
	struct plog_config log;
	enum store_fsync fsync;
	int64_t fsync_interval_ms;
	int64_t retention_check_interval_ms;
	int64_t cleaner_backoff_ms;
	size_t cleaner_memory;
	int32_t open_files_max;
	int64_t producer_id_expiration_ms;

	/* Groups. */
	int32_t offsets_partitions;
	int64_t offsets_retention_ms;
	int64_t offsets_retention_check_interval_ms;
	int32_t offset_metadata_max;
	int64_t group_initial_rebalance_delay_ms;
	int64_t group_min_session_timeout_ms, group_max_session_timeout_ms;
	int32_t group_max_size;

	/* Limits. */
	int32_t connections_max, connections_max_per_ip;
	int64_t connections_idle_ms;
	int64_t request_max;        /* bytes of a frame */
	int64_t queued_request_max; /* bytes of requests in flight, all connections together */
	int32_t fetch_sessions_max;
	int64_t slow_reader_ms; /* a client that takes no answer for so long is disconnected */

	const char *http_listen; /* "": none */
	const char *log_level;
	unsigned workers;
	struct arena arena; /* owns all of it */
};

/* What the command line said; borrowed during the load. NULL where not given. */
struct broker_config_source {
	const char *file;
	const char *data;
	const char *listen;
	const char *const *sets; /* "path=value" */
	size_t sets_n;
};

/*
 * Load and check. ERR_CONFIG: `why` says file, line, key, what is wrong and what to do; if more
 * than one thing is wrong it says how many and the first, and all of them are written to `faults`,
 * a line each. ERR_IO: the file cannot be read. ERR_NOMEM. After an error `out` holds nothing and
 * needs no broker_config_fini.
 */
enum err broker_config_load(const struct broker_config_source *src, struct broker_config *out,
			    FILE *faults, struct errmsg *why) ERR_MUST_USE;
void broker_config_fini(struct broker_config *c);

/* Print every setting with range, default and meaning, as a file that runs: --help-config and
 * configs/farshore-broker.conf. */
void broker_config_describe(FILE *out);

/* Print docs/broker-configuration.md. */
void broker_config_manual(FILE *out);

/* Print what is in force, as a file (--check-config). */
void broker_config_dump(const struct broker_config *c, FILE *out);

#endif
