/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics and configurations as a client changes and sees them. What single answers say is held
 * against Apache Kafka in tests/interop/broker/test_admin_like_kafka.py; here: changes on their
 * way, clients that go away, restarts, sources of values, pages.
 */
#include "tests/unit/cluster/broker_rig.h"

#include <unistd.h>

enum { TOPIC = 2, BROKER = 4, FROM_TOPIC = 1, FROM_CLUSTER = 3, FROM_START = 4, BY_DEFAULT = 5 };

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof *r);
	rig_init(r, NULL);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* ---- asking ---- */

static const struct metadata_response *metadata(struct rig *r, int fd, const char *name)
{
	struct metadata_request m;
	struct metadata_request_metadata_request_topic t;

	wire_init(&wire_metadata_request, &m);
	m.topics_n = -1;
	if (name != NULL) {
		memset(&t, 0, sizeof t);
		t.name = bytes_str(name);
		m.topics = &t;
		m.topics_n = 1;
	}
	return rig_call(r, fd, WIRE_API_METADATA, 12, &m);
}

static int16_t code_of(struct rig *r, int fd, const char *topic)
{
	return metadata(r, fd, topic)->topics[0].error_code;
}

static void send_delete(struct rig *r, int fd, const char *name)
{
	struct delete_topics_request m;
	struct bytes names[] = {bytes_str(name)};

	wire_init(&wire_delete_topics_request, &m);
	m.topic_names = names;
	m.topic_names_n = 1;
	rig_send(r, fd, WIRE_API_DELETE_TOPICS, 5, &m);
}

static int16_t delete (struct rig *r, int fd, const char *name)
{
	send_delete(r, fd, name);
	const struct delete_topics_response *a = rig_receive(r, fd, WIRE_API_DELETE_TOPICS, 5);
	return a->responses[0].error_code;
}

static int16_t set(struct rig *r, int fd, int8_t type, const char *resource, const char *name,
		   const char *value)
{
	struct incremental_alter_configs_request m;
	struct incremental_alter_configs_request_alter_configs_resource res;
	struct incremental_alter_configs_request_alterable_config c = {
		.name = bytes_str(name),
		.value = bytes_str(value),
		.config_operation = value == NULL ? 1 : 0};

	wire_init(&wire_incremental_alter_configs_request, &m);
	memset(&res, 0, sizeof res);
	res.resource_type = type;
	res.resource_name = bytes_str(resource);
	res.configs = &c;
	res.configs_n = 1;
	m.resources = &res;
	m.resources_n = 1;
	const struct incremental_alter_configs_response *a =
		rig_call(r, fd, WIRE_API_INCREMENTAL_ALTER_CONFIGS, 1, &m);
	return a->responses[0].error_code;
}

/* One value of a resource, with its synonyms. */
static const struct describe_configs_response_describe_configs_resource_result *
get(struct rig *r, int fd, int8_t type, const char *resource, const char *name)
{
	struct describe_configs_request m;
	struct describe_configs_request_describe_configs_resource res;
	struct bytes keys[] = {bytes_str(name)};

	wire_init(&wire_describe_configs_request, &m);
	memset(&res, 0, sizeof res);
	res.resource_type = type;
	res.resource_name = bytes_str(resource);
	res.configuration_keys = keys;
	res.configuration_keys_n = 1;
	m.resources = &res;
	m.resources_n = 1;
	m.include_synonyms = m.include_documentation = true;
	const struct describe_configs_response *a =
		rig_call(r, fd, WIRE_API_DESCRIBE_CONFIGS, 4, &m);
	assert_int_equal(a->results[0].error_code, 0);
	assert_int_equal(a->results[0].configs_n, 1);
	return a->results[0].configs;
}

static void check_value(struct rig *r, int fd, const char *topic, const char *value, int8_t source)
{
	const struct describe_configs_response_describe_configs_resource_result *c =
		get(r, fd, TOPIC, topic, "retention.ms");

	assert_true(bytes_eq_str(c->value, value));
	assert_int_equal(c->config_source, source);
	assert_false(c->read_only);
	assert_true(bytes_eq_str(c->synonyms[0].value, value));
	assert_true(c->documentation.n > 0);
}

/* ---- topics ---- */

static void a_topic_lives_and_dies(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);

	rig_topic(r, fd, "t", 3);
	const struct metadata_response *m = metadata(r, fd, "t");
	assert_int_equal(m->brokers_n, 1);
	assert_int_equal(m->controller_id, m->brokers[0].node_id);
	assert_int_equal(m->topics[0].partitions_n, 3);
	struct uuid id = m->topics[0].topic_id;
	assert_false(uuid_is_zero(&id));
	rig_write(r, fd, "t", 1, 10);
	rig_restart(r, NULL);
	close(fd);
	fd = rig_connect(r);
	assert_true(uuid_eq(&metadata(r, fd, "t")->topics[0].topic_id, &id));
	assert_int_equal(delete (r, fd, "t"), 0);
	assert_int_equal(code_of(r, fd, "t"), 3);
	rig_topic(r, fd, "t", 1);
	m = metadata(r, fd, "t");
	assert_false(uuid_eq(&m->topics[0].topic_id, &id));
	assert_int_equal(rig_write(r, fd, "t", 1, 10), 0); /* nothing of the old one is left */
	close(fd);
}

/* The client goes away before its answer: the change is made all the same, and nothing is touched
 * that is gone. */
static void a_client_that_goes_away(void **state)
{
	static const char *const always[] = {"log.fsync=always", NULL};
	struct rig *r = *state;

	rig_restart(r, always);
	int fd = rig_connect(r), other = rig_connect(r);
	rig_topic(r, other, "t", 1);
	send_delete(r, fd, "t");
	rig_run(r, 1);
	close(fd);
	for (int i = 0; i < 2000 && code_of(r, other, "t") == 0; i++)
		rig_run(r, 1);
	assert_int_equal(code_of(r, other, "t"), 3);
	close(other);
}

static void made_on_first_use(void **state)
{
	static const char *const sets[] = {"auto.create.topics.enable=true", "num.partitions=4",
					   NULL};
	struct rig *r = *state;
	int fd = rig_connect(r);

	assert_int_equal(code_of(r, fd, "auto"), 3);
	rig_run(r, 20);
	assert_int_equal(code_of(r, fd, "auto"), 3); /* it is switched off */
	close(fd);
	rig_restart(r, sets);
	fd = rig_connect(r);
	assert_int_equal(code_of(r, fd, "auto"), 3);
	for (int i = 0; i < 2000 && code_of(r, fd, "auto") != 0; i++)
		rig_run(r, 1);
	assert_int_equal(metadata(r, fd, "auto")->topics[0].partitions_n, 4);
	assert_int_equal(code_of(r, fd, "a b"), 17);
	close(fd);
}

static void deletion_switched_off(void **state)
{
	static const char *const sets[] = {"delete.topic.enable=false", NULL};
	struct rig *r = *state;

	rig_restart(r, sets);
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	assert_int_equal(delete (r, fd, "t"), 73);
	assert_int_equal(delete (r, fd, "none"), 3);
	assert_int_equal(code_of(r, fd, "t"), 0);
	close(fd);
}

/* ---- configurations ---- */

static void the_source_of_a_value(void **state)
{
	static const char *const sets[] = {"log.retention.ms=1 h", NULL};
	struct rig *r = *state;
	int fd = rig_connect(r);

	rig_topic(r, fd, "t", 1);
	check_value(r, fd, "t", "604800000", BY_DEFAULT);
	close(fd);
	rig_restart(r, sets);
	fd = rig_connect(r);
	check_value(r, fd, "t", "3600000", FROM_START);
	assert_int_equal(set(r, fd, BROKER, "", "log.retention.ms", "5000"), 0);
	check_value(r, fd, "t", "5000", FROM_CLUSTER);
	assert_int_equal(set(r, fd, TOPIC, "t", "retention.ms", "7"), 0);
	check_value(r, fd, "t", "7", FROM_TOPIC);
	const struct describe_configs_response_describe_configs_resource_result *c =
		get(r, fd, TOPIC, "t", "retention.ms");
	assert_int_equal(c->synonyms_n, 4);
	assert_true(bytes_eq_str(c->synonyms[1].name, "log.retention.ms"));
	assert_int_equal(c->synonyms[3].source, BY_DEFAULT);
	close(fd);
	rig_restart(r, sets);
	fd = rig_connect(r);
	check_value(r, fd, "t", "7", FROM_TOPIC);
	assert_int_equal(set(r, fd, TOPIC, "t", "retention.ms", NULL), 0);
	check_value(r, fd, "t", "5000", FROM_CLUSTER);
	close(fd);
}

static void settings_of_the_broker(void **state)
{
	static const char *const sets[] = {"group.max.size=77", "log.cleanup.policy=compact", NULL};
	static const struct {
		const char *name, *value;
		int8_t source;
		bool read_only;
	} want[] = {
		{"node.id", "1", BY_DEFAULT, true},
		{"group.max.size", "77", FROM_START, true},
		{"offsets.retention.minutes", "10080", BY_DEFAULT, true},
		{"log.level", "info", BY_DEFAULT, true},
		{"log.fsync", "never", FROM_START, true},
		{"auto.create.topics.enable", "false", BY_DEFAULT, true},
		{"connections.max.idle.ms", "600000", BY_DEFAULT, true},
		{"log.cleanup.policy", "compact", FROM_START, false},
		{"message.max.bytes", "1048588", BY_DEFAULT, false},
		{"default.replication.factor", "1", BY_DEFAULT, true},
		{"offsets.topic.replication.factor", "1", BY_DEFAULT, true},
		{"broker.id", "1", FROM_START, true},
		{"process.roles", "broker,controller", FROM_START, true},
		{"fetch.max.bytes", "57671680", BY_DEFAULT, true},
		{"listeners", "PLAINTEXT://127.0.0.1:0", FROM_START, true},
		{"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT", FROM_START, true},
	};
	struct rig *r = *state;

	rig_restart(r, sets);
	int fd = rig_connect(r);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		const struct describe_configs_response_describe_configs_resource_result *c =
			get(r, fd, BROKER, "1", want[i].name);
		if (!bytes_eq_str(c->value, want[i].value) || c->config_source != want[i].source ||
		    c->read_only != want[i].read_only)
			fail_msg("%s is %.*s, source %d", want[i].name, (int)c->value.n,
				 (const char *)c->value.p, c->config_source);
		assert_true(c->config_type > 0);
	}
	assert_int_equal(set(r, fd, BROKER, "1", "group.max.size", "5"), 42);
	close(fd);
}

/* ---- pages ---- */

static const struct describe_topic_partitions_response *
page(struct rig *r, int fd, int32_t limit, const struct describe_topic_partitions_response *last)
{
	struct describe_topic_partitions_request m;

	wire_init(&wire_describe_topic_partitions_request, &m);
	m.response_partition_limit = limit;
	if (last != NULL) {
		m.cursor_present = true;
		m.cursor.topic_name = last->next_cursor.topic_name;
		m.cursor.partition_index = last->next_cursor.partition_index;
	}
	return rig_call(r, fd, WIRE_API_DESCRIBE_TOPIC_PARTITIONS, 0, &m);
}

/* Whatever the page's size, every partition comes once and in order. */
static void pages_of_partitions(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);

	rig_topic(r, fd, "a", 1);
	rig_topic(r, fd, "b", 7);
	rig_topic(r, fd, "c", 3);
	for (int32_t limit = 1; limit <= 13; limit++) {
		const struct describe_topic_partitions_response *p = NULL;
		char seen[64] = "";
		do {
			int32_t in_page = 0;
			p = page(r, fd, limit, p);
			for (int32_t i = 0; i < p->topics_n; i++) {
				if (p->topics[i].is_internal)
					continue;
				in_page += p->topics[i].partitions_n;
				for (int32_t k = 0; k < p->topics[i].partitions_n; k++) {
					size_t n = strlen(seen);
					snprintf(seen + n, sizeof seen - n, "%c%d",
						 p->topics[i].name.p[0],
						 p->topics[i].partitions[k].partition_index);
				}
			}
			assert_in_range(in_page, 0, limit);
		} while (p->next_cursor_present);
		assert_string_equal(seen, "a0b0b1b2b3b4b5b6c0c1c2");
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_topic_lives_and_dies), T(a_client_that_goes_away), T(made_on_first_use),
		T(deletion_switched_off),  T(the_source_of_a_value),   T(settings_of_the_broker),
		T(pages_of_partitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
