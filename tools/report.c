/* SPDX-License-Identifier: Apache-2.0 */
/* A table says how things are; below it stands what is wrong, in the daemon's own words. */
#include "tools/report.h"

#include <inttypes.h>
#include <string.h>

#include "tools/report_impl.h"
#include "tools/text.h"

enum {
	TROUBLES_MAX = 10, /* of a link, without --all */
	ROWS_MAX = 20      /* of `lag`, without --all */
};

/* ---- helpers ---- */

enum err report_line(const struct report *r, const struct buf *line, size_t indent)
{
	if (line->err == ERR_OK)
		text_wrapped(r->out, buf_bytes(line), indent, r->width);
	return line->err;
}

enum err report_json(const struct report *r, const json_t *root)
{
	if (root == NULL || json_dumpf(root, r->out, JSON_INDENT(2)) != 0)
		return ERR_NOMEM;
	fputc('\n', r->out);
	return ERR_OK;
}

static void put_age(struct buf *line, int64_t now_ms, int64_t since_ms)
{
	char age[TEXT_AGE_MAX];
	text_age(now_ms > since_ms ? now_ms - since_ms : 0, age);
	buf_put_str(line, age);
}

/* ---- link status ---- */

static const struct table_column link_columns[] = {
	{"LINK", false, true},  {"STATE", false, false}, {"SINCE", true, false},
	{"LAG", true, false},   {"TOPICS", true, false}, {"PARTITIONS", true, false},
	{"READY", false, false}};

static void link_row(struct table *t, const struct intake_link *k, int64_t now_ms)
{
	char age[TEXT_AGE_MAX];
	text_age(now_ms > k->since_ms ? now_ms - k->since_ms : 0, age);
	table_add(t, k->name);
	table_add(t, k->state);
	table_add(t, age);
	table_add_number(t, k->lag_records);
	table_add_number(t, (int64_t)k->topics_n);
	table_add_number(t, (int64_t)k->partitions_n);
	table_add(t, k->ready ? "yes" : "no");
}

static enum err trouble_of_partition(const struct report *r, const struct intake_partition *p,
				     int64_t now_ms)
{
	struct buf line;
	buf_init(&line, REPORT_LINE_MAX);
	text_clean(&line, p->topic->source);
	buf_printf(&line, "-%d ", p->partition);
	text_clean(&line, p->state);
	buf_put_str(&line, " for ");
	put_age(&line, now_ms, p->since_ms);
	buf_put_str(&line, p->reason[0] == '\0' ? "" : ": ");
	text_clean(&line, p->reason);
	enum err e = report_line(r, &line, 4);
	buf_fini(&line);
	return e;
}

static enum err trouble_of_topic(const struct report *r, const struct intake_topic *t)
{
	struct buf line;
	buf_init(&line, REPORT_LINE_MAX);
	buf_put_str(&line, "topic ");
	text_clean(&line, t->source);
	buf_put_str(&line, ": ");
	text_clean(&line, t->problem);
	enum err e = report_line(r, &line, 4);
	buf_fini(&line);
	return e;
}

/* What is wrong with one link; `worst` has all partitions, the worst first. */
static enum err troubles(const struct report *r, const struct intake *in,
			 const struct intake_link *k, const struct intake_partition **worst,
			 size_t n, bool *person)
{
	struct buf head;
	size_t found = 0;
	enum err e = ERR_OK;
	buf_init(&head, REPORT_LINE_MAX);
	text_clean(&head, k->name);
	buf_put_str(&head, k->reason[0] == '\0' ? "" : ": ");
	text_clean(&head, k->reason);
	bool headed = k->reason[0] != '\0';
	if (headed)
		e = report_line(r, &head, 2);
	for (size_t i = 0; i < k->topics_n && e == ERR_OK; i++) {
		if (k->topics[i].problem[0] == '\0')
			continue;
		if (!headed)
			e = report_line(r, &head, 2);
		headed = true;
		if (e == ERR_OK)
			e = trouble_of_topic(r, &k->topics[i]);
	}
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		if (worst[i]->topic->link != k || worst[i]->care == CARE_NONE)
			continue;
		*person = *person || worst[i]->care == CARE_PERSON;
		if (++found > TROUBLES_MAX && !r->all)
			continue;
		if (!headed)
			e = report_line(r, &head, 2);
		headed = true;
		if (e == ERR_OK)
			e = trouble_of_partition(r, worst[i], in->now_ms);
	}
	if (e == ERR_OK && found > TROUBLES_MAX && !r->all)
		fprintf(r->out, "    and %zu more; --all shows them\n", found - TROUBLES_MAX);
	buf_fini(&head);
	return e;
}

enum err report_links(const struct report *r, struct intake *in, int *code)
{
	struct table t;
	size_t n;
	bool person = false;
	const struct intake_partition **worst = intake_worst_first(in, &n);
	enum err e = ERR_OK;
	*code = EXIT_OK;
	if (r->json) {
		e = report_json(r, in->root);
		for (size_t i = 0; i < n; i++)
			person = person || worst[i]->care == CARE_PERSON;
	} else {
		table_init(&t, link_columns, sizeof link_columns / sizeof *link_columns);
		for (size_t i = 0; i < in->links_n; i++)
			link_row(&t, &in->links[i], in->now_ms);
		e = table_print(&t, r->width, r->out);
		table_fini(&t);
		for (size_t i = 0; i < in->links_n && e == ERR_OK; i++)
			e = troubles(r, in, &in->links[i], worst, n, &person);
	}
	for (size_t i = 0; i < in->links_n; i++)
		if (!in->links[i].ready || in->links[i].care == CARE_PERSON || person)
			*code = EXIT_ATTENTION;
	return e;
}

/* ---- lag ---- */

static const struct table_column lag_columns[] = {{"LINK", false, true}, {"TOPIC", false, true},
						  {"PART", true, false}, {"LAG", true, false},
						  {"AGE", true, false},  {"STATE", false, false}};

static bool wanted(const struct intake_partition *p, const char *topic)
{
	return topic == NULL || strcmp(topic, p->topic->source) == 0 ||
	       strcmp(topic, p->topic->target) == 0;
}

static void lag_row(struct table *t, const struct intake_partition *p)
{
	char age[TEXT_AGE_MAX];
	/* Seconds that make no time are shown as unknown. */
	double s = p->lag_seconds;
	text_age(p->lag_records < 0 || !(s >= 0 && s < 1e12) ? -1 : (int64_t)(s * 1000), age);
	table_add(t, p->topic->link->name);
	table_add(t, p->topic->source);
	table_add_number(t, p->partition);
	table_add_number(t, p->lag_records);
	table_add(t, age);
	table_add(t, p->state);
}

static enum err lag_json(const struct report *r, const struct intake_partition **list, size_t n)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct intake_partition *p = list[i];
		json_t *row = json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:f, s:I, s:I, s:I}",
					"link", p->topic->link->name, "topic", p->topic->source,
					"target_topic", p->topic->target, "partition",
					(int)p->partition, "state", p->state, "lag_records",
					(json_int_t)p->lag_records, "lag_seconds", p->lag_seconds,
					"source_position", (json_int_t)p->source_position,
					"source_end", (json_int_t)p->source_end, "target_position",
					(json_int_t)p->target_position);
		if (json_array_append_new(rows, row) != 0) {
			json_decref(rows);
			return ERR_NOMEM;
		}
	}
	json_t *root = json_pack("{s:o}", "partitions", rows);
	enum err e = report_json(r, root);
	json_decref(root);
	return e;
}

static enum err lag_table(const struct report *r, const struct intake_partition **list, size_t n)
{
	struct table t;
	int64_t total = 0;
	size_t shown = r->all || n < ROWS_MAX ? n : ROWS_MAX, behind = 0;
	table_init(&t, lag_columns, sizeof lag_columns / sizeof *lag_columns);
	for (size_t i = 0; i < n; i++) {
		if (i < shown)
			lag_row(&t, list[i]);
		else
			behind += list[i]->lag_records != 0;
		int64_t lag = list[i]->lag_records > 0 ? list[i]->lag_records : 0;
		total = lag > INT64_MAX - total ? INT64_MAX : total + lag;
	}
	enum err e = table_print(&t, r->width, r->out);
	table_fini(&t);
	if (e == ERR_OK && shown < n)
		fprintf(r->out, "and %zu more, %zu of them behind; --all shows them\n", n - shown,
			behind);
	if (e == ERR_OK)
		fprintf(r->out, "%zu partitions, %" PRId64 " records behind in all\n", n, total);
	return e;
}

enum err report_lag(const struct report *r, struct intake *in, const char *topic, int *code)
{
	size_t n, found = 0;
	const struct intake_partition **list = intake_worst_first(in, &n);
	for (size_t i = 0; i < n; i++)
		if (wanted(list[i], topic))
			list[found++] = list[i];
	*code = topic != NULL && found == 0 ? EXIT_NOT_FOUND : EXIT_OK;
	if (*code != EXIT_OK)
		return ERR_OK;
	return r->json ? lag_json(r, list, found) : lag_table(r, list, found);
}

/* ---- translate ---- */

static const struct table_column translate_columns[] = {
	{"TOPIC", false, true},  {"PART", true, false},  {"OFFSET", true, false},
	{"ON", false, false},    {"TOPIC", false, true}, {"OFFSET", true, false},
	{"ANSWER", false, false}};

/* The alias in "A->B" before or after the arrow; all of it if there is no arrow. */
static void side(const char *link, bool after, char out[64])
{
	const char *arrow = strstr(link, "->");
	size_t n = strlen(link);
	if (arrow != NULL && after) {
		n -= (size_t)(arrow + 2 - link);
		link = arrow + 2;
	} else if (arrow != NULL) {
		n = (size_t)(arrow - link);
	}
	snprintf(out, 64, "%.*s", (int)(n < 63 ? n : 63), link);
}

static void translate_row(struct table *t, const struct translation *a)
{
	char words[TRANSLATE_WORDS_MAX], to[64];
	bool back = a->direction == TRANSLATE_BACK;
	side(a->link, !back, to);
	translate_words(a, words);
	table_add(t, back ? a->target_topic : a->topic);
	table_add_number(t, a->partition);
	table_add_number(t, a->offset);
	table_add(t, to);
	table_add(t, back ? a->topic : a->target_topic);
	table_add_number(t, a->translated);
	table_add(t, words);
}

static enum err put_problem(const struct report *r, const struct translation *a)
{
	struct buf line;
	buf_init(&line, REPORT_LINE_MAX);
	text_clean(&line, a->topic);
	buf_printf(&line, "-%d", a->partition);
	buf_put_str(&line, a->state[0] == '\0' ? "" : " ");
	text_clean(&line, a->state);
	buf_put_str(&line, ": ");
	text_clean(&line, a->problem);
	enum err e = report_line(r, &line, 2);
	buf_fini(&line);
	return e;
}

static int exit_of(enum translate_quality worst)
{
	switch (worst) {
	case TRANSLATE_EXACT:
		return EXIT_OK;
	case TRANSLATE_PENDING:
		return EXIT_PENDING;
	case TRANSLATE_EARLY:
		return EXIT_ATTENTION;
	case TRANSLATE_NONE:
		break;
	}
	return EXIT_NOT_FOUND;
}

static enum err translations_json(const struct report *r, const char *group,
				  const struct translation *list, size_t n)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(rows, translate_to_json(&list[i])) != 0) {
			json_decref(rows);
			return ERR_NOMEM;
		}
	}
	json_t *root = json_pack("{s:s*, s:o}", "group", group, "translations", rows);
	enum err e = report_json(r, root);
	json_decref(root);
	return e;
}

enum err report_translations(const struct report *r, const char *group,
			     const struct translation *list, size_t n, int *code)
{
	struct table t;
	enum translate_quality worst = TRANSLATE_EXACT;
	for (size_t i = 0; i < n; i++)
		if (translate_judge(&list[i]) > worst)
			worst = translate_judge(&list[i]);
	*code = exit_of(worst);
	if (r->json)
		return translations_json(r, group, list, n);
	table_init(&t, translate_columns, sizeof translate_columns / sizeof *translate_columns);
	for (size_t i = 0; i < n; i++)
		translate_row(&t, &list[i]);
	enum err e = table_print(&t, r->width, r->out);
	table_fini(&t);
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		if (list[i].problem[0] != '\0')
			e = put_problem(r, &list[i]);
	return e;
}
