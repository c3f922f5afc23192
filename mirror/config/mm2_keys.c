/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys from Kafka 4.1: MirrorMakerConfig, MirrorConnectorConfig, MirrorSourceConfig,
 * MirrorCheckpointConfig, MirrorHeartbeatConfig; ConsumerConfig, ProducerConfig, AdminClientConfig,
 * CommonClientConfigs, SslConfigs, SaslConfigs; WorkerConfig, DistributedConfig, ConnectorConfig,
 * SourceConnectorConfig, RestServerConfig; and those that 4.0 removed.
 */
#include "mirror/config/mm2_keys.h"

#include <string.h>

/* Reasons that several keys share. */
#define NO_ACLS        "ACLs are not synced by this version"
#define NO_CONNECT     "there is no Kafka Connect worker here"
#define NO_GROUP       "positions come from the target, the mirror joins no consumer group"
#define NO_RECORDS     "batches are copied as bytes, records are not seen one by one"
#define NO_JMX         "metrics are served at /metrics"
#define NO_CODE        "Java classes cannot be loaded"
#define NO_JAVA        "it is for Java's TLS; OpenSSL is used here"
#define NO_COMPRESS    "Farshore never decompresses: batches keep the source's compression"
#define NO_BATCHING    "batches are copied as they are, the mirror does not fill its own"
#define NO_TXN         "restart is exact without transactions"
#define NO_PARTITIONER "records keep their partition"
#define NO_RETRIES     "requests are repeated until they succeed, with back-off"
#define NO_KERBEROS    "it is for Kerberos only"
#define NO_OAUTH       "it is for OAUTHBEARER only"
#define NO_REST        "there is no Connect REST interface; see http.listen"
#define MM2_INTERNAL   "MM2 sets it itself"
#define INLINE_PEM \
	"certificates in the file are not supported; put them into a PEM file and name it in "
#define BYTE_ARRAY  "org.apache.kafka.connect.converters.ByteArrayConverter"
#define MM2_PACKAGE "org.apache.kafka.connect.mirror."

#define CONN MM2_AT_CONNECTOR
#define WORK MM2_AT_WORKER
#define SECU (MM2_AT_SECURITY | MM2_AT_CLIENT | MM2_AT_CONNECTOR)
#define CONS MM2_AT_CONSUMER
#define PROD MM2_AT_PRODUCER
#define CLNT MM2_AT_CLIENT

/* clang-format off */
const struct mm2_key mm2_keys[] = {
	/* driver */
	{"clusters", MM2_AT_DRIVER, MM2_CODE, .why = "the aliases"},
	{"config.providers", MM2_AT_DRIVER, MM2_CODE, .why = "FileConfigProvider, DirectoryConfigProvider, EnvVarConfigProvider"},
	{"config.providers.", MM2_AT_DRIVER | MM2_PREFIX, MM2_CODE, .why = "their class, allowed.paths, allowlist.pattern"},
	{"dedicated.mode.enable.internal.rest", MM2_AT_DRIVER, MM2_IGNORED, .same = "false", .why = "processes need no REST between them"},

	/* all connectors */
	{"enabled", CONN, MM2_LINK, .to = "enabled", .form = MM2_BOOL},
	{"source.cluster.alias", CONN, MM2_CODE, .why = "must be the flow's own"},
	{"target.cluster.alias", CONN, MM2_CODE, .why = "must be the flow's own"},
	{"replication.policy.class", CONN, MM2_CODE, .why = "Default-, Identity- and LegacyReplicationPolicy; others are refused"},
	{"replication.policy.separator", CONN, MM2_LINK, .to = "separator"},
	{"replication.policy.internal.topic.separator.enabled", CONN, MM2_LINK, .to = "internal_separator", .form = MM2_BOOL},
	{"admin.timeout.ms", CONN, MM2_IGNORED, .why = "every request has request.timeout.ms, and is repeated"},
	{"forwarding.admin.class", CONN, MM2_REFUSED, .same = "org.apache.kafka.clients.admin.ForwardingAdmin", .why = NO_CODE},
	{"topic.filter.class", CONN, MM2_REFUSED, .same = MM2_PACKAGE "DefaultTopicFilter", .why = NO_CODE "; DefaultTopicFilter is built in"},
	{"metric.names.formats", CONN, MM2_IGNORED, .same = "legacy", .why = "the legacy names are served at /metrics (metrics.mm2)"},
	{"offset-syncs.topic.location", CONN, MM2_LINK, .to = "offset_syncs_location"},
	{"emit.offset-syncs.enabled", CONN, MM2_LINK, .to = "emit_offset_syncs", .form = MM2_BOOL},
	{"task.index", CONN, MM2_IGNORED, .why = MM2_INTERNAL},

	/* source connector */
	{"topics", CONN, MM2_LINK, .to = "topics"},
	{"topics.exclude", CONN, MM2_LINK, .to = "topics_exclude"},
	{"replication.factor", CONN, MM2_LINK, .to = "replication_factor"},
	{"config.properties.exclude", CONN, MM2_LINK, .to = "config_exclude"},
	{"use.defaults.from", CONN, MM2_LINK, .to = "defaults_from"},
	{"config.property.filter.class", CONN, MM2_REFUSED, .same = MM2_PACKAGE "DefaultConfigPropertyFilter", .why = NO_CODE "; DefaultConfigPropertyFilter is built in"},
	{"consumer.poll.timeout.ms", CONN, MM2_IGNORED, .why = "answers are handled as they come"},
	{"refresh.topics.enabled", CONN, MM2_LINK, .to = "refresh_topics", .form = MM2_BOOL},
	{"refresh.topics.interval.seconds", CONN, MM2_LINK, .to = "refresh_topics_interval", .form = MM2_SECONDS},
	{"sync.topic.configs.enabled", CONN, MM2_LINK, .to = "sync_configs", .form = MM2_BOOL},
	{"sync.topic.configs.interval.seconds", CONN, MM2_LINK, .to = "sync_configs_interval", .form = MM2_SECONDS},
	{"sync.topic.acls.enabled", CONN, MM2_IGNORED, .same = "false", .why = NO_ACLS},
	{"sync.topic.acls.interval.seconds", CONN, MM2_IGNORED, .why = NO_ACLS},
	{"offset.lag.max", CONN, MM2_LINK, .to = "offset_lag_max"},
	{"offset-syncs.topic.replication.factor", CONN, MM2_CODE, .why = "`links.*.offset_syncs_replication_factor`, and `links.*.runs_replication_factor` for the topic that does its work here"},
	{"heartbeats.replication.enabled", CONN, MM2_LINK, .to = "heartbeats", .form = MM2_BOOL},
	{"task.assigned.partitions", CONN, MM2_IGNORED, .why = MM2_INTERNAL},

	/* checkpoint connector */
	{"groups", CONN, MM2_LINK, .to = "groups"},
	{"groups.exclude", CONN, MM2_LINK, .to = "groups_exclude"},
	{"group.filter.class", CONN, MM2_REFUSED, .same = MM2_PACKAGE "DefaultGroupFilter", .why = NO_CODE "; DefaultGroupFilter is built in"},
	{"refresh.groups.enabled", CONN, MM2_LINK, .to = "refresh_groups", .form = MM2_BOOL},
	{"refresh.groups.interval.seconds", CONN, MM2_LINK, .to = "refresh_groups_interval", .form = MM2_SECONDS},
	{"emit.checkpoints.enabled", CONN, MM2_LINK, .to = "emit_checkpoints", .form = MM2_BOOL},
	{"emit.checkpoints.interval.seconds", CONN, MM2_LINK, .to = "emit_checkpoints_interval", .form = MM2_SECONDS},
	{"sync.group.offsets.enabled", CONN, MM2_LINK, .to = "sync_group_offsets", .form = MM2_BOOL},
	{"sync.group.offsets.interval.seconds", CONN, MM2_LINK, .to = "sync_group_offsets_interval", .form = MM2_SECONDS},
	{"checkpoints.topic.replication.factor", CONN, MM2_LINK, .to = "checkpoints_replication_factor"},
	{"task.assigned.groups", CONN, MM2_IGNORED, .why = MM2_INTERNAL},

	/* heartbeat connector */
	{"emit.heartbeats.enabled", CONN, MM2_LINK, .to = "emit_heartbeats", .form = MM2_BOOL},
	{"emit.heartbeats.interval.seconds", CONN, MM2_LINK, .to = "emit_heartbeats_interval", .form = MM2_SECONDS},
	{"heartbeats.topic.replication.factor", CONN, MM2_LINK, .to = "heartbeats_replication_factor"},

	/* removed in Kafka 4.0 */
	{"topics.blacklist", CONN, MM2_REFUSED, .why = "removed in Kafka 4.0, which ignores it; write topics.exclude"},
	{"topics.whitelist", CONN, MM2_REFUSED, .why = "not a setting of MM2; write topics"},
	{"config.properties.blacklist", CONN, MM2_REFUSED, .why = "removed in Kafka 4.0, which ignores it; write config.properties.exclude"},
	{"groups.blacklist", CONN, MM2_REFUSED, .why = "removed in Kafka 4.0, which ignores it; write groups.exclude"},
	{"use.incremental.alter.configs", CONN, MM2_IGNORED, .why = "removed in Kafka 4.0; configs are always altered incrementally"},
	{"add.source.alias.to.metrics", CONN, MM2_IGNORED, .why = "removed in Kafka 4.0; metrics always name both clusters"},

	/* Connect: connectors */
	{"name", CONN, MM2_IGNORED, .why = MM2_INTERNAL},
	{"connector.class", CONN, MM2_IGNORED, .why = MM2_INTERNAL},
	{"connector.plugin.version", CONN, MM2_IGNORED, .why = NO_CONNECT},
	{"tasks.max", CONN | WORK, MM2_IGNORED, .why = "one process copies all partitions"},
	{"tasks.max.enforce", CONN, MM2_IGNORED, .why = NO_CONNECT},
	{"key.converter", CONN | WORK, MM2_REFUSED, .same = BYTE_ARRAY, .why = "records are copied as bytes; only ByteArrayConverter does that"},
	{"value.converter", CONN | WORK, MM2_REFUSED, .same = BYTE_ARRAY, .why = "records are copied as bytes; only ByteArrayConverter does that"},
	{"header.converter", CONN | WORK, MM2_REFUSED, .same = BYTE_ARRAY, .why = "headers are copied as bytes; only ByteArrayConverter does that"},
	{"key.converter.", CONN | WORK | MM2_PREFIX, MM2_IGNORED, .why = "ByteArrayConverter has no settings"},
	{"value.converter.", CONN | WORK | MM2_PREFIX, MM2_IGNORED, .why = "ByteArrayConverter has no settings"},
	{"header.converter.", CONN | WORK | MM2_PREFIX, MM2_IGNORED, .why = "ByteArrayConverter has no settings"},
	{"transforms", CONN, MM2_REFUSED, .same = "", .why = "transforms are not supported: records are copied as they are"},
	{"predicates", CONN, MM2_REFUSED, .same = "", .why = "transforms are not supported: records are copied as they are"},
	{"transforms.", CONN | MM2_PREFIX, MM2_IGNORED, .why = "it has no effect without transforms"},
	{"predicates.", CONN | MM2_PREFIX, MM2_IGNORED, .why = "it has no effect without predicates"},
	{"config.action.reload", CONN, MM2_IGNORED, .why = NO_CONNECT},
	{"errors.", CONN | MM2_PREFIX, MM2_IGNORED, .why = "a record that the target refuses stops its partition, loudly (state REFUSED)"},
	{"topic.creation.", CONN | WORK | MM2_PREFIX, MM2_IGNORED, .why = "topics are made with the source's partitions and configuration"},
	{"exactly.once.support", CONN, MM2_IGNORED, .why = NO_TXN},
	{"transaction.boundary", CONN, MM2_IGNORED, .why = NO_TXN},
	{"transaction.boundary.interval.ms", CONN, MM2_IGNORED, .why = NO_TXN},
	{"offsets.storage.topic", CONN, MM2_IGNORED, .why = "positions come from the target's own tail"},

	/* Connect: workers */
	{"group.id", WORK | CONS, MM2_IGNORED, .why = NO_GROUP},
	{"offset.storage.", WORK | MM2_PREFIX, MM2_IGNORED, .why = "positions come from the target's own tail"},
	{"config.storage.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_CONNECT},
	{"status.storage.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_CONNECT},
	{"offset.flush.interval.ms", WORK, MM2_IGNORED, .why = "offset runs are stored at least once a second"},
	{"offset.flush.timeout.ms", WORK, MM2_IGNORED, .why = NO_CONNECT},
	{"exactly.once.source.support", WORK, MM2_IGNORED, .same = "disabled", .why = NO_TXN},
	{"plugin.path", WORK, MM2_IGNORED, .why = NO_CODE},
	{"plugin.discovery", WORK, MM2_IGNORED, .why = NO_CODE},
	{"connector.client.config.override.policy", WORK, MM2_IGNORED, .why = NO_CONNECT},
	{"topic.tracking.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_CONNECT},
	{"task.shutdown.graceful.timeout.ms", WORK, MM2_IGNORED, .why = "see the native setting drain"},
	{"worker.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_CONNECT},
	{"connect.protocol", WORK, MM2_IGNORED, .why = NO_CONNECT},
	{"scheduled.rebalance.max.delay.ms", WORK, MM2_IGNORED, .why = NO_CONNECT},
	{"inter.worker.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_CONNECT},
	{"heartbeat.interval.ms", WORK | CONS, MM2_IGNORED, .why = NO_GROUP},
	{"session.timeout.ms", WORK | CONS, MM2_IGNORED, .why = NO_GROUP},
	{"rebalance.timeout.ms", WORK | CONS, MM2_IGNORED, .why = NO_GROUP},
	{"listeners", WORK, MM2_IGNORED, .why = NO_REST},
	{"listeners.https.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_REST},
	{"admin.listeners", WORK, MM2_IGNORED, .why = NO_REST},
	{"admin.listeners.https.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_REST},
	{"rest.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_REST},
	{"access.control.", WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_REST},
	{"response.http.headers.config", WORK, MM2_IGNORED, .why = NO_REST},

	/* all clients: security */
	{"bootstrap.servers", MM2_AT_SECURITY | CLNT, MM2_CLUSTER, .to = "bootstrap"},
	{"security.protocol", SECU, MM2_CODE, .why = "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL: tls.enabled, sasl.mechanism"},
	{"ssl.truststore.location", SECU, MM2_CODE, .why = "tls.ca (PEM or PKCS#12)"},
	{"ssl.truststore.password", SECU, MM2_CODE, .why = "tls.ca_password"},
	{"ssl.truststore.type", SECU, MM2_CODE, .why = "PEM and PKCS12; JKS if the file is PKCS#12, as Java allows"},
	{"ssl.truststore.certificates", SECU, MM2_REFUSED, .same = "", .why = INLINE_PEM "ssl.truststore.location"},
	{"ssl.keystore.location", SECU, MM2_CODE, .why = "tls.cert (PEM or PKCS#12)"},
	{"ssl.keystore.password", SECU, MM2_CODE, .why = "tls.key_password"},
	{"ssl.keystore.type", SECU, MM2_CODE, .why = "PEM and PKCS12; JKS if the file is PKCS#12, as Java allows"},
	{"ssl.keystore.key", SECU, MM2_REFUSED, .same = "", .why = INLINE_PEM "ssl.keystore.location"},
	{"ssl.keystore.certificate.chain", SECU, MM2_REFUSED, .same = "", .why = INLINE_PEM "ssl.keystore.location"},
	{"ssl.key.password", SECU, MM2_CODE, .why = "tls.key_password"},
	{"ssl.endpoint.identification.algorithm", SECU, MM2_CODE, .why = "https or empty: tls.verify_host"},
	{"ssl.cipher.suites", SECU, MM2_CODE, .why = "tls.ciphers (those of TLS 1.2)"},
	{"ssl.protocol", SECU, MM2_IGNORED, .same = "TLS,TLSv1.2,TLSv1.3", .why = "TLS 1.2 or later is used"},
	{"ssl.enabled.protocols", SECU, MM2_IGNORED, .same = "TLSv1.2,TLSv1.3", .why = "TLS 1.2 and 1.3 are used"},
	{"ssl.provider", SECU, MM2_IGNORED, .same = "", .why = NO_JAVA},
	{"ssl.keymanager.algorithm", SECU, MM2_IGNORED, .why = NO_JAVA},
	{"ssl.trustmanager.algorithm", SECU, MM2_IGNORED, .why = NO_JAVA},
	{"ssl.secure.random.implementation", SECU, MM2_IGNORED, .why = NO_JAVA},
	{"ssl.engine.factory.class", SECU, MM2_REFUSED, .same = "", .why = NO_CODE},
	{"sasl.mechanism", SECU, MM2_CODE, .why = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; others are refused"},
	{"sasl.jaas.config", SECU, MM2_CODE, .why = "PlainLoginModule, ScramLoginModule: sasl.username, sasl.password"},
	{"sasl.client.callback.handler.class", SECU, MM2_REFUSED, .same = "", .why = NO_CODE},
	{"sasl.login.callback.handler.class", SECU, MM2_REFUSED, .same = "", .why = NO_CODE},
	{"sasl.login.class", SECU, MM2_REFUSED, .same = "", .why = NO_CODE},
	{"sasl.login.", SECU | MM2_PREFIX, MM2_IGNORED, .why = NO_OAUTH},
	{"sasl.kerberos.", SECU | MM2_PREFIX, MM2_IGNORED, .why = NO_KERBEROS},
	{"sasl.oauthbearer.", SECU | MM2_PREFIX, MM2_IGNORED, .why = NO_OAUTH},
	{"security.providers", SECU, MM2_IGNORED, .why = NO_JAVA},

	/* all clients */
	{"client.id", CLNT | WORK, MM2_CLUSTER, .to = "client_id"},
	{"client.rack", CONS, MM2_CLUSTER, .to = "rack"},
	{"request.timeout.ms", CLNT | WORK, MM2_CLUSTER, .to = "request_timeout"},
	{"socket.connection.setup.timeout.ms", CLNT | WORK, MM2_CLUSTER, .to = "connect_timeout"},
	{"metadata.max.age.ms", CLNT | WORK, MM2_CLUSTER, .to = "metadata_max_age"},
	{"reconnect.backoff.ms", CLNT | WORK, MM2_CLUSTER, .to = "backoff_min"},
	{"reconnect.backoff.max.ms", CLNT | WORK, MM2_CLUSTER, .to = "backoff_max"},
	{"receive.buffer.bytes", CLNT | WORK, MM2_CODE, .why = "socket_buffer of a source; a target has send.buffer.bytes"},
	{"send.buffer.bytes", CLNT | WORK, MM2_CODE, .why = "socket_buffer of a target; a source has receive.buffer.bytes"},
	{"socket.connection.setup.timeout.max.ms", CLNT | WORK, MM2_IGNORED, .why = "the time to connect does not grow"},
	{"retry.backoff.ms", CLNT | WORK, MM2_IGNORED, .why = "one back-off serves all: reconnect.backoff.ms"},
	{"retry.backoff.max.ms", CLNT | WORK, MM2_IGNORED, .why = "one back-off serves all: reconnect.backoff.max.ms"},
	{"retries", CLNT, MM2_IGNORED, .why = NO_RETRIES},
	{"default.api.timeout.ms", CLNT | WORK, MM2_IGNORED, .why = "every request has request.timeout.ms, and is repeated"},
	{"connections.max.idle.ms", CLNT | WORK, MM2_IGNORED, .why = "connections are kept, and checked with TCP keepalive"},
	{"client.dns.lookup", CLNT | WORK, MM2_IGNORED, .same = "use_all_dns_ips", .why = "all addresses of a name are tried"},
	{"metadata.recovery.strategy", CLNT | WORK, MM2_IGNORED, .same = "rebootstrap", .why = "the bootstrap servers are always asked again"},
	{"metadata.recovery.rebootstrap.trigger.ms", CLNT | WORK, MM2_IGNORED, .why = "the bootstrap servers are always asked again"},
	{"metric.reporters", CLNT | WORK | CONN, MM2_IGNORED, .same = ",org.apache.kafka.common.metrics.JmxReporter", .why = NO_JMX},
	{"auto.include.jmx.reporter", CLNT | WORK | CONN, MM2_IGNORED, .why = NO_JMX},
	{"metrics.", CLNT | WORK | MM2_PREFIX, MM2_IGNORED, .why = NO_JMX},
	{"enable.metrics.push", CLNT | WORK, MM2_IGNORED, .same = "false", .why = NO_JMX},
	{"bootstrap.controllers", CLNT, MM2_IGNORED, .why = "brokers are used: bootstrap.servers"},

	/* consumer */
	{"isolation.level", CONS, MM2_CLUSTER, .to = "fetch.isolation"},
	{"fetch.max.wait.ms", CONS, MM2_CLUSTER, .to = "fetch.max_wait"},
	{"fetch.max.bytes", CONS, MM2_CLUSTER, .to = "fetch.max_bytes"},
	{"auto.offset.reset", CONS, MM2_CODE, .why = "earliest or latest: start of the link, for partitions without a position only"},
	{"max.partition.fetch.bytes", CONS, MM2_IGNORED, .why = "each partition's share of a fetch is sized from its speed"},
	{"fetch.min.bytes", CONS, MM2_IGNORED, .same = "1", .why = "a fetch is answered as soon as there is data"},
	{"max.poll.records", CONS, MM2_IGNORED, .why = NO_RECORDS},
	{"max.poll.interval.ms", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"group.instance.id", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"group.protocol", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"group.remote.assignor", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"enable.auto.commit", CONS, MM2_IGNORED, .same = "false", .why = NO_GROUP},
	{"auto.commit.interval.ms", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"partition.assignment.strategy", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"check.crcs", CONS, MM2_IGNORED, .same = "true", .why = "a flipped byte is always found, at the latest by the target"},
	{"key.deserializer", CONS, MM2_IGNORED, .why = NO_RECORDS},
	{"value.deserializer", CONS, MM2_IGNORED, .why = NO_RECORDS},
	{"interceptor.classes", CONS | PROD, MM2_REFUSED, .same = "", .why = NO_CODE},
	{"exclude.internal.topics", CONS, MM2_IGNORED, .same = "true", .why = "internal topics are never copied"},
	{"allow.auto.create.topics", CONS, MM2_IGNORED, .same = "false", .why = "the source's topics are only read"},
	{"share.acknowledgement.mode", CONS, MM2_IGNORED, .why = NO_GROUP},
	{"internal.leave.group.on.close", CONS, MM2_IGNORED, .why = NO_GROUP},

	/* producer */
	{"max.request.size", PROD, MM2_CODE, .why = "max_request of the link"},
	{"delivery.timeout.ms", PROD, MM2_CODE, .why = "delivery_timeout of the link"},
	{"acks", PROD, MM2_IGNORED, .same = "all,-1", .why = "acks=all is always used, a copy that can be lost is none"},
	{"enable.idempotence", PROD, MM2_IGNORED, .same = "true", .why = "produce requests are always idempotent"},
	{"max.in.flight.requests.per.connection", PROD, MM2_IGNORED, .why = "order is kept at any depth; see the native setting max_in_flight"},
	{"compression.", PROD | MM2_PREFIX, MM2_IGNORED, .why = NO_COMPRESS},
	{"batch.size", PROD, MM2_IGNORED, .why = NO_BATCHING},
	{"linger.ms", PROD, MM2_IGNORED, .why = NO_BATCHING},
	{"buffer.memory", PROD, MM2_IGNORED, .why = "see the native setting memory.max"},
	{"max.block.ms", PROD, MM2_IGNORED, .why = "a slow target stops the reads from the source"},
	{"metadata.max.idle.ms", PROD, MM2_IGNORED, .why = "metadata are kept for the topics that are mirrored"},
	{"partitioner.", PROD | MM2_PREFIX, MM2_IGNORED, .why = NO_PARTITIONER},
	{"key.serializer", PROD, MM2_IGNORED, .why = NO_RECORDS},
	{"value.serializer", PROD, MM2_IGNORED, .why = NO_RECORDS},
	{"transactional.id", PROD, MM2_IGNORED, .why = NO_TXN},
	{"transaction.timeout.ms", PROD, MM2_IGNORED, .why = NO_TXN},
	{"transaction.two.phase.commit.enable", PROD, MM2_IGNORED, .why = NO_TXN},
	{.key = NULL},
};
/* clang-format on */

static int has_prefix(const char *key, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(key, prefix, n) == 0 && key[n] != '\0';
}

const struct mm2_key *mm2_keys_find(const char *key, unsigned at)
{
	const struct mm2_key *by_prefix = NULL;
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++) {
		if ((k->at & at) == 0)
			continue;
		if (strcmp(k->key, key) == 0 && (k->at & MM2_PREFIX) == 0)
			return k;
		if ((k->at & MM2_PREFIX) != 0 && has_prefix(key, k->key))
			by_prefix = k;
	}
	return by_prefix;
}
