/* SPDX-License-Identifier: Apache-2.0 */
/* The native settings of farshore-mirror, a row each. Defaults that differ for MM2 files are in
 * config_mm2.c. */
#include "mirror/config_table.h"

#define MIRROR(field)  .section = "", CONFIG_FIELD(struct mirror_draft, field)
#define CLUSTER(field) .section = "clusters", CONFIG_FIELD(struct cluster_draft, field)
#define LINK(field)    .section = "links", CONFIG_FIELD(struct link_draft, field)
#define KIB            1024LL
#define MIB            (1024 * KIB)
#define GIB            (1024 * MIB)

const char *const config_table_levels[] = {"error", "warn", "info", "debug", NULL};
const char *const config_table_mechanisms[] = {"none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
					       NULL};

/* The index is the field's value. */
static const char *const isolation[] = {"read_uncommitted", "read_committed", NULL};
static const char *const two_ways[] = {"auto", "on", "off", NULL};
static const char *const policies[] = {"default", "identity", "legacy", NULL};
static const char *const defaults_from[] = {"target", "source", NULL};
static const char *const locations[] = {"target", "source", NULL};
static const char *const starts[] = {"earliest", "latest", NULL};

/* clang-format off */
static const struct config_row rows[] = {
	{CLUSTER(c.bootstrap), .key = "bootstrap", .type = CONFIG_ARRAY,
	 .count_offset = offsetof(struct cluster_draft, c.bootstrap_n),
	 .help = "Brokers to start from, host:port each; required."},
	{CLUSTER(c.client_id), .key = "client_id", .type = CONFIG_STRING, .def = "farshore-mirror",
	 .help = "Name under which brokers log, meter and throttle this client."},
	{CLUSTER(c.rack), .key = "rack", .type = CONFIG_STRING,
	 .help = "Rack (availability zone) of this process: fetch from the nearest replica (KIP-392)."},
	{CLUSTER(c.request_timeout_ms), .key = "request_timeout", .type = CONFIG_DURATION,
	 .min = 100, .max = INT32_MAX, .def = "30 s",
	 .help = "How long to wait for the answer to a request."},
	{CLUSTER(c.connect_timeout_ms), .key = "connect_timeout", .type = CONFIG_DURATION,
	 .min = 100, .max = INT32_MAX, .def = "10 s",
	 .help = "How long connecting, TLS and authentication may take together."},
	{CLUSTER(c.user_timeout_ms), .key = "user_timeout", .type = CONFIG_DURATION,
	 .min = 1000, .max = INT32_MAX, .def = "10 s",
	 .help = "A broker that acknowledges no byte for this long is taken for dead (TCP_USER_TIMEOUT)."},
	{CLUSTER(c.metadata_max_age_ms), .key = "metadata_max_age", .type = CONFIG_DURATION,
	 .min = 100, .max = INT32_MAX, .def = "5 min",
	 .help = "Metadata older than this are asked for again."},
	{CLUSTER(c.backoff_min_ms), .key = "backoff_min", .type = CONFIG_DURATION,
	 .min = 1, .max = INT32_MAX, .def = "100 ms",
	 .help = "First wait before connecting again; doubles with each failure, with jitter."},
	{CLUSTER(c.backoff_max_ms), .key = "backoff_max", .type = CONFIG_DURATION,
	 .min = 1, .max = INT32_MAX, .def = "10 s",
	 .help = "Longest wait before connecting again."},
	{CLUSTER(c.socket_buffer), .key = "socket_buffer", .type = CONFIG_BYTES,
	 .min = 0, .max = GIB, .def = "0",
	 .help = "Send and receive buffer of a connection; 0: the system sizes it."},

	{CLUSTER(c.tls), .key = "tls.enabled", .type = CONFIG_BOOL, .def = "false",
	 .help = "Speak TLS (1.2 or later) with the brokers."},
	{CLUSTER(c.ca_file), .key = "tls.ca", .type = CONFIG_FILE,
	 .help = "Certificates that are trusted, PEM or PKCS#12; the system's store if not set."},
	{CLUSTER(c.ca_password), .key = "tls.ca_password", .type = CONFIG_SECRET,
	 .help = "Password of a PKCS#12 trust store."},
	{CLUSTER(c.cert_file), .key = "tls.cert", .type = CONFIG_FILE,
	 .help = "The client's certificate chain, PEM, or PKCS#12 with chain and key."},
	{CLUSTER(c.key_file), .key = "tls.key", .type = CONFIG_FILE,
	 .help = "The client's private key, PEM; taken from tls.cert if not set."},
	{CLUSTER(c.key_password), .key = "tls.key_password", .type = CONFIG_SECRET,
	 .help = "Password of the private key or of the PKCS#12 key store."},
	{CLUSTER(c.ciphers), .key = "tls.ciphers", .type = CONFIG_STRING,
	 .help = "Ciphers for TLS 1.2 as an OpenSSL cipher list; OpenSSL's default if not set."},
	{CLUSTER(c.verify_host), .key = "tls.verify_host", .type = CONFIG_BOOL, .def = "true",
	 .help = "Check that the broker's certificate is for the host name that was connected to."},

	{CLUSTER(mechanism), .key = "sasl.mechanism", .type = CONFIG_ENUM, .def = "none",
	 .words = config_table_mechanisms,
	 .help = "How to authenticate."},
	{CLUSTER(c.sasl_username), .key = "sasl.username", .type = CONFIG_STRING,
	 .help = "User name for SASL."},
	{CLUSTER(c.sasl_password), .key = "sasl.password", .type = CONFIG_SECRET,
	 .help = "Password for SASL."},

	{CLUSTER(c.fetch_max_wait_ms), .key = "fetch.max_wait", .type = CONFIG_DURATION,
	 .min = 0, .max = INT32_MAX, .def = "500 ms",
	 .help = "As a source: how long a broker may hold a fetch that has nothing to return."},
	{CLUSTER(c.fetch_max_bytes), .key = "fetch.max_bytes", .type = CONFIG_BYTES,
	 .min = 0, .max = INT32_MAX, .def = "0",
	 .help = "As a source: size of one fetch answer; 0: sized by the mirror from the link's speed."},
	{CLUSTER(c.read_committed), .key = "fetch.isolation", .type = CONFIG_ENUM,
	 .words = isolation, .def = "read_committed",
	 .help = "As a source: read_uncommitted also copies records of open and aborted transactions."},

	{LINK(source), .key = "source", .type = CONFIG_STRING,
	 .help = "Cluster to copy from; required."},
	{LINK(target), .key = "target", .type = CONFIG_STRING,
	 .help = "Cluster to copy to; required."},
	{LINK(enabled), .key = "enabled", .type = CONFIG_BOOL, .def = "true",
	 .help = "False: the link is left out."},
	{LINK(link.topics), .key = "topics", .type = CONFIG_LIST, .def = ".*",
	 .help = "Topics to copy: names and patterns, each matches the whole name."},
	{LINK(link.topics_exclude), .key = "topics_exclude", .type = CONFIG_LIST,
	 .def = ".*[\\-\\.]internal, .*\\.replica, __.*",
	 .help = "Topics to leave out even if `topics` has them."},
	{LINK(link.heartbeats), .key = "heartbeats", .type = CONFIG_BOOL, .def = "false",
	 .help = "Copy MM2's heartbeats topics whatever `topics` says."},
	{LINK(link.emit_heartbeats), .key = "emit_heartbeats", .type = CONFIG_BOOL, .def = "false",
	 .help = "Write MM2's heartbeats at the target; RemoteClusterUtils and its like read them."},
	{LINK(link.emit_heartbeats_at_source), .key = "emit_heartbeats_at_source", .type = CONFIG_BOOL,
	 .def = "false",
	 .help = "Write heartbeats at the source too, as MM2 does for the way back: they are what `heartbeats` copies."},
	{LINK(link.emit_heartbeats_ms), .key = "emit_heartbeats_interval", .type = CONFIG_DURATION,
	 .min = 100, .max = INT32_MAX, .def = "1 s",
	 .help = "How often to write a heartbeat."},
	{LINK(link.heartbeats_replication_factor), .key = "heartbeats_replication_factor", .type = CONFIG_INT,
	 .min = -1, .max = INT16_MAX, .def = "-1",
	 .help = "Replicas of a heartbeats topic that is made; -1: the cluster's default."},
	{LINK(link.emit_offset_syncs), .key = "emit_offset_syncs", .type = CONFIG_BOOL, .def = "false",
	 .help = "Write MM2's offset syncs, for tools that translate by them; offset runs are exact without."},
	{LINK(link.offset_syncs_at_source), .key = "offset_syncs_location", .type = CONFIG_ENUM,
	 .words = locations, .def = "target",
	 .help = "Where the topic with the offset syncs is."},
	{LINK(link.offset_lag_max), .key = "offset_lag_max", .type = CONFIG_INT,
	 .min = 0, .max = INT64_MAX, .def = "100",
	 .help = "Records after which a partition's offset sync is written at once (a second at most), not after 10 s."},
	{LINK(link.offset_syncs_replication_factor), .key = "offset_syncs_replication_factor", .type = CONFIG_INT,
	 .min = -1, .max = INT16_MAX, .def = "-1",
	 .help = "Replicas of the topic with the offset syncs; -1: the cluster's default."},
	{LINK(link.policy), .key = "naming", .type = CONFIG_ENUM, .words = policies, .def = "default",
	 .help = "Names on the target: default puts the source's name in front, the others keep the name."},
	{LINK(link.two_way_mode), .key = "two_way", .type = CONFIG_ENUM, .words = two_ways, .def = "auto",
	 .help = "Another link copies the same topics back under equal names: leave out what it wrote, let others write to the target; auto: if this file has that link."},
	{LINK(link.separator), .key = "separator", .type = CONFIG_STRING, .def = ".",
	 .help = "Stands between the source's name and the topic's."},
	{LINK(link.internal_separator), .key = "internal_separator", .type = CONFIG_BOOL, .def = "true",
	 .help = "Use `separator` in the names of internal topics too; false: a dot."},
	{LINK(link.replication_factor), .key = "replication_factor", .type = CONFIG_INT,
	 .min = -1, .max = INT16_MAX, .def = "-1",
	 .help = "Replicas of topics that are made on the target; -1: the target's default."},
	{LINK(link.runs_replication_factor), .key = "runs_replication_factor", .type = CONFIG_INT,
	 .min = -1, .max = INT16_MAX, .def = "-1",
	 .help = "Replicas of the topic with the offset runs; -1: the target's default."},
	{LINK(link.refresh_topics), .key = "refresh_topics", .type = CONFIG_BOOL, .def = "true",
	 .help = "Look for new topics and partitions while running."},
	{LINK(link.refresh_topics_ms), .key = "refresh_topics_interval", .type = CONFIG_DURATION,
	 .min = 100, .max = INT64_MAX / 1000000, .def = "5 s",
	 .help = "How often to look for new topics and partitions."},
	{LINK(link.sync_configs), .key = "sync_configs", .type = CONFIG_BOOL, .def = "true",
	 .help = "Copy the topics' configuration; only differences are sent."},
	{LINK(link.sync_configs_ms), .key = "sync_configs_interval", .type = CONFIG_DURATION,
	 .min = 100, .max = INT64_MAX / 1000000, .def = "60 s",
	 .help = "How often to compare the topics' configuration."},
	{LINK(link.config_exclude), .key = "config_exclude", .type = CONFIG_LIST,
	 .def = "follower\\.replication\\.throttled\\.replicas, leader\\.replication\\.throttled\\.replicas, "
		"message\\.timestamp\\.difference\\.max\\.ms, message\\.timestamp\\.type, "
		"unclean\\.leader\\.election\\.enable, min\\.insync\\.replicas",
	 .help = "Topic settings that are not copied: names and patterns."},
	{LINK(link.defaults_from_source), .key = "defaults_from", .type = CONFIG_ENUM,
	 .words = defaults_from, .def = "target",
	 .help = "Where a topic setting comes from that the source topic leaves at its default."},
	{LINK(link.paused), .key = "paused", .type = CONFIG_BOOL, .def = "false", .reloads = true,
	 .help = "Copy nothing until resumed; POST /v1/links/NAME/pause does it while the mirror runs."},
	{LINK(link.start_latest), .key = "start", .type = CONFIG_ENUM, .words = starts, .def = "earliest",
	 .help = "Where to begin with a partition that has no position yet."},
	{LINK(link.max_request_bytes), .key = "max_request", .type = CONFIG_BYTES,
	 .min = KIB, .max = GIB, .def = "1 MiB",
	 .help = "Size of one produce request; a larger batch goes alone."},
	{LINK(link.max_in_flight), .key = "max_in_flight", .type = CONFIG_INT,
	 .min = 1, .max = 1024, .def = "64",
	 .help = "Produce requests on the way to one target broker; order is kept at any number."},
	{LINK(link.delivery_timeout_ms), .key = "delivery_timeout", .type = CONFIG_DURATION,
	 .min = 100, .max = INT32_MAX, .def = "120 s",
	 .help = "After this long without an answer the target's tail is read to settle what arrived."},
	{LINK(link.runs_budget), .key = "runs_budget", .type = CONFIG_BYTES,
	 .min = 4 * KIB, .max = 512 * KIB, .def = "256 KiB",
	 .help = "Memory for the offset runs of one partition; the oldest runs go when it is full."},

	{MIRROR(m.http_listen), .key = "http.listen", .type = CONFIG_STRING, .def = "127.0.0.1:8380",
	 .help = "Address of /metrics, /livez, /readyz and /v1; empty: no listener."},
	{MIRROR(m.memory_max), .key = "memory.max", .type = CONFIG_BYTES,
	 .min = 0, .max = 1024 * GIB, .def = "0",
	 .help = "Hard cap of buffers; 0: 64 MiB plus 4 KiB for each partition."},
	{MIRROR(log_level), .key = "log.level", .type = CONFIG_ENUM, .words = config_table_levels,
	 .def = "info", .reloads = true,
	 .help = "Which lines are logged."},
	{MIRROR(m.metrics_mm2), .key = "metrics.mm2", .type = CONFIG_BOOL, .def = "true",
	 .help = "/metrics has MirrorMaker 2's metrics too, under the names that dashboards for it read."},
	{MIRROR(m.workers), .key = "workers", .type = CONFIG_INT, .min = 1, .max = 16, .def = "1",
	 .help = "Threads for what would hold up the event loop (names, re-encoding of batches)."},
	{MIRROR(m.drain_ms), .key = "drain", .type = CONFIG_DURATION, .min = 0, .max = 3600 * 1000,
	 .def = "4 s",
	 .help = "On SIGTERM: how long to wait for answers on the way before leaving."},
};

static const struct config_section sections[] = {
	{.name = "clusters", .help = "The clusters by name, and how to reach them."},
	{.name = "links", .first = "source", .second = "target", .joiner = "->",
	 .help = "What is copied from where to where; a link is called SOURCE->TARGET."},
};
/* clang-format on */

const struct config_schema *config_table_schema(void)
{
	static const struct config_schema schema = {
		.rows = rows,
		.rows_n = sizeof rows / sizeof *rows,
		.sections = sections,
		.sections_n = sizeof sections / sizeof *sections,
	};
	return &schema;
}
