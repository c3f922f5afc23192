/* SPDX-License-Identifier: Apache-2.0 */
/* Format: https://prometheus.io/docs/instrumenting/exposition_formats/, text version 0.0.4. */
#include "lib/base/metrics.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* [a-zA-Z_][a-zA-Z0-9_]*; the colon is left to recording rules. */
static bool name_ok(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	while (isalnum((unsigned char)*s) || *s == '_')
		s++;
	return *s == '\0';
}

void metrics_init(struct metrics *m, struct buf *out)
{
	*m = (struct metrics){.out = out};
}

/* True for text that stands for itself in every place. */
static bool is_plain(const char *s)
{
	while (*s >= ' ' && *s <= '~' && *s != '\\' && *s != '"')
		s++;
	return *s == '\0';
}

static void put_escaped(struct buf *b, const char *s, bool quotes)
{
	if (is_plain(s)) {
		buf_put_str(b, s);
		return;
	}
	struct bytes text = bytes_str(s);
	for (size_t i = 0; i < text.n;) {
		size_t n = bytes_utf8(text, i);
		if (n == 0) {
			buf_put_u8(b, '?');
			i++;
			continue;
		}
		if (s[i] == '\n')
			buf_put_str(b, "\\n");
		else if (s[i] == '\\' || (quotes && s[i] == '"'))
			buf_printf(b, "\\%c", s[i]);
		else
			buf_put(b, s + i, n);
		i += n;
	}
}

void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	assert(name_ok(name));
	m->family = name;
	m->type = type;
	buf_printf(m->out, "# HELP %s ", name);
	put_escaped(m->out, help, false);
	buf_printf(m->out, "\n# TYPE %s %s\n", name, types[type]);
}

/* The family's name with a suffix, then the labels with `le` (NULL: none) as the last. A page has
 * 100 000 lines where there are 10 000 partitions, so nothing is formatted here. */
static void put_head(struct metrics *m, const char *suffix, const struct metrics_label *labels,
		     const char *le)
{
	struct buf *b = m->out;
	char before = '{';
	buf_put_str(b, m->family);
	buf_put_str(b, suffix);
	for (; labels != NULL && labels->name != NULL; labels++) {
		assert(name_ok(labels->name));
		buf_put_u8(b, (uint8_t)before);
		buf_put_str(b, labels->name);
		buf_put_str(b, "=\"");
		put_escaped(b, labels->value == NULL ? "" : labels->value, true);
		buf_put_u8(b, '"');
		before = ',';
	}
	if (le != NULL) {
		buf_put_u8(b, (uint8_t)before);
		buf_put_str(b, "le=\"");
		buf_put_str(b, le);
		buf_put_u8(b, '"');
		before = ',';
	}
	buf_put_str(b, before == ',' ? "} " : " ");
}

static void put_int(struct buf *b, int64_t value)
{
	char text[24], *at = text + sizeof text;
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (value < 0)
		*--at = '-';
	buf_put(b, at, (size_t)(text + sizeof text - at));
}

void metrics_int(struct metrics *m, const struct metrics_label *labels, int64_t value)
{
	assert(m->type != METRICS_HISTOGRAM);
	put_head(m, "", labels, NULL);
	put_int(m->out, value);
	buf_put_u8(m->out, '\n');
}

static void format_double(char out[32], double v)
{
	if (v == 0) /* most are */
		snprintf(out, 32, "0");
	else if (isnan(v))
		snprintf(out, 32, "NaN");
	else if (isinf(v))
		snprintf(out, 32, v > 0 ? "+Inf" : "-Inf");
	else
		snprintf(out, 32, "%.15g", v);
}

void metrics_double(struct metrics *m, const struct metrics_label *labels, double value)
{
	char text[32];
	assert(m->type != METRICS_HISTOGRAM);
	format_double(text, value);
	put_head(m, "", labels, NULL);
	buf_printf(m->out, "%s\n", text);
}

void metrics_histogram(struct metrics *m, const struct metrics_label *labels,
		       const struct metrics_histogram *h)
{
	char text[32];
	uint64_t count = 0;
	assert(m->type == METRICS_HISTOGRAM);
	for (unsigned i = 0; i <= h->bounds_n; i++) {
		format_double(text, i < h->bounds_n ? h->bounds[i] : (double)INFINITY);
		count += h->counts[i];
		put_head(m, "_bucket", labels, text);
		buf_printf(m->out, "%" PRIu64 "\n", count);
	}
	format_double(text, h->sum);
	put_head(m, "_sum", labels, NULL);
	buf_printf(m->out, "%s\n", text);
	put_head(m, "_count", labels, NULL);
	buf_printf(m->out, "%" PRIu64 "\n", count);
}

void metrics_histogram_init(struct metrics_histogram *h, const double *bounds, unsigned bounds_n)
{
	assert(bounds_n <= METRICS_BUCKETS_MAX);
	*h = (struct metrics_histogram){.bounds = bounds, .bounds_n = bounds_n};
}

void metrics_histogram_add(struct metrics_histogram *h, double value)
{
	unsigned i = 0;
	/* Written so that NaN lands in the last bucket. */
	while (i < h->bounds_n && !(value <= h->bounds[i]))
		i++;
	h->counts[i]++;
	h->sum += value;
}
