/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of farshore-broker, a row each. Names and defaults are Kafka's where Kafka has them
 * (KafkaConfig, 4.1), with these differences: topics are not made on first use, and what is without
 * a bound in Kafka has one. */
#include "cluster/config_table.h"

#define BROKER(field)   .section = "", CONFIG_FIELD(struct broker_draft, field)
#define LISTENER(field) .section = "listeners", CONFIG_FIELD(struct listener_draft, field)
#define KIB             1024LL
#define MIB             (1024 * KIB)
#define GIB             (1024 * MIB)
#define MS_MAX          (INT64_MAX / 1000000)

const char *const config_table_levels[] = {"error", "warn", "info", "debug", NULL};
const char *const config_table_compressions[] = {"producer", "uncompressed", "gzip", "snappy",
						 "lz4",      "zstd",         NULL};
const char *const config_table_protocols[] = {"PLAINTEXT", "SSL", NULL};
const char *const config_table_client_auths[] = {"none", "requested", "required", NULL};

/* The index is the field's value. */
static const char *const fsyncs[] = {"always", "interval", "never", NULL};
static const char *const timestamp_types[] = {"CreateTime", "LogAppendTime", NULL};

/* clang-format off */
static const struct config_row rows[] = {
	{BROKER(c.data), .key = "log.dir", .type = CONFIG_STRING,
	 .help = "The data directory; --data sets it. Made if it does not exist; required."},
	{BROKER(c.node_id), .key = "node.id", .type = CONFIG_INT, .min = 0, .max = INT32_MAX, .def = "1",
	 .help = "Number of this broker; the data directory keeps it."},
	{BROKER(c.rack), .key = "broker.rack", .type = CONFIG_STRING,
	 .help = "Rack (availability zone) that clients are told."},
	{BROKER(c.auto_create_topics), .key = "auto.create.topics.enable", .type = CONFIG_BOOL, .def = "false",
	 .help = "Make a topic when a client first asks for it."},
	{BROKER(c.delete_topics), .key = "delete.topic.enable", .type = CONFIG_BOOL, .def = "true",
	 .help = "Let clients delete topics."},
	{BROKER(c.num_partitions), .key = "num.partitions", .type = CONFIG_INT, .min = 1, .max = 10000, .def = "1",
	 .help = "Partitions of a topic whose maker names no number."},

	{BROKER(c.fsync), .key = "log.fsync", .type = CONFIG_ENUM, .words = fsyncs, .def = "always",
	 .help = "When a record counts as stored: on disk (always), or written (interval, never: a power cut may take it)."},
	{BROKER(c.fsync_interval_ms), .key = "log.fsync.interval.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "1 s",
	 .help = "With log.fsync = interval: how often logs are synced."},
	{BROKER(c.log.segment_bytes), .key = "log.segment.bytes", .type = CONFIG_BYTES,
	 .min = 14, .max = INT32_MAX, .def = "1 GiB",
	 .help = "A segment is closed when it would grow over this."},
	{BROKER(c.log.segment_ms), .key = "log.roll.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "7 d",
	 .help = "A segment is closed when it is this old."},
	{BROKER(c.log.retention_ms), .key = "log.retention.ms", .type = CONFIG_DURATION,
	 .min = -1, .max = MS_MAX, .def = "7 d",
	 .help = "Segments are deleted when all their records are this old; -1: never."},
	{BROKER(c.log.retention_bytes), .key = "log.retention.bytes", .type = CONFIG_BYTES,
	 .min = -1, .max = INT64_MAX, .def = "-1",
	 .help = "The oldest segments of a partition are deleted while it is larger than this; -1: no limit."},
	{BROKER(c.retention_check_interval_ms), .key = "log.retention.check.interval.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "5 min",
	 .help = "How often to look for segments to close or delete."},
	{BROKER(cleanup_policy), .key = "log.cleanup.policy", .type = CONFIG_LIST, .def = "delete",
	 .help = "What is done with old segments: delete, compact, or both."},
	{BROKER(c.cleaner_backoff_ms), .key = "log.cleaner.backoff.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "15 s",
	 .help = "How often to look for a log to compact."},
	{BROKER(c.cleaner_memory), .key = "log.cleaner.dedupe.buffer.size", .type = CONFIG_BYTES,
	 .min = MIB, .max = 64 * GIB, .def = "32 MiB",
	 .help = "Memory that one compaction may take for its table of keys."},
	{BROKER(c.log.delete_retention_ms), .key = "log.cleaner.delete.retention.ms", .type = CONFIG_DURATION,
	 .min = 0, .max = MS_MAX, .def = "1 d",
	 .help = "How long the mark of a deleted key stays in a compacted log."},
	{BROKER(c.log.min_compaction_lag_ms), .key = "log.cleaner.min.compaction.lag.ms", .type = CONFIG_DURATION,
	 .min = 0, .max = INT64_MAX, .def = "0",
	 .help = "A record is not compacted before it is this old."},
	{BROKER(c.log.max_compaction_lag_ms), .key = "log.cleaner.max.compaction.lag.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = INT64_MAX, .def = "9223372036854775807",
	 .help = "A record is looked at by compaction when it is this old, whatever the share of new records."},
	{BROKER(c.log.segment_index_bytes), .key = "log.index.size.max.bytes", .type = CONFIG_BYTES,
	 .min = 4, .max = INT32_MAX, .def = "10 MiB",
	 .help = "A segment is closed when its index would grow over this."},
	{BROKER(c.log.index_interval_bytes), .key = "log.index.interval.bytes", .type = CONFIG_BYTES,
	 .min = 0, .max = INT32_MAX, .def = "4 KiB",
	 .help = "Bytes of records between two entries of an index."},
	{BROKER(c.log.log_append_time), .key = "log.message.timestamp.type", .type = CONFIG_ENUM,
	 .words = timestamp_types, .def = "CreateTime",
	 .help = "Whose time a record has: the producer's or the broker's."},
	{BROKER(c.log.timestamp_before_max_ms), .key = "log.message.timestamp.before.max.ms", .type = CONFIG_DURATION,
	 .min = 0, .max = INT64_MAX, .def = "9223372036854775807",
	 .help = "Records whose time is further in the past are refused."},
	{BROKER(c.log.timestamp_after_max_ms), .key = "log.message.timestamp.after.max.ms", .type = CONFIG_DURATION,
	 .min = 0, .max = INT64_MAX, .def = "1 h",
	 .help = "Records whose time is further in the future are refused."},
	{BROKER(c.log.flush_messages), .key = "log.flush.interval.messages", .type = CONFIG_INT,
	 .min = 1, .max = INT64_MAX, .def = "9223372036854775807",
	 .help = "Sync a log after so many records, too."},
	{BROKER(c.log.flush_ms), .key = "log.flush.interval.ms", .type = CONFIG_DURATION,
	 .min = 0, .max = INT64_MAX, .def = "9223372036854775807",
	 .help = "Sync a log after so long, too."},
	{BROKER(compression), .key = "compression.type", .type = CONFIG_ENUM,
	 .words = config_table_compressions, .def = "producer",
	 .help = "How batches are stored; producer: as they come."},
	{BROKER(c.log.max_message_bytes), .key = "message.max.bytes", .type = CONFIG_BYTES,
	 .min = 0, .max = INT32_MAX, .def = "1048588",
	 .help = "Largest batch that is taken."},
	{BROKER(c.open_files_max), .key = "log.open.files.max", .type = CONFIG_INT,
	 .min = 16, .max = 1000000, .def = "1024",
	 .help = "Files of logs that are held open at a time."},
	{BROKER(c.producer_id_expiration_ms), .key = "producer.id.expiration.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "1 d",
	 .help = "An idempotent producer that wrote nothing for so long is forgotten."},

	{BROKER(c.offsets_partitions), .key = "offsets.topic.num.partitions", .type = CONFIG_INT,
	 .min = 1, .max = 10000, .def = "50",
	 .help = "Partitions of __consumer_offsets when it is made."},
	{BROKER(offsets_retention_minutes), .key = "offsets.retention.minutes", .type = CONFIG_INT,
	 .min = 1, .max = INT32_MAX, .def = "10080",
	 .help = "Offsets of a group without members are kept for so many minutes."},
	{BROKER(c.offsets_retention_check_interval_ms), .key = "offsets.retention.check.interval.ms",
	 .type = CONFIG_DURATION, .min = 1, .max = MS_MAX, .def = "10 min",
	 .help = "How often to look for offsets that expired."},
	{BROKER(c.offset_metadata_max), .key = "offset.metadata.max.bytes", .type = CONFIG_BYTES,
	 .min = 0, .max = INT16_MAX, .def = "4 KiB",
	 .help = "Longest text that may go with a committed offset."},
	{BROKER(c.group_initial_rebalance_delay_ms), .key = "group.initial.rebalance.delay.ms",
	 .type = CONFIG_DURATION, .min = 0, .max = INT32_MAX, .def = "3 s",
	 .help = "How long the first rebalance of a group waits for more members."},
	{BROKER(c.group_min_session_timeout_ms), .key = "group.min.session.timeout.ms",
	 .type = CONFIG_DURATION, .min = 1, .max = INT32_MAX, .def = "6 s",
	 .help = "Shortest session timeout that a member may ask for."},
	{BROKER(c.group_max_session_timeout_ms), .key = "group.max.session.timeout.ms",
	 .type = CONFIG_DURATION, .min = 1, .max = INT32_MAX, .def = "30 min",
	 .help = "Longest session timeout that a member may ask for."},
	{BROKER(c.group_max_size), .key = "group.max.size", .type = CONFIG_INT,
	 .min = 1, .max = INT32_MAX, .def = "2147483647",
	 .help = "Most members of a group."},

	{BROKER(c.connections_max), .key = "max.connections", .type = CONFIG_INT,
	 .min = 1, .max = INT32_MAX, .def = "2147483647",
	 .help = "Most connections; one more is closed at once. The limit of open files bounds it, too."},
	{BROKER(c.connections_max_per_ip), .key = "max.connections.per.ip", .type = CONFIG_INT,
	 .min = 1, .max = INT32_MAX, .def = "2147483647",
	 .help = "Most connections from one address."},
	{BROKER(c.connections_idle_ms), .key = "connections.max.idle.ms", .type = CONFIG_DURATION,
	 .min = 1, .max = MS_MAX, .def = "10 min",
	 .help = "A connection without requests for so long is closed."},
	{BROKER(c.slow_reader_ms), .key = "connections.slow.reader.ms", .type = CONFIG_DURATION,
	 .min = 100, .max = MS_MAX, .def = "1 min",
	 .help = "A client that takes less than 64 KiB of the answers that wait for it in so long is disconnected."},
	{BROKER(c.request_max), .key = "socket.request.max.bytes", .type = CONFIG_BYTES,
	 .min = KIB, .max = GIB, .def = "100 MiB",
	 .help = "Largest request."},
	{BROKER(c.queued_request_max), .key = "queued.max.request.bytes", .type = CONFIG_BYTES,
	 .min = MIB, .max = 1024 * GIB, .def = "128 MiB",
	 .help = "Bytes of requests in memory over which no further ones are read."},
	{BROKER(c.fetch_sessions_max), .key = "max.incremental.fetch.session.cache.slots", .type = CONFIG_INT,
	 .min = 0, .max = 1000000, .def = "1000",
	 .help = "Fetch sessions that are kept (KIP-227)."},

	{BROKER(c.http_listen), .key = "http.listen", .type = CONFIG_STRING, .def = "",
	 .help = "Address of /metrics, /v1/groups, /livez and /readyz; empty: no listener."},
	{BROKER(log_level), .key = "log.level", .type = CONFIG_ENUM, .words = config_table_levels,
	 .def = "info",
	 .help = "Which lines are logged."},
	{BROKER(c.workers), .key = "background.threads", .type = CONFIG_INT, .min = 1, .max = 16, .def = "4",
	 .help = "Threads for what would hold up the event loop: syncs, compaction, removal of files."},

	{LISTENER(l.listen), .key = "listen", .type = CONFIG_STRING,
	 .help = "host:port to listen on; required."},
	{LISTENER(l.advertised), .key = "advertised", .type = CONFIG_STRING,
	 .help = "host:port that clients are told to connect to; as `listen` if not set."},
	{LISTENER(protocol), .key = "protocol", .type = CONFIG_ENUM, .words = config_table_protocols,
	 .def = "PLAINTEXT",
	 .help = "Plain TCP, or TLS (1.2 or later)."},
	{LISTENER(l.cert_file), .key = "tls.cert", .type = CONFIG_FILE,
	 .help = "The broker's certificate chain, PEM, or PKCS#12 with chain and key; SSL needs it."},
	{LISTENER(l.key_file), .key = "tls.key", .type = CONFIG_FILE,
	 .help = "The broker's private key, PEM; taken from tls.cert if not set."},
	{LISTENER(l.ca_file), .key = "tls.ca", .type = CONFIG_FILE,
	 .help = "Authorities that clients' certificates are checked against, PEM or PKCS#12."},
	{LISTENER(client_auth), .key = "tls.client_auth", .type = CONFIG_ENUM,
	 .words = config_table_client_auths, .def = "none",
	 .help = "Whether clients must show a certificate; needs tls.ca if not none."},
};

static const struct config_section sections[] = {
	{.name = "listeners", .help = "The listeners by name; --listen HOST:PORT makes a plain one called PLAINTEXT."},
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
