/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_batch: each batch of tests/fixtures/batches.txt as a file, and a few
 * record sets of several. Usage: batch_seeds FOLDER */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/wire/batch_model.h"

static void write_seed(const char *folder, size_t number, const struct fixture_batch *b, size_t n)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%03zu-%s", folder, number, b->name);
	FILE *f = fopen(path, "wb");
	if (f == NULL) {
		perror(path);
		exit(1);
	}
	fputc(n == 1 ? 255 : 30, f);
	fputc(number % 3 == 0 ? (int)number : 0, f);
	for (; n > 0; b++, n--)
		fwrite(b->whole.p, 1, b->whole.n, f);
	fclose(f);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	struct fixtures f = fixtures_load();
	for (size_t i = 0; i < f.n; i++) {
		write_seed(argv[1], 2 * i, &f.v[i], 1);
		write_seed(argv[1], 2 * i + 1, &f.v[i], f.n - i < 5 ? f.n - i : 5);
	}
	fixtures_free(&f);
	return 0;
}
