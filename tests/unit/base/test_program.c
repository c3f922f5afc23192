/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemons' command lines have in common: options taken, refused or answered, and exit
 * codes. What is printed goes into a file in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/base/program.h"

static void describe(FILE *out)
{
	fputs("all settings\n", out);
}

static const struct program program = {"some-daemon", "how to use it\n", describe};

/* ---- what is printed ---- */

struct capture {
	FILE *stream;
	int kept, file;
	char text[512];
};

static void capture_begin(struct capture *c, FILE *stream)
{
	fflush(stream);
	*c = (struct capture){.stream = stream, .kept = dup(fileno(stream))};
	c->file = memfd_create("printed", 0);
	assert_true(c->kept >= 0 && c->file >= 0);
	assert_true(dup2(c->file, fileno(stream)) >= 0);
}

static const char *capture_end(struct capture *c)
{
	fflush(c->stream);
	assert_true(dup2(c->kept, fileno(c->stream)) >= 0);
	assert_true(pread(c->file, c->text, sizeof c->text - 1, 0) >= 0);
	close(c->kept);
	close(c->file);
	return c->text;
}

/* ---- tests ---- */

static const struct option options[] = {PROGRAM_OPTIONS, {NULL, 0, NULL, 0}};

/* As the daemons do it. */
static int parse(struct program_options *o, int argc, char **argv)
{
	int opt, code = PROGRAM_GO_ON;
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while (code == PROGRAM_GO_ON && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		code = program_take_option(&program, o, opt);
	return code;
}

static void options_are_taken(void **state)
{
	(void)state;
	char *argv[] = {"some-daemon", "--set", "a=1", "--check-config", "--set", "b=2", NULL};
	struct program_options o = {.sets_n = 0};
	assert_int_equal(parse(&o, 6, argv), PROGRAM_GO_ON);
	assert_true(o.check);
	assert_int_equal(o.sets_n, 2);
	assert_string_equal(o.sets[0], "a=1");
	assert_string_equal(o.sets[1], "b=2");
}

static void questions_are_answered(void **state)
{
	(void)state;
	static const struct {
		char *option;
		const char *answer;
	} cases[] = {
		{"--help", "how to use it\n"},
		{"--help-config", "all settings\n"},
		{"--version", "some-daemon " FARSHORE_VERSION "\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		/* What comes after it does not count. */
		char *argv[] = {"some-daemon", cases[i].option, "--no-such", NULL};
		struct program_options o = {.sets_n = 0};
		struct capture c;
		capture_begin(&c, stdout);
		int code = parse(&o, 3, argv);
		assert_string_equal(capture_end(&c), cases[i].answer);
		assert_int_equal(code, EXIT_SUCCESS);
	}
}

static void wrong_options_are_refused(void **state)
{
	(void)state;
	char *argv[] = {"some-daemon", "--no-such", NULL};
	struct program_options o = {.sets_n = PROGRAM_SETS_MAX - 1};
	struct capture c;
	capture_begin(&c, stderr);
	int code = parse(&o, 2, argv);
	assert_string_equal(capture_end(&c),
			    "some-daemon: unknown option; see some-daemon --help\n");
	assert_int_equal(code, PROGRAM_EXIT_CONFIG);

	char *too_many[] = {"some-daemon", "--set", "a=1", "--set", "b=2", NULL};
	capture_begin(&c, stderr);
	code = parse(&o, 5, too_many);
	assert_string_equal(capture_end(&c),
			    "some-daemon: too many --set; see some-daemon --help\n");
	assert_int_equal(code, PROGRAM_EXIT_CONFIG);
	assert_int_equal(o.sets_n, PROGRAM_SETS_MAX);
}

static void the_end_is_logged(void **state)
{
	(void)state;
	static const struct {
		enum err e;
		int code;
		const char *line;
	} cases[] = {
		{ERR_OK, EXIT_SUCCESS, "event=stopped code=0"},
		{ERR_CONFIG, PROGRAM_EXIT_CONFIG, "event=cannot_run error=CONFIG reason=because"},
		{ERR_IO, EXIT_FAILURE, "event=cannot_run error=IO reason=because"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct errmsg why = {"because"};
		struct capture c;
		capture_begin(&c, stderr);
		struct log *log = program_log_new(&program, "info");
		assert_non_null(log);
		log_event(log, LOG_DEBUG, "not_this", LOG_I("n", 1));
		int code = program_log_end(log, cases[i].e, &why);
		const char *text = capture_end(&c);
		assert_non_null(strstr(text, cases[i].line));
		assert_null(strstr(text, "not_this"));
		assert_int_equal(code, cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_taken),
		cmocka_unit_test(questions_are_answered),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(the_end_is_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
