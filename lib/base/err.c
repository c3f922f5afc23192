/* SPDX-License-Identifier: Apache-2.0 */
/* The error table and the message buffer. The table is generated from err_list.h; nothing here
 * allocates. */
#include "lib/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	const char *name;
	const char *text;
	int16_t code;
	bool retriable;
};

static const struct err_row rows[ERR_COUNT] = {
#define X(name, code, retriable, text) {#name, text, code, retriable},
	ERR_OURS(X) ERR_KAFKA(X)
#undef X
};

const char *err_name(enum err e)
{
	return (unsigned)e < ERR_COUNT ? rows[e].name : "?";
}

const char *err_text(enum err e)
{
	return (unsigned)e < ERR_COUNT ? rows[e].text : "?";
}

bool err_retriable(enum err e)
{
	return (unsigned)e < ERR_COUNT && rows[e].retriable;
}

enum err err_from_kafka(int16_t code)
{
	if (code == 0)
		return ERR_OK;
	/* ERR_NO_CODE is a value that a peer can send; it must not find one of our own rows. */
	for (int i = 0; i < ERR_COUNT && code != ERR_NO_CODE; i++)
		if (rows[i].code == code)
			return (enum err)i;
	return ERR_KAFKA_UNKNOWN_SERVER_ERROR;
}

int16_t err_to_kafka(enum err e)
{
	if (e == ERR_OK)
		return 0;
	if ((unsigned)e < ERR_COUNT && rows[e].code != ERR_NO_CODE)
		return rows[e].code;
	return -1;
}

enum err errmsg_set(struct errmsg *m, enum err e, const char *fmt, ...)
{
	if (m == NULL)
		return e;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m->text, sizeof m->text, fmt, ap);
	va_end(ap);
	return e;
}

enum err errmsg_wrap(struct errmsg *m, enum err e, const char *fmt, ...)
{
	if (m == NULL)
		return e;
	struct errmsg old = *m;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(m->text, sizeof m->text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof m->text)
		return e;
	int room = (int)sizeof m->text - n - 3;
	snprintf(m->text + n, sizeof m->text - (size_t)n, ": %.*s", room > 0 ? room : 0, old.text);
	return e;
}
