/* SPDX-License-Identifier: Apache-2.0 */
/* `translate` by the clusters themselves. Without --link every link of the configuration is looked
 * at, so that a topic which two of them have is not answered by the wrong one. */
#include "lib/base/mem.h"
#include "tools/command.h"
#include "tools/direct.h"
#include "tools/say.h"

static enum translate_direction direction_of(const struct options *o)
{
	return o->back ? TRANSLATE_BACK : TRANSLATE_FORWARD;
}

/* What may make an answer less good than it looks. */
static void warn(const struct direct *d, const struct link_config *link)
{
	if (direct_source_problem(d)[0] != '\0')
		say("%s: not checked whether the topics of %s are still the same",
		    direct_source_problem(d), link->source->name);
	if (direct_lost(d) > 0)
		say("%u stored blocks of run tables cannot be read: what they held is answered "
		    "with bounds",
		    direct_lost(d));
}

/* ---- offsets of one partition ---- */

/* A link that has the partition. The name of the side whose offset is given counts first. */
struct found {
	struct direct *direct;
	const struct link_config *link;
	struct direct_partition partition;
	bool own_name;
};

/* ERR_NOT_FOUND: this link does not have it. */
static enum err look_in(const struct options *o, const struct link_config *link, struct found *out,
			struct errmsg *why)
{
	*out = (struct found){.link = link, .own_name = true};
	enum err e = direct_open(link, o->timeout_ms, &out->direct, why);
	if (e != ERR_OK)
		return e;
	e = direct_load(out->direct, o->topic, o->partition, why);
	if (e == ERR_OK) {
		e = direct_find(out->direct, o->topic, o->back, o->partition, &out->partition, why);
		if (e == ERR_NOT_FOUND) {
			out->own_name = false;
			e = direct_find(out->direct, o->topic, !o->back, o->partition,
					&out->partition, why);
		}
	}
	if (e != ERR_OK) {
		direct_close(out->direct);
		out->direct = NULL;
	}
	return e;
}

/* Keep the better of two; ERR_CONFIG: they are as good as each other. */
static enum err choose(struct found *best, struct found *next, struct errmsg *why)
{
	if (best->direct != NULL && best->own_name == next->own_name) {
		direct_close(next->direct);
		return errmsg_set(why, ERR_CONFIG,
				  "more than one link has this topic (%s, %s): say which by --link",
				  best->link->name, next->link->name);
	}
	if (best->direct == NULL || next->own_name) {
		direct_close(best->direct);
		*best = *next;
	} else {
		direct_close(next->direct);
	}
	return ERR_OK;
}

static enum err search(const struct options *o, const struct mirror_config *c, struct found *best,
		       struct errmsg *why)
{
	struct errmsg none = {""};
	bool named = false;
	enum err e = ERR_OK;
	for (size_t i = 0; i < c->links_n && e == ERR_OK; i++) {
		struct found next;
		if (o->link != NULL && strcmp(o->link, c->links[i].name) != 0)
			continue;
		named = true;
		e = look_in(o, &c->links[i], &next, why);
		if (e == ERR_OK) {
			e = choose(best, &next, why);
		} else if (e == ERR_NOT_FOUND) {
			none = *why;
			e = ERR_OK;
		}
	}
	if (e == ERR_OK && !named)
		errmsg_set(why, ERR_NOT_FOUND, "the configuration has no such link%s%s",
			   o->link == NULL ? "" : ": ", o->link == NULL ? "" : o->link);
	else if (e == ERR_OK && best->direct == NULL)
		*why = none;
	if (e == ERR_OK && best->direct != NULL)
		return ERR_OK;
	direct_close(best->direct);
	return e == ERR_OK ? ERR_NOT_FOUND : e;
}

static int offsets(const struct options *o, const struct mirror_config *c)
{
	struct errmsg why = {""};
	struct found f = {.direct = NULL};
	int code = EXIT_FAILED;
	enum err e = search(o, c, &f, &why);
	if (e != ERR_OK)
		return say_failed(e, &why);
	struct translation *list = mem_zalloc(o->offsets_n, sizeof *list);
	if (list != NULL) {
		for (size_t i = 0; i < o->offsets_n; i++)
			direct_translate(f.direct, &f.partition, direction_of(o),
					 options_offset(o, i), &list[i]);
		warn(f.direct, f.link);
		const struct report r = say_report(o);
		e = report_translations(&r, NULL, list, o->offsets_n, &code);
		code = say_printed(e, code);
	} else {
		say("out of memory");
	}
	mem_free(list);
	direct_close(f.direct);
	return code;
}

/* ---- a group ---- */

static enum err one_link(const struct options *o, const struct mirror_config *c,
			 const struct link_config **out, struct errmsg *why)
{
	*out = o->link != NULL ? mirror_config_link(c, o->link) : c->links;
	if (o->link != NULL && *out == NULL)
		return errmsg_set(why, ERR_NOT_FOUND, "the configuration has no such link: %s",
				  o->link);
	if (o->link == NULL && c->links_n != 1)
		return errmsg_set(why, ERR_CONFIG,
				  "the configuration has %zu links: say which by --link",
				  c->links_n);
	return ERR_OK;
}

static int group(const struct options *o, const struct mirror_config *c)
{
	struct errmsg why = {""};
	const struct link_config *link;
	struct direct *d = NULL;
	struct translation *list = NULL;
	size_t n;
	int code = EXIT_FAILED;
	enum err e = one_link(o, c, &link, &why);
	if (e == ERR_OK)
		e = direct_open(link, o->timeout_ms, &d, &why);
	if (e == ERR_OK)
		e = direct_load(d, NULL, 0, &why);
	if (e == ERR_OK)
		e = direct_group(d, o->group, direction_of(o), &list, &n, &why);
	if (e == ERR_OK) {
		warn(d, link);
		const struct report r = say_report(o);
		e = report_translations(&r, o->group, list, n, &code);
		code = say_printed(e, code);
	} else {
		code = say_failed(e, &why);
	}
	mem_free(list);
	direct_close(d);
	return code;
}

int command_direct(const struct options *o, const struct command_place *p)
{
	return o->group != NULL ? group(o, &p->config) : offsets(o, &p->config);
}
