/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configs/farshore-mirror.conf and docs/configuration.md are made from the tables. This test fails
 * when they are not what the tables say; "test_config_docs --write" writes them anew.
 */
#include "tests/unit/base/unit.h"

#include "tests/unit/mirror_config/load.h"

static const struct {
	const char *file;
	void (*make)(FILE *out);
} made[] = {
	{SOURCE_DIR "/configs/farshore-mirror.conf", mirror_config_describe},
	{SOURCE_DIR "/docs/configuration.md", mirror_config_manual},
};

static char *read_all(const char *file)
{
	char *text;
	size_t n;
	FILE *in = fopen(file, "r"), *out = open_memstream(&text, &n);
	assert_non_null(out);
	for (int c; in != NULL && (c = getc(in)) != EOF;)
		putc(c, out);
	if (in != NULL)
		fclose(in);
	fclose(out);
	return text;
}

static void files_are_in_step_with_the_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		char *text, *file = read_all(made[i].file);
		size_t n;
		FILE *out = open_memstream(&text, &n);
		made[i].make(out);
		fclose(out);
		if (strcmp(text, file) != 0)
			fail_msg("%s is out of step; run test_config_docs --write", made[i].file);
		free(text);
		free(file);
	}
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
	char *file = read_all(SOURCE_DIR "/configs/farshore-mirror.conf"), *live;
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
	if (argc == 2 && strcmp(argv[1], "--write") == 0) {
		for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
			FILE *out = fopen(made[i].file, "w");
			if (out == NULL) {
				perror(made[i].file);
				return 1;
			}
			made[i].make(out);
			fclose(out);
		}
		return 0;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_in_step_with_the_tables),
		cmocka_unit_test(the_samples_run_as_they_are),
		cmocka_unit_test(the_sample_shows_the_defaults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
