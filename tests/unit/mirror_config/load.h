/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a configuration from text in a test, and keeps what was said. */
#ifndef FARSHORE_TESTS_LOAD_H
#define FARSHORE_TESTS_LOAD_H

#include "mirror/config/config.h"

struct load {
	char dir[64];
	char file[128]; /* in dir */
	bool mm2;
	const char *sets[8];    /* ends with NULL */
	const char *targets[4]; /* ends with NULL */
	struct mirror_config c;
	enum err e;
	char said[32768]; /* warnings and errors, then why */
	char dumped[65536];
};

/* A new folder for files; the text of a test may name it with @ for the folder. */
void load_init(struct load *l, bool mm2);
void load_fini(struct load *l);

/* Write `text` with each "@/" replaced by the folder. Returns a path that lives as long as `l`. */
void load_file(struct load *l, const char *name, const char *text);

/* Load `text`; may be called again. */
void load_run(struct load *l, const char *text);

/* Load and require success or ERR_CONFIG. */
void load_ok(struct load *l, const char *text);
void load_bad(struct load *l, const char *text);

/* A text that has or has not been said (or dumped). */
void load_said(const struct load *l, const char *text);
void load_not_said(const struct load *l, const char *text);

#endif
