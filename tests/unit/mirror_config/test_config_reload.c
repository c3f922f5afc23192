/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload finds: the settings that differ, each once, and whether they can be taken over. */
#include "tests/unit/base/unit.h"

#include "tests/unit/mirror_config/load.h"

#define CLUSTERS                                                                                  \
	"clusters = { east = { bootstrap = \"e1:9092\"; }; west = { bootstrap = \"w1:9092\"; }; " \
	"south = { bootstrap = \"s1:9092\"; }; };\n"
#define EAST_WEST  "{ source = \"east\"; target = \"west\"; }"
#define EAST_SOUTH "{ source = \"east\"; target = \"south\"; }"

struct found {
	char text[1024];
};

static void note(void *arg, const char *path, bool reloads)
{
	struct found *f = arg;
	size_t n = strlen(f->text);
	snprintf(f->text + n, sizeof f->text - n, "%s%s ", path, reloads ? "!" : "");
}

/* The differences between two files, "path " each, with "!" if it reloads. */
static void expect(const char *was, const char *is, const char *found)
{
	struct load a, b;
	struct found f = {""};
	load_init(&a, false);
	load_init(&b, false);
	load_ok(&a, was);
	load_ok(&b, is);
	mirror_config_compare(&a.c, &b.c, note, &f);
	assert_string_equal(f.text, found);
	load_fini(&a);
	load_fini(&b);
}

static void nothing_differs(void **state)
{
	(void)state;
	expect(CLUSTERS "links = ( " EAST_WEST " );", CLUSTERS "links = ( " EAST_WEST " );", "");
}

static void what_reloads_is_marked(void **state)
{
	(void)state;
	expect(CLUSTERS "links = ( " EAST_WEST " );",
	       CLUSTERS
	       "log: { level = \"debug\"; }; drain = \"1 s\"; links = ( { source = \"east\"; "
	       "target = \"west\"; paused = true; topics = \"a\"; } );",
	       "log.level! drain links.east->west.topics links.east->west.paused! ");
}

static void links_that_come_and_go(void **state)
{
	(void)state;
	expect(CLUSTERS "links = ( " EAST_WEST " );", CLUSTERS "links = ( " EAST_SOUTH " );",
	       "links.east->west links.east->south ");
}

/* Two links share the cluster that changed. */
static void a_cluster_is_told_once(void **state)
{
	(void)state;
	expect(CLUSTERS "links = ( " EAST_WEST ", " EAST_SOUTH " );",
	       "clusters = { east = { bootstrap = \"e2:9092\"; rack = \"a\"; }; west = { bootstrap "
	       "= "
	       "\"w1:9092\"; }; south = { bootstrap = \"s1:9092\"; }; };\n"
	       "links = ( " EAST_WEST ", " EAST_SOUTH " );",
	       "clusters.east.bootstrap clusters.east.rack ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_differs),
		cmocka_unit_test(what_reloads_is_marked),
		cmocka_unit_test(links_that_come_and_go),
		cmocka_unit_test(a_cluster_is_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
