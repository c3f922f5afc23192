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
#include "mirror/naming.h"

enum {
	MATCH_LIMIT = 100 * 1000, /* steps */
	DEPTH_LIMIT = 10 * 1000,
	HEAP_LIMIT = 2048, /* KiB */
	NEST_LIMIT = 32,   /* parentheses */
	PATTERN_MAX = 64 * 1024
};

struct topic_filter {
	pcre2_general_context *general;
	pcre2_compile_context *compile;
	pcre2_match_context *match;
	pcre2_match_data *data;
	pcre2_code *include; /* NULL: nothing */
	pcre2_code *exclude;
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
	PCRE2_UCHAR reason[128];
	pcre2_get_error_message(code, reason, sizeof reason);
	return errmsg_set(why, ERR_CONFIG, "pattern \"%.80s\": %s (at character %zu)", text,
			  (const char *)reason, (size_t)at + 1);
}

/* Each item is compiled alone first, for a message that names it, then all of them joined. */
static enum err compile_list(struct topic_filter *f, const char *list, pcre2_code **out,
			     struct errmsg *why)
{
	struct arena arena;
	struct buf joined;
	const char *const *items;
	size_t n;
	enum err e = ERR_NOMEM;
	arena_init(&arena, (size_t)PATTERN_MAX * 4);
	buf_init(&joined, PATTERN_MAX);
	if (!config_value_split(&arena, list, &items, &n)) {
		errmsg_set(why, e, "patterns: out of memory, or too many of them");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		const char *odd = not_java(items[i]);
		pcre2_code *one;
		if (odd != NULL) {
			e = errmsg_set(why, ERR_CONFIG, "pattern \"%.80s\": %s", items[i], odd);
			goto out;
		}
		e = compile(f, items[i], &one, why);
		if (e != ERR_OK)
			goto out;
		pcre2_code_free(one);
		if (i > 0)
			buf_put_u8(&joined, '|');
		buf_put_str(&joined, items[i]);
	}
	buf_put_u8(&joined, '\0');
	if (joined.err == ERR_LIMIT)
		e = errmsg_set(why, ERR_CONFIG, "patterns: longer than %d bytes", PATTERN_MAX);
	else if (joined.err != ERR_OK)
		e = errmsg_set(why, joined.err, "patterns: out of memory");
	else
		e = n == 0 ? ERR_OK : compile(f, (const char *)joined.p, out, why);
out:
	buf_fini(&joined);
	arena_fini(&arena);
	return e;
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

void topic_filter_free(struct topic_filter *f)
{
	if (f == NULL)
		return;
	pcre2_code_free(f->include);
	pcre2_code_free(f->exclude);
	pcre2_match_data_free(f->data);
	pcre2_match_context_free(f->match);
	pcre2_compile_context_free(f->compile);
	pcre2_general_context_free(f->general);
	mem_free(f->exceeded);
	mem_free(f);
}

enum outcome { NO, YES, OVER };

static enum outcome match_one(const struct topic_filter *f, const pcre2_code *code,
			      const char *name)
{
	if (code == NULL)
		return NO;
	int rc = pcre2_match(code, (PCRE2_SPTR)name, strlen(name), 0, PCRE2_NO_UTF_CHECK, f->data,
			     f->match);
	/* 0: matched, with more groups than the match data holds. */
	if (rc >= 0)
		return YES;
	return rc == PCRE2_ERROR_NOMATCH ? NO : OVER;
}

bool topic_filter_match(const struct topic_filter *f, const char *name)
{
	enum outcome in = match_one(f, f->include, name);
	/* An exclude list that cannot be decided excludes: copying what should not leave a cluster
	 * is worse than a topic that is missing, and that is told. */
	enum outcome ex = in == YES ? match_one(f, f->exclude, name) : NO;
	if (in == OVER || ex == OVER)
		++*f->exceeded;
	return in == YES && ex == NO;
}

uint64_t topic_filter_exceeded(const struct topic_filter *f)
{
	return *f->exceeded;
}
