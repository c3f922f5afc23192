/* SPDX-License-Identifier: Apache-2.0 */
/* Names of C for names of Kafka. */
#include "lib/wire/gen/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* True if a new word starts at s[i]: "aB", or the last capital of a run before a small letter
 * ("HTTPPort": at the second P). */
static bool names_word_starts(const char *s, size_t i)
{
	if (i == 0 || !isupper((unsigned char)s[i]))
		return false;
	if (!isupper((unsigned char)s[i - 1]))
		return true;
	bool kraft = strncmp(s + i - 1, "KRaft", 5) == 0;
	return islower((unsigned char)s[i + 1]) != 0 && !kraft;
}

char *names_snake(struct arena *a, const char *name)
{
	char *out = arena_zalloc(a, 2 * strlen(name) + 1, 1);
	if (out == NULL)
		return NULL;
	size_t o = 0;
	for (size_t i = 0; name[i] != '\0'; i++) {
		if (names_word_starts(name, i))
			out[o++] = '_';
		out[o++] = (char)tolower((unsigned char)name[i]);
	}
	return out;
}

char *names_member(struct arena *a, const char *name)
{
	static const char *const reserved[] = {
		"auto",     "bool",   "break",    "case",    "char",   "const",    "continue",
		"default",  "do",     "double",   "else",    "enum",   "extern",   "false",
		"float",    "for",    "goto",     "if",      "inline", "int",      "long",
		"register", "return", "restrict", "short",   "signed", "sizeof",   "static",
		"struct",   "switch", "true",     "typedef", "union",  "unsigned", "void",
		"volatile", "while",
	};
	char *snake = names_snake(a, name);
	if (snake == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
		/* names_snake leaves room for one more character: a name has a first word. */
		if (strcmp(snake, reserved[i]) == 0)
			snake[strlen(snake)] = '_';
	}
	return snake;
}

char *names_join(struct arena *a, const char *prefix, const char *suffix)
{
	size_t size = strlen(prefix) + strlen(suffix) + 2;
	char *out = arena_zalloc(a, size, 1);
	if (out == NULL)
		return NULL;
	snprintf(out, size, "%s_%s", prefix, suffix);
	return out;
}
