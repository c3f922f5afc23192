/* SPDX-License-Identifier: Apache-2.0 */
/* The table-driven configuration with a table of its own: reading, overriding, filling, faults,
 * documents. */
#include "tests/unit/base/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/config_doc.h"
#include "lib/base/config_file.h"
#include "tests/unit/base/fail_alloc.h"

struct program {
	const char *listen;
	int64_t wait_ms;
	size_t room;
	bool fast;
	int8_t colour;
};

struct host {
	const char *const *addresses;
	size_t addresses_n;
	const char *password, *cert, *tags;
	int16_t port;
	int32_t retries;
};

struct path {
	const char *from, *to, *label;
};

static const char *const colours[] = {"red", "green", NULL};

#define PROGRAM(f) .section = "", CONFIG_FIELD(struct program, f)
#define HOST(f)    .section = "hosts", CONFIG_FIELD(struct host, f)
#define PATH(f)    .section = "paths", CONFIG_FIELD(struct path, f)

static const struct config_row rows[] = {
	{PROGRAM(listen), .key = "http.listen", .type = CONFIG_STRING, .def = "127.0.0.1:1",
	 .help = "Where to listen."},
	{PROGRAM(wait_ms), .key = "wait", .type = CONFIG_DURATION, .min = 10, .max = 60000,
	 .def = "1 s", .reloads = true, .help = "How long."},
	{PROGRAM(room), .key = "room", .type = CONFIG_BYTES, .min = 0, .max = 1LL << 30,
	 .def = "1 MiB", .help = "How much."},
	{PROGRAM(fast), .key = "fast", .type = CONFIG_BOOL, .def = "false", .help = "Hurry."},
	{PROGRAM(colour), .key = "colour", .type = CONFIG_ENUM, .words = colours, .def = "green",
	 .help = "Paint."},
	{HOST(addresses), .key = "addresses", .type = CONFIG_ARRAY,
	 .count_offset = offsetof(struct host, addresses_n), .help = "Where it is."},
	{HOST(port), .key = "port", .type = CONFIG_INT, .min = -1, .max = INT16_MAX, .def = "-1",
	 .help = "Its port."},
	{HOST(retries), .key = "retries", .type = CONFIG_INT, .min = 0, .max = 9, .def = "3",
	 .help = "Its retries."},
	{HOST(tags), .key = "tags", .type = CONFIG_LIST, .def = "x, y", .help = "Its | tags."},
	{HOST(password), .key = "auth.password", .type = CONFIG_SECRET, .help = "Its password."},
	{HOST(cert), .key = "auth.cert", .type = CONFIG_FILE, .help = "Its certificate."},
	{PATH(from), .key = "from", .type = CONFIG_STRING, .help = "Begin."},
	{PATH(to), .key = "to", .type = CONFIG_STRING, .help = "End."},
	{PATH(label), .key = "label", .type = CONFIG_STRING, .help = "Name."},
};

static const struct config_section sections[] = {
	{.name = "hosts", .help = "Hosts."},
	{.name = "paths", .first = "from", .second = "to", .joiner = "->", .help = "Paths."},
};

static const struct config_schema schema = {rows, sizeof rows / sizeof *rows, sections, 2};

struct rig {
	struct arena arena;
	struct config *c;
	char dir[64];
	char file[128];
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof *r);
	arena_init(&r->arena, 4 << 20);
	assert_int_equal(config_new(&schema, &r->arena, &r->c), ERR_OK);
	snprintf(r->dir, sizeof r->dir, "/tmp/farshore-config-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->file, sizeof r->file, "%s/test.conf", r->dir);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	char command[128];
	config_free(r->c);
	arena_fini(&r->arena);
	snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
	assert_int_equal(system(command), 0);
	free(r);
	return 0;
}

static const char *write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void load(struct rig *r, const char *text)
{
	struct errmsg why = {{0}};
	enum err e = config_file_load(r->c, write_file(r->file, text), &why);
	if (e != ERR_OK)
		fail_msg("%s", why.text);
}

/* The result's text and the listing, in one string. */
static const char *result(struct rig *r)
{
	static char text[16384];
	struct errmsg why = {{0}};
	char *lines;
	size_t n;
	FILE *out = open_memstream(&lines, &n);
	enum err e = config_result(r->c, out, &why);
	fclose(out);
	assert_int_equal(e, config_faults(r->c) > 0 ? ERR_CONFIG : ERR_OK);
	snprintf(text, sizeof text, "%s%s%s", lines, why.text, e == ERR_OK ? "ok" : "");
	free(lines);
	return text;
}

static void assert_fault(struct rig *r, const char *expected)
{
	const char *text = result(r);
	if (strstr(text, expected) == NULL)
		fail_msg("expected \"%s\" in \"%s\"", expected, text);
}

static void defaults_fill_every_field(void **state)
{
	struct rig *r = *state;
	struct program p;
	struct host h;
	memset(&p, 0, sizeof p);
	memset(&h, 0, sizeof h);
	config_fill(r->c, "", "", &p);
	config_fill(r->c, "hosts", "a", &h);
	assert_string_equal(p.listen, "127.0.0.1:1");
	assert_int_equal(p.wait_ms, 1000);
	assert_int_equal(p.room, 1 << 20);
	assert_false(p.fast);
	assert_int_equal(p.colour, 1);
	assert_int_equal(h.addresses_n, 0);
	assert_int_equal(h.port, -1);
	assert_int_equal(h.retries, 3);
	assert_string_equal(h.tags, "x,y");
	assert_null(h.password);
	assert_null(h.cert);
	assert_string_equal(result(r), "ok");
}

static void a_file_with_all_types(void **state)
{
	struct rig *r = *state;
	struct program p = {0};
	struct host a = {0}, b = {0};
	struct path way = {0};
	const char *const *names;
	load(r, "http = { listen = \"\"; };\nwait = 250;\nroom = \"2 MiB\";\nfast = true;\n"
		"colour = \"red\";\n"
		"hosts = { a = { addresses = [\"x:1\", \"y:2\"]; port = 7L; tags = \"\";\n"
		"  auth: { password = \"pw\"; }; };\n"
		" b-2 = { addresses = \"z:3, w:4\"; retries = 0x9; tags = (\"q\", 5); }; };\n"
		"paths = ( { from = \"a\"; to = \"b-2\"; label = \"first\"; } );\n");
	config_fill(r->c, "", "", &p);
	config_fill(r->c, "hosts", "a", &a);
	config_fill(r->c, "hosts", "b-2", &b);
	config_fill(r->c, "paths", "a->b-2", &way);
	assert_string_equal(result(r), "ok");
	assert_string_equal(p.listen, "");
	assert_int_equal(p.wait_ms, 250);
	assert_int_equal(p.room, 2 << 20);
	assert_true(p.fast);
	assert_int_equal(p.colour, 0);
	assert_int_equal(a.addresses_n, 2);
	assert_string_equal(a.addresses[1], "y:2");
	assert_int_equal(a.port, 7);
	assert_string_equal(a.tags, "");
	assert_string_equal(a.password, "pw");
	assert_int_equal(b.addresses_n, 2);
	assert_string_equal(b.addresses[0], "z:3");
	assert_string_equal(b.tags, "q,5");
	assert_string_equal(way.label, "first");
	assert_int_equal(config_names(r->c, "hosts", &names), 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b-2");
	assert_int_equal(config_names(r->c, "paths", &names), 1);
	assert_string_equal(names[0], "a->b-2");
}

static void unknown_settings_name_the_nearest(void **state)
{
	struct rig *r = *state;
	load(r, "http = { lisen = \"x\"; };\nhosts = { a = {\n adresses = \"x\"; }; };\n"
		"host = { a = { port = 1; }; };\nnothing_like_it = 1;\n");
	assert_fault(r, "test.conf:1: http.lisen: unknown setting; did you mean \"http.listen\"?");
	assert_fault(r,
		     "test.conf:3: hosts.a.adresses: unknown setting; did you mean \"addresses\"?");
	assert_fault(r, "test.conf:4: host.a.port: unknown setting; did you mean \"hosts\"?");
	assert_fault(r, "test.conf:5: nothing_like_it: unknown setting");
	assert_fault(r, "4 errors; the first: ");
}

static void values_out_of_range_or_of_another_type(void **state)
{
	struct rig *r = *state;
	struct program p = {0};
	struct host h = {0};
	load(r, "wait = \"1 ms\";\nroom = \"lots\";\nfast = 1;\ncolour = \"blue\";\n"
		"hosts = { a = { port = 40000; retries = 1.5; }; };\n");
	config_fill(r->c, "", "", &p);
	config_fill(r->c, "hosts", "a", &h);
	assert_fault(r, "test.conf:1: wait: \"1 ms\" is not valid; expected a duration from 10 ms "
			"to 1 min");
	assert_fault(r,
		     "test.conf:2: room: \"lots\" is not valid; expected a size from 0 B to 1 GiB");
	assert_fault(r, "test.conf:3: fast: \"1\" is not valid; expected true or false");
	assert_fault(r, "test.conf:4: colour: \"blue\" is not valid; expected one of red, green");
	assert_fault(r,
		     "test.conf:5: hosts.a.port: \"40000\" is not valid; expected a whole number "
		     "from -1 to 32767");
	assert_fault(r, "hosts.a.retries: \"1.5\" is not valid");
	assert_fault(r, "6 errors");
}

static void wrong_shapes(void **state)
{
	struct rig *r = *state;
	load(r, "hosts = ( { port = 1; } );\npaths = ( { from = \"a\"; }, 5,\n"
		" { from = \"a\"; to = \"b\"; }, { from = \"a\"; to = \"b\"; } );\n"
		"http = { listen = [\"a,b\"]; };\nwait = ( ( 1 ) );\n");
	assert_fault(r, "test.conf:1: hosts: write hosts: { NAME: { ... }; };");
	assert_fault(r, "paths: each is a group { from = \"...\"; to = \"...\"; }");
	assert_fault(r, "test.conf:3: paths.a->b is there twice");
	assert_fault(r, "http.listen: a comma inside an item");
	assert_fault(r, "wait: only plain values are allowed in this list");
}

static void deep_nesting_ends(void **state)
{
	struct rig *r = *state;
	struct buf text;
	buf_init(&text, 8192);
	for (int i = 0; i < 500; i++)
		buf_put_str(&text, "a = { ");
	for (int i = 0; i < 500; i++)
		buf_put_str(&text, "}; ");
	buf_put_u8(&text, '\0');
	load(r, (const char *)text.p);
	buf_fini(&text);
	assert_fault(r, "nested too deep");
}

static void files_that_cannot_be_read(void **state)
{
	struct rig *r = *state;
	struct errmsg why;
	assert_int_equal(config_file_load(r->c, "/no/such/file", &why), ERR_IO);
	assert_string_equal(why.text, "cannot read /no/such/file: No such file or directory");
	assert_int_equal(config_file_load(r->c, r->dir, &why), ERR_IO);
	assert_non_null(strstr(why.text, "it is a directory"));
	assert_int_equal(config_file_load(r->c, write_file(r->file, "wait = ;\n"), &why),
			 ERR_CONFIG);
	assert_non_null(strstr(why.text, "test.conf:1: syntax error"));
	assert_int_equal(config_file_load(r->c, write_file(r->file, "wait = 1;\nwait = 2;"), &why),
			 ERR_CONFIG);
	assert_non_null(strstr(why.text, "test.conf:2: duplicate setting name"));
	FILE *f = fopen(r->file, "w");
	fwrite("wait = 1;\0", 1, 10, f);
	fclose(f);
	assert_int_equal(config_file_load(r->c, r->file, &why), ERR_MALFORMED);
	assert_int_equal(truncate(r->file, 0), 0);
	f = fopen(r->file, "w");
	for (int i = 0; i < CONFIG_FILE_MAX / 8 + 1; i++)
		fputs("#234567\n", f);
	fclose(f);
	assert_int_equal(config_file_load(r->c, r->file, &why), ERR_LIMIT);
}

static void includes_are_found_beside_the_file(void **state)
{
	struct rig *r = *state;
	struct program p = {0};
	char other[128];
	snprintf(other, sizeof other, "%s/more.conf", r->dir);
	write_file(other, "wait = 77;\n\ncolour = \"mauve\";\n");
	load(r, "@include \"more.conf\"\nfast = true;\n");
	config_fill(r->c, "", "", &p);
	assert_int_equal(p.wait_ms, 77);
	assert_true(p.fast);
	assert_fault(r, "more.conf:3: colour: \"mauve\"");
}

static void overrides(void **state)
{
	struct rig *r = *state;
	struct program p = {0};
	struct host h = {0}, dotted = {0};
	struct path old = {0}, new = {0};
	load(r, "wait = 100;\nhosts = { a = { addresses = \"x:1\"; }; };\n"
		"paths = ( { from = \"a\"; to = \"b\"; label = \"old\"; } );\n");
	config_override(r->c, "wait=2 s");
	config_override(r->c, "http.listen=");
	config_override(r->c, "hosts.a.addresses=p:1,q:2");
	config_override(r->c, "hosts.us.east.auth.password=a=b");
	config_override(r->c, "paths.a->b.label=new");
	config_override(r->c, "paths.c->d.label=made");
	config_fill(r->c, "", "", &p);
	config_fill(r->c, "hosts", "a", &h);
	config_fill(r->c, "hosts", "us.east", &dotted);
	config_fill(r->c, "paths", "a->b", &old);
	config_fill(r->c, "paths", "c->d", &new);
	assert_string_equal(result(r), "ok");
	assert_int_equal(p.wait_ms, 2000);
	assert_string_equal(p.listen, "");
	assert_int_equal(h.addresses_n, 2);
	assert_string_equal(dotted.password, "a=b");
	assert_string_equal(old.label, "new");
	assert_string_equal(old.from, "a");
	assert_string_equal(new.from, "c");
	assert_string_equal(new.to, "d");
}

static void overrides_that_are_wrong(void **state)
{
	struct rig *r = *state;
	struct program p = {0};
	char longest[5000];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	config_override(r->c, "wait");
	config_override(r->c, "=1");
	config_override(r->c, "wiat=1");
	config_override(r->c, "hosts.a.prt=1");
	config_override(r->c, "hosts.port=1");
	config_override(r->c, "wait=never");
	config_override(r->c, longest);
	config_fill(r->c, "", "", &p);
	assert_fault(r, "--set wait: write PATH=VALUE");
	assert_fault(r, "--set wiat: unknown setting; did you mean \"wait\"?");
	assert_fault(r, "--set hosts.a.prt: unknown setting; did you mean \"port\"?");
	assert_fault(r, "--set hosts.port: write hosts.NAME.KEY=VALUE");
	assert_fault(r, "--set wait: \"never\" is not valid");
}

static void fill_set_leaves_the_rest(void **state)
{
	struct rig *r = *state;
	struct host h = {.port = 5, .retries = 6, .tags = "t"};
	config_override(r->c, "hosts.a.retries=7");
	config_fill_set(r->c, "hosts", "a", &h);
	assert_int_equal(h.port, 5);
	assert_int_equal(h.retries, 7);
	assert_string_equal(h.tags, "t");
}

static void secrets(void **state)
{
	struct rig *r = *state;
	struct host a = {0}, b = {0}, c = {0}, d = {0};
	char file[128], text[1024];
	snprintf(file, sizeof file, "%s/secret", r->dir);
	write_file(file, "from-file\r\nsecond line\n");
	setenv("TEST_SECRET", "from-env", 1);
	snprintf(text, sizeof text,
		 "hosts = { a = { auth = { password = \"${env:TEST_SECRET}\"; }; };\n"
		 " b = { auth = { password_file = \"%s\"; }; };\n"
		 " c = { auth = { password = \"${env:TEST_SECRET} \"; }; }; };\n",
		 file);
	load(r, text);
	config_put(r->c, &(struct config_put){.section = "hosts",
					      .name = "d",
					      .key = "auth.password",
					      .value = "${env:TEST_SECRET}",
					      .origin = "x",
					      .literal = true});
	config_fill(r->c, "hosts", "a", &a);
	config_fill(r->c, "hosts", "b", &b);
	config_fill(r->c, "hosts", "c", &c);
	config_fill(r->c, "hosts", "d", &d);
	assert_string_equal(result(r), "ok");
	assert_string_equal(a.password, "from-env");
	assert_string_equal(b.password, "from-file");
	assert_string_equal(c.password, "${env:TEST_SECRET} ");
	assert_string_equal(d.password, "${env:TEST_SECRET}");
	unsetenv("TEST_SECRET");
}

static void secrets_that_are_missing(void **state)
{
	struct rig *r = *state;
	struct host h = {0};
	char file[128], text[1024];
	snprintf(file, sizeof file, "%s/empty", r->dir);
	write_file(file, "\nCANARY\n");
	unsetenv("TEST_SECRET");
	snprintf(text, sizeof text,
		 "hosts = { a = { auth = { password = \"${env:TEST_SECRET}\"; }; };\n"
		 " b = { auth = { password_file = \"%s\"; }; };\n"
		 " c = { auth = { password_file = \"/no/such\"; }; };\n"
		 " d = { auth = { password = \"CANARY\"; password_file = \"%s\"; }; };\n"
		 " e = { auth = { password_file = \"%s\"; cert = \"/no/cert\"; }; }; };\n",
		 file, file, r->dir);
	load(r, text);
	for (const char *name = "a\0b\0c\0d\0e\0"; *name != '\0'; name += 2)
		config_fill(r->c, "hosts", name, &h);
	assert_fault(r, "hosts.a.auth.password: the environment variable TEST_SECRET is not set");
	assert_fault(r, "/empty: the first line is empty");
	assert_fault(r, "hosts.c.auth.password_file: cannot read /no/such: No such file");
	assert_fault(r, "set either this or auth.password, not both");
	assert_fault(r, "it is a directory");
	assert_fault(r, "hosts.e.auth.cert: cannot read /no/cert: No such file");
	assert_null(strstr(result(r), "CANARY"));
}

static void at_most_twenty_faults_are_listed(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 50; i++)
		config_fault(r->c, "fault %d", i);
	const char *text = result(r);
	assert_non_null(strstr(text, "error: fault 19\nerror: and 30 more\n"));
	assert_null(strstr(text, "fault 20"));
	assert_non_null(strstr(text, "50 errors; the first: fault 0"));
}

static void equal_objects(void **state)
{
	(void)state;
	static const char *const list[] = {"a", "b"}, *const copy[] = {"a", "b"};
	struct host a = {.addresses = list, .addresses_n = 2, .password = "x", .port = 1};
	struct host b = {.addresses = copy, .addresses_n = 2, .password = "x", .port = 1};
	assert_true(config_equal(&schema, "hosts", &a, &b));
	b.password = "y";
	assert_false(config_equal(&schema, "hosts", &a, &b));
	b.password = NULL;
	assert_false(config_equal(&schema, "hosts", &a, &b));
	b.password = "x";
	b.addresses_n = 1;
	assert_false(config_equal(&schema, "hosts", &a, &b));
	b.addresses_n = 2;
	b.port = 2;
	assert_false(config_equal(&schema, "hosts", &a, &b));
}

static void the_dump_hides_secrets(void **state)
{
	(void)state;
	static const char *const list[] = {"a", "b"};
	struct host h = {.addresses = list,
			 .addresses_n = 2,
			 .password = "CANARY",
			 .tags = "q\"\\\n",
			 .port = 1};
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	config_doc_dump(&schema, "hosts", "a", &h, out);
	fclose(out);
	assert_string_equal(text, "hosts.a.addresses = [\"a\", \"b\"]\n"
				  "hosts.a.port = 1\n"
				  "hosts.a.retries = 0\n"
				  "hosts.a.tags = \"q\\\"\\\\\\x0a\"\n"
				  "hosts.a.auth.password = \"(secret)\"\n");
	free(text);
}

static void the_sample_loads_and_means_the_defaults(void **state)
{
	struct rig *r = *state;
	static const struct config_doc_example examples[] = {
		{"hosts", "a", "addresses", "x:1"},
		{"hosts", "b", "addresses", "y:1"},
		{"hosts", "b", "auth.cert", "/dev/null"},
		{"paths", "a->b", "from", "a"},
		{"paths", "a->b", "to", "b"},
		{"paths", "b->a", "from", "b"},
		{"paths", "b->a", "to", "a"},
	};
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	config_doc_sample(&schema, examples, 7, out);
	fclose(out);
	load(r, text);
	free(text);
	struct program p = {0};
	struct host b = {0};
	const char *const *names;
	config_fill(r->c, "", "", &p);
	config_fill(r->c, "hosts", "b", &b);
	assert_string_equal(result(r), "ok");
	assert_int_equal(p.wait_ms, 1000);
	assert_string_equal(b.cert, "/dev/null");
	assert_int_equal(config_names(r->c, "paths", &names), 2);
}

static void the_manual_names_every_row(void **state)
{
	(void)state;
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	config_doc_manual(&schema, out);
	fclose(out);
	for (size_t i = 0; i < schema.rows_n; i++) {
		char cell[64];
		snprintf(cell, sizeof cell, "| `%s` | ", rows[i].key);
		assert_non_null(strstr(text, cell));
	}
	assert_non_null(strstr(text, "Its \\| tags."));
	free(text);
}

/* Every allocation of a load fails once; each time the load says so, and nothing leaks. */
static void out_of_memory(void **state)
{
	struct rig *r = *state;
	write_file(r->file, "wait = 1 ;\nhosts = { a = { addresses = [\"x:1\", \"y:2\"];\n"
			    "auth = { password = \"pw\"; }; }; };\npaths = ( { from = \"a\"; to = "
			    "\"b\"; } );\n");
	for (long n = 1;; n++) {
		struct arena arena;
		struct config *c = NULL;
		struct errmsg why = {{0}};
		struct program p = {0};
		struct host h = {0};
		const char *const *names;
		arena_init(&arena, 1 << 20);
		FILE *out = fopen("/dev/null", "w");
		fail_alloc_at(n);
		enum err e = config_new(&schema, &arena, &c);
		if (e == ERR_OK)
			e = config_file_load(c, r->file, &why);
		if (e == ERR_OK) {
			config_names(c, "hosts", &names);
			config_fill(c, "", "", &p);
			config_fill(c, "hosts", "a", &h);
			config_override(c, "fast=true");
			config_override(c, "unknown=1");
			e = config_result(c, out, &why);
		}
		bool hit = fail_alloc_off();
		fclose(out);
		config_free(c);
		arena_fini(&arena);
		if (!hit) {
			assert_int_equal(e, ERR_CONFIG);
			assert_true(n > 5);
			break;
		}
		assert_true(e == ERR_NOMEM || e == ERR_CONFIG);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(defaults_fill_every_field),
		CASE(a_file_with_all_types),
		CASE(unknown_settings_name_the_nearest),
		CASE(values_out_of_range_or_of_another_type),
		CASE(wrong_shapes),
		CASE(deep_nesting_ends),
		CASE(files_that_cannot_be_read),
		CASE(includes_are_found_beside_the_file),
		CASE(overrides),
		CASE(overrides_that_are_wrong),
		CASE(fill_set_leaves_the_rest),
		CASE(secrets),
		CASE(secrets_that_are_missing),
		CASE(at_most_twenty_faults_are_listed),
		CASE(equal_objects),
		CASE(the_dump_hides_secrets),
		CASE(the_sample_loads_and_means_the_defaults),
		CASE(the_manual_names_every_row),
		CASE(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
