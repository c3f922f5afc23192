/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's config providers: ${file:/path:key}, ${dir:/path:file}, ${env:NAME}. */
#ifndef FARSHORE_MIRROR_MM2_PROVIDER_H
#define FARSHORE_MIRROR_MM2_PROVIDER_H

#include "mirror/config/mm2_properties.h"

enum mm2_provider_kind { MM2_PROVIDER_FILE, MM2_PROVIDER_DIRECTORY, MM2_PROVIDER_ENV };

struct mm2_provider {
	const char *name;
	enum mm2_provider_kind kind;
	const char *const *paths; /* allowed.paths, absolute; paths_n == 0: all */
	size_t paths_n;
	const char *pattern; /* allowlist.pattern of ENV; NULL: all */
};

enum { MM2_PROVIDERS_MAX = 16 };

struct mm2_providers {
	struct mm2_provider items[MM2_PROVIDERS_MAX];
	size_t n;
};

/*
 * Read config.providers and config.providers.NAME.* from a file's properties. ERR_CONFIG: a class
 * other than Kafka's three; `why` begins with the line. ERR_NOMEM.
 */
enum err mm2_provider_load(const struct mm2_properties *p, struct arena *a,
			   struct mm2_providers *out, struct errmsg *why) ERR_MUST_USE;

/*
 * Replace each ${provider:[path:]key} of a value. `*out` is `value` itself if there is none. What a
 * provider gives is not looked at again. ERR_CONFIG: a provider that was not declared, a file or
 * variable that is not there or not allowed; `why` names it, never what is in it. ERR_NOMEM.
 */
enum err mm2_provider_expand(const struct mm2_providers *p, const char *value, struct arena *a,
			     const char **out, struct errmsg *why) ERR_MUST_USE;

#endif
