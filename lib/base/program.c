/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "lib/base/program.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

int program_bad_usage(const struct program *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "%s: ", p->name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; see %s --help\n", p->name);
	va_end(ap);
	return PROGRAM_EXIT_CONFIG;
}

int program_take_option(const struct program *p, struct program_options *o, int opt)
{
	switch (opt) {
	case PROGRAM_OPT_SET:
		if (o->sets_n == PROGRAM_SETS_MAX)
			return program_bad_usage(p, "too many --set");
		o->sets[o->sets_n++] = optarg;
		return PROGRAM_GO_ON;
	case PROGRAM_OPT_CHECK:
		o->check = true;
		return PROGRAM_GO_ON;
	case PROGRAM_OPT_HELP_CONFIG:
		p->describe(stdout);
		return EXIT_SUCCESS;
	case PROGRAM_OPT_VERSION:
		printf("%s %s\n", p->name, FARSHORE_VERSION);
		return EXIT_SUCCESS;
	case PROGRAM_OPT_HELP:
		fputs(p->usage, stdout);
		return EXIT_SUCCESS;
	default:
		return program_bad_usage(p, "unknown option");
	}
}

struct log *program_log_new(const struct program *p, const char *level)
{
	enum log_level lines = LOG_INFO;
	(void)log_level_parse(level, &lines); /* the configuration has been checked */
	struct log *log = log_new(STDERR_FILENO, lines, clock_system());
	if (log == NULL)
		fprintf(stderr, "%s: out of memory\n", p->name);
	return log;
}

int program_log_end(struct log *log, enum err e, const struct errmsg *why)
{
	if (e != ERR_OK)
		log_event(log, LOG_ERROR, "cannot_run", LOG_S("error", err_name(e)),
			  LOG_S("reason", why->text));
	else
		log_event(log, LOG_INFO, "stopped", LOG_I("code", 0));
	log_free(log);
	return e == ERR_OK ? EXIT_SUCCESS : e == ERR_CONFIG ? PROGRAM_EXIT_CONFIG : EXIT_FAILURE;
}
