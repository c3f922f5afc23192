/* SPDX-License-Identifier: Apache-2.0 */
/* The records are JSON already, but others may have written to the topic: each is parsed, and what
 * is none is left out. */
#include "mirror/http/gaps_api.h"

#include <string.h>

#include "lib/base/jsontext.h"
#include "mirror/link/gaps.h"

enum { REPLY_BYTES = 32 << 20 };

static json_t *gap_json(struct bytes value, const char *topic)
{
	json_error_t why;
	json_t *o = json_loadb((const char *)value.p, value.n, JSON_REJECT_DUPLICATES, &why);
	const char *of = json_string_value(json_object_get(o, "topic"));
	if (of == NULL || (topic != NULL && strcmp(of, topic) != 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *link_json(const struct link *k, const char *topic)
{
	json_t *list = json_array();
	for (size_t i = 0; i < gaps_count(k->gaps); i++) {
		json_t *o = gap_json(gaps_at(k->gaps, i), topic);
		if (o != NULL)
			json_array_append_new(list, o);
	}
	return json_pack("{s:s, s:s, s:b, s:b, s:o}", "link", k->config->name, "topic",
			 gaps_topic(k->gaps), "loaded", (int)gaps_loaded(k->gaps), "more",
			 (int)gaps_more(k->gaps), "gaps", list);
}

static void on_gaps(void *arg, struct http_request *req)
{
	static const char *const names[] = {"link", "topic"};
	const struct gaps_api *a = arg;
	if (!http_request_only(req, names, sizeof names / sizeof *names)) {
		http_reply_text(req, 400, "Only the parameters link and topic are known here.\n");
		return;
	}
	const char *only = http_request_query(req, "link");
	bool known = only == NULL;
	json_t *links = json_array();
	for (size_t i = 0; i < a->links_n; i++) {
		if (only != NULL && strcmp(only, link_config(a->links[i])->name) != 0)
			continue;
		known = true;
		json_array_append_new(links,
				      link_json(a->links[i], http_request_query(req, "topic")));
	}
	if (!known) {
		json_decref(links);
		http_reply_text(req, 404, "There is no such link; /v1/links has them all.\n");
		return;
	}
	json_t *root = json_pack("{s:o}", "links", links);
	struct buf page;
	buf_init(&page, REPLY_BYTES);
	jsontext_put(root, &page);
	json_decref(root);
	if (page.err == ERR_OK)
		http_reply(req, 200, "application/json", buf_bytes(&page));
	else
		http_reply_text(req, 500,
				"The gap records do not fit into memory; ask with topic=.\n");
	buf_fini(&page);
}

enum err gaps_api_serve(struct http_server *s, struct gaps_api *a)
{
	return http_server_route(s, "/v1/gaps", on_gaps, a);
}
