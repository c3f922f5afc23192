/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what is taken, what is refused and in which words; the manual is in step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/options.h"

enum { WORDS_MAX = 16 };

/* Parse words separated by blanks; the words live in `line`. */
static enum err parse(char *line, struct options *o, struct errmsg *why)
{
	static char *argv[WORDS_MAX + 1];
	static char name[] = "farshore";
	int argc = 0;
	argv[argc++] = name;
	for (char *at = line; *at != '\0' && argc < WORDS_MAX;) {
		argv[argc++] = at;
		at += strcspn(at, " ");
		if (*at != '\0')
			*at++ = '\0';
	}
	argv[argc] = NULL;
	*why = (struct errmsg){""};
	return options_parse(argc, argv, o, why);
}

/* Must be taken; the words live until the next call. */
static struct options take(const char *text)
{
	static char line[256];
	struct options o;
	struct errmsg why;
	snprintf(line, sizeof line, "%s", text);
	if (parse(line, &o, &why) != ERR_OK)
		fail_msg("%s: %s", text, why.text);
	return o;
}

static void commands_are_taken(void **state)
{
	(void)state;
	struct options o = take("translate orders 3 100 9223372036854775807");
	assert_int_equal(o.command, COMMAND_TRANSLATE);
	assert_string_equal(o.topic, "orders");
	assert_int_equal(o.partition, 3);
	assert_int_equal(o.offsets_n, 2);
	assert_int_equal(options_offset(&o, 0), 100);
	assert_int_equal(options_offset(&o, 1), INT64_MAX);
	assert_null(o.url);
	assert_int_equal(o.timeout_ms, 10000);
	assert_false(o.back || o.json || o.all);

	o = take("--back translate --link a->b orders --json 0 1 --timeout 3");
	assert_true(o.back && o.json);
	assert_string_equal(o.link, "a->b");
	assert_int_equal(o.timeout_ms, 3000);
	assert_int_equal(options_offset(&o, 0), 1);

	o = take("translate --group g --mm2 f --direct --set a=1 --set b=2");
	assert_string_equal(o.group, "g");
	assert_string_equal(o.config_file, "f");
	assert_true(o.mm2 && o.direct);
	assert_int_equal(o.sets_n, 2);
	assert_string_equal(o.sets[1], "b=2");
	assert_int_equal(o.offsets_n, 0);

	o = take("link status a->b --all --watch");
	assert_int_equal(o.command, COMMAND_LINK_STATUS);
	assert_string_equal(o.link, "a->b");
	assert_int_equal(o.watch_ms, 2000);

	o = take("lag --topic t --watch=7 --url http://h:1");
	assert_int_equal(o.command, COMMAND_LAG);
	assert_string_equal(o.topic, "t");
	assert_string_equal(o.url, "http://h:1");
	assert_int_equal(o.watch_ms, 7000);

	o = take("groups --all");
	assert_int_equal(o.command, COMMAND_GROUPS);
	assert_null(o.group);
	assert_string_equal(take("groups billing --json").group, "billing");

	assert_int_equal(take("nonsense --help").command, COMMAND_HELP);
	assert_int_equal(take("--version").command, COMMAND_VERSION);
}

static void mistakes_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *line, *word;
	} cases[] = {
		{"", "say what to do"},
		{"nonsense", "nonsense"},
		{"link", "link"},
		{"link list", "link"},
		{"translate", "TOPIC PARTITION OFFSET"},
		{"translate t 0", "TOPIC PARTITION OFFSET"},
		{"translate t -- -1 0", "PARTITION"},
		{"translate t 2147483648 0", "2147483648"},
		{"translate t 0 9223372036854775808", "9223372036854775808"},
		{"translate t 0 1 2x", "2x"},
		{"translate t 0 -- -5", "-5"},
		{"translate t 0 5 --all", "--all"},
		{"translate t 0 1 --group g", "--group GROUP"},
		{"translate t 0 1 --direct", "--direct needs"},
		{"translate t 0 1 --set a=b", "--set needs"},
		{"translate t 0 1 --mm2 f --config g", "one of --config and --mm2"},
		{"lag --direct --mm2 f", "--direct has no meaning"},
		{"lag --group g", "--group has no meaning"},
		{"lag more", "farshore lag"},
		{"lag --back", "--back"},
		{"lag --timeout 0", "--timeout"},
		{"lag --timeout 3601", "3601"},
		{"lag --watch=x", "--watch"},
		{"lag --url", "--url needs a value"},
		{"lag --nonsense", "--nonsense"},
		{"groups a b", "groups"},
		{"groups --topic t", "--topic"},
		{"link status a b", "link status"},
		{"link status --topic t", "--topic"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char line[128];
		struct options o;
		struct errmsg why;
		snprintf(line, sizeof line, "%s", cases[i].line);
		if (parse(line, &o, &why) != ERR_CONFIG || strstr(why.text, cases[i].word) == NULL)
			fail_msg("\"%s\": %s", cases[i].line, why.text);
	}
}

static char *written(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	assert_non_null(f);
	print(f);
	fclose(f);
	return text;
}

static void help_fits_the_screen(void **state)
{
	(void)state;
	char *text = written(options_help);
	for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
		assert_in_range(strcspn(at, "\n"), 0, 80);
	assert_non_null(strstr(text, "link status [LINK]"));
	free(text);
}

/* docs/farshore.1 is what `farshore --manual` prints. */
static void manual_is_in_step(void **state)
{
	(void)state;
	static char stored[64 << 10];
	FILE *f = fopen(SOURCE_DIR "/docs/farshore.1", "rb");
	assert_non_null(f);
	stored[fread(stored, 1, sizeof stored - 1, f)] = '\0';
	fclose(f);
	char *text = written(options_manual);
	if (strcmp(text, stored) != 0)
		fail_msg("write it anew: farshore --manual > docs/farshore.1");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_taken),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(help_fits_the_screen),
		cmocka_unit_test(manual_is_in_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
