/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of JaasConfig (Kafka 4.1, clients/.../security), which splits with
 * java.io.StreamTokenizer: words, quoted strings with escapes, "=" and ";", // and slash-star
 * comments. */
#include "mirror/config/mm2_jaas.h"

#include <ctype.h>
#include <strings.h>

enum token { END, WORD, SIGN, BAD };

struct lexer {
	const char *p;
	struct arena *arena;
	char *text; /* of a WORD */
	char sign;  /* of a SIGN */
	bool nomem;
};

/* False: a comment that does not end. */
static bool skip_space(struct lexer *l)
{
	for (;;) {
		while (*l->p != '\0' && (unsigned char)*l->p <= ' ')
			l->p++;
		if (l->p[0] == '/' && l->p[1] == '/') {
			l->p += strcspn(l->p, "\n");
		} else if (l->p[0] == '/' && l->p[1] == '*') {
			const char *end = strstr(l->p + 2, "*/");
			if (end == NULL)
				return false;
			l->p = end + 2;
		} else {
			return true;
		}
	}
}

/* Behind the backslash; up to three octal digits, or a letter. */
static char take_escape(struct lexer *l)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	char c = *l->p++;
	if (c >= '0' && c <= '7') {
		int v = c - '0';
		int more = c <= '3' ? 2 : 1;
		while (more-- > 0 && *l->p >= '0' && *l->p <= '7')
			v = v * 8 + (*l->p++ - '0');
		return (char)v;
	}
	const char *known = c == '\0' ? NULL : strchr(from, c);
	return known == NULL ? c : to[known - from];
}

static enum token take_quoted(struct lexer *l)
{
	char quote = *l->p++;
	size_t n = 0;
	l->text = arena_zalloc(l->arena, strlen(l->p) + 1, 1);
	if (l->text == NULL) {
		l->nomem = true;
		return BAD;
	}
	while (*l->p != quote) {
		if (*l->p == '\0' || *l->p == '\n' || *l->p == '\r')
			return BAD;
		if (l->p[0] == '\\') {
			if (*++l->p == '\0')
				return BAD;
			l->text[n++] = take_escape(l);
		} else {
			l->text[n++] = *l->p++;
		}
	}
	l->p++;
	return WORD;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0xa0 ||
	       (c != '\0' && strchr("._-$", c) != NULL);
}

static enum token take(struct lexer *l)
{
	if (!skip_space(l))
		return BAD;
	if (*l->p == '\0')
		return END;
	if (*l->p == '"' || *l->p == '\'')
		return take_quoted(l);
	size_t n = 0;
	while (word_char(l->p[n]))
		n++;
	if (n == 0) {
		l->sign = *l->p++;
		return SIGN;
	}
	l->text = arena_strndup(l->arena, bytes_of(l->p, n));
	l->nomem = l->text == NULL;
	l->p += n;
	return l->nomem ? BAD : WORD;
}

static bool is_flag(const char *s)
{
	static const char *const flags[] = {"required", "requisite", "sufficient", "optional"};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcasecmp(s, flags[i]) == 0)
			return true;
	return false;
}

static void set_option(struct mm2_jaas *out, const char *key, const char *value)
{
	if (strcmp(key, "username") == 0)
		out->username = value;
	else if (strcmp(key, "password") == 0)
		out->password = value;
	else if (strcmp(key, "tokenauth") == 0)
		out->token = strcasecmp(value, "true") == 0;
}

/* NULL, or what is wrong. */
static const char *parse(struct lexer *l, struct mm2_jaas *out)
{
	if (take(l) != WORD)
		return "it does not begin with the class of a login module";
	out->module = l->text;
	if (take(l) != WORD || !is_flag(l->text))
		return "\"required\" is missing behind the login module";
	for (;;) {
		enum token t = take(l);
		if (t == SIGN && l->sign == ';')
			break;
		if (t == END)
			return "the semicolon at the end is missing";
		if (t != WORD)
			return "an option is not name=\"value\"";
		const char *key = l->text;
		if (take(l) != SIGN || l->sign != '=' || take(l) != WORD)
			return "an option is not name=\"value\"";
		set_option(out, key, l->text);
	}
	return take(l) == END ? NULL : "more than one login module";
}

enum err mm2_jaas_parse(const char *text, struct arena *a, struct mm2_jaas *out, struct errmsg *why)
{
	struct lexer l = {.p = text, .arena = a};
	*out = (struct mm2_jaas){.module = NULL};
	const char *fault = parse(&l, out);
	if (l.nomem)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	if (fault != NULL)
		return errmsg_set(why, ERR_CONFIG, "%s", fault);
	return ERR_OK;
}
