/* SPDX-License-Identifier: Apache-2.0 */
/* Text to value and back, for the types of lib/base/config.h; and the nearest name to a wrong one.
 */
#ifndef FARSHORE_BASE_CONFIG_VALUE_H
#define FARSHORE_BASE_CONFIG_VALUE_H

#include "lib/base/buf.h"
#include "lib/base/config.h"

/* A whole number with optional sign, nothing else around it but blanks. False: not one, or it does
 * not fit. */
bool config_value_int(const char *text, int64_t *out);

/* "10 s", "500 ms", "5 min", or plain milliseconds. */
bool config_value_duration(const char *text, int64_t *ms);

/* "64 MiB", "100 KiB", or plain bytes. */
bool config_value_bytes(const char *text, int64_t *bytes);

/* "true" or "false". */
bool config_value_bool(const char *text, bool *out);

/* Milliseconds or bytes in the largest unit that divides them: "10 s", "64 MiB". */
void config_value_put_duration(struct buf *b, int64_t ms);
void config_value_put_bytes(struct buf *b, int64_t bytes);

/* Split at commas, drop blanks around the items and empty items. `*items` lives in the arena; false
 * when memory ran out. */
bool config_value_split(struct arena *a, const char *text, const char *const **items, size_t *n);

/* What a row wants, in words: "a duration from 0 ms to 60 s". */
void config_value_describe(struct buf *b, const struct config_row *row);

/*
 * Keeps the candidate that is nearest to `word` by edit distance; start with a zeroed struct whose
 * `word` is set. `best` stays NULL while nothing is near enough to be a likely typing error.
 */
struct config_nearest {
	const char *word;
	const char *best;
	size_t distance;
};
void config_value_nearest(struct config_nearest *n, const char *candidate);

/* The field of one row in an object. */
int64_t config_value_get_int(const struct config_row *row, const void *object);
void config_value_set_int(const struct config_row *row, void *object, int64_t v);
const char *config_value_get_str(const struct config_row *row, const void *object);
void config_value_set_str(const struct config_row *row, void *object, const char *v);
bool config_value_same(const struct config_row *row, const void *a, const void *b);

#endif
