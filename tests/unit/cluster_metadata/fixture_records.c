/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture_records.h. */
#include "fixture_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void parse(const char *line, struct fixture_record *r)
{
	char hex[2049];
	long long offset;

	if (sscanf(line, "%39s %lld %2048s", r->kind, &offset, hex) != 3)
		abort();
	r->offset = offset;
	r->n = strlen(hex) / 2;
	for (size_t i = 0; i < r->n; i++)
		r->value[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
}

size_t fixture_records_load(const char *path, struct fixture_record out[FIXTURE_RECORDS_MAX])
{
	char line[4096];
	size_t n = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while (n < FIXTURE_RECORDS_MAX && fgets(line, sizeof line, f) != NULL)
		if (line[0] != '#')
			parse(line, &out[n++]);
	fclose(f);
	return n;
}
