/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the repository that are made from a table of the program: a test holds them against it,
 * and makes them anew with --write. */
#ifndef FARSHORE_TESTS_UNIT_MADE_FILE_H
#define FARSHORE_TESTS_UNIT_MADE_FILE_H

#include <stdio.h>

#include "tests/unit/base/unit.h"

struct made_file {
	const char *file;
	void (*make)(FILE *out);
};

/* What is in a file, "" if there is none; to be freed. */
static inline char *made_file_read(const char *file)
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

/* The files are in step; `test` is what writes them. */
static inline void made_files_check(const struct made_file *made, size_t n, const char *test)
{
	for (size_t i = 0; i < n; i++) {
		char *text, *file = made_file_read(made[i].file);
		size_t size;
		FILE *out = open_memstream(&text, &size);
		assert_non_null(out);
		made[i].make(out);
		fclose(out);
		if (strcmp(text, file) != 0)
			fail_msg("%s is out of step; run %s --write", made[i].file, test);
		free(text);
		free(file);
	}
}

/* For main: with the argument --write the files are written, and `*code` is set. */
static inline bool made_files_write(const struct made_file *made, size_t n, int argc, char **argv,
				    int *code)
{
	if (argc != 2 || strcmp(argv[1], "--write") != 0)
		return false;
	*code = 0;
	for (size_t i = 0; i < n && *code == 0; i++) {
		FILE *out = fopen(made[i].file, "w");
		if (out == NULL) {
			perror(made[i].file);
			*code = 1;
			break;
		}
		made[i].make(out);
		fclose(out);
	}
	return true;
}

#endif
