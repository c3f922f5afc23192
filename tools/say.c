/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/say.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/text.h"

enum { LINE_MAX_BYTES = 4096 };

void say(const char *fmt, ...)
{
	char text[LINE_MAX_BYTES / 4];
	struct buf line;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_init(&line, LINE_MAX_BYTES);
	text_clean(&line, text);
	fprintf(stderr, "farshore: %.*s\n", (int)line.len, (const char *)line.p);
	buf_fini(&line);
}

int say_failed(enum err e, const struct errmsg *why)
{
	say("%s", why->text);
	return e == ERR_NOT_FOUND ? EXIT_NOT_FOUND : e == ERR_CONFIG ? EXIT_USAGE : EXIT_FAILED;
}

struct report say_report(const struct options *o)
{
	struct winsize size;
	struct report r = {.out = stdout, .json = o->json, .all = o->all};
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		r.width = size.ws_col;
	return r;
}

int say_printed(enum err e, int code)
{
	if (e == ERR_OK && fflush(stdout) == 0 && !ferror(stdout))
		return code;
	say("%s", e == ERR_OK ? "cannot write the answer" : err_text(e));
	return EXIT_FAILED;
}
