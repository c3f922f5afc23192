/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_metadata_replay from tests/fixtures/metadata-records.txt: all
 * records in a row (the broker epoch made to fit), and each alone. Usage: metadata_seeds
 * FIXTURE FOLDER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_records.h"
#include "lib/base/bytes.h"

/* Offsets count from 0 here: patch the epoch, which is the record's offset as 8 bytes. */
static void patch_epoch(struct fixture_record *r, uint64_t epoch)
{
	static const uint8_t twelve[8] = {0, 0, 0, 0, 0, 0, 0, 12};

	for (size_t i = 0; i + 8 <= r->n; i++)
		if (memcmp(r->value + i, twelve, 8) == 0)
			be64_put(r->value + i, epoch);
}

static void put(FILE *f, const struct fixture_record *r)
{
	uint8_t head[2];

	be16_put(head, (uint16_t)r->n);
	fwrite(head, 1, 2, f);
	fwrite(r->value, 1, r->n, f);
}

static FILE *open_seed(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f == NULL) {
		perror(path);
		exit(1);
	}
	return f;
}

int main(int argc, char **argv)
{
	static struct fixture_record records[FIXTURE_RECORDS_MAX];

	if (argc != 3)
		return 2;
	size_t n = fixture_records_load(argv[1], records);
	uint64_t epoch = 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(records[i].kind, "REGISTER_BROKER") == 0)
			epoch = i;
	FILE *all = open_seed(argv[2], "all");
	for (size_t i = 0; i < n; i++) {
		char name[64];
		snprintf(name, sizeof name, "%02zu-%s", i, records[i].kind);
		patch_epoch(&records[i], epoch);
		put(all, &records[i]);
		FILE *one = open_seed(argv[2], name);
		put(one, &records[i]);
		fclose(one);
	}
	fclose(all);
	return 0;
}
