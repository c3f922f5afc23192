/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/text.h"

#include <inttypes.h>

enum {
	TEXT_MAX = 256 << 20, /* bytes of a table */
	GAP = 2,
	NAME_MIN = 12, /* a name is not cut shorter */
};

/* ---- words ---- */

static bool is_safe(struct bytes in, size_t at, size_t n)
{
	const uint8_t *p = in.p + at;
	if (n == 1)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (n == 2)
		return !(p[0] == 0xc2 && p[1] < 0xa0) && /* U+0080..U+009F */
		       !(p[0] == 0xd8 && p[1] == 0x9c);  /* U+061C: direction */
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80)
		/* U+200B..U+200F, U+2028..U+202E: no width, direction, lines */
		return !((p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae));
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x81)
		return !(p[2] >= 0xa0 && p[2] <= 0xaf); /* U+2060..U+206F: the same */
	return !(n == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf); /* U+FEFF */
}

void text_clean(struct buf *out, const char *text)
{
	struct bytes in = bytes_str(text);
	size_t at = 0;
	while (at < in.n) {
		size_t n = bytes_utf8(in, at);
		if (n > 0 && is_safe(in, at, n))
			buf_put(out, in.p + at, n);
		else
			buf_put_u8(out, '?');
		at += n == 0 ? 1 : n;
	}
}

void text_age(int64_t ms, char out[TEXT_AGE_MAX])
{
	int64_t s = ms / 1000;
	if (ms < 0)
		snprintf(out, TEXT_AGE_MAX, "?");
	else if (s < 120)
		snprintf(out, TEXT_AGE_MAX, "%" PRId64 " s", s);
	else if (s < 120 * 60)
		snprintf(out, TEXT_AGE_MAX, "%" PRId64 " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(out, TEXT_AGE_MAX, "%" PRId64 " h", s / 3600);
	else
		snprintf(out, TEXT_AGE_MAX, "%" PRId64 " d", s / 86400);
}

size_t text_columns(struct bytes text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++)
		n += (text.p[i] & 0xc0) != 0x80;
	return n;
}

void text_wrapped(FILE *out, struct bytes text, size_t indent, size_t width)
{
	size_t column = 0, at = 0;
	while (at < text.n) {
		const uint8_t *blank = memchr(text.p + at, ' ', text.n - at);
		size_t n = blank == NULL ? text.n - at : (size_t)(blank - (text.p + at));
		size_t wide = text_columns(bytes_of(text.p + at, n));
		if (column > 0 && width > 0 && column + 1 + wide > width) {
			fputc('\n', out);
			column = 0;
		}
		size_t blanks = column == 0 ? indent : 1;
		fprintf(out, "%*s%.*s", (int)blanks, "", (int)n, (const char *)text.p + at);
		column += blanks + wide;
		at += n + (blank != NULL);
	}
	fputc('\n', out);
}

/* ---- tables ---- */

void table_init(struct table *t, const struct table_column *columns, size_t n)
{
	*t = (struct table){.columns = columns, .columns_n = n};
	buf_init(&t->text, TEXT_MAX);
	buf_init(&t->ends, TEXT_MAX);
	for (size_t i = 0; i < n; i++)
		table_add(t, columns[i].head);
}

void table_fini(struct table *t)
{
	buf_fini(&t->text);
	buf_fini(&t->ends);
}

void table_add(struct table *t, const char *text)
{
	text_clean(&t->text, text);
	buf_put(&t->ends, &t->text.len, sizeof t->text.len);
}

void table_add_number(struct table *t, int64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, value);
	table_add(t, value < 0 ? "?" : text);
}

static size_t cells(const struct table *t)
{
	return t->ends.len / sizeof(size_t);
}

static struct bytes cell(const struct table *t, size_t i)
{
	size_t from = 0, to;
	if (i > 0)
		memcpy(&from, t->ends.p + (i - 1) * sizeof from, sizeof from);
	memcpy(&to, t->ends.p + i * sizeof to, sizeof to);
	return bytes_of(t->text.p + from, to - from);
}

/* Take what is too much from the names, the widest first. */
static void fit(const struct table *t, size_t width, size_t *widths)
{
	size_t total = GAP * (t->columns_n - 1);
	for (size_t c = 0; c < t->columns_n; c++)
		total += widths[c];
	while (width > 0 && total > width) {
		size_t widest = t->columns_n;
		for (size_t c = 0; c < t->columns_n; c++)
			if (t->columns[c].name && widths[c] > NAME_MIN &&
			    (widest == t->columns_n || widths[c] > widths[widest]))
				widest = c;
		if (widest == t->columns_n)
			return;
		widths[widest]--;
		total--;
	}
}

/* The first `n` characters, or those from the `n`th on. */
static struct bytes part(struct bytes text, size_t n, bool from)
{
	size_t at = 0;
	for (size_t seen = 0; at < text.n; at++) {
		if ((text.p[at] & 0xc0) == 0x80)
			continue;
		if (seen++ == n)
			break;
	}
	return from ? bytes_of(text.p + at, text.n - at) : bytes_of(text.p, at);
}

static void put(FILE *out, struct bytes text)
{
	fprintf(out, "%.*s", (int)text.n, (const char *)text.p);
}

static void put_cell(FILE *out, struct bytes text, size_t width, bool right, bool last)
{
	size_t wide = text_columns(text);
	if (wide > width) {
		/* What tells names apart is at either end. */
		size_t begin = (width - 1) / 2, end = width - 2 - begin;
		put(out, part(text, begin, false));
		fputs("..", out);
		put(out, part(text, wide - end, true));
		wide = width;
	} else {
		if (right)
			fprintf(out, "%*s", (int)(width - wide), "");
		put(out, text);
	}
	if (!right && !last)
		fprintf(out, "%*s", (int)(width - wide), "");
	fputs(last ? "\n" : "  ", out);
}

enum err table_print(const struct table *t, size_t width, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	if (t->text.err != ERR_OK || t->ends.err != ERR_OK)
		return t->text.err != ERR_OK ? t->text.err : t->ends.err;
	for (size_t i = 0; i < cells(t); i++) {
		size_t wide = text_columns(cell(t, i)), c = i % t->columns_n;
		widths[c] = wide > widths[c] ? wide : widths[c];
	}
	fit(t, width, widths);
	for (size_t i = 0; i < cells(t); i++) {
		size_t c = i % t->columns_n;
		put_cell(out, cell(t, i), widths[c], t->columns[c].right, c + 1 == t->columns_n);
	}
	return ERR_OK;
}
