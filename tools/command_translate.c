/* SPDX-License-Identifier: Apache-2.0 */
/* `translate`: by the mirror if it runs, else by the clusters themselves if it is known how to
 * reach them. */
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "tools/command.h"
#include "tools/say.h"

/* One question; the answer's strings live as long as `kept`. */
static enum err ask_one(const struct options *o, struct api *api, size_t at, json_t *kept,
			struct translation *out, struct errmsg *why)
{
	char partition[16];
	snprintf(partition, sizeof partition, "%" PRId32, o->partition);
	const struct api_parameter parameters[] = {
		{"topic", o->topic},
		{"partition", partition},
		{"offset", o->offsets[at]},
		{"direction",
		 translate_direction_name(o->back ? TRANSLATE_BACK : TRANSLATE_FORWARD)},
		{"link", o->link},
		{NULL, NULL}};
	json_t *root;
	enum err e = api_get(api, "/v1/translate", parameters, &root, why);
	if (e != ERR_OK)
		return e;
	if (json_array_append_new(kept, root) != 0)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	e = translate_from_json(root, out, why);
	return e == ERR_OK ? e : errmsg_wrap(why, e, "%s", api_url(api));
}

/* All of them. `*kept` and `*list` are the caller's, after an error too. */
static enum err ask_all(const struct options *o, struct api *api, json_t **kept,
			struct translation **list, struct errmsg *why)
{
	*list = mem_zalloc(o->offsets_n, sizeof **list);
	*kept = json_array();
	if (*list == NULL || *kept == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	enum err e = ERR_OK;
	for (size_t i = 0; i < o->offsets_n && e == ERR_OK; i++)
		e = ask_one(o, api, i, *kept, &(*list)[i], why);
	return e;
}

/* Is it worth to ask the clusters instead? */
static bool nobody_there(enum err e)
{
	return e == ERR_CONNECT || e == ERR_DNS;
}

/* What a group has committed at the target only the clusters know; groups that the mirror does not
 * follow, too. */
static int translate_group(const struct options *o, const struct command_place *p)
{
	struct errmsg why = {""};
	int code = EXIT_FAILED;
	if (o->back && !p->has_config) {
		say("--group with --back asks the clusters: give --config FILE or --mm2 FILE");
		return EXIT_USAGE;
	}
	if (o->back || p->api == NULL)
		return command_direct(o, p);
	enum err e = command_group_answers(o, p->api, &code, &why);
	if (e == ERR_OK)
		return code;
	if (!p->has_config || !(nobody_there(e) || e == ERR_NOT_FOUND))
		return say_failed(e, &why);
	say("%s; asking the clusters", why.text);
	return command_direct(o, p);
}

int command_translate(const struct options *o, const struct command_place *p)
{
	struct errmsg why = {""};
	struct translation *list = NULL;
	json_t *kept = NULL;
	int code = EXIT_FAILED;
	if (o->group != NULL)
		return translate_group(o, p);
	if (p->api == NULL)
		return command_direct(o, p);
	enum err e = ask_all(o, p->api, &kept, &list, &why);
	if (nobody_there(e) && p->has_config) {
		say("%s; asking the clusters", why.text);
		code = command_direct(o, p);
	} else if (e != ERR_OK) {
		code = say_failed(e, &why);
	} else {
		const struct report r = say_report(o);
		e = report_translations(&r, NULL, list, o->offsets_n, &code);
		code = say_printed(e, code);
	}
	json_decref(kept);
	mem_free(list);
	return code;
}
