/* SPDX-License-Identifier: Apache-2.0 */
/* `groups`, and `translate --group` by the mirror, which follows the groups of its settings. */
#include "lib/base/mem.h"
#include "tools/command.h"
#include "tools/say.h"

/* One answer of /v1/groups. */
static enum err ask(const struct options *o, struct api *api, const char *group, bool positions,
		    struct intake_groups *out, struct errmsg *why)
{
	const struct api_parameter parameters[] = {{"link", o->link},
						   {"group", group},
						   {"positions", positions ? "yes" : "no"},
						   {NULL, NULL}};
	json_t *root;
	enum err e = api_get(api, "/v1/groups", parameters, &root, why);
	if (e == ERR_OK) {
		e = intake_groups(root, out, why);
		if (e != ERR_OK)
			errmsg_wrap(why, e, "%s", api_url(api));
	}
	return e;
}

static int show(const struct options *o, struct api *api)
{
	struct errmsg why = {""};
	struct intake_groups in;
	int code = EXIT_FAILED;
	/* JSON has all that there is. */
	enum err e = ask(o, api, o->group, o->group != NULL || o->json, &in, &why);
	if (e != ERR_OK)
		return say_failed(e, &why);
	const struct report r = say_report(o);
	e = report_groups(&r, &in, o->group, &code);
	code = say_printed(e, code);
	if (code == EXIT_NOT_FOUND)
		say("the mirror follows no group %s; farshore groups --all shows those that it "
		    "does",
		    o->group);
	intake_groups_fini(&in);
	return code;
}

int command_groups(const struct options *o, const struct command_place *p)
{
	return command_show(o, p, show);
}

/* ---- translate --group ---- */

static void take(const struct intake_group *g, const struct intake_position *p,
		 struct translation *out)
{
	const char *problem = p->detail[0] != '\0' ? p->detail : p->reason;
	*out = (struct translation){.link = g->link,
				    .topic = p->topic,
				    .target_topic = p->target_topic,
				    .state = "",
				    .problem = p->target_position < 0 ? problem : "",
				    .partition = p->partition,
				    .direction = TRANSLATE_FORWARD,
				    .offset = p->source_position,
				    .translated = p->target_position,
				    .exact = p->exact,
				    .max_behind = p->max_behind,
				    .pending = p->pending};
}

/* All positions of all links that follow the group. `*list` is the caller's. */
static enum err gather(const struct intake_groups *in, struct translation **list, size_t *n,
		       int64_t *elsewhere)
{
	*n = 0;
	*elsewhere = 0;
	for (size_t i = 0; i < in->groups_n; i++) {
		*n += in->groups[i].positions_n;
		*elsewhere += in->groups[i].not_mirrored;
	}
	*list = mem_zalloc(*n, sizeof **list);
	if (*list == NULL)
		return ERR_NOMEM;
	struct translation *to = *list;
	for (size_t i = 0; i < in->groups_n; i++)
		for (size_t k = 0; k < in->groups[i].positions_n; k++)
			take(&in->groups[i], &in->groups[i].positions[k], to++);
	return ERR_OK;
}

enum err command_group_answers(const struct options *o, struct api *api, int *code,
			       struct errmsg *why)
{
	struct intake_groups in;
	struct translation *list = NULL;
	size_t n;
	int64_t elsewhere;
	enum err e = ask(o, api, o->group, true, &in, why);
	if (e != ERR_OK)
		return e;
	if (in.groups_n == 0) {
		e = errmsg_set(why, ERR_NOT_FOUND, "the mirror at %s follows no group %s",
			       api_url(api), o->group);
	} else if (gather(&in, &list, &n, &elsewhere) != ERR_OK) {
		e = errmsg_set(why, ERR_NOMEM, "out of memory");
	} else {
		const struct report r = say_report(o);
		enum err failed = report_translations(&r, o->group, list, n, code);
		*code = say_printed(failed, *code);
		if (elsewhere > 0)
			say("%lld of the group's positions are in topics that are not mirrored",
			    (long long)elsewhere);
		if (elsewhere > 0 && *code != EXIT_FAILED)
			*code = EXIT_NOT_FOUND;
	}
	mem_free(list);
	intake_groups_fini(&in);
	return e;
}
