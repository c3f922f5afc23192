/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what is to be held or released, strictly: a parameter that is not understood must not turn
 * into "the whole link". */
#include "mirror/http/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct link *find_link(const struct control *c, const char *name)
{
	for (size_t i = 0; name != NULL && i < c->links_n; i++)
		if (strcmp(link_config(c->links[i])->name, name) == 0)
			return c->links[i];
	return NULL;
}

/* A partition number; -1 if it is none. */
static int32_t partition_number(const char *text)
{
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n > 9 || text[n] != '\0')
		return -1;
	return (int32_t)strtol(text, NULL, 10);
}

static void act(const struct control *c, struct http_request *req, bool pause)
{
	static const char *const names[] = {"topic", "partition"};
	struct link *k = find_link(c, http_request_name(req));
	if (k == NULL) {
		http_reply_text(req, 404, "There is no such link; /v1/links has them all.\n");
		return;
	}
	if (!http_request_only(req, names, sizeof names / sizeof *names)) {
		http_reply_text(req, 400,
				"Only the parameters topic and partition are known here.\n");
		return;
	}
	const char *topic = http_request_query(req, "topic");
	const char *partition = http_request_query(req, "partition");
	int32_t index = partition == NULL ? -1 : partition_number(partition);
	if (partition != NULL && (index < 0 || topic == NULL)) {
		http_reply_text(req, 400, "partition is a number, and needs a topic beside it.\n");
		return;
	}
	if (*c->stopping) {
		http_reply_text(req, 503, "The mirror is stopping.\n");
		return;
	}
	size_t n = 0;
	if (link_hold(k, topic, index, pause ? "paused by an operator" : NULL, &n) != ERR_OK) {
		http_reply_text(req, 404,
				"The link has no such topic or partition; /v1/links has them "
				"all.\n");
		return;
	}
	char text[64];
	snprintf(text, sizeof text, "{\"%s\":%zu}\n", pause ? "paused" : "resumed", n);
	http_reply(req, 200, "application/json", bytes_str(text));
}

static void on_pause(void *arg, struct http_request *req)
{
	act(arg, req, true);
}

static void on_resume(void *arg, struct http_request *req)
{
	act(arg, req, false);
}

enum err control_serve(struct http_server *s, struct control *c)
{
	enum err e = http_server_action(s, "/v1/links/*/pause", on_pause, c);
	return e == ERR_OK ? http_server_action(s, "/v1/links/*/resume", on_resume, c) : e;
}
