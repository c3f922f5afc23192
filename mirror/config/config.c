/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load: put everything (a native file, or an MM2 file translated by config_mm2.c), then the
 * overrides, then fill drafts from the table, then check what no single row can check, then keep
 * what enabled links use. Faults are collected all the way and reported together.
 *
 * Of an MM2 file each flow has its own pair of clusters in the store ("A->B source"), since MM2
 * lets flows differ in their client settings; equal ones become one entry here.
 */
#include "mirror/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/config_doc.h"
#include "lib/base/config_file.h"
#include "lib/base/config_value.h"
#include "lib/base/mem.h"
#include "mirror/config/config_check.h"
#include "mirror/config/config_mm2.h"
#include "mirror/config/config_table.h"

enum { ARENA_MAX = 64 * 1024 * 1024, LINKS_MAX = 1024, SIDE_NAME_MAX = 600 };

struct load {
	const struct config_source *src;
	struct config *c;
	struct mirror_config *out;
	FILE *warnings;
	struct cluster_draft *clusters; /* distinct ones */
	size_t clusters_n;
	struct link_draft *links;
	size_t links_n;
	struct link_draft *elsewhere; /* enabled, for a process with other --clusters */
	size_t elsewhere_n;
	size_t (*ends)[2]; /* of each link: indexes of its source and target in clusters */
};

/* The index of an equal draft of the same name; else the draft becomes a new one. */
static size_t intern_cluster(struct load *l, const struct cluster_draft *d)
{
	size_t i = 0;
	for (; i < l->clusters_n; i++)
		if (strcmp(l->clusters[i].c.name, d->c.name) == 0 &&
		    config_equal(config_table_schema(), "clusters", &l->clusters[i], d))
			return i;
	l->clusters[l->clusters_n++] = *d;
	return i;
}

static void finish_cluster(struct cluster_draft *d, const char *alias)
{
	d->c.name = alias;
	d->c.sasl_mechanism = d->mechanism == 0 ? NULL : config_table_mechanisms[d->mechanism];
}

/* No fault since there were `faults`: what was filled can be looked at. */
static bool is_sound(const struct load *l, unsigned faults)
{
	return config_faults(l->c) == faults && !config_nomem(l->c);
}

/* One end of a link. Natively the cluster of that name; from MM2 the flow's own, with --set values
 * for the cluster over it. */
static size_t load_end(struct load *l, const char *link, const char *alias, bool source)
{
	struct cluster_draft d = {.mechanism = 0};
	char side[SIDE_NAME_MAX];
	unsigned faults = config_faults(l->c);
	if (l->src->mm2) {
		config_mm2_side_name(side, sizeof side, link, source);
		config_fill(l->c, "clusters", side, &d);
		config_fill_set(l->c, "clusters", alias, &d);
	} else {
		config_fill(l->c, "clusters", alias, &d);
	}
	finish_cluster(&d, alias);
	size_t before = l->clusters_n, at = intern_cluster(l, &d);
	if (l->clusters_n > before && is_sound(l, faults))
		config_check_cluster(l->c, &d.c, l->warnings);
	return at;
}

static bool known(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_target_wanted(const struct config_source *src, const char *target)
{
	return src->only_targets_n == 0 || known(src->only_targets, src->only_targets_n, target);
}

/* False: the link's clusters are not there, which has been noted. */
static bool link_ends_exist(struct load *l, const char *name, const struct link_draft *d)
{
	const char *const *aliases;
	size_t n = config_names(l->c, "clusters", &aliases);
	const char *const ends[] = {d->source, d->target};
	bool ok = true;
	if (l->src->mm2) {
		char side[SIDE_NAME_MAX];
		config_mm2_side_name(side, sizeof side, name, true);
		ok = known(aliases, n, side);
		if (!ok)
			config_fault(l->c, "link %s: %s has no such flow", name, l->src->file);
		return ok;
	}
	for (size_t i = 0; i < 2; i++) {
		if (known(aliases, n, ends[i]))
			continue;
		struct config_nearest near = {.word = ends[i]};
		for (size_t k = 0; k < n; k++)
			config_value_nearest(&near, aliases[k]);
		config_fault(l->c, "link %s: there is no cluster %s%s%s%s", name, near.word,
			     near.best == NULL ? "" : "; did you mean \"",
			     near.best == NULL ? "" : near.best, near.best == NULL ? "" : "\"?");
		ok = false;
	}
	return ok;
}

static void load_link(struct load *l, const char *name)
{
	struct link_draft d = {.enabled = false};
	unsigned faults = config_faults(l->c);
	config_fill(l->c, "links", name, &d);
	if (!d.enabled || !is_sound(l, faults) || !link_ends_exist(l, name, &d))
		return;
	d.link.name = name;
	config_check_link(l->c, &d, l->warnings);
	if (!is_target_wanted(l->src, d.target)) {
		l->elsewhere[l->elsewhere_n++] = d;
		return;
	}
	l->ends[l->links_n][0] = load_end(l, name, d.source, true);
	l->ends[l->links_n][1] = load_end(l, name, d.target, false);
	config_check_ends(l->c, &d, &l->clusters[l->ends[l->links_n][0]].c,
			  &l->clusters[l->ends[l->links_n][1]].c, l->warnings);
	l->links[l->links_n++] = d;
}

/* A --clusters name that is no link's target, and clusters without a link, are typing errors more
 * often than not. */
static void check_names(struct load *l, const char *const *links, size_t links_n)
{
	const char *const *names;
	size_t n = config_names(l->c, "clusters", &names);
	for (size_t i = 0; i < l->src->only_targets_n; i++) {
		const char *want = l->src->only_targets[i];
		bool found = false;
		for (size_t k = 0; k < links_n && !found; k++) {
			const char *arrow = strstr(links[k], "->");
			found = arrow != NULL && strcmp(arrow + 2, want) == 0;
		}
		if (!found)
			config_fault(l->c, "--clusters %s: no link has this target", want);
	}
	for (size_t i = 0; i < n; i++) {
		bool used = strstr(names[i], "->") != NULL;
		for (size_t k = 0; k < links_n && !used; k++) {
			size_t len = strlen(names[i]);
			const char *arrow = strstr(links[k], "->");
			used = arrow != NULL &&
			       (strcmp(arrow + 2, names[i]) == 0 ||
				(strncmp(links[k], names[i], len) == 0 && links[k] + len == arrow));
		}
		if (!used)
			fprintf(l->warnings, "cluster %s: no link uses it\n", names[i]);
	}
}

static enum err load_links(struct load *l)
{
	const char *const *names;
	size_t n = config_names(l->c, "links", &names);
	if (n > LINKS_MAX) {
		config_fault(l->c, "%zu links; at most %d are possible", n, LINKS_MAX);
		return ERR_OK;
	}
	l->links = mem_zalloc(n, sizeof *l->links);
	l->elsewhere = mem_zalloc(n, sizeof *l->elsewhere);
	l->ends = mem_zalloc(n, sizeof *l->ends);
	l->clusters = mem_zalloc(n * 2, sizeof *l->clusters);
	if (l->links == NULL || l->elsewhere == NULL || l->ends == NULL || l->clusters == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		load_link(l, names[i]);
	check_names(l, names, n);
	if (l->links_n == 0 && is_sound(l, 0))
		config_fault(l->c, "%s: no link is enabled; %s", l->src->file,
			     l->src->mm2 ? "set \"A->B.enabled = true\""
					 : "write links: ( { source = \"a\"; target = \"b\"; } );");
	return ERR_OK;
}

/* From the drafts to what the caller gets; all faults are behind us. */
static enum err keep(struct load *l, const struct mirror_draft *m)
{
	struct mirror_config *out = l->out;
	struct arena *a = &out->arena;
	struct cluster_config *clusters = arena_zalloc(a, l->clusters_n, sizeof *clusters);
	struct link_config *links = arena_zalloc(a, l->links_n, sizeof *links);
	if (clusters == NULL || links == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < l->clusters_n; i++)
		clusters[i] = l->clusters[i].c;
	for (size_t i = 0; i < l->links_n; i++) {
		links[i] = l->links[i].link;
		links[i].source = &clusters[l->ends[i][0]];
		links[i].target = &clusters[l->ends[i][1]];
		/* An MM2 that is to run flows to the target alone does not run the flow back. */
		if (l->src->mm2 && !is_target_wanted(l->src, links[i].source->name))
			links[i].emit_heartbeats_at_source = false;
		if (links[i].take_over < l->src->take_over)
			links[i].take_over = l->src->take_over;
	}
	out->clusters = clusters;
	out->clusters_n = l->clusters_n;
	out->links = links;
	out->links_n = l->links_n;
	out->http_listen = m->m.http_listen;
	out->metrics_mm2 = m->m.metrics_mm2;
	out->log_level = config_table_levels[m->log_level];
	out->memory_max = m->m.memory_max;
	out->workers = m->m.workers;
	out->drain_ms = m->m.drain_ms;
	return ERR_OK;
}

static bool is_reverse(const struct link_draft *a, const struct link_draft *b)
{
	return strcmp(a->source, b->target) == 0 && strcmp(a->target, b->source) == 0 &&
	       b->link.policy != POLICY_DEFAULT;
}

/* Which links have one that goes the other way under equal names? */
static void find_pairs(struct load *l)
{
	for (size_t i = 0; i < l->links_n; i++) {
		struct link_draft *d = &l->links[i];
		bool found = false;
		for (size_t k = 0; k < l->links_n; k++)
			found = found || is_reverse(d, &l->links[k]);
		for (size_t k = 0; k < l->elsewhere_n; k++)
			found = found || is_reverse(d, &l->elsewhere[k]);
		d->link.two_way = d->link.policy != POLICY_DEFAULT &&
				  (d->link.two_way_mode == TWO_WAY_ON ||
				   (d->link.two_way_mode == TWO_WAY_AUTO && found));
	}
}

static bool is_properties(const char *file)
{
	const char *dot = strrchr(file, '.');
	return dot != NULL && strcmp(dot, ".properties") == 0;
}

static enum err load_all(struct load *l, struct errmsg *why)
{
	struct mirror_draft m = {.log_level = 0};
	enum err e = l->src->mm2 ? config_mm2_load(l->c, l->src->file, l->warnings, why)
				 : config_file_load(l->c, l->src->file, why);
	if (e == ERR_CONFIG && !l->src->mm2 && is_properties(l->src->file)) {
		size_t n = strlen(why->text);
		snprintf(why->text + n, sizeof why->text - n,
			 "; a MirrorMaker 2 file is given by --mm2");
	}
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < l->src->sets_n; i++)
		config_override(l->c, l->src->sets[i]);
	config_fill(l->c, "", "", &m);
	if (is_sound(l, 0))
		config_check_mirror(l->c, &m.m);
	e = load_links(l);
	if (e == ERR_OK)
		e = config_result(l->c, l->warnings, why);
	if (e == ERR_OK) {
		find_pairs(l);
		config_check_together(l->links, l->links_n, l->warnings);
	}
	return e == ERR_OK ? keep(l, &m) : e;
}

enum err mirror_config_load(const struct config_source *src, struct mirror_config *out,
			    FILE *warnings, struct errmsg *why)
{
	struct load l = {.src = src, .out = out, .warnings = warnings};
	*out = (struct mirror_config){.clusters = NULL};
	arena_init(&out->arena, ARENA_MAX);
	enum err e = config_new(config_table_schema(), &out->arena, &l.c);
	if (e == ERR_OK)
		e = load_all(&l, why);
	if (e == ERR_NOMEM)
		errmsg_set(why, e, "%s: out of memory, or too large", src->file);
	config_free(l.c);
	if (e != ERR_OK) {
		arena_wipe(&out->arena);
		arena_fini(&out->arena);
	}
	mem_free(l.links);
	mem_free(l.elsewhere);
	mem_free(l.ends);
	mem_free(l.clusters);
	return e;
}

void mirror_config_fini(struct mirror_config *c)
{
	arena_wipe(&c->arena);
	arena_fini(&c->arena);
	*c = (struct mirror_config){.clusters = NULL};
}

static int32_t word_index(const char *const *words, const char *word)
{
	for (int32_t i = 0; word != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return 0;
}

/* The drafts that these would have been kept from. */
static struct mirror_draft draft_of_mirror(const struct mirror_config *c)
{
	return (struct mirror_draft){.m = *c,
				     .log_level = word_index(config_table_levels, c->log_level)};
}

static struct cluster_draft draft_of_cluster(const struct cluster_config *c)
{
	return (struct cluster_draft){
		.c = *c, .mechanism = word_index(config_table_mechanisms, c->sasl_mechanism)};
}

static struct link_draft draft_of_link(const struct link_config *k)
{
	return (struct link_draft){
		.link = *k, .source = k->source->name, .target = k->target->name, .enabled = true};
}

void mirror_config_dump(const struct mirror_config *c, FILE *out)
{
	const struct config_schema *s = config_table_schema();
	const struct mirror_draft m = draft_of_mirror(c);
	config_doc_dump(s, "", "", &m, out);
	for (size_t i = 0; i < c->clusters_n; i++) {
		const struct cluster_config *cluster = &c->clusters[i];
		const struct cluster_draft d = draft_of_cluster(cluster);
		fprintf(out, "\n# cluster %s:", cluster->name);
		for (size_t k = 0; k < c->links_n; k++) {
			if (c->links[k].source == cluster)
				fprintf(out, " source of %s", c->links[k].name);
			if (c->links[k].target == cluster)
				fprintf(out, " target of %s", c->links[k].name);
		}
		putc('\n', out);
		config_doc_dump(s, "clusters", cluster->name, &d, out);
	}
	for (size_t i = 0; i < c->links_n; i++) {
		const struct link_draft d = draft_of_link(&c->links[i]);
		putc('\n', out);
		config_doc_dump(s, "links", c->links[i].name, &d, out);
	}
}

/* ---- what differs ---- */

struct compare {
	void (*fn)(void *arg, const char *path, bool reloads);
	void *arg;
};

static void differs(const struct compare *x, const char *section, const char *name, const char *key,
		    bool reloads)
{
	char path[SIDE_NAME_MAX + 200];
	snprintf(path, sizeof path, "%s%s%s%s%s", section, section[0] != '\0' ? "." : "", name,
		 name[0] != '\0' && key[0] != '\0' ? "." : "", key);
	x->fn(x->arg, path, reloads);
}

static void compare_rows(const struct compare *x, const char *section, const char *name,
			 const void *a, const void *b)
{
	const struct config_schema *s = config_table_schema();
	for (size_t i = 0; i < s->rows_n; i++)
		if (strcmp(s->rows[i].section, section) == 0 &&
		    !config_value_same(&s->rows[i], a, b))
			differs(x, section, name, s->rows[i].key, s->rows[i].reloads);
}

static void compare_cluster(const struct compare *x, const struct cluster_config *a,
			    const struct cluster_config *b)
{
	const struct cluster_draft was = draft_of_cluster(a), is = draft_of_cluster(b);
	if (strcmp(a->name, b->name) == 0)
		compare_rows(x, "clusters", a->name, &was, &is);
}

const struct link_config *mirror_config_link(const struct mirror_config *c, const char *name)
{
	for (size_t i = 0; i < c->links_n; i++)
		if (strcmp(c->links[i].name, name) == 0)
			return &c->links[i];
	return NULL;
}

/* True if a link before the i-th has compared this cluster. */
static bool compared(const struct mirror_config *c, size_t i, const struct cluster_config *cluster)
{
	for (size_t k = 0; k < i; k++)
		if (c->links[k].source == cluster || c->links[k].target == cluster)
			return true;
	return false;
}

void mirror_config_compare(const struct mirror_config *a, const struct mirror_config *b,
			   void (*fn)(void *arg, const char *path, bool reloads), void *arg)
{
	const struct compare x = {.fn = fn, .arg = arg};
	const struct mirror_draft was = draft_of_mirror(a), is = draft_of_mirror(b);
	compare_rows(&x, "", "", &was, &is);
	for (size_t i = 0; i < a->links_n; i++) {
		const struct link_config *p = &a->links[i], *q = mirror_config_link(b, p->name);
		if (q == NULL) {
			differs(&x, "links", p->name, "", false);
			continue;
		}
		const struct link_draft old = draft_of_link(p), fresh = draft_of_link(q);
		compare_rows(&x, "links", p->name, &old, &fresh);
		if (!compared(a, i, p->source))
			compare_cluster(&x, p->source, q->source);
		if (!compared(a, i, p->target))
			compare_cluster(&x, p->target, q->target);
	}
	for (size_t i = 0; i < b->links_n; i++)
		if (mirror_config_link(a, b->links[i].name) == NULL)
			differs(&x, "links", b->links[i].name, "", false);
}

void mirror_config_describe(FILE *out)
{
	static const struct config_doc_example examples[] = {
		{"clusters", "east", "bootstrap", "127.0.0.1:9092"},
		{"clusters", "west", "bootstrap", "127.0.0.1:9192"},
		{"links", "east->west", "source", "east"},
		{"links", "east->west", "target", "west"},
	};
	fputs("# Configuration of farshore-mirror. Live lines are what has to be set; a line with "
	      "#\n"
	      "# shows a setting with its default. Durations are \"10 s\" (ms s min h d) or plain\n"
	      "# milliseconds, sizes are \"64 MiB\" (B KiB MiB GiB TiB) or plain bytes. A secret "
	      "is\n"
	      "# text, \"${env:NAME}\", or in the file named by the setting with _file added.\n"
	      "# --set overrides any of it: --set clusters.east.rack=a --set \"links.east->west."
	      "start=latest\"\n\n",
	      out);
	config_doc_sample(config_table_schema(), examples, sizeof examples / sizeof *examples, out);
}

void mirror_config_manual(FILE *out)
{
	fputs("# Configuration of farshore-mirror\n\n"
	      "Made from the tables in `mirror/config/config_table.c` and "
	      "`mirror/config/mm2_keys.c`; a test "
	      "keeps it "
	      "in step.\n\n"
	      "`--config FILE` reads a native file, `--mm2 FILE` a MirrorMaker 2 file. `--set "
	      "PATH=VALUE` overrides a\nsetting of either; paths are `http.listen`, "
	      "`clusters.NAME.SETTING`, `links.SOURCE->TARGET.SETTING`.\n`--check-config` reports "
	      "all "
	      "faults with file and line, or prints the effective configuration, without "
	      "secrets.\n\n"
	      "## Native settings\n\n"
	      "The file is in libconfig's format: `configs/farshore-mirror.conf` shows every "
	      "setting. "
	      "A dot in a name below\nis a group: `tls.ca` is `tls: { ca = ...; };`. Durations are "
	      "`\"10 s\"` (ms s min h d) or plain milliseconds,\nsizes `\"64 MiB\"` (B KiB MiB GiB "
	      "TiB) or plain bytes, lists `\"a, b\"` or `[\"a\", \"b\"]`. A secret is text,\n"
	      "`\"${env:NAME}\"`, or the first line of the file that the setting with `_file` "
	      "added "
	      "names. File names are\nrelative to the working directory.\n\n",
	      out);
	config_doc_manual(config_table_schema(), out);
	config_mm2_manual(out);
}
