/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are built in one buffer and written with one write(2). The rate limit keeps one counter per
 * event name (by address: names are string literals) for the current second.
 */
#include "lib/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"

enum { LOG_BURST = 20, LOG_EVENTS = 64, LOG_LINE_MAX = 16 * 1024 };

struct event_count {
	const char *event;
	unsigned lines;
	unsigned held;
};

/* Stands for all events beyond LOG_EVENTS different ones in one second. */
static const char other_events[] = "other";

struct log {
	int fd;
	enum log_level level;
	const struct clock *clock;
	struct buf line;
	int64_t second;
	struct event_count counts[LOG_EVENTS + 1]; /* the last is that of other_events */
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct log *log_new(int fd, enum log_level level, const struct clock *clock)
{
	struct log *l = mem_zalloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->fd = fd;
	l->level = level;
	l->clock = clock;
	buf_init(&l->line, LOG_LINE_MAX);
	return l;
}

void log_free(struct log *l)
{
	if (l == NULL)
		return;
	buf_fini(&l->line);
	mem_free(l);
}

void log_set_level(struct log *l, enum log_level level)
{
	l->level = level;
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

/* UTF-8 above ASCII passes. Control characters and what is not UTF-8 become \xNN, the C1 controls
 * (U+0080 to U+009F) with them: a terminal takes some of these as the start of a command. */
static void put_quoted(struct buf *b, struct bytes v)
{
	buf_put_u8(b, '"');
	for (size_t i = 0, n; i < v.n; i += n) {
		uint8_t c = v.p[i];
		n = bytes_utf8(v, i);
		if (n > 1 && !(c == 0xc2 && v.p[i + 1] < 0xa0)) {
			buf_put(b, v.p + i, n);
			continue;
		}
		n = 1;
		if (c == '"' || c == '\\') {
			buf_put_u8(b, '\\');
			buf_put_u8(b, c);
		} else if (c == '\n') {
			buf_put_str(b, "\\n");
		} else if (c < ' ' || c >= 0x7f) {
			buf_printf(b, "\\x%02x", c);
		} else {
			buf_put_u8(b, c);
		}
	}
	buf_put_u8(b, '"');
}

static void put_value(struct buf *b, struct bytes v)
{
	bool quote = v.n == 0;
	for (size_t i = 0; i < v.n && !quote; i++)
		quote = !plain(v.p[i]);
	if (quote)
		put_quoted(b, v);
	else
		buf_put(b, v.p, v.n);
}

static void line_begin(struct log *l, enum log_level level, const char *event)
{
	int64_t ms = clock_wall_ms(l->clock);
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	buf_clear(&l->line);
	buf_printf(&l->line, "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s event=%s",
		   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		   (int)(ms % 1000), level_names[level], event);
}

static void line_end(struct log *l)
{
	/* Over the line limit, or just at it: what fits is better than nothing, and the end of the
	 * line must fit. */
	l->line.err = ERR_OK;
	if (l->line.len == l->line.max)
		l->line.len--;
	buf_put_u8(&l->line, '\n');
	/* A log that cannot be written has nobody to tell. */
	ssize_t ignored = write(l->fd, l->line.p, l->line.len);
	(void)ignored;
}

static void second_over(struct log *l, int64_t second)
{
	for (unsigned i = 0; i <= LOG_EVENTS; i++) {
		struct event_count *c = &l->counts[i];
		if (c->held > 0) {
			line_begin(l, LOG_WARN, "log_lines_held_back");
			buf_printf(&l->line, " of=%s count=%u", c->event, c->held);
			line_end(l);
		}
		*c = (struct event_count){.event = NULL};
	}
	l->second = second;
}

static bool rate_ok(struct log *l, const char *event)
{
	int64_t second = clock_mono_ms(l->clock) / 1000;
	if (second != l->second)
		second_over(l, second);
	unsigned i = 0;
	while (i < LOG_EVENTS && l->counts[i].event != NULL && l->counts[i].event != event)
		i++;
	struct event_count *c = &l->counts[i];
	c->event = i < LOG_EVENTS ? event : other_events;
	if (c->lines < LOG_BURST) {
		c->lines++;
		return true;
	}
	c->held++;
	return false;
}

void log_write(struct log *l, enum log_level level, const char *event, const struct log_kv *kv)
{
	if (l == NULL || level > l->level || !rate_ok(l, event))
		return;
	line_begin(l, level, event);
	for (; kv->key != NULL; kv++) {
		buf_printf(&l->line, " %s=", kv->key);
		if (kv->type == LOG_KV_INT)
			buf_printf(&l->line, "%" PRId64, kv->num);
		else
			put_value(&l->line, kv->bytes);
	}
	line_end(l);
}
