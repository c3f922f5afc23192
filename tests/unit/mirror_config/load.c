/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mirror_config/load.h"

#include <stdlib.h>

#include "tests/unit/base/unit.h"

void load_init(struct load *l, bool mm2)
{
	memset(l, 0, sizeof *l);
	snprintf(l->dir, sizeof l->dir, "/tmp/farshore-load-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	snprintf(l->file, sizeof l->file, "%s/%s", l->dir, mm2 ? "mm2.properties" : "native.conf");
	l->mm2 = mm2;
	l->e = ERR_NOT_FOUND;
}

static void forget(struct load *l)
{
	if (l->e == ERR_OK)
		mirror_config_fini(&l->c);
	l->e = ERR_NOT_FOUND;
}

void load_fini(struct load *l)
{
	char command[128];
	forget(l);
	snprintf(command, sizeof command, "rm -rf '%s'", l->dir);
	assert_int_equal(system(command), 0);
}

void load_file(struct load *l, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", l->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (; *text != '\0'; text++) {
		if (text[0] == '@' && text[1] == '/')
			fputs(l->dir, f);
		else
			putc(*text, f);
	}
	fclose(f);
}

static size_t count(const char *const *list)
{
	size_t n = 0;
	while (list[n] != NULL)
		n++;
	return n;
}

void load_run(struct load *l, const char *text)
{
	struct errmsg why = {{0}};
	char *lines;
	size_t n;
	forget(l);
	load_file(l, strrchr(l->file, '/') + 1, text);
	const struct config_source src = {.file = l->file,
					  .mm2 = l->mm2,
					  .sets = l->sets,
					  .sets_n = count(l->sets),
					  .only_targets = l->targets,
					  .only_targets_n = count(l->targets)};
	FILE *out = open_memstream(&lines, &n);
	l->e = mirror_config_load(&src, &l->c, out, &why);
	fclose(out);
	snprintf(l->said, sizeof l->said, "%s%s%s", lines, l->e == ERR_OK ? "" : "WHY ", why.text);
	free(lines);
	l->dumped[0] = '\0';
	if (l->e == ERR_OK) {
		out = fmemopen(l->dumped, sizeof l->dumped, "w");
		mirror_config_dump(&l->c, out);
		fclose(out);
	}
}

void load_ok(struct load *l, const char *text)
{
	load_run(l, text);
	if (l->e != ERR_OK)
		fail_msg("%s", l->said);
}

void load_bad(struct load *l, const char *text)
{
	load_run(l, text);
	if (l->e != ERR_CONFIG)
		fail_msg("%s: %s", err_name(l->e), l->said);
}

void load_said(const struct load *l, const char *text)
{
	if (strstr(l->said, text) == NULL && strstr(l->dumped, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, l->said);
}

void load_not_said(const struct load *l, const char *text)
{
	if (strstr(l->said, text) != NULL || strstr(l->dumped, text) != NULL)
		fail_msg("\"%s\" is in: %s\n%s", text, l->said, l->dumped);
}
