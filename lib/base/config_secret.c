/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer that a secret was read into is wiped; the copy in the arena is wiped by config_wipe.
 */
#include "lib/base/config_secret.h"

#include <stdlib.h>

#include "lib/base/config_file.h"

enum err config_secret_resolve(struct arena *a, const char *value, const char **out,
			       struct errmsg *why)
{
	static const char prefix[] = "${env:";
	size_t n = strlen(value), skip = sizeof prefix - 1;
	*out = value;
	if (n < skip || strncmp(value, prefix, skip) != 0 || value[n - 1] != '}')
		return ERR_OK;
	char *name = arena_strndup(a, bytes_of(value + skip, n - skip - 1));
	if (name == NULL)
		return ERR_NOMEM;
	const char *v = getenv(name);
	if (v == NULL || *v == '\0')
		return errmsg_set(why, ERR_CONFIG, "the environment variable %s is %s", name,
				  v == NULL ? "not set" : "empty");
	if (strlen(v) > CONFIG_SECRET_MAX)
		return errmsg_set(why, ERR_CONFIG, "the environment variable %s is too long", name);
	*out = arena_strndup(a, bytes_str(v));
	return *out == NULL ? ERR_NOMEM : ERR_OK;
}

enum err config_secret_read(struct arena *a, const char *file, const char **out, struct errmsg *why)
{
	struct buf text;
	buf_init(&text, CONFIG_SECRET_MAX);
	enum err e = config_file_read(file, &text, why);
	if (e != ERR_OK) {
		e = e == ERR_NOMEM ? e : ERR_CONFIG;
		goto out;
	}
	size_t n = 0;
	while (n < text.len && text.p[n] != '\n' && text.p[n] != '\r')
		n++;
	if (n == 0) {
		e = errmsg_set(why, ERR_CONFIG, "%s: the first line is empty", file);
		goto out;
	}
	*out = arena_strndup(a, bytes_of(text.p, n));
	e = *out == NULL ? ERR_NOMEM : ERR_OK;
out:
	if (text.cap > 0)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return e;
}
