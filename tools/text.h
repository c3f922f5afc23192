/* SPDX-License-Identifier: Apache-2.0 */
/* Words and tables for a terminal. */
#ifndef FARSHORE_TOOLS_TEXT_H
#define FARSHORE_TOOLS_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "lib/base/buf.h"

/* Append what a peer said, made safe for a terminal: control characters (C0, DEL, C1), marks that
 * change the direction of writing, line separators and what is not UTF-8 become '?'. */
void text_clean(struct buf *out, const char *text);

/* "12 s", "3 min", "2 h", "5 d", with a NUL; "?" for less than 0. */
enum { TEXT_AGE_MAX = 32 };
void text_age(int64_t ms, char out[TEXT_AGE_MAX]);

/* Characters of UTF-8. */
size_t text_columns(struct bytes text);

/* Words of clean text in lines of at most `width` (0: one line), each after `indent` blanks. */
void text_wrapped(FILE *out, struct bytes text, size_t indent, size_t width);

/* ---- tables ---- */

enum { TABLE_COLUMNS_MAX = 12 };

struct table_column {
	const char *head;
	bool right; /* numbers */
	bool name;  /* may be cut in the middle where the terminal is too narrow */
};

/* Cells in rows, kept as one text; an error is told once, by table_print. */
struct table {
	const struct table_column *columns;
	size_t columns_n;
	struct buf text;
	struct buf ends; /* size_t: end of each cell in `text` */
};

/* `columns` is borrowed. */
void table_init(struct table *t, const struct table_column *columns, size_t n);
void table_fini(struct table *t);

/* The next cell, cleaned. */
void table_add(struct table *t, const char *text);
void table_add_number(struct table *t, int64_t value); /* -1: "?" */

/* Heads and rows in at most `width` columns if that can be done; 0: as wide as need be. ERR_NOMEM,
 * ERR_LIMIT. */
enum err table_print(const struct table *t, size_t width, FILE *out) ERR_MUST_USE;

#endif
