/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of java.util.Properties.load(Reader): logical lines (a backslash at the end goes on
 * with the next line, whose leading blanks go), comments with # or ! (which a backslash does not
 * continue), a key up to the first unescaped "=", ":" or blank, escapes \t \n \r \f \uXXXX, and any
 * other escaped character stands for itself. A later value of a key replaces an earlier one.
 *
 * One oddity of Java is left out: a lone backslash at the end of the file gives it an empty key
 * with an empty value.
 *
 * The cursor hands out characters of the logical line with their escapes still marked, so that an
 * escaped "=" does not end a key.
 */
#include "mirror/config/mm2_properties.h"

#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/map.h"

enum { VALUE_MAX = 1024 * 1024 };

enum kind { PLAIN, ESCAPED, END_OF_LINE, BROKEN };

struct cursor {
	struct bytes text;
	size_t at;
	unsigned line; /* of `at` */
	enum mm2_encoding encoding;
	size_t inside;     /* bytes left of a UTF-8 character that was begun */
	const char *fault; /* set with BROKEN */
};

static bool is_blank(uint32_t c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static int peek(const struct cursor *c)
{
	return c->at < c->text.n ? c->text.p[c->at] : -1;
}

/* Over one end of line: \n, \r or \r\n. */
static void skip_eol(struct cursor *c)
{
	if (peek(c) == '\r' && c->at + 1 < c->text.n && c->text.p[c->at + 1] == '\n')
		c->at++;
	c->at++;
	c->line++;
}

static bool at_eol(const struct cursor *c)
{
	return peek(c) == '\n' || peek(c) == '\r';
}

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->text.n && is_blank(c->text.p[c->at]))
		c->at++;
}

static enum kind broken(struct cursor *c, const char *fault)
{
	c->fault = fault;
	return BROKEN;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex4(struct cursor *c, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(peek(c));
		if (d < 0)
			return false;
		*out = *out << 4 | (uint32_t)d;
		c->at++;
	}
	return true;
}

/* Behind "\u". Characters beyond U+FFFF are two escapes, high surrogate first. */
static enum kind take_unicode(struct cursor *c, uint32_t *out)
{
	uint32_t low;
	if (!take_hex4(c, out))
		return broken(c, "\\u needs four hexadecimal digits");
	if (*out == 0)
		return broken(c, "\\u0000 is not allowed");
	if (*out < 0xd800 || *out > 0xdfff)
		return ESCAPED;
	if (*out > 0xdbff || c->text.n - c->at < 6 || c->text.p[c->at] != '\\' ||
	    c->text.p[c->at + 1] != 'u')
		return broken(c, "half of a surrogate pair");
	c->at += 2;
	if (!take_hex4(c, &low) || low < 0xdc00 || low > 0xdfff)
		return broken(c, "half of a surrogate pair");
	*out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
	return ESCAPED;
}

/* A character as it stands. In UTF-8 the bytes pass one by one, once the sequence is known to be
 * whole: `*out` is then a byte, marked by bit 31. */
#define RAW_BYTE 0x80000000u

static enum kind take_raw(struct cursor *c, uint32_t *out)
{
	*out = c->text.p[c->at];
	if (*out == 0)
		return broken(c, "a NUL byte");
	if (c->encoding == MM2_UTF8 && *out >= 0x80) {
		c->inside = c->inside > 0 ? c->inside : bytes_utf8(c->text, c->at);
		if (c->inside == 0)
			return broken(c, "not UTF-8");
		c->inside--;
		*out |= RAW_BYTE;
	}
	c->at++;
	return PLAIN;
}

/* The next character of the logical line. */
static enum kind take(struct cursor *c, uint32_t *out)
{
	for (;;) {
		if (c->at >= c->text.n || at_eol(c))
			return END_OF_LINE;
		if (peek(c) != '\\')
			return take_raw(c, out);
		c->at++;
		if (c->at >= c->text.n)
			return END_OF_LINE;
		if (!at_eol(c))
			break;
		skip_eol(c);
		skip_blanks(c);
	}
	static const char from[] = "tnrf", to[] = "\t\n\r\f";
	enum kind k;
	if (peek(c) == 'u') {
		c->at++;
		return take_unicode(c, out);
	}
	k = take_raw(c, out);
	if (k != PLAIN)
		return k;
	const char *known = *out < 0x80 ? strchr(from, (int)*out) : NULL;
	if (known != NULL)
		*out = (uint8_t)to[known - from];
	return ESCAPED;
}

static void put_utf8(struct buf *b, uint32_t c)
{
	if ((c & RAW_BYTE) != 0 || c < 0x80) {
		buf_put_u8(b, (uint8_t)c);
	} else if (c < 0x800) {
		buf_put_u8(b, (uint8_t)(0xc0 | c >> 6));
		buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		if (c < 0x10000) {
			buf_put_u8(b, (uint8_t)(0xe0 | c >> 12));
		} else {
			buf_put_u8(b, (uint8_t)(0xf0 | c >> 18));
			buf_put_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

/* Reads one logical line into key and value. `*empty`: it had no character at all, which is no
 * entry; a line "=" is one, with an empty key. */
static enum kind take_line(struct cursor *c, struct buf *key, struct buf *value, bool *empty)
{
	uint32_t ch;
	bool separated = false;
	enum kind k = take(c, &ch);
	*empty = k == END_OF_LINE;
	for (; k == PLAIN || k == ESCAPED; k = take(c, &ch)) {
		if (k == PLAIN && (is_blank(ch) || ch == '=' || ch == ':'))
			break;
		put_utf8(key, ch);
	}
	/* Blanks, at most one "=" or ":", blanks. */
	for (; k == PLAIN; k = take(c, &ch)) {
		bool sign = ch == '=' || ch == ':';
		if (!is_blank(ch) && (!sign || separated))
			break;
		separated = separated || sign;
	}
	for (; k == PLAIN || k == ESCAPED; k = take(c, &ch))
		put_utf8(value, ch);
	return k;
}

struct parse {
	struct cursor cursor;
	struct arena *arena;
	struct mm2_properties *out;
	struct map *seen; /* key -> struct mm2_property */
	struct buf key, value;
	size_t cap;
};

static enum err make_room(struct parse *p)
{
	if (p->out->n < p->cap)
		return ERR_OK;
	/* Entries are pointed at by the map: all the room there will ever be, at once. */
	size_t lines = 1;
	for (size_t i = 0; i < p->cursor.text.n; i++)
		lines += p->cursor.text.p[i] == '\n' || p->cursor.text.p[i] == '\r';
	p->cap = lines < MM2_PROPERTIES_MAX ? lines : MM2_PROPERTIES_MAX;
	if (p->out->n >= p->cap)
		return ERR_LIMIT;
	p->out->items = arena_zalloc(p->arena, p->cap, sizeof *p->out->items);
	return p->out->items == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err keep(struct parse *p, unsigned line)
{
	if (p->key.err != ERR_OK || p->value.err != ERR_OK)
		return p->key.err != ERR_OK ? p->key.err : p->value.err;
	const char *value = arena_strndup(p->arena, bytes_trim(buf_bytes(&p->value)));
	if (value == NULL)
		return ERR_NOMEM;
	struct mm2_property *item = map_get(p->seen, buf_bytes(&p->key));
	if (item == NULL) {
		enum err e = make_room(p);
		if (e != ERR_OK)
			return e;
		item = &p->out->items[p->out->n++];
		item->key = arena_strndup(p->arena, buf_bytes(&p->key));
		if (item->key == NULL)
			return ERR_NOMEM;
		e = map_put(p->seen, buf_bytes(&p->key), item);
		if (e != ERR_OK)
			return e;
	} else {
		item->repeated = true;
	}
	item->value = value;
	item->line = line;
	return ERR_OK;
}

/* One natural or logical line; comments and empty lines are passed over. */
static enum err parse_line(struct parse *p, struct errmsg *why)
{
	struct cursor *c = &p->cursor;
	skip_blanks(c);
	/* A backslash alone on its line goes on with a line that is still a new one. */
	while (peek(c) == '\\' && c->at + 1 < c->text.n &&
	       (c->text.p[c->at + 1] == '\n' || c->text.p[c->at + 1] == '\r')) {
		c->at++;
		skip_eol(c);
		skip_blanks(c);
	}
	if (peek(c) == '#' || peek(c) == '!')
		while (c->at < c->text.n && !at_eol(c))
			c->at++;
	if (c->at >= c->text.n)
		return ERR_OK;
	if (at_eol(c)) {
		skip_eol(c);
		return ERR_OK;
	}
	unsigned line = c->line;
	buf_clear(&p->key);
	buf_clear(&p->value);
	bool empty;
	if (take_line(c, &p->key, &p->value, &empty) == BROKEN)
		return errmsg_set(why, ERR_MALFORMED, "line %u: %s", c->line, c->fault);
	if (empty)
		return ERR_OK;
	enum err e = keep(p, line);
	if (e == ERR_LIMIT)
		return errmsg_set(why, e, "line %u: too long, or more than %d keys", line,
				  MM2_PROPERTIES_MAX);
	if (e != ERR_OK)
		return errmsg_set(why, e, "line %u: out of memory", line);
	return ERR_OK;
}

static int by_key(const void *a, const void *b)
{
	const struct mm2_property *const *pa = a, *const *pb = b;
	return strcmp((*pa)->key, (*pb)->key);
}

static enum err make_index(struct parse *p)
{
	struct mm2_properties *out = p->out;
	out->index = arena_zalloc(p->arena, out->n + 1, sizeof *out->index);
	if (out->index == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < out->n; i++)
		out->index[i] = &out->items[i];
	qsort(out->index, out->n, sizeof *out->index, by_key);
	return ERR_OK;
}

enum err mm2_properties_parse(struct bytes text, enum mm2_encoding encoding, struct arena *a,
			      struct mm2_properties *out, struct errmsg *why)
{
	struct parse p = {
		.cursor = {.text = text, .line = 1, .encoding = encoding}, .arena = a, .out = out};
	enum err e = ERR_OK;
	*out = (struct mm2_properties){.n = 0};
	p.seen = map_new();
	if (p.seen == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	buf_init(&p.key, VALUE_MAX);
	buf_init(&p.value, VALUE_MAX);
	while (e == ERR_OK && p.cursor.at < text.n)
		e = parse_line(&p, why);
	if (e == ERR_OK)
		e = make_index(&p);
	if (e == ERR_NOMEM)
		errmsg_set(why, e, "out of memory");
	if (p.value.cap > 0)
		explicit_bzero(p.value.p, p.value.cap);
	buf_fini(&p.key);
	buf_fini(&p.value);
	map_free(p.seen);
	return e;
}

const struct mm2_property *mm2_properties_find(const struct mm2_properties *p, const char *key)
{
	const struct mm2_property want = {.key = key}, *at = &want;
	const struct mm2_property *const *found =
		p->n == 0 ? NULL : bsearch(&at, p->index, p->n, sizeof *p->index, by_key);
	return found == NULL ? NULL : *found;
}
