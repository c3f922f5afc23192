/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands print: tables for people, JSON for programs. No I/O but the printing. */
#ifndef FARSHORE_TOOLS_REPORT_H
#define FARSHORE_TOOLS_REPORT_H

#include <stdio.h>

#include "checkpoint/translate.h"
#include "tools/intake.h"
#include "tools/options.h"

/* Where and how to print. */
struct report {
	FILE *out;
	size_t width; /* of the terminal; 0: as wide as need be */
	bool json, all;
};

/* Each gives the exit code; an error (ERR_NOMEM, ERR_LIMIT) means that not all was printed. */

/* `link status`: the links, and what is not well in each. */
enum err report_links(const struct report *r, struct intake *in, int *code) ERR_MUST_USE;

/* `lag`, of one topic (named as at the source or at the target) or all (NULL). EXIT_NOT_FOUND: no
 * such topic, nothing was printed. */
enum err report_lag(const struct report *r, struct intake *in, const char *topic,
		    int *code) ERR_MUST_USE;

/* `groups`: what a failover now would lose and repeat, a row for each group; or, if one was asked
 * for (`group` not NULL), a row for each of its positions. EXIT_NOT_FOUND: there is no such group,
 * nothing was printed. EXIT_ATTENTION: something would be lost or repeated, or cannot be told. */
enum err report_groups(const struct report *r, struct intake_groups *in, const char *group,
		       int *code) ERR_MUST_USE;

/* `translate`; `group` NULL: offsets were asked about. JSON: {"translations":[...]}, each as in
 * checkpoint/translate.h, and "group". */
enum err report_translations(const struct report *r, const char *group,
			     const struct translation *list, size_t n, int *code) ERR_MUST_USE;

#endif
