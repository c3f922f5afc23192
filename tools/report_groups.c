/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: what consumers that move now would meet. The numbers are the daemon's. */
#include <inttypes.h>
#include <string.h>

#include "tools/report_impl.h"
#include "tools/text.h"

enum { GROUPS_MAX = 20 }; /* rows, without --all */

/* ---- all groups ---- */

static const struct table_column group_columns[] = {
	{"LINK", false, true},    {"GROUP", false, true},    {"PARTITIONS", true, false},
	{"LOST", true, false},    {"REPEATED", true, false}, {"SKIPPED", true, false},
	{"UNKNOWN", true, false}, {"SYNCED", true, false},   {"THERE", false, false}};

static void group_row(struct table *t, const struct intake_group *g, int64_t now_ms)
{
	char age[TEXT_AGE_MAX] = "never";
	if (g->synced_ms >= 0)
		text_age(now_ms > g->synced_ms ? now_ms - g->synced_ms : 0, age);
	table_add(t, g->link);
	table_add(t, g->group);
	table_add_number(t, g->partitions);
	table_add_number(t, g->lost);
	table_add_number(t, g->repeated);
	table_add_number(t, g->skipped);
	table_add_number(t, g->unknown);
	table_add(t, age);
	table_add(t, g->target_state);
}

static enum err group_problem(const struct report *r, const struct intake_group *g)
{
	struct buf line;
	if (g->problem[0] == '\0' && g->not_mirrored == 0)
		return ERR_OK;
	buf_init(&line, REPORT_LINE_MAX);
	text_clean(&line, g->group);
	buf_put_str(&line, ": ");
	text_clean(&line, g->problem);
	if (g->not_mirrored > 0)
		buf_printf(&line,
			   "%s%" PRId64 " of its positions are in topics that are not "
			   "mirrored",
			   g->problem[0] != '\0' ? "; " : "", g->not_mirrored);
	enum err e = report_line(r, &line, 2);
	buf_fini(&line);
	return e;
}

static bool needs_attention(const struct intake_group *g)
{
	return g->lost > 0 || g->repeated > 0 || g->skipped > 0 || g->unknown > 0 ||
	       g->not_mirrored > 0 || g->problem[0] != '\0';
}

static enum err all_groups(const struct report *r, const struct intake_groups *in)
{
	struct table t;
	size_t shown = r->all || in->groups_n < GROUPS_MAX ? in->groups_n : GROUPS_MAX;
	size_t troubled = 0;
	table_init(&t, group_columns, sizeof group_columns / sizeof *group_columns);
	for (size_t i = 0; i < in->groups_n; i++) {
		troubled += needs_attention(&in->groups[i]);
		if (i < shown)
			group_row(&t, &in->groups[i], in->now_ms);
	}
	enum err e = table_print(&t, r->width, r->out);
	table_fini(&t);
	for (size_t i = 0; i < shown && e == ERR_OK; i++)
		e = group_problem(r, &in->groups[i]);
	if (e == ERR_OK && shown < in->groups_n)
		fprintf(r->out, "and %zu more; --all shows them\n", in->groups_n - shown);
	if (e == ERR_OK)
		fprintf(r->out,
			"%zu groups, %zu of them would lose, skip or repeat records, or it cannot "
			"be told\n",
			in->groups_n, troubled);
	return e;
}

/* ---- one group ---- */

static const struct table_column position_columns[] = {
	{"TOPIC", false, true},    {"PART", true, false},      {"OFFSET", true, false},
	{"THERE", true, false},    {"COMMITTED", true, false}, {"LOST", true, false},
	{"REPEATED", true, false}, {"SKIPPED", true, false},   {"PROBLEM", false, false}};

static void position_row(struct table *t, const struct intake_position *p)
{
	table_add(t, p->topic);
	table_add_number(t, p->partition);
	table_add_number(t, p->source_position);
	table_add_number(t, p->target_position);
	table_add_number(t, p->target_committed);
	table_add_number(t, p->lost);
	table_add_number(t, p->repeated);
	table_add_number(t, p->skipped);
	table_add(t, p->problem);
}

static enum err position_problem(const struct report *r, const struct intake_position *p)
{
	struct buf line;
	if (p->problem[0] == '\0' && (p->exact || p->target_position < 0))
		return ERR_OK;
	buf_init(&line, REPORT_LINE_MAX);
	text_clean(&line, p->topic);
	buf_printf(&line, "-%d: ", p->partition);
	if (p->problem[0] == '\0')
		buf_printf(&line, "the position there is up to %" PRId64 " early", p->max_behind);
	text_clean(&line, p->reason);
	buf_put_str(&line, p->detail[0] != '\0' ? ": " : "");
	text_clean(&line, p->detail);
	enum err e = report_line(r, &line, 2);
	buf_fini(&line);
	return e;
}

static enum err one_group(const struct report *r, const struct intake_group *g)
{
	struct table t;
	struct buf head;
	buf_init(&head, REPORT_LINE_MAX);
	text_clean(&head, g->link);
	buf_put_str(&head, ", group ");
	text_clean(&head, g->group);
	buf_put_str(&head, ": at the source ");
	text_clean(&head, g->source_state);
	buf_put_str(&head, ", at the target ");
	text_clean(&head, g->target_state);
	enum err e = report_line(r, &head, 0);
	buf_fini(&head);
	table_init(&t, position_columns, sizeof position_columns / sizeof *position_columns);
	for (size_t i = 0; i < g->positions_n; i++)
		position_row(&t, &g->positions[i]);
	if (e == ERR_OK)
		e = table_print(&t, r->width, r->out);
	table_fini(&t);
	for (size_t i = 0; i < g->positions_n && e == ERR_OK; i++)
		e = position_problem(r, &g->positions[i]);
	return e == ERR_OK ? group_problem(r, g) : e;
}

enum err report_groups(const struct report *r, struct intake_groups *in, const char *group,
		       int *code)
{
	enum err e = ERR_OK;
	*code = EXIT_OK;
	for (size_t i = 0; i < in->groups_n; i++)
		if (needs_attention(&in->groups[i]))
			*code = EXIT_ATTENTION;
	if (group != NULL && in->groups_n == 0) {
		*code = EXIT_NOT_FOUND;
		return ERR_OK;
	}
	if (r->json)
		return report_json(r, in->root);
	intake_groups_sort(in);
	if (group == NULL)
		return all_groups(r, in);
	for (size_t i = 0; i < in->groups_n && e == ERR_OK; i++)
		e = one_group(r, &in->groups[i]);
	return e;
}
