/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers are checked before they are multiplied; nothing here keeps state. */
#include "lib/base/config_value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};
static const struct unit sizes[] = {
	{"B", 1}, {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40},
};
enum { DURATIONS = sizeof durations / sizeof *durations, SIZES = sizeof sizes / sizeof *sizes };

static bool blank(char c)
{
	return isspace((unsigned char)c) != 0;
}

/* The number at the start of `text`; `*rest` is what follows, without blanks around it. */
static bool leading_int(const char *text, int64_t *out, struct bytes *rest)
{
	while (blank(*text))
		text++;
	if (!isdigit((unsigned char)text[*text == '-' || *text == '+']))
		return false;
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno != 0)
		return false;
	while (blank(*end))
		end++;
	size_t n = strlen(end);
	while (n > 0 && blank(end[n - 1]))
		n--;
	*rest = bytes_of(end, n);
	*out = v;
	return true;
}

bool config_value_int(const char *text, int64_t *out)
{
	struct bytes rest;
	return leading_int(text, out, &rest) && rest.n == 0;
}

static bool with_unit(const char *text, const struct unit *units, size_t n, int64_t *out)
{
	struct bytes rest;
	int64_t v;
	if (!leading_int(text, &v, &rest))
		return false;
	size_t u = 0;
	while (rest.n > 0 && u < n && !bytes_eq_str(rest, units[u].name))
		u++;
	if (u == n || v > INT64_MAX / units[u].factor || v < INT64_MIN / units[u].factor)
		return false;
	*out = v * units[u].factor;
	return true;
}

bool config_value_duration(const char *text, int64_t *ms)
{
	return with_unit(text, durations, DURATIONS, ms);
}

bool config_value_bytes(const char *text, int64_t *bytes)
{
	return with_unit(text, sizes, SIZES, bytes);
}

bool config_value_bool(const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0;
}

static void put_unit(struct buf *b, int64_t v, const struct unit *units, size_t n)
{
	size_t u = n - 1;
	while (u > 0 && (v == 0 || v % units[u].factor != 0))
		u--;
	buf_printf(b, "%" PRId64 " %s", v / units[u].factor, units[u].name);
}

void config_value_put_duration(struct buf *b, int64_t ms)
{
	put_unit(b, ms, durations, DURATIONS);
}

void config_value_put_bytes(struct buf *b, int64_t bytes)
{
	put_unit(b, bytes, sizes, SIZES);
}

bool config_value_split(struct arena *a, const char *text, const char *const **items, size_t *n)
{
	size_t commas = 0;
	for (const char *p = text; *p != '\0'; p++)
		commas += *p == ',';
	const char **out = arena_zalloc(a, commas + 1, sizeof *out);
	if (out == NULL)
		return false;
	*n = 0;
	for (const char *p = text;;) {
		size_t len = strcspn(p, ",");
		const char *next = p + len;
		while (len > 0 && blank(*p)) {
			p++;
			len--;
		}
		while (len > 0 && blank(p[len - 1]))
			len--;
		if (len > 0) {
			out[*n] = arena_strndup(a, bytes_of(p, len));
			if (out[(*n)++] == NULL)
				return false;
		}
		if (*next == '\0')
			break;
		p = next + 1;
	}
	*items = out;
	return true;
}

static void describe_range(struct buf *b, const struct config_row *row,
			   void (*put)(struct buf *, int64_t))
{
	/* A limit that is only the field's is no news. */
	bool open = row->max >= INT32_MAX;
	buf_put_str(b, open ? ", at least " : " from ");
	put(b, row->min);
	if (open)
		return;
	buf_put_str(b, " to ");
	put(b, row->max);
}

static void put_int(struct buf *b, int64_t v)
{
	buf_printf(b, "%" PRId64, v);
}

void config_value_describe(struct buf *b, const struct config_row *row)
{
	static const char *const names[] = {
		[CONFIG_BOOL] = "true or false",  [CONFIG_INT] = "a whole number",
		[CONFIG_DURATION] = "a duration", [CONFIG_BYTES] = "a size",
		[CONFIG_ENUM] = "one of",         [CONFIG_STRING] = "text",
		[CONFIG_FILE] = "a file name",    [CONFIG_SECRET] = "a secret",
		[CONFIG_LIST] = "a list",         [CONFIG_ARRAY] = "a list",
	};
	buf_put_str(b, names[row->type]);
	if (row->type == CONFIG_INT)
		describe_range(b, row, put_int);
	else if (row->type == CONFIG_DURATION)
		describe_range(b, row, config_value_put_duration);
	else if (row->type == CONFIG_BYTES)
		describe_range(b, row, config_value_put_bytes);
	else if (row->type == CONFIG_ENUM)
		for (size_t i = 0; row->words[i] != NULL; i++)
			buf_printf(b, "%s %s", i == 0 ? "" : ",", row->words[i]);
}

enum { WORD_MAX = 96 };

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

/* Levenshtein's distance with swaps of neighbours counted as one ("optimal string alignment"). */
static size_t edit_distance(const char *a, size_t an, const char *b, size_t bn)
{
	size_t rows[3][WORD_MAX + 1];
	for (size_t j = 0; j <= bn; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= an; i++) {
		size_t *now = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= bn; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			now[j] = min3(up[j] + 1, now[j - 1] + 1, up[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    up2[j - 2] + 1 < now[j])
				now[j] = up2[j - 2] + 1;
		}
	}
	return rows[an % 3][bn];
}

void config_value_nearest(struct config_nearest *n, const char *candidate)
{
	size_t wn = strlen(n->word), cn = strlen(candidate);
	if (wn > WORD_MAX || cn > WORD_MAX)
		return;
	size_t d = edit_distance(n->word, wn, candidate, cn);
	size_t most = wn / 3 < 2 ? 2 : wn / 3;
	if (d > most || d >= cn || (n->best != NULL && d >= n->distance))
		return;
	n->best = candidate;
	n->distance = d;
}

int64_t config_value_get_int(const struct config_row *row, const void *object)
{
	const uint8_t *at = (const uint8_t *)object + row->offset;
	int8_t v1;
	int16_t v2;
	int32_t v4;
	int64_t v8;
	switch (row->size) {
	case 1:
		memcpy(&v1, at, sizeof v1);
		return v1;
	case 2:
		memcpy(&v2, at, sizeof v2);
		return v2;
	case 4:
		memcpy(&v4, at, sizeof v4);
		return v4;
	default:
		assert(row->size == 8);
		memcpy(&v8, at, sizeof v8);
		return v8;
	}
}

void config_value_set_int(const struct config_row *row, void *object, int64_t v)
{
	uint8_t *at = (uint8_t *)object + row->offset;
	const int8_t v1 = (int8_t)v;
	const int16_t v2 = (int16_t)v;
	const int32_t v4 = (int32_t)v;
	switch (row->size) {
	case 1:
		memcpy(at, &v1, sizeof v1);
		break;
	case 2:
		memcpy(at, &v2, sizeof v2);
		break;
	case 4:
		memcpy(at, &v4, sizeof v4);
		break;
	default:
		assert(row->size == 8);
		memcpy(at, &v, sizeof v);
	}
	assert(config_value_get_int(row, object) == v);
}

const char *config_value_get_str(const struct config_row *row, const void *object)
{
	const char *v;
	memcpy(&v, (const uint8_t *)object + row->offset, sizeof v);
	return v;
}

void config_value_set_str(const struct config_row *row, void *object, const char *v)
{
	assert(row->size == sizeof v);
	memcpy((uint8_t *)object + row->offset, &v, sizeof v);
}

static bool same_text(const char *a, const char *b)
{
	return bytes_eq(bytes_str(a), bytes_str(b));
}

static bool same_array(const struct config_row *row, const void *a, const void *b)
{
	const char *const *va, *const *vb;
	size_t na, nb;
	memcpy(&va, (const uint8_t *)a + row->offset, sizeof va);
	memcpy(&vb, (const uint8_t *)b + row->offset, sizeof vb);
	memcpy(&na, (const uint8_t *)a + row->count_offset, sizeof na);
	memcpy(&nb, (const uint8_t *)b + row->count_offset, sizeof nb);
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!same_text(va[i], vb[i]))
			return false;
	return true;
}

bool config_value_same(const struct config_row *row, const void *a, const void *b)
{
	switch (row->type) {
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_BYTES:
	case CONFIG_ENUM:
		return config_value_get_int(row, a) == config_value_get_int(row, b);
	case CONFIG_ARRAY:
		return same_array(row, a, b);
	case CONFIG_STRING:
	case CONFIG_FILE:
	case CONFIG_SECRET:
	case CONFIG_LIST:
		return same_text(config_value_get_str(row, a), config_value_get_str(row, b));
	}
	return false;
}
