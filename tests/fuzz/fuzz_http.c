/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP request heads, hosts and queries: no input makes a slice that lies outside of it. */
#include <stdlib.h>

#include "lib/net/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_slice(struct bytes s, struct bytes in)
{
	if (s.p != NULL && (s.p < in.p || s.p > in.p + in.n || s.n > in.n - (size_t)(s.p - in.p)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"localhost", "::1"};
	struct bytes in = bytes_of(data, size);
	struct http_head h;
	struct arena a;
	int status = http_parse_head(in, &h);
	if (h.n > size || (status == 200 && (h.path.n == 0 || h.path.p[0] != '/')))
		abort();
	check_slice(h.path, in);
	check_slice(h.query, in);
	check_slice(h.host, in);
	(void)http_parse_host_is(status == 200 ? h.host : in, names, 2);
	arena_init(&a, 4 * size + 1024);
	(void)http_parse_query(status == 200 ? h.query : in, "topic", &a);
	arena_fini(&a);
	return 0;
}
