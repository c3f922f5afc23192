/* SPDX-License-Identifier: Apache-2.0 */
/* {"program", "version", "now_ms", "links":[a summary of each link that follows groups],"groups":[{group, its sums, "positions":
 * [...]}]}; the members are described in docs/operating.md. */
#include "mirror/http/groups_api.h"

#include <inttypes.h>

#include "mirror/group/groups.h"
#include "mirror/link/link_parts.h"

enum {
	PAGE_BYTES = 64 << 20,
	/* With every position: ten thousand groups in ten partitions each are 28 MiB. */
	POSITIONS_PAGE_BYTES = 16 << 20,
};

static void put(const struct status_source *s, const char *link, const char *group, bool positions,
		struct buf *page)
{
	bool first = true;
	buf_printf(page,
		   "{\"program\":\"farshore-mirror\",\"version\":\"%s\",\"now_ms\":%" PRId64
		   ",\"links\":[",
		   FARSHORE_VERSION, clock_wall_ms(s->clock));
	for (size_t i = 0; i < s->links_n; i++)
		if (link == NULL || strcmp(link, s->links[i]->config->name) == 0)
			groups_summary_json(s->links[i]->groups, &first, page);
	buf_put_str(page, "],\"groups\":[");
	first = true;
	for (size_t i = 0; i < s->links_n; i++)
		if (link == NULL || strcmp(link, s->links[i]->config->name) == 0)
			groups_json(s->links[i]->groups, group, positions, &first, page);
	buf_put_str(page, "]}");
}

static bool known_link(const struct status_source *s, const char *name)
{
	for (size_t i = 0; i < s->links_n; i++)
		if (strcmp(name, s->links[i]->config->name) == 0)
			return true;
	return false;
}

static void on_groups(void *arg, struct http_request *req)
{
	static const char *const names[] = {"link", "group", "positions"};
	const struct status_source *s = arg;
	const char *link = http_request_query(req, "link");
	const char *positions = http_request_query(req, "positions");
	if (!http_request_only(req, names, sizeof names / sizeof *names)) {
		http_reply_text(req, 400,
				"Only the parameters link, group and positions are known here.\n");
		return;
	}
	if (positions != NULL && strcmp(positions, "yes") != 0 && strcmp(positions, "no") != 0) {
		http_reply_text(req, 400, "positions is yes or no.\n");
		return;
	}
	if (link != NULL && !known_link(s, link)) {
		http_reply_text(req, 404, "There is no such link; /v1/links has them all.\n");
		return;
	}
	struct buf page;
	bool with_positions = positions == NULL || strcmp(positions, "yes") == 0;
	buf_init(&page, with_positions ? POSITIONS_PAGE_BYTES : PAGE_BYTES);
	put(s, link, http_request_query(req, "group"), with_positions, &page);
	if (page.err == ERR_OK)
		http_reply_take(req, 200, "application/json", &page);
	else
		http_reply_text(
			req, 500,
			"The groups do not fit into memory; ask with positions=no, or for one "
			"group.\n");
	buf_fini(&page);
}

enum err groups_api_serve(struct http_server *http, const struct status_source *s)
{
	/* The handler only reads. */
	return http_server_route(http, "/v1/groups", on_groups, (void *)(uintptr_t)s);
}
