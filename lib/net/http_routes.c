/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which route serves a request, or why none does. Invariant: a verdict of 200 comes only after all
 * rules passed.
 */
#include "lib/net/http_routes.h"

#include "lib/base/mem.h"

void http_routes_init(struct http_routes *r)
{
	r->first = NULL;
	r->tail = &r->first;
}

void http_routes_fini(struct http_routes *r)
{
	while (r->first != NULL) {
		struct http_route *next = r->first->next;
		mem_free(r->first->path);
		mem_free(r->first);
		r->first = next;
	}
	r->tail = &r->first;
}

enum err http_routes_add(struct http_routes *r, const char *path, bool action, http_handler *fn,
			 void *arg)
{
	struct http_route *x = mem_zalloc(1, sizeof *x);
	if (x == NULL)
		return ERR_NOMEM;
	x->path = mem_strdup(path);
	if (x->path == NULL) {
		mem_free(x);
		return ERR_NOMEM;
	}
	x->action = action;
	x->fn = fn;
	x->arg = arg;
	*r->tail = x;
	r->tail = &x->next;
	return ERR_OK;
}

void http_routes_print(const struct http_routes *r, struct buf *out)
{
	buf_put_str(out, "Not found. This server has:\n");
	for (const struct http_route *x = r->first; x != NULL; x = x->next)
		buf_printf(out, "  %s%s\n", x->action ? "POST " : "", x->path);
}

/* Does `path` fit the route's, and what stands for its "*"? */
static bool fits(const char *route, struct bytes path, struct bytes *name)
{
	const char *star = strchr(route, '*');
	*name = (struct bytes){NULL, 0};
	if (star == NULL)
		return bytes_eq_str(path, route);
	size_t before = (size_t)(star - route), after = strlen(star + 1);
	if (path.n <= before + after || memcmp(path.p, route, before) != 0 ||
	    memcmp(path.p + path.n - after, star + 1, after) != 0)
		return false;
	*name = bytes_of(path.p + before, path.n - before - after);
	return memchr(name->p, '/', name->n) == NULL;
}

static const struct http_route *find(const struct http_routes *r, struct bytes path,
				     struct bytes *name)
{
	for (const struct http_route *x = r->first; x != NULL; x = x->next)
		if (fits(x->path, path, name))
			return x;
	return NULL;
}

static struct http_verdict refuse(int status, const char *text)
{
	return (struct http_verdict){.status = status, .text = text, .extra = "", .hang_up = true};
}

static struct http_verdict wrong_method(bool action)
{
	struct http_verdict v = refuse(405, action ? "This is an action: use POST.\n"
						   : "Only GET and HEAD are served here.\n");
	v.extra = action ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
	return v;
}

struct http_verdict http_routes_judge(const struct http_routes *r, int parsed,
				      const struct http_head *h, const struct http_asker *asker)
{
	struct http_verdict v = {.status = 200, .text = "", .extra = ""};
	if (parsed == 431)
		return refuse(431, "The request's headers are too large.\n");
	if (parsed != 200)
		return refuse(parsed, "This is no HTTP/1.1 request that we can read.\n");
	if (!asker->named_us)
		return refuse(403, "This server listens on loopback and serves only requests for "
				   "localhost, 127.0.0.1 or [::1].\n");
	v.route = find(r, h->path, &v.name);
	if (v.route == NULL) {
		v.status = 404;
		v.hang_up = h->has_body;
		return v;
	}
	bool reads = h->method == HTTP_GET || h->method == HTTP_HEAD;
	if (v.route->action ? h->method != HTTP_POST : !reads)
		return wrong_method(v.route->action);
	if (h->has_body)
		return refuse(400, "A request with a body is not served.\n");
	if (v.route->action && !h->marked)
		return refuse(403, "Send the header \"X-Farshore: 1\" with it: that shows that no "
				   "web page asks for this.\n");
	if (v.route->action && !asker->local)
		return refuse(403, "Actions are taken only from the host that this runs on.\n");
	return v;
}
