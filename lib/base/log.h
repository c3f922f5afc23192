/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfmt lines: `ts=… level=… event=… key=value …`, one line per event, written in one write(2).
 * Values are quoted and escaped where needed, so that a peer's string cannot forge a line.
 * Lines of one event are rate limited (LOG_BURST lines per second; the count of those held back is
 * told when the second is over).
 */
#ifndef FARSHORE_BASE_LOG_H
#define FARSHORE_BASE_LOG_H

#include "lib/base/bytes.h"
#include "lib/base/clock.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log;

/* A log that writes to `fd` (borrowed) lines up to `level`. NULL when out of memory. */
struct log *log_new(int fd, enum log_level level, const struct clock *clock);
void log_free(struct log *l);

/* Change the level of a running log. */
void log_set_level(struct log *l, enum log_level level);

/* "error", "warn", "info", "debug"; false if `name` is none of these. */
bool log_level_parse(const char *name, enum log_level *out);

/* One key and its value in a line; made with the macros below. */
struct log_kv {
	const char *key;
	enum { LOG_KV_STR, LOG_KV_BYTES, LOG_KV_INT } type;
	struct bytes bytes;
	int64_t num;
};

#define LOG_S(k, v) ((struct log_kv){.key = (k), .type = LOG_KV_STR, .bytes = bytes_str(v)})
#define LOG_B(k, v) ((struct log_kv){.key = (k), .type = LOG_KV_BYTES, .bytes = (v)})
#define LOG_I(k, v) ((struct log_kv){.key = (k), .type = LOG_KV_INT, .num = (int64_t)(v)})

/* Write one line. `event` is a fixed snake_case word; `kv` ends with the entry whose key is NULL.
 * `l` may be NULL. */
void log_write(struct log *l, enum log_level level, const char *event, const struct log_kv *kv);

/* log_event(l, LOG_INFO, "link_started", LOG_S("link", name), LOG_I("partitions", n)) */
#define log_event(l, level, event, ...) \
	log_write(l, level, event, (const struct log_kv[]){__VA_ARGS__, {.key = NULL}})

#endif
