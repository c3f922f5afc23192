/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configs/farshore-mirror.conf and docs/configuration.md are made from the tables. This test fails
 * when they are not what the tables say; "test_config_docs --write" writes them anew.
 */
#include "tests/unit/base/made_file.h"

#include "tests/unit/mirror_config/load.h"

static const struct made_file made[] = {
	{SOURCE_DIR "/configs/farshore-mirror.conf", mirror_config_describe},
	{SOURCE_DIR "/docs/configuration.md", mirror_config_manual},
};

enum { MADE = sizeof made / sizeof *made };

static void files_are_in_step_with_the_tables(void **state)
{
	(void)state;
	made_files_check(made, MADE, "test_config_docs");
}

static void load_sample(const char *file, bool mm2, const char *link)
{
	const struct config_source src = {.file = file, .mm2 = mm2};
	struct mirror_config c;
	struct errmsg why = {{0}};
	if (mirror_config_load(&src, &c, stdout, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(c.links_n, 1);
	assert_string_equal(c.links[0].name, link);
	mirror_config_fini(&c);
}

static void the_samples_run_as_they_are(void **state)
{
	(void)state;
	load_sample(SOURCE_DIR "/configs/farshore-mirror.conf", false, "east->west");
	load_sample(SOURCE_DIR "/configs/mm2.properties", true, "primary->backup");
}

/* Makes the line `# key = value;` live, unless its value only stands for "not set". */
static void put_live(FILE *out, const char *line, size_t n)
{
	size_t blank = strspn(line, "\t");
	bool setting = n > blank + 3 && line[blank] == '#' &&
		       memchr(line, ';', n) == line + n - 1 && memmem(line, n, " = ", 3) != NULL;
	bool unset = memmem(line, n, "/path/to/file", 13) != NULL ||
		     memmem(line, n, "${env:", 6) != NULL ||
		     (memmem(line, n, " = \"\";", 6) != NULL);
	if (setting && !unset)
		fprintf(out, "%.*s\n", (int)(n - blank - 2), line + blank + 2);
	else
		fprintf(out, "%.*s\n", (int)n, line);
}

static void the_sample_shows_the_defaults(void **state)
{
	(void)state;
	struct load *l = malloc(sizeof *l);
	load_init(l, false);
	char *file = made_file_read(SOURCE_DIR "/configs/farshore-mirror.conf"), *live;
	size_t n;
	load_ok(l, file);
	char *before = strdup(l->dumped);
	FILE *out = open_memstream(&live, &n);
	for (const char *p = file; *p != '\0';) {
		size_t len = strcspn(p, "\n");
		put_live(out, p, len);
		p += len + (p[len] == '\n');
	}
	fclose(out);
	assert_non_null(strstr(live, "\nmax_in_flight = 64;"));
	load_ok(l, live);
	assert_string_equal(l->dumped, before);
	free(before);
	free(live);
	free(file);
	load_fini(l);
	free(l);
}

int main(int argc, char **argv)
{
	int code;
	if (made_files_write(made, MADE, argc, argv, &code))
		return code;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_in_step_with_the_tables),
		cmocka_unit_test(the_samples_run_as_they_are),
		cmocka_unit_test(the_sample_shows_the_defaults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
