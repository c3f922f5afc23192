/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every file of the folders named on the command line through LLVMFuzzerTestOneInput: the fuzz
 * targets as ordinary tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return 0;
	static uint8_t data[1 << 20];
	size_t n = fread(data, 1, sizeof data, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	return 1;
}

int main(int argc, char **argv)
{
	int files = 0;
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		if (dir == NULL) {
			fprintf(stderr, "%s: cannot open the seed folder\n", argv[i]);
			return 1;
		}
		struct dirent *e;
		while ((e = readdir(dir)) != NULL) {
			char path[4096];
			snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
			if (e->d_name[0] != '.')
				files += replay_file(path);
		}
		closedir(dir);
	}
	printf("%d seeds\n", files);
	return files == 0;
}
