/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands do with their answers and with what went wrong. */
#ifndef FARSHORE_TOOLS_SAY_H
#define FARSHORE_TOOLS_SAY_H

#include "tools/report.h"

/* One line on stderr; what others said is in it, so it is made safe. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Say it; the exit code that goes with it. */
int say_failed(enum err e, const struct errmsg *why);

/* Print to stdout as the options and the terminal have it. */
struct report say_report(const struct options *o);

/* `code`, if printing went well and all of it is out; else say so. */
int say_printed(enum err e, int code);

#endif
