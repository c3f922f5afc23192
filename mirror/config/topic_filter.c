/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic patterns as MM2 reads them (DefaultTopicFilter, MirrorUtils.compilePatternList): the items
 * of the list joined with "|", java.util.regex, the whole name must match. PCRE2 agrees with Java
 * on what such lists are made of; where the two read the same text differently the pattern is
 * refused, since a wrong guess would copy the wrong topics.
 *
 * The limits below make a pattern that backtracks without end fail in a few milliseconds.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "lib/base/buf.h"
#include "lib/base/config_value.h"
#include "lib/base/mem.h"
#include "mirror/config/naming.h"

enum {
	MATCH_LIMIT = 100 * 1000, /* steps */
	DEPTH_LIMIT = 10 * 1000,
	HEAP_LIMIT = 2048, /* KiB */
	NEST_LIMIT = 32,   /* parentheses */
	PATTERN_MAX = 32 * 1024,
	LIST_MEMORY_MAX = 16 * 1024 * 1024
};

/* A compiled part of a list: any part may match. */
struct part {
	pcre2_code *code;
	struct part *next;
};

struct topic_filter {
	pcre2_general_context *general;
	pcre2_compile_context *compile;
	pcre2_match_context *match;
	pcre2_match_data *data;
	struct part *include; /* NULL: nothing */
	struct part *exclude;
	uint64_t *exceeded; /* apart, so that a match can count in a const filter */
};

static void *pcre_alloc(PCRE2_SIZE n, void *arg)
{
	(void)arg;
	return mem_alloc(n);
}

static void pcre_free(void *p, void *arg)
{
	(void)arg;
	mem_free(p);
}

/* What PCRE2 would accept with another meaning than Java's; NULL if there is nothing. */
static const char *not_java(const char *p)
{
	bool in_class = false;
	for (; *p != '\0'; p++) {
		if (p[0] == '\\') {
			if (p[1] == 'Q')
				return "\\Q...\\E is not supported, escape each character";
			if (p[1] == '\0')
				break;
			p++;
		} else if (!in_class && p[0] == '(' && p[1] == '*') {
			return "\"(*\" is not a Java pattern";
		} else if (in_class && p[0] == '[') {
			return "a \"[\" inside [...] is not supported, write \\[";
		} else if (in_class && p[0] == '&' && p[1] == '&') {
			return "\"&&\" inside [...] is not supported";
		} else if (!in_class && p[0] == '[') {
			in_class = true;
			p += p[1] == '^';
			/* Java and PCRE2 part ways on "[]...". */
			if (p[1] == ']')
				return "a \"]\" right after \"[\" is not supported, write \\]";
		} else if (p[0] == ']') {
			in_class = false;
		}
	}
	return NULL;
}

/* ERR_LIMIT: too large for PCRE2. */
static enum err compile(struct topic_filter *f, const char *text, pcre2_code **out,
			struct errmsg *why)
{
	const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |
				 PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP | PCRE2_NEVER_UTF;
	int code;
	PCRE2_SIZE at;
	*out = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &at,
			     f->compile);
	if (*out != NULL)
		return ERR_OK;
	/* PCRE2's own code for a failed allocation (ERR21). */
	if (code == PCRE2_ERROR_HEAP_FAILED)
		return errmsg_set(why, ERR_NOMEM, "pattern %.80s: out of memory", text);
	if (code == PCRE2_ERROR_PATTERN_TOO_LARGE)
		return errmsg_set(why, ERR_LIMIT, "pattern %.80s: too large", text);
	PCRE2_UCHAR reason[128];
	pcre2_get_error_message(code, reason, sizeof reason);
	return errmsg_set(why, ERR_CONFIG, "pattern \"%.80s\": %s (at character %zu)", text,
			  (const char *)reason, (size_t)at + 1);
}

/* "(?i)" and the like: in one joined pattern it reaches into the items behind it. */
static bool has_open_flag(const char *p)
{
	for (p = strstr(p, "(?"); p != NULL; p = strstr(p + 2, "(?"))
		if (p[2 + strspn(p + 2, "-dimsuxU")] == ')')
			return true;
	return false;
}

static enum err compile_joined(struct topic_filter *f, const char *const *items, size_t n,
			       pcre2_code **out, struct errmsg *why)
{
	struct buf joined;
	buf_init(&joined, PATTERN_MAX);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_put_u8(&joined, '|');
		buf_put_str(&joined, items[i]);
	}
	buf_put_u8(&joined, '\0');
	enum err e = joined.err;
	if (e == ERR_OK)
		e = compile(f, (const char *)joined.p, out, why);
	else
		errmsg_set(why, e, "patterns: %s", err_text(e));
	buf_fini(&joined);
	return e;
}

/*
 * As many items to one compiled pattern as PCRE2 can hold (its code has a limit of 64 KiB; a list
 * of a few thousand names is longer). A part that is refused for its size is tried again with half
 * the items.
 */
static enum err compile_parts(struct topic_filter *f, const char *const *items, size_t n,
			      struct part **end, struct errmsg *why)
{
	size_t size = n;
	for (size_t at = 0; at < n; at += size) {
		size = size < n - at ? size : n - at;
		struct part *p = mem_zalloc(1, sizeof *p);
		if (p == NULL)
			return errmsg_set(why, ERR_NOMEM, "patterns: out of memory");
		enum err e = compile_joined(f, items + at, size, &p->code, why);
		while (e == ERR_LIMIT && size > 1) {
			size = (size + 1) / 2;
			e = compile_joined(f, items + at, size, &p->code, why);
		}
		*end = p;
		end = &p->next;
		if (e != ERR_OK)
			return e == ERR_LIMIT ? ERR_CONFIG : e;
		for (size_t i = at; i < at + size && at + size < n; i++)
			if (has_open_flag(items[i]))
				return errmsg_set(
					why, ERR_CONFIG,
					"pattern \"%.80s\": a flag for all that follows is "
					"not supported in a list of this size",
					items[i]);
	}
	return ERR_OK;
}

/* Each item is compiled alone first, for a message that names it, then all of them joined. */
static enum err compile_list(struct topic_filter *f, const char *list, struct part **out,
			     struct errmsg *why)
{
	struct arena arena;
	const char *const *items;
	size_t n;
	enum err e = ERR_OK;
	arena_init(&arena, LIST_MEMORY_MAX);
	if (!config_value_split(&arena, list, &items, &n)) {
		arena_fini(&arena);
		return errmsg_set(why, ERR_NOMEM, "patterns: out of memory, or too many of them");
	}
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		const char *odd = not_java(items[i]);
		pcre2_code *one = NULL;
		if (odd != NULL)
			e = errmsg_set(why, ERR_CONFIG, "pattern \"%.80s\": %s", items[i], odd);
		else
			e = compile(f, items[i], &one, why);
		pcre2_code_free(one);
	}
	if (e == ERR_OK)
		e = compile_parts(f, items, n, out, why);
	arena_fini(&arena);
	return e == ERR_LIMIT ? ERR_CONFIG : e;
}

enum err topic_filter_new(const char *include, const char *exclude, struct topic_filter **out,
			  struct errmsg *why)
{
	enum err e = ERR_NOMEM;
	struct topic_filter *f = mem_zalloc(1, sizeof *f);
	if (f == NULL)
		return errmsg_set(why, e, "patterns: out of memory");
	f->exceeded = mem_zalloc(1, sizeof *f->exceeded);
	f->general = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
	f->compile = pcre2_compile_context_create(f->general);
	f->match = pcre2_match_context_create(f->general);
	f->data = pcre2_match_data_create(1, f->general);
	if (f->exceeded == NULL || f->general == NULL || f->compile == NULL || f->match == NULL ||
	    f->data == NULL) {
		errmsg_set(why, e, "patterns: out of memory");
		goto err_after_filter;
	}
	pcre2_set_parens_nest_limit(f->compile, NEST_LIMIT);
	pcre2_set_match_limit(f->match, MATCH_LIMIT);
	pcre2_set_depth_limit(f->match, DEPTH_LIMIT);
	pcre2_set_heap_limit(f->match, HEAP_LIMIT);
	e = compile_list(f, include, &f->include, why);
	if (e == ERR_OK)
		e = compile_list(f, exclude, &f->exclude, why);
	if (e != ERR_OK)
		goto err_after_filter;
	*out = f;
	return ERR_OK;
err_after_filter:
	topic_filter_free(f);
	return e;
}

static void free_parts(struct part *p)
{
	while (p != NULL) {
		struct part *next = p->next;
		pcre2_code_free(p->code);
		mem_free(p);
		p = next;
	}
}

void topic_filter_free(struct topic_filter *f)
{
	if (f == NULL)
		return;
	free_parts(f->include);
	free_parts(f->exclude);
	pcre2_match_data_free(f->data);
	pcre2_match_context_free(f->match);
	pcre2_compile_context_free(f->compile);
	pcre2_general_context_free(f->general);
	mem_free(f->exceeded);
	mem_free(f);
}

enum outcome { NO, YES, OVER };

static enum outcome match_any(const struct topic_filter *f, const struct part *p, const char *name)
{
	enum outcome all = NO;
	for (; p != NULL && all != YES; p = p->next) {
		int rc = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, PCRE2_NO_UTF_CHECK,
				     f->data, f->match);
		/* 0: matched, with more groups than the match data holds. */
		if (rc >= 0)
			all = YES;
		else if (rc != PCRE2_ERROR_NOMATCH)
			all = OVER;
	}
	return all;
}

bool topic_filter_match(const struct topic_filter *f, const char *name)
{
	enum outcome in = match_any(f, f->include, name);
	/* An exclude list that cannot be decided excludes: copying what should not leave a cluster
	 * is worse than a topic that is missing, and that is told. */
	enum outcome ex = in == YES ? match_any(f, f->exclude, name) : NO;
	if (in == OVER || ex == OVER)
		++*f->exceeded;
	return in == YES && ex == NO;
}

uint64_t topic_filter_exceeded(const struct topic_filter *f)
{
	return *f->exceeded;
}
