/* SPDX-License-Identifier: Apache-2.0 */
/* What report*.c share. */
#ifndef FARSHORE_TOOLS_REPORT_IMPL_H
#define FARSHORE_TOOLS_REPORT_IMPL_H

#include "lib/base/buf.h"
#include "tools/report.h"

enum { REPORT_LINE_MAX = 64 << 10 };

/* A line of clean text, wrapped. */
enum err report_line(const struct report *r, const struct buf *line, size_t indent) ERR_MUST_USE;

/* `root` NULL counts as out of memory. */
enum err report_json(const struct report *r, const json_t *root) ERR_MUST_USE;

#endif
