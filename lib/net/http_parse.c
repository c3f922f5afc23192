/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict where leniency has been abused: lines end with CRLF, no folded lines, no blank before the
 * colon, no control characters, one Host at most, and no request with a body is ever followed by
 * another on its connection (RFC 9112 section 11.2, request smuggling).
 */
#include "lib/net/http_parse.h"

#include <strings.h>

/* RFC 9110 section 5.6.2 */
static bool http_parse_is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_no_case(struct bytes s, const char *text)
{
	return s.n == strlen(text) && strncasecmp((const char *)s.p, text, s.n) == 0;
}

static bool starts_with(struct bytes s, const char *text)
{
	return s.n >= strlen(text) && memcmp(s.p, text, strlen(text)) == 0;
}

/* Cut what stands before `c` off the front of `in`, and `c` too; false if `c` is not there. */
static bool cut_at(struct bytes *in, uint8_t c, struct bytes *out)
{
	const uint8_t *at = in->n == 0 ? NULL : memchr(in->p, c, in->n);
	if (at == NULL)
		return false;
	*out = bytes_of(in->p, (size_t)(at - in->p));
	*in = bytes_of(at + 1, in->n - out->n - 1);
	return true;
}

/* One line without its CRLF. */
static bool cut_line(struct bytes *in, struct bytes *line)
{
	if (!cut_at(in, '\n', line) || line->n == 0 || line->p[line->n - 1] != '\r')
		return false;
	line->n--;
	return memchr(line->p, '\r', line->n) == NULL;
}

static struct bytes trim(struct bytes s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = bytes_of(s.p + 1, s.n - 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* origin-form "/path?query", or absolute-form "http://host/path?query", whose host counts and not
 * the header's (RFC 9112 section 3.2.2). */
static bool parse_target(struct bytes target, struct http_head *h)
{
	for (size_t i = 0; i < target.n; i++)
		if (target.p[i] < 0x21 || target.p[i] > 0x7e || target.p[i] == '#')
			return false;
	if (starts_with(target, "http://")) {
		target = bytes_of(target.p + 7, target.n - 7);
		const uint8_t *slash = memchr(target.p, '/', target.n);
		if (slash == NULL || slash == target.p)
			return false;
		h->host = bytes_of(target.p, (size_t)(slash - target.p));
		target = bytes_of(slash, target.n - h->host.n);
	}
	if (target.n == 0 || target.p[0] != '/')
		return false;
	if (cut_at(&target, '?', &h->path))
		h->query = target;
	else
		h->path = target;
	return true;
}

/* method SP target SP version */
static int parse_request_line(struct bytes line, struct http_head *h)
{
	struct bytes method, target;
	if (!cut_at(&line, ' ', &method) || !cut_at(&line, ' ', &target) || method.n == 0)
		return 400;
	for (size_t i = 0; i < method.n; i++)
		if (!http_parse_is_token(method.p[i]))
			return 400;
	h->method = bytes_eq_str(method, "GET")    ? HTTP_GET
		    : bytes_eq_str(method, "HEAD") ? HTTP_HEAD
		    : bytes_eq_str(method, "POST") ? HTTP_POST
						   : HTTP_OTHER;
	if (!starts_with(line, "HTTP/"))
		return 400;
	h->keep_alive = bytes_eq_str(line, "HTTP/1.1");
	if (!h->keep_alive && !bytes_eq_str(line, "HTTP/1.0"))
		return 505;
	return parse_target(target, h) ? 200 : 400;
}

/* "close", "keep-alive", or a list with one of them. */
static void parse_connection(struct bytes value, struct http_head *h)
{
	struct bytes item;
	bool more = true;
	while (more) {
		more = cut_at(&value, ',', &item);
		if (!more)
			item = value;
		item = trim(item);
		if (is_no_case(item, "close"))
			h->keep_alive = false;
		else if (is_no_case(item, "keep-alive"))
			h->keep_alive = true;
	}
}

struct seen {
	bool host;
	struct bytes host_value;
};

static bool parse_field(struct bytes line, struct http_head *h, struct seen *seen)
{
	struct bytes name;
	if (!cut_at(&line, ':', &name) || name.n == 0)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!http_parse_is_token(name.p[i]))
			return false;
	for (size_t i = 0; i < line.n; i++)
		if ((line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
			return false;
	struct bytes value = trim(line);
	if (is_no_case(name, "Host")) {
		if (seen->host)
			return false;
		seen->host = true;
		seen->host_value = value;
	} else if (is_no_case(name, "Content-Length")) {
		h->has_body = h->has_body || !bytes_eq_str(value, "0");
	} else if (is_no_case(name, "Transfer-Encoding")) {
		h->has_body = true;
	} else if (is_no_case(name, "X-Farshore")) {
		h->marked = bytes_eq_str(value, "1");
	} else if (is_no_case(name, "Connection")) {
		parse_connection(value, h);
	}
	return true;
}

int http_parse_head(struct bytes in, struct http_head *h)
{
	*h = (struct http_head){.method = HTTP_OTHER};
	const uint8_t *end = in.n == 0 ? NULL : memmem(in.p, in.n, "\r\n\r\n", 4);
	if (end == NULL)
		return 0;
	h->n = (size_t)(end - in.p) + 4;
	struct bytes rest = bytes_of(in.p, h->n - 2), line = {0};
	if (!cut_line(&rest, &line))
		return 400;
	int status = parse_request_line(line, h);
	if (status != 200)
		return status;
	bool http_1_1 = h->keep_alive;
	struct seen seen = {0};
	while (rest.n > 0)
		if (!cut_line(&rest, &line) || !parse_field(line, h, &seen))
			return 400;
	/* RFC 9112 section 3.2: a 1.1 request must have one. */
	if (http_1_1 && !seen.host)
		return 400;
	if (h->host.p == NULL && seen.host)
		h->host = seen.host_value;
	return 200;
}

bool http_parse_host_is(struct bytes host, const char *const *names, size_t n)
{
	struct bytes rest = host, name;
	if (rest.n > 0 && rest.p[0] == '[') {
		rest = bytes_of(rest.p + 1, rest.n - 1);
		if (!cut_at(&rest, ']', &name) || memchr(name.p, ':', name.n) == NULL)
			return false;
		if (rest.n > 0 && rest.p[0] != ':')
			return false;
		if (rest.n > 0)
			rest = bytes_of(rest.p + 1, rest.n - 1);
	} else if (!cut_at(&rest, ':', &name)) {
		name = rest;
		rest.n = 0;
	}
	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return false;
	for (size_t i = 0; i < n; i++)
		if (is_no_case(name, names[i]))
			return true;
	return false;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* A decoded, NUL-terminated copy; NULL for a bad escape or a NUL in it. `plus`: "+" is a blank. */
static char *decode(struct bytes s, bool plus, struct arena *a)
{
	char *out = arena_zalloc(a, s.n + 1, 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n && out != NULL; i++) {
		int c = plus && s.p[i] == '+' ? ' ' : s.p[i];
		if (c == '%') {
			int hi = s.n - i < 3 ? -1 : hex_digit(s.p[i + 1]);
			int lo = s.n - i < 3 ? -1 : hex_digit(s.p[i + 2]);
			c = hi < 0 || lo < 0 ? 0 : hi * 16 + lo;
			i += 2;
		}
		if (c == 0)
			return NULL;
		out[n++] = (char)c;
	}
	return out;
}

const char *http_parse_segment(struct bytes segment, struct arena *a)
{
	return decode(segment, false, a);
}

/* Cut the first "key=value" off a query; a key alone has the value "". */
static void cut_parameter(struct bytes *query, bool *more, struct bytes *key, struct bytes *value)
{
	*more = cut_at(query, '&', value);
	if (!*more)
		*value = *query;
	if (!cut_at(value, '=', key)) {
		*key = *value;
		*value = bytes_of("", 0);
	}
}

const char *http_parse_query(struct bytes query, const char *name, struct arena *a)
{
	bool more = query.p != NULL;
	while (more) {
		struct bytes key, value;
		cut_parameter(&query, &more, &key, &value);
		const char *decoded = decode(key, true, a);
		if (decoded != NULL && strcmp(decoded, name) == 0)
			return decode(value, true, a);
	}
	return NULL;
}

bool http_parse_query_only(struct bytes query, const char *const *names, size_t n, struct arena *a)
{
	uint32_t seen = 0;
	bool more = query.p != NULL;
	while (more) {
		struct bytes key, value;
		cut_parameter(&query, &more, &key, &value);
		const char *decoded = decode(key, true, a);
		size_t i = 0;
		while (decoded != NULL && i < n && strcmp(decoded, names[i]) != 0)
			i++;
		if (decoded == NULL || i == n || decode(value, true, a) == NULL ||
		    (seen & UINT32_C(1) << i) != 0)
			return false;
		seen |= UINT32_C(1) << i;
	}
	return true;
}
