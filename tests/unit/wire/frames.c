/* SPDX-License-Identifier: Apache-2.0 */
/* Reads tests/fixtures/frames.txt. */
#include "tests/unit/wire/frames.h"

#include <stdio.h>
#include <stdlib.h>

static void frames_die(const char *path, size_t line, const char *what)
{
	fprintf(stderr, "%s:%zu: %s\n", path, line, what);
	abort();
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False if `hex` is not an even number of digits up to the end of the line. */
static bool item_parse_hex(struct frames_item *f, const char *hex)
{
	size_t digits = strspn(hex, "0123456789abcdef");
	if (digits % 2 != 0 || (hex[digits] != '\n' && hex[digits] != '\0'))
		return false;
	f->n = digits / 2;
	f->data = malloc(f->n);
	for (size_t i = 0; f->data != NULL && i < f->n; i++)
		f->data[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return f->data != NULL;
}

static bool item_parse(struct frames_item *f, const char *line)
{
	char kind[4];
	int api_key, version, at = 0;
	if (sscanf(line, "%3s %d %d %n", kind, &api_key, &version, &at) != 3 || at == 0)
		return false;
	f->request = strcmp(kind, "req") == 0;
	f->api_key = (int16_t)api_key;
	f->version = (int16_t)version;
	return item_parse_hex(f, line + at);
}

struct frames frames_load(const char *path)
{
	struct frames out = {NULL, 0};
	char *line = NULL;
	size_t line_cap = 0, line_n = 0, cap = 0;
	FILE *f = fopen(path, "r");
	if (f == NULL)
		frames_die(path, 0, "cannot be opened");
	while (getline(&line, &line_cap, f) > 0) {
		line_n++;
		if (out.n == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			out.items = realloc(out.items, cap * sizeof *out.items);
		}
		if (out.items == NULL || !item_parse(&out.items[out.n], line))
			frames_die(path, line_n, "not a frame");
		out.n++;
	}
	free(line);
	fclose(f);
	return out;
}

void frames_free(struct frames *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->items[i].data);
	free(f->items);
	*f = (struct frames){NULL, 0};
}

const struct wire_message *frames_message(const struct frames_item *f)
{
	return f->request ? wire_request(f->api_key) : wire_response(f->api_key);
}

enum err frames_header(const struct frames_item *f, size_t *used, struct errmsg *why)
{
	struct bytes in = bytes_of(f->data, f->n);
	struct wire_request_header h;
	int32_t correlation_id;
	if (f->request)
		return wire_get_request_header(in, &h, used, why);
	return wire_get_response_header(in, f->api_key, f->version, &correlation_id, used, why);
}
