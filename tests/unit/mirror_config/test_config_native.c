/* SPDX-License-Identifier: Apache-2.0 */
/* Native files: what a good one means, and that each mistake is told with its place. */
#include "tests/unit/base/unit.h"

#include "tests/unit/mirror_config/load.h"

#define CLUSTERS                                                                           \
	"clusters = { east = { bootstrap = \"e1:9092, e2:9092\"; }; west = { bootstrap = " \
	"[\"[::1]:9092\"]; }; };\n"
#define LINKS "links = ( { source = \"east\"; target = \"west\"; } );\n"

static int setup(void **state)
{
	*state = malloc(sizeof(struct load));
	load_init(*state, false);
	return 0;
}

static int teardown(void **state)
{
	load_fini(*state);
	free(*state);
	return 0;
}

static void the_smallest_file_has_all_defaults(void **state)
{
	struct load *l = *state;
	load_ok(l, CLUSTERS LINKS);
	assert_string_equal(l->said, "");
	assert_string_equal(l->c.http_listen, "127.0.0.1:8380");
	assert_string_equal(l->c.log_level, "info");
	assert_int_equal(l->c.memory_max, 0);
	assert_int_equal(l->c.workers, 1);
	assert_int_equal(l->c.drain_ms, 4000);
	assert_int_equal(l->c.clusters_n, 2);
	assert_int_equal(l->c.links_n, 1);
	const struct link_config *k = &l->c.links[0];
	assert_string_equal(k->name, "east->west");
	assert_string_equal(k->topics, ".*");
	assert_string_equal(k->topics_exclude, ".*[\\-\\.]internal,.*\\.replica,__.*");
	assert_int_equal(k->policy, POLICY_DEFAULT);
	assert_string_equal(k->separator, ".");
	assert_true(k->internal_separator);
	assert_false(k->heartbeats);
	/* A native link writes nothing that only tools of MM2 read, and nothing at its source. */
	assert_false(k->emit_heartbeats);
	assert_false(k->emit_heartbeats_at_source);
	assert_false(k->emit_offset_syncs);
	assert_false(k->offset_syncs_at_source);
	assert_int_equal(k->replication_factor, -1);
	assert_int_equal(k->runs_replication_factor, -1);
	assert_non_null(strstr(k->config_exclude, "message\\.timestamp\\.type,"));
	assert_false(k->defaults_from_source);
	assert_true(k->refresh_topics);
	assert_int_equal(k->refresh_topics_ms, 5000);
	assert_true(k->sync_configs);
	assert_int_equal(k->sync_configs_ms, 60000);
	assert_false(k->start_latest);
	assert_int_equal(k->max_request_bytes, 1 << 20);
	assert_int_equal(k->max_in_flight, 64);
	assert_int_equal(k->delivery_timeout_ms, 120000);
	assert_int_equal(k->runs_budget, 256 * 1024);
	const struct cluster_config *s = k->source;
	assert_string_equal(s->name, "east");
	assert_int_equal(s->bootstrap_n, 2);
	assert_string_equal(s->bootstrap[1], "e2:9092");
	assert_false(s->tls);
	assert_true(s->verify_host);
	assert_null(s->sasl_mechanism);
	assert_null(s->ca_file);
	assert_null(s->rack);
	assert_string_equal(s->client_id, "farshore-mirror");
	assert_int_equal(s->request_timeout_ms, 30000);
	assert_int_equal(s->connect_timeout_ms, 10000);
	assert_int_equal(s->metadata_max_age_ms, 300000);
	assert_int_equal(s->backoff_min_ms, 100);
	assert_int_equal(s->backoff_max_ms, 10000);
	assert_int_equal(s->user_timeout_ms, 10000);
	assert_int_equal(s->socket_buffer, 0);
	assert_int_equal(s->fetch_max_wait_ms, 500);
	assert_int_equal(s->fetch_max_bytes, 0);
	assert_true(s->read_committed);
}

static void a_cluster_that_is_its_own_target_is_told(void **state)
{
	struct load *l = *state;
	static const char both[] = "clusters = { east = { bootstrap = \"e1:9092, e2:9092\"; }; "
				   "west = { bootstrap = \"e3:9092, e2:9092\"; }; };\n";
	char text[512];
	snprintf(text, sizeof text, "%s%s", both, LINKS);
	load_ok(l, text);
	load_said(l, "link east->west: source and target are one cluster, e2:9092: is that meant?");
	snprintf(
		text, sizeof text,
		"%slinks = ( { source = \"east\"; target = \"west\"; naming = \"identity\"; } );\n",
		both);
	load_bad(l, text);
	load_said(
		l,
		"link east->west: source and target are one cluster, e2:9092, and names are kept");
}

static void tls_and_sasl(void **state)
{
	struct load *l = *state;
	load_file(l, "ca.pem", "x");
	load_file(l, "pw", "CANARY\n");
	load_ok(l, "clusters = { east = { bootstrap = \"e:1\"; tls = { enabled = true; ca = "
		   "\"@/ca.pem\"; verify_host = false; }; sasl = { mechanism = \"SCRAM-SHA-256\"; "
		   "username = \"u\"; password_file = \"@/pw\"; }; fetch = { isolation = "
		   "\"read_uncommitted\"; max_wait = \"1 s\"; }; }; west = { bootstrap = \"w:1\"; "
		   "}; };\n" LINKS);
	const struct cluster_config *s = l->c.links[0].source;
	assert_true(s->tls);
	assert_false(s->verify_host);
	assert_string_equal(s->sasl_mechanism, "SCRAM-SHA-256");
	assert_string_equal(s->sasl_password, "CANARY");
	assert_false(s->read_committed);
	assert_int_equal(s->fetch_max_wait_ms, 1000);
	load_said(l, "cluster east: host names are not verified");
	load_said(l, "clusters.east.sasl.password = \"(secret)\"");
	load_not_said(l, "CANARY");
	assert_ptr_equal(l->c.links[0].target->sasl_mechanism, NULL);
}

static void clusters_that_no_link_uses_are_left_out(void **state)
{
	struct load *l = *state;
	load_ok(l, "clusters = { a = { bootstrap = \"a:1\"; }; b = { bootstrap = \"b:1\"; }; c = { "
		   "bootstrap = \"c:1\"; }; };\nlinks = ( { source = \"a\"; target = \"b\"; }, { "
		   "source = \"b\"; target = \"a\"; topics = [\"x\", \"y.*\"]; }, { source = "
		   "\"a\"; target = \"c\"; enabled = false; } );\n");
	assert_int_equal(l->c.clusters_n, 2);
	assert_int_equal(l->c.links_n, 2);
	assert_ptr_equal(l->c.links[0].source, l->c.links[1].target);
	assert_ptr_equal(l->c.links[0].target, l->c.links[1].source);
	assert_string_equal(l->c.links[1].topics, "x,y.*");
}

static void mistakes_are_told_with_their_place(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{CLUSTERS
		 "\nlinks = ( { source = \"east\"; target = \"west\"; topicz = \"x\"; } );",
		 "native.conf:3: links.east->west.topicz: unknown setting; did you mean "
		 "\"topics\"?"},
		{CLUSTERS,
		 "no link is enabled; write links: ( { source = \"a\"; target = \"b\"; } );"},
		{CLUSTERS "links = ( { source = \"east\"; target = \"west\"; enabled = false; } );",
		 "no link is enabled"},
		{CLUSTERS "links = ( { source = \"eats\"; target = \"west\"; } );",
		 "link eats->west: there is no cluster eats; did you mean \"east\"?"},
		{CLUSTERS "links = ( { source = \"east\"; target = \"east\"; } );",
		 "link east->east: source and target are the same"},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; }, { source = \"east\"; "
		 "target = \"west\"; } );",
		 "links.east->west is there twice"},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; topics = \"a(b\"; } );",
		 "link east->west: topics: pattern \"a(b\": missing closing parenthesis"},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; replication_factor = 0; } );",
		 "a replication factor is 1 or more, or -1"},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; separator = \"/\"; } );",
		 "a topic name cannot have the separator \"/\""},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; separator = \"\"; } );",
		 "the separator must have 1 to 16 characters"},
		{CLUSTERS
		 "links = ( { source = \"east\"; target = \"west\"; max_in_flight = 0; } );",
		 "\"0\" is not valid; expected a whole number from 1 to 1024"},
		{CLUSTERS LINKS "http = { listen = \"8380\"; };",
		 "http.listen: \"8380\" is not host:port"},
		{CLUSTERS LINKS "memory = { max = \"1 MiB\"; };", "memory.max: at least 16 MiB"},
		{CLUSTERS LINKS "log = { level = \"loud\"; };",
		 "expected one of error, warn, info, debug"},
		{"clusters = { east = { }; west = { bootstrap = \"w:1\"; }; };" LINKS,
		 "cluster east: no bootstrap servers are set"},
		{"clusters = { east = { bootstrap = \"e\"; }; west = { bootstrap = \"w:99999\"; }; "
		 "};" LINKS,
		 "cluster east: bootstrap server \"e\" is not host:port"},
		{"clusters = { east = { bootstrap = \"e:1\"; backoff_min = \"1 min\"; }; west = { "
		 "bootstrap = \"w:1\"; }; };" LINKS,
		 "the first back-off is longer than the longest one"},
		{"clusters = { east = { bootstrap = \"e:1\"; tls = { enabled = true; key = "
		 "\"/dev/null\"; }; }; west = { bootstrap = \"w:1\"; }; };" LINKS,
		 "tls.key is set without tls.cert"},
		{"clusters = { east = { bootstrap = \"e:1\"; tls = { enabled = true; ca = "
		 "\"/no/such.pem\"; }; }; west = { bootstrap = \"w:1\"; }; };" LINKS,
		 "native.conf:1: clusters.east.tls.ca: cannot read /no/such.pem: No such file"},
		{"clusters = { east = { bootstrap = \"e:1\"; sasl = { mechanism = \"PLAIN\"; "
		 "username = \"u\"; }; }; west = { bootstrap = \"w:1\"; }; };" LINKS,
		 "SASL PLAIN needs a user name and a password"},
		{"clusters = { east = { bootstrap = \"e:1\"; sasl = { mechanism = \"GSSAPI\"; }; "
		 "}; };",
		 "no link is enabled"},
		{"clusters = 5;", "clusters: write clusters: { NAME: { ... }; };"},
		{"", "no link is enabled"},
		{"clusters = {", "syntax error"},
	};
	struct load *l = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		load_bad(l, cases[i].text);
		load_said(l, cases[i].expected);
	}
}

static void a_java_key_store_is_named(void **state)
{
	struct load *l = *state;
	load_file(l, "store.jks", "\xfe\xed\xfe\xed....");
	load_bad(l, "clusters = { east = { bootstrap = \"e:1\"; tls = { enabled = true; ca = "
		    "\"@/store.jks\"; }; }; west = { bootstrap = \"w:1\"; }; };\n" LINKS);
	load_said(l, "store.jks is a Java key store (JKS); convert it: keytool -importkeystore");
}

static void doubts_are_warnings(void **state)
{
	struct load *l = *state;
	load_ok(l,
		"clusters = { a = { bootstrap = \"a:1\"; sasl = { mechanism = \"PLAIN\"; username "
		"= "
		"\"u\"; password = \"CANARY\"; }; }; b = { bootstrap = \"b:1\"; tls = { ca = "
		"\"/dev/null\"; }; }; c = { bootstrap = \"c:1\"; }; d = { bootstrap = \"d:1\"; }; "
		"};\nlinks = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; topics = "
		"\"\"; }, { source = \"b\"; target = \"a\"; naming = \"legacy\"; }, { source = "
		"\"c\"; target = \"a\"; naming = \"identity\"; } );\n");
	load_said(l, "cluster a: SASL PLAIN without TLS sends the password in the clear");
	load_said(l, "cluster b: certificates are set, but TLS is not enabled");
	load_said(l, "cluster d: no link uses it");
	load_said(l, "link a->b: no topics are set");
	load_said(l, "links a->b and b->a both have sync_configs: a topic setting that is changed");
	load_not_said(l, "go round");
	load_said(l,
		  "links b->a and c->a keep topic names: a topic that both copy would be refused");
	load_not_said(l, "CANARY");
}

#define THREE                                                                             \
	"clusters = { a = { bootstrap = \"a:1\"; }; b = { bootstrap = \"b:1\"; }; c = { " \
	"bootstrap = \"c:1\"; }; };\n"
#define BACK "{ source = \"b\"; target = \"a\"; naming = \"identity\"; sync_configs = false; }"

static void two_ways(void **state)
{
	struct load *l = *state;
	/* By itself, if both keep names; whichever of them this process runs. */
	load_ok(l, THREE "links = ( { source = \"a\"; target = \"b\"; naming = \"legacy\"; }, " BACK
			 ", { source = \"b\"; target = \"c\"; naming = \"identity\"; } );\n");
	assert_string_equal(l->said, "");
	assert_true(l->c.links[0].two_way);
	assert_true(l->c.links[1].two_way);
	assert_false(l->c.links[2].two_way);
	l->targets[0] = "a";
	load_ok(l,
		THREE "links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; }, " BACK
		      " );\n");
	assert_int_equal(l->c.links_n, 1);
	assert_true(l->c.links[0].two_way);
	l->targets[0] = NULL;
	load_ok(l, THREE "links = ( { source = \"a\"; target = \"b\"; }, " BACK " );\n");
	assert_false(l->c.links[0].two_way);
	assert_false(l->c.links[1].two_way);
	load_ok(l, THREE "links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; "
			 "enabled = false; }, " BACK " );\n");
	assert_false(l->c.links[0].two_way);
	/* As it is told. */
	load_ok(l, THREE
		"links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; two_way = "
		"\"on\"; } );\n");
	assert_true(l->c.links[0].two_way);
	load_ok(l, THREE
		"links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; two_way = "
		"\"off\"; }, " BACK " );\n");
	assert_false(l->c.links[0].two_way);
	load_said(l, "a->b has two_way = off: a topic that both copy would go round in circles");
	load_bad(l, THREE "links = ( { source = \"a\"; target = \"b\"; two_way = \"on\"; } );\n");
	load_said(l, "two_way = on is for links that keep topic names");
}

static void rings(void **state)
{
	struct load *l = *state;
	load_ok(l,
		THREE "links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; }, " BACK
		      ", { source = \"b\"; target = \"c\"; naming = \"identity\"; }, { source = "
		      "\"c\"; target = \"b\"; naming = \"identity\"; sync_configs = false; } );\n");
	load_said(l,
		  "links a->b and c->b keep topic names: a topic that both copy holds the records "
		  "of both");
	load_not_said(l, "ring");
	load_ok(l, THREE
		"links = ( { source = \"a\"; target = \"b\"; naming = \"identity\"; }, { source = "
		"\"b\"; target = \"c\"; naming = \"identity\"; }, { source = \"c\"; target = "
		"\"a\"; naming = \"identity\"; } );\n");
	load_said(
		l,
		"links around c->a keep topic names and connect three or more clusters in a ring");
	load_ok(l,
		THREE "links = ( { source = \"a\"; target = \"b\"; }, { source = \"b\"; target = "
		      "\"c\"; }, { source = \"c\"; target = \"a\"; } );\n");
	load_not_said(l, "ring");
}

static void overrides(void **state)
{
	struct load *l = *state;
	l->sets[0] = "http.listen=127.0.0.1:0";
	l->sets[1] = "clusters.east.bootstrap=x:1,y:2";
	l->sets[2] = "links.east->west.topics=orders.*";
	l->sets[3] = "memory.max=128 MiB";
	load_ok(l, CLUSTERS LINKS);
	assert_string_equal(l->c.http_listen, "127.0.0.1:0");
	assert_int_equal(l->c.links[0].source->bootstrap_n, 2);
	assert_string_equal(l->c.links[0].topics, "orders.*");
	assert_int_equal(l->c.memory_max, 128 << 20);
	/* A link that the file does not have. */
	l->sets[2] = "links.west->east.start=latest";
	load_ok(l, CLUSTERS LINKS);
	assert_int_equal(l->c.links_n, 2);
	assert_true(l->c.links[1].start_latest);
	l->sets[2] = "links.west->north.start=latest";
	load_bad(l, CLUSTERS LINKS);
	load_said(l, "link west->north: there is no cluster north");
	l->sets[2] = "links.nonsense.start=latest";
	load_bad(l, CLUSTERS LINKS);
	load_said(l, "--set links.nonsense.start: write links.source->target.KEY=VALUE");
	l->sets[2] = "htp.listen=";
	load_bad(l, CLUSTERS LINKS);
	load_said(l, "--set htp.listen: unknown setting; did you mean \"http.listen\"?");
}

static void only_some_targets(void **state)
{
	struct load *l = *state;
	l->targets[0] = "west";
	load_ok(l, CLUSTERS
		"links = ( { source = \"east\"; target = \"west\"; }, { source = \"west\"; "
		"target = \"east\"; } );");
	assert_int_equal(l->c.links_n, 1);
	assert_string_equal(l->c.links[0].name, "east->west");
	l->targets[0] = "wset";
	load_bad(l, CLUSTERS LINKS);
	load_said(l, "--clusters wset: no link has this target");
}

static void all_faults_are_listed(void **state)
{
	struct load *l = *state;
	load_bad(l,
		 "clusters = { east = { bootstrap = \"e\"; }; west = { bootstrap = \"w:1\"; }; };\n"
		 "workers = 0;\nlinks = ( { source = \"east\"; target = \"west\"; topic = \"x\"; } "
		 ");");
	load_said(l, "error: ");
	load_said(l, "native.conf:3: links.east->west.topic: unknown setting");
	load_said(l, "native.conf:2: workers: \"0\" is not valid");
	load_said(l, "cluster east: bootstrap server \"e\" is not host:port");
	load_said(l, "WHY 3 errors; the first: ");
}

static void a_file_that_is_not_there(void **state)
{
	(void)state;
	const struct config_source src = {.file = "/no/such.conf"};
	struct mirror_config c;
	struct errmsg why = {{0}};
	assert_int_equal(mirror_config_load(&src, &c, stdout, &why), ERR_IO);
	assert_string_equal(why.text, "cannot read /no/such.conf: No such file or directory");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_smallest_file_has_all_defaults),
		CASE(a_cluster_that_is_its_own_target_is_told),
		CASE(tls_and_sasl),
		CASE(clusters_that_no_link_uses_are_left_out),
		CASE(mistakes_are_told_with_their_place),
		CASE(a_java_key_store_is_named),
		CASE(doubts_are_warnings),
		CASE(two_ways),
		CASE(rings),
		CASE(overrides),
		CASE(only_some_targets),
		CASE(all_faults_are_listed),
		CASE(a_file_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
