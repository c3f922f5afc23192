/* SPDX-License-Identifier: Apache-2.0 */
/* MM2 files: each key is mapped, named with a reason, or refused. Keys and defaults are those of
 * Kafka 4.1. */
#include "tests/unit/base/unit.h"

#include "mirror/config/mm2_keys.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/mirror_config/load.h"

#define TWO                                                                                      \
	"clusters = A, B\nA.bootstrap.servers = a:1\nB.bootstrap.servers = b:1\nA->B.enabled = " \
	"true\n"
#define QUIET                                                             \
	"emit.checkpoints.enabled=false\nemit.heartbeats.enabled=false\n" \
	"emit.offset-syncs.enabled=false\nsync.topic.acls.enabled=false\n"

static int setup(void **state)
{
	*state = malloc(sizeof(struct load));
	load_init(*state, true);
	return 0;
}

static int teardown(void **state)
{
	load_fini(*state);
	free(*state);
	return 0;
}

static void the_defaults_are_mm2s(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO);
	const struct link_config *k = &l->c.links[0];
	assert_string_equal(k->name, "A->B");
	assert_string_equal(k->source->name, "A");
	assert_string_equal(k->target->name, "B");
	assert_string_equal(k->topics, ".*");
	assert_string_equal(k->topics_exclude, ".*[\\-\\.]internal,.*\\.replica,__.*");
	assert_int_equal(k->replication_factor, 2);
	assert_int_equal(k->runs_replication_factor, 3);
	assert_true(k->heartbeats);
	assert_true(k->refresh_topics);
	assert_int_equal(k->refresh_topics_ms, 5000);
	assert_true(k->sync_configs);
	assert_int_equal(k->sync_configs_ms, 600000);
	assert_false(k->defaults_from_source);
	assert_int_equal(k->policy, POLICY_DEFAULT);
	assert_string_equal(k->separator, ".");
	assert_true(k->internal_separator);
	assert_false(k->start_latest);
	assert_string_equal(k->groups, ".*");
	assert_string_equal(k->groups_exclude, "console-consumer-.*,connect-.*,__.*");
	assert_true(k->refresh_groups);
	assert_int_equal(k->refresh_groups_ms, 5000);
	assert_false(k->sync_group_offsets);
	assert_int_equal(k->sync_groups_ms, 5000);
	assert_false(k->follow_rewinds);
	assert_false(k->delete_groups);
	assert_true(k->emit_checkpoints);
	assert_int_equal(k->emit_checkpoints_ms, 5000);
	assert_int_equal(k->checkpoints_replication_factor, 3);
	/* Not MM2's default, read_uncommitted. */
	assert_true(k->source->read_committed);
	assert_false(k->source->tls);
	assert_null(k->source->sasl_mechanism);
	load_said(l, "mm2.properties: on by MM2's default, but not done by this version: "
		     "sync.topic.acls.enabled\n");
	assert_true(k->emit_heartbeats);
	assert_true(k->emit_heartbeats_at_source);
	assert_int_equal(k->emit_heartbeats_ms, 1000);
	assert_int_equal(k->heartbeats_replication_factor, 3);
	assert_true(k->emit_offset_syncs);
	assert_true(k->offset_syncs_at_source);
	assert_int_equal(k->offset_lag_max, 100);
	assert_int_equal(k->offset_syncs_replication_factor, 3);
	assert_true(l->c.metrics_mm2);
	load_ok(l, TWO QUIET);
	assert_string_equal(l->said, "");
}

static void every_group_setting(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO QUIET "groups = g.*, h\ngroups.exclude=x\nrefresh.groups.enabled=false\n"
			     "refresh.groups.interval.seconds=7\nsync.group.offsets.enabled=true\n"
			     "sync.group.offsets.interval.seconds=8\n"
			     "A->B.emit.checkpoints.interval.seconds=9\n"
			     "checkpoints.topic.replication.factor=1\n");
	assert_string_equal(l->said, "");
	const struct link_config *k = &l->c.links[0];
	assert_string_equal(k->groups, "g.*,h");
	assert_string_equal(k->groups_exclude, "x");
	assert_false(k->refresh_groups);
	assert_int_equal(k->refresh_groups_ms, 7000);
	assert_true(k->sync_group_offsets);
	assert_int_equal(k->sync_groups_ms, 8000);
	assert_false(k->emit_checkpoints); /* QUIET */
	assert_int_equal(k->emit_checkpoints_ms, 9000);
	assert_int_equal(k->checkpoints_replication_factor, 1);
}

static void every_link_setting(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO QUIET
		"topics = a.*, b\ntopics.exclude=x\nreplication.factor=1\n"
		"config.properties.exclude = retention\\\\.ms\nuse.defaults.from=source\n"
		"refresh.topics.enabled = FALSE\nrefresh.topics.interval.seconds = 30\n"
		"sync.topic.configs.enabled=false\nsync.topic.configs.interval.seconds=7\n"
		"offset-syncs.topic.replication.factor=5\nheartbeats.replication.enabled=false\n"
		"offset-syncs.topic.location=target\noffset.lag.max=0\n"
		"emit.heartbeats.interval.seconds=3\nheartbeats.topic.replication.factor=2\n"
		"replication.policy.class = "
		"org.apache.kafka.connect.mirror.IdentityReplicationPolicy\n"
		"replication.policy.separator = _\n"
		"replication.policy.internal.topic.separator.enabled=false\n"
		"A.consumer.auto.offset.reset = latest\nB.producer.max.request.size = 2097152\n"
		"B.producer.delivery.timeout.ms = 2147483647\n");
	assert_string_equal(l->said, "");
	const struct link_config *k = &l->c.links[0];
	assert_string_equal(k->topics, "a.*,b");
	assert_string_equal(k->topics_exclude, "x");
	assert_int_equal(k->replication_factor, 1);
	assert_string_equal(k->config_exclude, "retention\\.ms");
	assert_true(k->defaults_from_source);
	assert_false(k->refresh_topics);
	assert_int_equal(k->refresh_topics_ms, 30000);
	assert_false(k->sync_configs);
	assert_int_equal(k->sync_configs_ms, 7000);
	assert_int_equal(k->runs_replication_factor, 5);
	assert_int_equal(k->offset_syncs_replication_factor, 5);
	assert_false(k->offset_syncs_at_source);
	assert_int_equal(k->offset_lag_max, 0);
	assert_false(k->emit_offset_syncs);
	assert_false(k->emit_heartbeats);
	assert_int_equal(k->emit_heartbeats_ms, 3000);
	assert_int_equal(k->heartbeats_replication_factor, 2);
	assert_false(k->heartbeats);
	assert_int_equal(k->policy, POLICY_IDENTITY);
	assert_string_equal(k->separator, "_");
	assert_false(k->internal_separator);
	assert_true(k->start_latest);
	assert_int_equal(k->max_request_bytes, 2 << 20);
	assert_int_equal(k->delivery_timeout_ms, INT32_MAX);
}

/* Heartbeats at the source stand for the flow back (MirrorMakerConfig.clusterPairs). */
static void heartbeats_of_the_flow_back(void **state)
{
	struct load *l = *state;
	static const struct {
		const char *text;
		bool at_target, at_source;
	} cases[] = {
		{"", true, true},
		{"emit.heartbeats.enabled=false\n", false, false},
		{"A->B.emit.heartbeats.enabled=false\n", false, true},
		{"B->A.emit.heartbeats.enabled=false\n", true, false},
		{"emit.heartbeats.enabled=false\nB->A.emit.heartbeats.enabled=true\n", false, true},
		{"B->A.enabled=false\n", true, true},
		/* An enabled flow back writes its own. */
		{"B->A.enabled=true\n", true, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[1000];
		snprintf(text, sizeof text, "%s%s", TWO, cases[i].text);
		load_ok(l, text);
		const struct link_config *k = mirror_config_link(&l->c, "A->B");
		assert_int_equal(k->emit_heartbeats, cases[i].at_target);
		assert_int_equal(k->emit_heartbeats_at_source, cases[i].at_source);
		k = mirror_config_link(&l->c, "B->A");
		assert_true(k == NULL || !k->emit_heartbeats_at_source);
	}
	/* MM2 --clusters B does not run flows to A. */
	l->targets[0] = "B";
	load_ok(l, TWO);
	assert_true(l->c.links[0].emit_heartbeats);
	assert_false(l->c.links[0].emit_heartbeats_at_source);
	l->targets[0] = NULL;
}

static void every_client_setting(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO QUIET
		"A.consumer.client.id=reader\nA.consumer.client.rack=r1\nA.consumer.fetch.max.wait."
		"ms=100\n"
		"A.consumer.fetch.max.bytes=1000000\nA.consumer.isolation.level=read_uncommitted\n"
		"A.consumer.request.timeout.ms=1000\nA.consumer.socket.connection.setup.timeout.ms="
		"2000\n"
		"A.consumer.metadata.max.age.ms=3000\nA.consumer.reconnect.backoff.ms=10\n"
		"A.consumer.reconnect.backoff.max.ms=20\nA.consumer.receive.buffer.bytes=65536\n"
		"B.producer.client.id=writer\nB.producer.send.buffer.bytes=-1\nB.request.timeout."
		"ms=4000\n");
	assert_string_equal(l->said, "");
	const struct cluster_config *a = l->c.links[0].source, *b = l->c.links[0].target;
	assert_string_equal(a->client_id, "reader");
	assert_string_equal(a->rack, "r1");
	assert_int_equal(a->fetch_max_wait_ms, 100);
	assert_int_equal(a->fetch_max_bytes, 1000000);
	assert_false(a->read_committed);
	assert_int_equal(a->request_timeout_ms, 1000);
	assert_int_equal(a->connect_timeout_ms, 2000);
	assert_int_equal(a->metadata_max_age_ms, 3000);
	assert_int_equal(a->backoff_min_ms, 10);
	assert_int_equal(a->backoff_max_ms, 20);
	assert_int_equal(a->socket_buffer, 65536);
	assert_string_equal(b->client_id, "writer");
	assert_int_equal(b->socket_buffer, 0);
	assert_int_equal(b->request_timeout_ms, 4000);
	assert_true(b->read_committed);
}

/* One more line in each step; each is stronger than those before it. */
static void assert_growing(struct load *l, const char *const *lines, const char *base,
			   int64_t (*value)(const struct load *l))
{
	char text[4096];
	snprintf(text, sizeof text, "%s", base);
	for (int64_t i = 1; *lines != NULL; lines++, i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof text - n, "%s = %lld\n", *lines, (long long)i * 100);
		load_ok(l, text);
		if (value(l) != i * 100)
			fail_msg("%s does not count", *lines);
	}
}

static int64_t source_timeout(const struct load *l)
{
	return l->c.links[0].source->request_timeout_ms;
}

static int64_t target_timeout(const struct load *l)
{
	return l->c.links[0].target->request_timeout_ms;
}

static int64_t config_interval(const struct load *l)
{
	return l->c.links[0].sync_configs_ms / 1000;
}

static void precedence(void **state)
{
	static const char *const source[] = {
		"A->B.consumer.request.timeout.ms", "A.request.timeout.ms",
		"A.consumer.request.timeout.ms", "A->B.source.consumer.request.timeout.ms", NULL};
	static const char *const target[] = {"A->B.producer.request.timeout.ms",
					     "B.request.timeout.ms",
					     "B.producer.request.timeout.ms",
					     "A->B.target.producer.request.timeout.ms",
					     "A->B.producer.override.request.timeout.ms",
					     NULL};
	static const char *const link[] = {"sync.topic.configs.interval.seconds",
					   "A->B.sync.topic.configs.interval.seconds", NULL};
	struct load *l = *state;
	assert_growing(l, source, TWO QUIET, source_timeout);
	assert_growing(l, target, TWO QUIET, target_timeout);
	assert_growing(l, link, TWO QUIET, config_interval);
}

/* MirrorMakerConfig.clusterProps: top-level security settings reach every cluster, but are weaker
 * than the cluster's, and stronger than "A->B.source.cluster.". */
static void precedence_of_security(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO QUIET "security.protocol=SSL\nA.security.protocol=PLAINTEXT\n");
	assert_false(l->c.links[0].source->tls);
	assert_true(l->c.links[0].target->tls);
	load_ok(l, TWO QUIET "A->B.source.cluster.security.protocol=SSL\n");
	assert_true(l->c.links[0].source->tls);
	assert_false(l->c.links[0].target->tls);
	load_ok(l, TWO QUIET
		"A->B.source.cluster.security.protocol=SSL\nA.security.protocol=plaintext\n");
	assert_false(l->c.links[0].source->tls);
	load_ok(l, TWO QUIET "A.security.protocol=SSL\nA.consumer.security.protocol=PLAINTEXT\n");
	assert_false(l->c.links[0].source->tls);
	load_ok(l, TWO QUIET "A->B.security.protocol=SSL\n");
	assert_false(l->c.links[0].source->tls);
	load_said(l,
		  "A->B.security.protocol: ignored: it has no effect for a flow without source. or "
		  "target. and the client in front");
}

static void flows_may_differ_in_their_clients(void **state)
{
	struct load *l = *state;
	load_ok(l,
		"clusters = A, B, C\nA.bootstrap.servers=a:1\nB.bootstrap.servers=b:1\n"
		"C.bootstrap.servers=c:1\nA->B.enabled=true\nA->C.enabled=true\nB->A.enabled=true\n"
		"A->C.consumer.isolation.level=read_uncommitted\n" QUIET);
	assert_int_equal(l->c.links_n, 3);
	/* A for A->B and B->A is one; A for A->C is another. */
	assert_int_equal(l->c.clusters_n, 4);
	const struct link_config *ab = &l->c.links[0], *ac = &l->c.links[1], *ba = &l->c.links[2];
	assert_string_equal(ac->name, "A->C");
	assert_ptr_equal(ab->source, ba->target);
	assert_ptr_equal(ab->target, ba->source);
	assert_ptr_not_equal(ab->source, ac->source);
	assert_true(ab->source->read_committed);
	assert_false(ac->source->read_committed);
	assert_string_equal(ac->source->name, "A");
}

static void flow_settings_and_spellings(void **state)
{
	struct load *l = *state;
	load_ok(l, "clusters : us.west ,us-east\\\n\nus.west.bootstrap.servers:w:1, w2:2\n"
		   "us-east.bootstrap.servers=e:1\nus.west->us-east.enabled   TRUE\n"
		   "us.west->us-east.topics=x\ntopics=y\n" QUIET);
	assert_string_equal(l->said, "");
	assert_int_equal(l->c.links_n, 1);
	assert_string_equal(l->c.links[0].topics, "x");
	assert_string_equal(l->c.links[0].source->name, "us.west");
	assert_int_equal(l->c.links[0].source->bootstrap_n, 2);
}

static void which_flows_are_on(void **state)
{
	struct load *l = *state;
	load_bad(l,
		 "clusters = A, B\nA.bootstrap.servers = a:1\nB.bootstrap.servers = b:1\n" QUIET);
	load_said(l, "no link is enabled; set \"A->B.enabled = true\"");
	load_bad(l, "clusters = A, B\nA.bootstrap.servers = a:1\nB.bootstrap.servers = b:1\n"
		    "A->B.topics = x\n" QUIET);
	/* A top-level `enabled` reaches all pairs that MM2 has a herder for. */
	load_ok(l, "clusters = A, B\nA.bootstrap.servers = a:1\nB.bootstrap.servers = b:1\n"
		   "enabled = true\nB->A.enabled = false\n");
	assert_int_equal(l->c.links_n, 1);
	assert_string_equal(l->c.links[0].name, "A->B");
	l->targets[0] = "B";
	load_ok(l, TWO QUIET "B->A.enabled = true\n");
	assert_int_equal(l->c.links_n, 1);
	l->targets[0] = "X";
	load_bad(l, TWO QUIET);
	load_said(l, "--clusters X: no link has this target");
}

static void overrides(void **state)
{
	struct load *l = *state;
	l->sets[0] = "http.listen=127.0.0.1:0";
	l->sets[1] = "clusters.A.bootstrap=z:9";
	l->sets[2] = "links.A->B.topics=only";
	l->sets[3] = "clusters.B.user_timeout=3 s";
	load_ok(l, TWO QUIET "A->B.topics=x\n");
	assert_string_equal(l->c.http_listen, "127.0.0.1:0");
	assert_string_equal(l->c.links[0].source->bootstrap[0], "z:9");
	assert_string_equal(l->c.links[0].topics, "only");
	assert_int_equal(l->c.links[0].target->user_timeout_ms, 3000);
	/* The native path turns on a flow that the file has off. */
	l->sets[2] = "links.B->A.enabled=true";
	load_ok(l, TWO QUIET "B->A.enabled = false\n");
	assert_int_equal(l->c.links_n, 2);
	l->sets[2] = "links.B->C.topics=x";
	load_bad(l, TWO QUIET);
	load_said(l, "link B->C: ");
	load_said(l, "has no such flow");
	l->sets[2] = "topics=x";
	load_bad(l, TWO QUIET);
	load_said(l, "--set topics: unknown setting");
}

static void tls(void **state)
{
	struct load *l = *state;
	load_file(l, "ca", "x");
	load_file(l, "key", "x");
	load_ok(l, TWO QUIET
		"A.security.protocol=SSL\nA.ssl.truststore.location=@/"
		"ca\nA.ssl.truststore.password=CANARY1\n"
		"A.ssl.truststore.type=PKCS12\nA.ssl.keystore.location=@/"
		"key\nA.ssl.keystore.password=CANARY2\n"
		"A.ssl.key.password=CANARY3\nA.ssl.endpoint.identification.algorithm=\n"
		"A.ssl.cipher.suites=TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"
		"TLS_RSA_WITH_NULL_NOTHING\nA.ssl.protocol=TLSv1.3\nA.ssl.enabled.protocols=TLSv1."
		"3,TLSv1.2\n"
		"A.ssl.provider=BC\n");
	const struct cluster_config *a = l->c.links[0].source;
	assert_true(a->tls);
	assert_string_equal(strrchr(a->ca_file, '/'), "/ca");
	assert_string_equal(a->ca_password, "CANARY1");
	assert_string_equal(a->key_password, "CANARY2");
	assert_null(a->key_file);
	assert_false(a->verify_host);
	assert_string_equal(a->ciphers, "ECDHE-RSA-AES128-GCM-SHA256");
	load_said(l, "A.ssl.key.password: ignored: a PKCS#12 store has one password");
	load_said(l, "TLS_RSA_WITH_NULL_NOTHING is not known here");
	load_said(l, "A.ssl.provider: ignored: it is for Java's TLS");
	load_not_said(l, "CANARY");
	load_not_said(l, "ssl.protocol");
	load_not_said(l, "ssl.enabled.protocols");
	load_ok(l, TWO QUIET "A.security.protocol=SSL\nA.ssl.keystore.location=@/key\n"
			     "A.ssl.keystore.type=PEM\nA.ssl.key.password=CANARY3\n");
	assert_string_equal(l->c.links[0].source->key_password, "CANARY3");
	/* Settings of a protocol that is not used are not looked at. */
	load_ok(l, TWO QUIET "A.ssl.truststore.location=/no/such\nA.sasl.mechanism=GSSAPI\n");
}

static void sasl(void **state)
{
	struct load *l = *state;
	load_ok(l, TWO QUIET
		"A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config="
		"org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  "
		"username=\"alice\" \\\n"
		"  password=\"CANARY\";\n"
		"B.security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nB.producer.sasl."
		"jaas.config="
		"org.apache.kafka.common.security.scram.ScramLoginModule required username=\"b\" "
		"password=\"p\";\n");
	const struct cluster_config *a = l->c.links[0].source, *b = l->c.links[0].target;
	assert_string_equal(a->sasl_mechanism, "PLAIN");
	assert_string_equal(a->sasl_username, "alice");
	assert_string_equal(a->sasl_password, "CANARY");
	assert_true(a->tls);
	assert_string_equal(b->sasl_mechanism, "SCRAM-SHA-512");
	assert_false(b->tls);
	load_not_said(l, "CANARY");
}

static void refused(struct load *l, const char *lines, const char *expected)
{
	char text[4096];
	snprintf(text, sizeof text, "%s%s%s\n", TWO, QUIET, lines);
	load_bad(l, text);
	load_said(l, expected);
	load_not_said(l, "CANARY");
}

static void what_is_refused(void **state)
{
	struct load *l = *state;
	refused(l, "topics.blacklist=x",
		"mm2.properties:9: topics.blacklist: removed in Kafka 4.0");
	refused(l, "replication.policy.class=com.acme.P",
		"com.acme.P is not available: Java classes");
	refused(l, "topic.filter.class=com.acme.F",
		"topic.filter.class: Java classes cannot be loaded");
	refused(l, "config.property.filter.class=F", "config.property.filter.class: Java classes");
	refused(l, "forwarding.admin.class=F",
		"forwarding.admin.class: Java classes cannot be loaded");
	refused(l, "transforms=a", "transforms are not supported");
	refused(l, "A->B.key.converter=org.apache.kafka.connect.json.JsonConverter",
		"only ByteArrayConverter does that");
	refused(l, "A.consumer.interceptor.classes=I", "Java classes cannot be loaded");
	refused(l, "A.security.protocol=SSL\nA.ssl.engine.factory.class=F", "Java classes cannot");
	refused(l, "A.security.protocol=SSL\nA.ssl.truststore.certificates=-----",
		"put them into a PEM file");
	refused(l, "A.security.protocol=SSL\nA.ssl.truststore.type=BCFKS",
		"\"BCFKS\" is not supported");
	refused(l, "A.security.protocol=SSL\nA.ssl.cipher.suites=TLS_AES_128_GCM_SHA256",
		"has no cipher of TLS 1.2");
	refused(l, "A.security.protocol=SSL\nA.ssl.endpoint.identification.algorithm=LDAPS",
		"write https");
	refused(l, "A.security.protocol=TLS", "\"TLS\" is not one of PLAINTEXT, SSL");
	refused(l, "A.security.protocol=SASL_SSL", "SASL mechanism GSSAPI is not supported");
	refused(l, "A.security.protocol=SASL_SSL\nA.sasl.mechanism=OAUTHBEARER",
		"mm2.properties:10: A.sasl.mechanism: SASL mechanism OAUTHBEARER is not supported");
	refused(l, "A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN",
		"sasl.jaas.config is not set");
	refused(l,
		"A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config=x."
		"ScramLoginModule "
		"required username=u password=CANARY;",
		"PLAIN needs the login module "
		"org.apache.kafka.common.security.plain.PlainLoginModule");
	refused(l,
		"A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config=x."
		"PlainLoginModule "
		"required password=CANARY;",
		"username or password is missing");
	refused(l,
		"A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config=x."
		"PlainLoginModule "
		"required password=CANARY",
		"the semicolon at the end is missing");
	refused(l, "A.sasl.login.class=L", "Java classes cannot be loaded");
	refused(l, "A.consumer.auto.offset.reset=none", "\"none\" is not supported");
	refused(l, "A->B.source.cluster.alias=X", "must be A in the flow A->B");
	refused(l, "A->A.enabled=true", "link A->A: source and target are the same");
}

static void what_is_unknown(void **state)
{
	struct load *l = *state;
	refused(l, "topcis=x",
		"mm2.properties:9: topcis: unknown setting; did you mean \"topics\"?");
	refused(l, "A->B.emit.checkpoint.enabled=true",
		"did you mean \"A->B.emit.checkpoints.enabled\"?");
	refused(l, "A.bootstrap.server=x", "did you mean \"A.bootstrap.servers\"?");
	refused(l, "A.consumer.isolation.lvel=x", "did you mean \"A.consumer.isolation.level\"?");
	refused(l, "A->B.target.producer.ack=x", "did you mean \"A->B.target.producer.acks\"?");
	refused(l, "something.else.entirely=x", "something.else.entirely: unknown setting");
	refused(l, "Beta.bootstrap.servers=x", "\"Beta\" is not in clusters");
	refused(l, "C.consumer.fetch.min.bytes=x", "\"C\" is not in clusters");
	refused(l, "A->Bb.enabled=true", "\"Bb\" is not in clusters");
	refused(l, "X->B.enabled=true", "\"X\" is not in clusters");
	refused(l, "A->B=true", "\"B\" is not in clusters");
	load_bad(l, "A.bootstrap.servers=x:1\n");
	load_said(l, "clusters is not set; write \"clusters = A, B\"");
}

static void bad_values(void **state)
{
	struct load *l = *state;
	refused(l, "A->B.refresh.topics.enabled=yes",
		"A->B.refresh.topics.enabled: write true or false");
	refused(l, "refresh.topics.interval.seconds=1m", "write a whole number of seconds");
	refused(l, "refresh.topics.interval.seconds=0", "\"0 s\" is not valid");
	refused(l, "replication.factor=many", "replication.factor: \"many\" is not valid");
	refused(l, "use.defaults.from=nowhere", "expected one of target, source");
	refused(l, "A.consumer.isolation.level=maybe",
		"expected one of read_uncommitted, read_committed");
	refused(l, "topics=[", "link A->B: topics: pattern \"[\"");
	refused(l, "A.consumer.bootstrap.servers=nohost", "\"nohost\" is not host:port");
	refused(l, "topics=\\u12", "line 9: \\u needs four");
}

static void warned(struct load *l, const char *line, const char *expected)
{
	char text[4096];
	snprintf(text, sizeof text, "%s%s%s\n", TWO, QUIET, line);
	load_ok(l, text);
	if (expected == NULL)
		assert_string_equal(l->said, "");
	else
		load_said(l, expected);
}

static void what_is_ignored_is_named(void **state)
{
	struct load *l = *state;
	warned(l, "tasks.max=4", "mm2.properties:9: tasks.max: ignored: one process copies");
	warned(l, "B.producer.compression.type=lz4", "ignored: Farshore never decompresses");
	warned(l, "B.producer.acks=1", "B.producer.acks: ignored: acks=all is always used");
	warned(l, "B.producer.acks=all", NULL);
	warned(l, "B.producer.enable.idempotence=true", NULL);
	warned(l, "groups=g", NULL);
	warned(l, "sync.group.offsets.enabled=true", NULL);
	warned(l, "A->B.emit.checkpoints.enabled=true", NULL);
	warned(l, "B.exactly.once.source.support=enabled", "ignored: restart is exact without");
	warned(l, "offset.storage.replication.factor=1", "ignored: positions come from the target");
	warned(l, "B.status.storage.topic=x", "ignored: there is no Kafka Connect worker");
	warned(l, "dedicated.mode.enable.internal.rest=true", "ignored: processes need no REST");
	warned(l, "listeners=http://x:1", "ignored: there is no Connect REST");
	warned(l, "topic.filter.class=org.apache.kafka.connect.mirror.DefaultTopicFilter", NULL);
	warned(l, "key.converter=org.apache.kafka.connect.converters.ByteArrayConverter", NULL);
	warned(l, "consumer.fetch.max.wait.ms=5", "it has no effect at top level");
	warned(l, "request.timeout.ms=5", "it has no effect at top level");
	warned(l, "A.admin.request.timeout.ms=5",
	       "it has no effect for this client: one connection");
	warned(l, "A->B.source.admin.request.timeout.ms=5", "it has no effect for this client");
	warned(l, "A.isolation.level=read_uncommitted",
	       "it has no effect without consumer. or producer.");
	warned(l, "A.topics=x",
	       "it has no effect for a cluster; write it at top level or for a flow");
	warned(l, "A->B.client.id=x", "it has no effect for a flow");
	warned(l, "tasks.max=1\ntasks.max=2", "mm2.properties:10: tasks.max: set more than once");
	warned(l, "consumer.poll.timeout.ms=1",
	       "consumer.poll.timeout.ms: ignored: answers are handled");
}

static void config_providers(void **state)
{
	struct load *l = *state;
	load_file(l, "secrets", "pw = CANARY\nwait = 250\n");
	setenv("TEST_BOOTSTRAP", "env:7", 1);
	load_ok(l, TWO QUIET
		"config.providers=file,env\n"
		"config.providers.file.class=org.apache.kafka.common.config.provider."
		"FileConfigProvider\n"
		"config.providers.env.class=org.apache.kafka.common.config.provider."
		"EnvVarConfigProvider\n"
		"A.consumer.bootstrap.servers=${env:TEST_BOOTSTRAP}\n"
		"A.consumer.fetch.max.wait.ms=${file:@/secrets:wait}\n"
		"A.security.protocol=SASL_SSL\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config="
		"org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" "
		"password=\"${file:@/secrets:pw}\";\n");
	const struct cluster_config *a = l->c.links[0].source;
	assert_string_equal(a->bootstrap[0], "env:7");
	assert_int_equal(a->fetch_max_wait_ms, 250);
	assert_string_equal(a->sasl_password, "CANARY");
	load_not_said(l, "CANARY");
	/* A resolved value is not shown, even where it is wrong. */
	load_bad(l, TWO QUIET "config.providers=file\n"
			      "config.providers.file.class=org.apache.kafka.common.config.provider."
			      "FileConfigProvider\n"
			      "A.consumer.fetch.max.wait.ms=${file:@/secrets:pw}\n");
	load_said(l, "A.consumer.fetch.max.wait.ms: the value is not valid; expected a duration");
	load_not_said(l, "CANARY");
	refused(l, "A.consumer.client.id=${file:/x:y}",
		"\"file\" is not declared in config.providers");
	unsetenv("TEST_BOOTSTRAP");
}

/* Every row of the table is reached by its key in each of its places; nothing is unknown there. */
static void every_key_is_known_where_it_may_stand(void **state)
{
	static const struct {
		unsigned at;
		const char *prefix;
	} places[] = {
		{MM2_AT_DRIVER, ""},
		{MM2_AT_CONNECTOR, ""},
		{MM2_AT_CONNECTOR, "A->B."},
		{MM2_AT_SECURITY, ""},
		{MM2_AT_SECURITY, "A."},
		{MM2_AT_SECURITY, "A->B.target.cluster."},
		{MM2_AT_CONSUMER, "A.consumer."},
		{MM2_AT_CONSUMER, "A->B.source.consumer."},
		{MM2_AT_PRODUCER, "B.producer."},
		{MM2_AT_PRODUCER, "A->B.producer.override."},
		{MM2_AT_ADMIN, "A.admin."},
		{MM2_AT_WORKER, "B."},
	};
	struct load *l = *state;
	for (const struct mm2_key *k = mm2_keys; k->key != NULL; k++) {
		for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
			char text[1024];
			if ((k->at & places[i].at) == 0)
				continue;
			snprintf(text, sizeof text, "%s%s%s%s%s = x\n", TWO, QUIET,
				 places[i].prefix, k->key, (k->at & MM2_PREFIX) != 0 ? "x" : "");
			load_run(l, text);
			if (strstr(l->said, "unknown setting") != NULL)
				fail_msg("%s%s: %s", places[i].prefix, k->key, l->said);
			if (k->use == MM2_IGNORED)
				load_said(l, "ignored: ");
			if (k->use == MM2_REFUSED)
				assert_int_equal(l->e, ERR_CONFIG);
		}
	}
}

/* The properties that the documentation of MM2 4.1 lists. */
static void every_key_of_the_documentation(void **state)
{
	static const char *const keys[] = {
		"name",
		"connector.class",
		"tasks.max",
		"tasks.max.enforce",
		"key.converter",
		"value.converter",
		"header.converter",
		"config.action.reload",
		"transforms",
		"predicates",
		"errors.retry.timeout",
		"errors.retry.delay.max.ms",
		"errors.tolerance",
		"errors.log.enable",
		"errors.log.include.messages",
		"enabled",
		"source.cluster.alias",
		"target.cluster.alias",
		"admin.timeout.ms",
		"replication.policy.class",
		"replication.policy.separator",
		"replication.policy.internal.topic.separator.enabled",
		"forwarding.admin.class",
		"metric.reporters",
		"security.protocol",
		"topics",
		"topics.exclude",
		"config.properties.exclude",
		"topic.filter.class",
		"config.property.filter.class",
		"consumer.poll.timeout.ms",
		"refresh.topics.enabled",
		"refresh.topics.interval.seconds",
		"sync.topic.configs.enabled",
		"sync.topic.configs.interval.seconds",
		"sync.topic.acls.enabled",
		"sync.topic.acls.interval.seconds",
		"replication.factor",
		"offset-syncs.topic.replication.factor",
		"offset.lag.max",
		"offset-syncs.topic.location",
		"emit.offset-syncs.enabled",
		"heartbeats.replication.enabled",
		"use.defaults.from",
		"groups",
		"groups.exclude",
		"group.filter.class",
		"refresh.groups.enabled",
		"refresh.groups.interval.seconds",
		"emit.checkpoints.enabled",
		"emit.checkpoints.interval.seconds",
		"sync.group.offsets.enabled",
		"sync.group.offsets.interval.seconds",
		"checkpoints.topic.replication.factor",
		"emit.heartbeats.enabled",
		"emit.heartbeats.interval.seconds",
		"heartbeats.topic.replication.factor",
		"task.index",
		"task.assigned.partitions",
		"task.assigned.groups",
		"metric.names.formats",
		"use.incremental.alter.configs",
		"add.source.alias.to.metrics",
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (mm2_keys_find(keys[i], MM2_AT_CONNECTOR) == NULL)
			fail_msg("%s is not in the table", keys[i]);
	(void)state;
}

/* Every allocation of a load fails once: the load says so, and nothing leaks. */
static void out_of_memory(void **state)
{
	struct load *l = *state;
	load_file(l, "secrets", "pw = CANARY\n");
	load_file(l, "mm2.properties",
		  TWO
		  "config.providers=file\nconfig.providers.file.class="
		  "org.apache.kafka.common.config.provider.FileConfigProvider\n"
		  "A.security.protocol=SASL_PLAINTEXT\nA.sasl.mechanism=PLAIN\nA.sasl.jaas.config="
		  "x.PlainLoginModule required username=\"u\" password=\"${file:@/secrets:pw}\";\n"
		  "topics=a,b\ntasks.max=1\n");
	const char *const sets[] = {"http.listen=127.0.0.1:0"};
	const struct config_source src = {.file = l->file, .mm2 = true, .sets = sets, .sets_n = 1};
	for (long n = 1;; n++) {
		struct mirror_config c;
		struct errmsg why = {{0}};
		FILE *out = fopen("/dev/null", "w");
		fail_alloc_at(n);
		enum err e = mirror_config_load(&src, &c, out, &why);
		bool hit = fail_alloc_off();
		fclose(out);
		if (e == ERR_OK)
			mirror_config_fini(&c);
		if (!hit) {
			assert_int_equal(e, ERR_OK);
			assert_true(n > 20);
			return;
		}
		/* A warning that could not be noted as told is no failure. */
		if (e == ERR_OK)
			continue;
		assert_true(e == ERR_NOMEM || e == ERR_CONFIG);
		assert_true(strlen(why.text) > 0);
	}
}

static void a_file_that_is_not_there(void **state)
{
	(void)state;
	const struct config_source src = {.file = "/no/such.properties", .mm2 = true};
	struct mirror_config c;
	struct errmsg why = {{0}};
	assert_int_equal(mirror_config_load(&src, &c, stdout, &why), ERR_IO);
	assert_string_equal(why.text, "cannot read /no/such.properties: No such file or directory");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_defaults_are_mm2s),
		CASE(every_link_setting),
		CASE(heartbeats_of_the_flow_back),
		CASE(every_group_setting),
		CASE(every_client_setting),
		CASE(precedence),
		CASE(precedence_of_security),
		CASE(flows_may_differ_in_their_clients),
		CASE(flow_settings_and_spellings),
		CASE(which_flows_are_on),
		CASE(overrides),
		CASE(tls),
		CASE(sasl),
		CASE(what_is_refused),
		CASE(what_is_unknown),
		CASE(bad_values),
		CASE(what_is_ignored_is_named),
		CASE(config_providers),
		CASE(every_key_is_known_where_it_may_stand),
		CASE(every_key_of_the_documentation),
		CASE(out_of_memory),
		CASE(a_file_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
