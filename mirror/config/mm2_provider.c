/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigTransformer with FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider
 * (Kafka 4.1, clients/.../common/config). One difference: where Kafka leaves a variable in place
 * that it cannot resolve, and a broker then refuses the strange password, this is an error.
 */
#include "mirror/config/mm2_provider.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/config_file.h"
#include "lib/base/config_secret.h"
#include "lib/base/config_value.h"
#include "mirror/config/naming.h"

enum { NAME_MAX_BYTES = 200, VALUE_MAX = 1024 * 1024 };

static const struct {
	const char *name;
	enum mm2_provider_kind kind;
} classes[] = {
	{"org.apache.kafka.common.config.provider.FileConfigProvider", MM2_PROVIDER_FILE},
	{"org.apache.kafka.common.config.provider.DirectoryConfigProvider", MM2_PROVIDER_DIRECTORY},
	{"org.apache.kafka.common.config.provider.EnvVarConfigProvider", MM2_PROVIDER_ENV},
};
enum { CLASSES = sizeof classes / sizeof *classes };

static const struct mm2_property *param(const struct mm2_properties *p, const char *name,
					const char *what)
{
	char key[NAME_MAX_BYTES + 64];
	snprintf(key, sizeof key, "config.providers.%.*s.%s", NAME_MAX_BYTES, name, what);
	return mm2_properties_find(p, key);
}

static enum err load_one(const struct mm2_properties *p, const char *name, struct arena *a,
			 struct mm2_provider *out, struct errmsg *why)
{
	const struct mm2_property *class = param(p, name, "class");
	const struct mm2_property *paths = param(p, name, "param.allowed.paths");
	const struct mm2_property *pattern = param(p, name, "param.allowlist.pattern");
	size_t k = 0;
	while (k < CLASSES && strcmp(classes[k].name, class->value) != 0)
		k++;
	if (k == CLASSES)
		return errmsg_set(why, ERR_CONFIG,
				  "%u: config.providers.%s.class: %s is not available; "
				  "FileConfigProvider, DirectoryConfigProvider and "
				  "EnvVarConfigProvider are",
				  class->line, name, class->value);
	*out = (struct mm2_provider){.name = name, .kind = classes[k].kind};
	if (pattern != NULL)
		out->pattern = pattern->value;
	if (paths == NULL)
		return ERR_OK;
	if (!config_value_split(a, paths->value, &out->paths, &out->paths_n))
		return ERR_NOMEM;
	for (size_t i = 0; i < out->paths_n; i++)
		if (out->paths[i][0] != '/')
			return errmsg_set(why, ERR_CONFIG,
					  "%u: config.providers.%s.param.allowed.paths: %s is not "
					  "an absolute path",
					  paths->line, name, out->paths[i]);
	return ERR_OK;
}

enum err mm2_provider_load(const struct mm2_properties *p, struct arena *a,
			   struct mm2_providers *out, struct errmsg *why)
{
	const struct mm2_property *list = mm2_properties_find(p, "config.providers");
	const char *const *names;
	size_t n;
	out->n = 0;
	if (list == NULL)
		return ERR_OK;
	if (!config_value_split(a, list->value, &names, &n))
		return ERR_NOMEM;
	if (n > MM2_PROVIDERS_MAX)
		return errmsg_set(why, ERR_CONFIG, "%u: config.providers: more than %d", list->line,
				  MM2_PROVIDERS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (param(p, names[i], "class") == NULL)
			return errmsg_set(why, ERR_CONFIG,
					  "%u: config.providers.%s.class is not set", list->line,
					  names[i]);
		enum err e = load_one(p, names[i], a, &out->items[i], why);
		if (e != ERR_OK)
			return e;
		out->n++;
	}
	return ERR_OK;
}

/* Path.normalize: "." and ".." go, without a look at the file system. NULL: out of memory. */
static const char *normalize(struct arena *a, const char *path)
{
	char *out = arena_zalloc(a, strlen(path) + 2, 1);
	size_t n = 0;
	if (out == NULL)
		return NULL;
	while (*path != '\0') {
		size_t len = strcspn(path, "/");
		bool up = len == 2 && path[0] == '.' && path[1] == '.';
		if (up) {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len + (path[len] == '/');
	}
	out[n] = '\0';
	return out;
}

/* AllowedPaths: by whole components, so that /etc/kafka does not allow /etc/kafka-old. */
static enum err check_allowed(const struct mm2_provider *p, struct arena *a, const char **path,
			      struct errmsg *why)
{
	if (p->paths_n == 0)
		return ERR_OK;
	const char *clean = normalize(a, *path);
	if (clean == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->paths_n; i++) {
		const char *allowed = normalize(a, p->paths[i]);
		if (allowed == NULL)
			return ERR_NOMEM;
		size_t n = strlen(allowed);
		if ((*path)[0] == '/' && strncmp(clean, allowed, n) == 0 &&
		    (clean[n] == '\0' || clean[n] == '/')) {
			*path = clean;
			return ERR_OK;
		}
	}
	return errmsg_set(why, ERR_CONFIG, "provider %s: %s is not in allowed.paths", p->name,
			  *path);
}

static enum err from_file(const char *path, const char *key, struct arena *a, const char **out,
			  struct errmsg *why)
{
	struct buf text;
	struct mm2_properties props;
	struct errmsg detail = {{0}};
	buf_init(&text, VALUE_MAX);
	enum err e = config_file_read(path, &text, why);
	if (e != ERR_OK) {
		e = e == ERR_NOMEM ? e : ERR_CONFIG;
		goto out;
	}
	e = mm2_properties_parse(buf_bytes(&text), MM2_UTF8, a, &props, &detail);
	if (e != ERR_OK) {
		e = errmsg_set(why, e == ERR_NOMEM ? e : ERR_CONFIG, "%s: %s", path, detail.text);
		goto out;
	}
	const struct mm2_property *p = mm2_properties_find(&props, key);
	if (p == NULL)
		e = errmsg_set(why, ERR_CONFIG, "%s: there is no key %s in it", path, key);
	else
		*out = p->value;
out:
	if (text.cap > 0)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return e;
}

/* The whole file, line ends included, as Kafka does; what reads the value trims it. */
static enum err from_directory(const char *path, const char *key, struct arena *a, const char **out,
			       struct errmsg *why)
{
	struct buf file, text;
	buf_init(&file, 4096);
	buf_init(&text, CONFIG_SECRET_MAX);
	buf_printf(&file, "%s/%s", path, key);
	buf_put_u8(&file, '\0');
	enum err e = file.err;
	if (e != ERR_OK) {
		e = errmsg_set(why, ERR_CONFIG, "the path is too long");
		goto out;
	}
	if (strchr(key, '/') != NULL || strcmp(key, "..") == 0) {
		e = errmsg_set(why, ERR_CONFIG, "%s is not the name of a file in %s", key, path);
		goto out;
	}
	e = config_file_read((const char *)file.p, &text, why);
	if (e != ERR_OK) {
		e = e == ERR_NOMEM ? e : ERR_CONFIG;
		goto out;
	}
	*out = arena_strndup(a, buf_bytes(&text));
	e = *out == NULL ? ERR_NOMEM : ERR_OK;
out:
	if (text.cap > 0)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	buf_fini(&file);
	return e;
}

static enum err from_env(const struct mm2_provider *p, const char *key, const char **out,
			 struct errmsg *why)
{
	if (p->pattern != NULL) {
		struct topic_filter *f;
		enum err e = topic_filter_new(p->pattern, "", &f, why);
		if (e != ERR_OK)
			return errmsg_wrap(why, e, "provider %s: allowlist.pattern", p->name);
		bool ok = topic_filter_match(f, key);
		topic_filter_free(f);
		if (!ok)
			return errmsg_set(why, ERR_CONFIG,
					  "provider %s: %s does not match allowlist.pattern",
					  p->name, key);
	}
	*out = getenv(key);
	if (*out == NULL)
		return errmsg_set(why, ERR_CONFIG, "the environment variable %s is not set", key);
	return ERR_OK;
}

/* `variable` is what stands between the braces: provider:[path:]key. */
static enum err look_up(const struct mm2_providers *all, char *variable, struct arena *a,
			const char **out, struct errmsg *why)
{
	char *colon = strchr(variable, ':');
	*colon = '\0';
	char *path = colon + 1;
	char *key = strchr(path, ':');
	if (key != NULL)
		*key++ = '\0';
	const struct mm2_provider *p = NULL;
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->items[i].name, variable) == 0)
			p = &all->items[i];
	if (p == NULL)
		return errmsg_set(why, ERR_CONFIG, "\"%.60s\" is not declared in config.providers",
				  variable);
	if (p->kind == MM2_PROVIDER_ENV && key != NULL)
		return errmsg_set(why, ERR_CONFIG, "provider %s: write ${%s:NAME}", variable,
				  variable);
	if (p->kind == MM2_PROVIDER_ENV)
		return from_env(p, path, out, why);
	if (key == NULL || *path == '\0')
		return errmsg_set(why, ERR_CONFIG, "provider %s: write ${%s:/path:key}", variable,
				  variable);
	const char *allowed = path;
	enum err e = check_allowed(p, a, &allowed, why);
	if (e != ERR_OK)
		return e;
	return p->kind == MM2_PROVIDER_FILE ? from_file(allowed, key, a, out, why)
					    : from_directory(allowed, key, a, out, why);
}

/* The end of a variable that begins at `p` ("${"), or NULL if it is none: a "}" with a ":" before.
 */
static const char *variable_end(const char *p)
{
	const char *end = strchr(p, '}');
	if (end == NULL || memchr(p, ':', (size_t)(end - p)) == NULL)
		return NULL;
	return end;
}

enum err mm2_provider_expand(const struct mm2_providers *p, const char *value, struct arena *a,
			     const char **out, struct errmsg *why)
{
	struct buf b;
	enum err e = ERR_OK;
	*out = value;
	if (strstr(value, "${") == NULL)
		return ERR_OK;
	buf_init(&b, VALUE_MAX);
	while (e == ERR_OK && *value != '\0') {
		const char *end = strncmp(value, "${", 2) == 0 ? variable_end(value) : NULL;
		if (end == NULL) {
			buf_put_u8(&b, (uint8_t)*value++);
			continue;
		}
		const char *text = NULL;
		char *variable = arena_strndup(a, bytes_of(value + 2, (size_t)(end - value) - 2));
		e = variable == NULL ? ERR_NOMEM : look_up(p, variable, a, &text, why);
		if (e == ERR_OK)
			buf_put_str(&b, text);
		value = end + 1;
	}
	if (e == ERR_OK && b.err != ERR_OK)
		e = errmsg_set(why, b.err == ERR_LIMIT ? ERR_CONFIG : b.err,
			       "the value is too long");
	if (e == ERR_OK) {
		*out = arena_strndup(a, buf_bytes(&b));
		e = *out == NULL ? ERR_NOMEM : ERR_OK;
	}
	if (b.cap > 0)
		explicit_bzero(b.p, b.cap);
	buf_fini(&b);
	return e;
}
