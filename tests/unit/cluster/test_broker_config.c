/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's configuration: file, overrides, faults. configs/farshore-broker.conf and
 * docs/broker-configuration.md are made from the table; "test_broker_config --write" writes them
 * anew.
 */
#include "tests/unit/base/made_file.h"

#include <unistd.h>

#include "cluster/config.h"

static const struct made_file made[] = {
	{SOURCE_DIR "/configs/farshore-broker.conf", broker_config_describe},
	{SOURCE_DIR "/docs/broker-configuration.md", broker_config_manual},
};

enum { MADE = sizeof made / sizeof *made };

static void files_are_in_step_with_the_table(void **state)
{
	(void)state;
	made_files_check(made, MADE, "test_broker_config");
}

/* ---- loads ---- */

struct load {
	struct broker_config c;
	struct errmsg why;
	char *faults;
	enum err e;
};

static void load(struct load *l, const struct broker_config_source *src)
{
	size_t n;
	memset(l, 0, sizeof *l);
	FILE *out = open_memstream(&l->faults, &n);
	l->e = broker_config_load(src, &l->c, out, &l->why);
	fclose(out);
}

static void done(struct load *l)
{
	if (l->e == ERR_OK)
		broker_config_fini(&l->c);
	free(l->faults);
}

static char *dump(const struct broker_config *c)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	broker_config_dump(c, out);
	fclose(out);
	return text;
}

/* A file with this text; its name lives until the next call. */
static const char *file_of(const char *text)
{
	static char name[64];
	snprintf(name, sizeof name, "/tmp/test_broker_config.%d", (int)getpid());
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return name;
}

static void two_options_are_enough(void **state)
{
	(void)state;
	const struct broker_config_source src = {.data = "d", .listen = "127.0.0.1:9092"};
	struct load l;
	load(&l, &src);
	assert_int_equal(l.e, ERR_OK);
	assert_int_equal(l.c.listeners_n, 1);
	assert_string_equal(l.c.listeners[0].name, "PLAINTEXT");
	assert_string_equal(l.c.listeners[0].host, "127.0.0.1");
	assert_int_equal(l.c.listeners[0].port, 9092);
	assert_string_equal(l.c.listeners[0].advertised_host, "127.0.0.1");
	assert_int_equal(l.c.fsync, STORE_FSYNC_ALWAYS);
	assert_false(l.c.auto_create_topics);
	assert_int_equal(l.c.offsets_retention_ms, 7LL * 24 * 3600 * 1000);
	assert_int_equal(l.c.log.max_message_bytes, 1048588);
	assert_int_equal(l.c.log.compression, -1);
	assert_true(l.c.log.cleanup_delete);
	assert_false(l.c.log.cleanup_compact);
	done(&l);
}

static void the_sample_runs_as_it_is_and_shows_the_defaults(void **state)
{
	(void)state;
	const struct broker_config_source src = {.file = SOURCE_DIR
						 "/configs/farshore-broker.conf"};
	struct load l, live;
	load(&l, &src);
	if (l.e != ERR_OK)
		fail_msg("%s", l.why.text);
	char *file = made_file_read(src.file), *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	/* Every "# name = value" line made live changes nothing. */
	for (const char *p = file; *p != '\0';) {
		size_t len = strcspn(p, "\n");
		const char *eq = memmem(p, len, " =", 2);
		bool setting =
			len > 2 && p[0] == '#' && eq != NULL && memchr(p + 2, ' ', len - 2) == eq;
		bool unset =
			setting && (eq + 2 == p + len || memmem(p, len, "/path/to", 8) != NULL);
		if (setting && !unset)
			fprintf(out, "%.*s\n", (int)(len - 2), p + 2);
		else
			fprintf(out, "%.*s\n", (int)len, p);
		p += len + (p[len] == '\n');
	}
	fclose(out);
	assert_non_null(strstr(text, "\nnum.partitions = 1\n"));
	const struct broker_config_source all = {.file = file_of(text)};
	load(&live, &all);
	if (live.e != ERR_OK)
		fail_msg("%s\n%s", live.why.text, live.faults);
	char *a = dump(&l.c), *b = dump(&live.c);
	assert_string_equal(a, b);
	free(a);
	free(b);
	free(text);
	free(file);
	unlink(all.file);
	done(&live);
	done(&l);
}

static void the_command_line_wins_over_the_file(void **state)
{
	(void)state;
	const char *sets[] = {"num.partitions=7", "listeners.TLS.listen=[::1]:0",
			      "log.cleanup.policy=compact,delete", "compression.type=zstd"};
	const struct broker_config_source src = {
		.file = file_of(
			"# a comment\n! another\n\n num.partitions = 3\nlog.retention.ms=-1\n"
			"log.dir = \"a b\"\nlisteners.A.listen = localhost:1\r\n"),
		.sets = sets,
		.sets_n = 4};
	struct load l;
	load(&l, &src);
	unlink(src.file);
	if (l.e != ERR_OK)
		fail_msg("%s\n%s", l.why.text, l.faults);
	assert_int_equal(l.c.num_partitions, 7);
	assert_int_equal(l.c.log.retention_ms, -1);
	assert_string_equal(l.c.data, "a b");
	assert_int_equal(l.c.listeners_n, 2);
	assert_string_equal(l.c.listeners[0].host, "localhost");
	assert_string_equal(l.c.listeners[1].host, "::1");
	assert_true(l.c.log.cleanup_compact && l.c.log.cleanup_delete);
	assert_int_equal(l.c.log.compression, CODEC_ZSTD);
	done(&l);
}

static void faults_name_the_place(void **state)
{
	(void)state;
	static const struct {
		const char *set, *text;
	} cases[] = {
		{"num.partition=3", "did you mean \"num.partitions\""},
		{"num.partitions=0", "--set num.partitions"},
		{"log.fsync=sometimes", "always, interval, never"},
		{"log.cleanup.policy=drop", "\"drop\" is not delete or compact"},
		{"listeners.X.listen=9092", "write host:port"},
		{"listeners.X.listen=::1:9092", "write host:port"},
		{"listeners.X.listen=h:70000", "write host:port"},
		{"listeners.X.listen=0.0.0.0:9093", "listeners.X.advertised: is required"},
		{"listeners.X.protocol=SSL", "listeners.X"},
		{"listeners.PLAINTEXT.advertised=h", "is not host:port"},
		{"listeners.PLAINTEXT.protocol=SSL", "SSL needs a certificate"},
		{"listeners.PLAINTEXT.tls.client_auth=required", "write SSL"},
		{"listeners.Y.listen=127.0.0.1:9092", "PLAINTEXT listens there, too"},
		{"group.min.session.timeout.ms=1 h", "larger than the maximum"},
		{"listeners.PLAINTEXT.tls.cert=/does/not/exist", "/does/not/exist"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct broker_config_source src = {.data = "d",
							 .listen = "127.0.0.1:9092",
							 .sets = &cases[i].set,
							 .sets_n = 1};
		struct load l;
		load(&l, &src);
		assert_int_equal(l.e, ERR_CONFIG);
		if (strstr(l.why.text, cases[i].text) == NULL &&
		    strstr(l.faults, cases[i].text) == NULL)
			fail_msg("%s: %s\n%s", cases[i].set, l.why.text, l.faults);
		done(&l);
	}
}

static void what_must_be_given_is_asked_for(void **state)
{
	(void)state;
	const struct broker_config_source none = {.data = NULL};
	const struct broker_config_source bad = {
		.data = "d", .listen = "h:1", .file = file_of("one\ntwo = \n= 3\n")};
	const struct broker_config_source gone = {.file = "/does/not/exist"};
	struct load l;
	load(&l, &none);
	assert_int_equal(l.e, ERR_CONFIG);
	assert_non_null(strstr(l.faults, "--data DIR"));
	assert_non_null(strstr(l.faults, "--listen HOST:PORT"));
	done(&l);
	load(&l, &bad);
	unlink(bad.file);
	assert_int_equal(l.e, ERR_CONFIG);
	assert_non_null(strstr(l.faults, ":1: write NAME = VALUE"));
	assert_non_null(strstr(l.faults, ":2: two: unknown setting"));
	assert_non_null(strstr(l.faults, ":3: not the name of a setting"));
	done(&l);
	load(&l, &gone);
	assert_int_equal(l.e, ERR_IO);
	done(&l);
}

int main(int argc, char **argv)
{
	int code;
	if (made_files_write(made, MADE, argc, argv, &code))
		return code;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_in_step_with_the_table),
		cmocka_unit_test(two_options_are_enough),
		cmocka_unit_test(the_sample_runs_as_it_is_and_shows_the_defaults),
		cmocka_unit_test(the_command_line_wins_over_the_file),
		cmocka_unit_test(faults_name_the_place),
		cmocka_unit_test(what_must_be_given_is_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
