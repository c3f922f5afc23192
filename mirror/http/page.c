/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks clusters, links, topics and partitions and writes HTML. Names and reasons come from peers:
 * all text goes through page_text.
 */
#include "mirror/http/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "mirror/group/groups.h"
#include "mirror/link/link_parts.h"

static const char css[] =
	"body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:12px;max-width:1100px;"
	"color:#1a1a1a;background:#fff}\n"
	"h1{font-size:20px;margin:4px 0}h2{font-size:17px;margin:22px 0 4px}\n"
	"p{margin:4px 0}\n"
	".scroll{overflow-x:auto}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid #ddd;"
	"vertical-align:top}\n"
	"th{font-weight:600;color:#555;white-space:nowrap}\n"
	"td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	"td.t{overflow-wrap:anywhere}\n"
	"b.good{color:#0a6b2d}b.wait{color:#8a5a00}b.bad{color:#b00020}\n"
	"small{color:#555}\n"
	"@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181a}"
	"th,small{color:#aaa}th,td{border-color:#333}"
	"b.good{color:#5fd38a}b.wait{color:#f0b94a}b.bad{color:#ff7b86}a{color:#8ab4ff}}\n";

struct bytes page_css(void)
{
	return bytes_of(css, sizeof css - 1);
}

static const char *entity(uint8_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void page_text(struct buf *out, const char *text)
{
	struct bytes in = bytes_str(text);
	for (size_t at = 0, n; at < in.n; at += n == 0 ? 1 : n) {
		n = bytes_utf8(in, at);
		if (n == 0)
			buf_put_u8(out, '?');
		else if (entity(in.p[at]) != NULL)
			buf_put_str(out, entity(in.p[at]));
		else
			buf_put(out, in.p + at, n);
	}
}

static void put_cell(struct buf *out, const char *text)
{
	buf_put_str(out, "<td class=t>");
	page_text(out, text);
	buf_put_str(out, "</td>");
}

static void put_number(struct buf *out, int64_t value)
{
	if (value < 0)
		buf_put_str(out, "<td class=n>?</td>");
	else
		buf_printf(out, "<td class=n>%lld</td>", (long long)value);
}

static void put_state(struct buf *out, enum mirror_state s)
{
	const char *class = mirror_state_needs_person(s) ? "bad"
			    : mirror_state_moves(s)      ? "good"
							 : "wait";
	buf_printf(out, "<b class=%s>%s</b>", class, mirror_state_name(s));
}

/* "12 s", "3 min", "2 h", "5 d". */
static void put_age(struct buf *out, int64_t ms)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;
	if (s < 120)
		buf_printf(out, "%lld s", (long long)s);
	else if (s < 120 * 60)
		buf_printf(out, "%lld min", (long long)(s / 60));
	else if (s < 48 * 3600)
		buf_printf(out, "%lld h", (long long)(s / 3600));
	else
		buf_printf(out, "%lld d", (long long)(s / 86400));
}

/* ---- clusters ---- */

static void put_cluster(struct buf *out, const struct cluster_config *c)
{
	buf_put_str(out, "<tr>");
	put_cell(out, c->name);
	buf_put_str(out, "<td class=t>");
	for (size_t i = 0; i < c->bootstrap_n; i++) {
		if (i > 0)
			buf_put_str(out, ", ");
		page_text(out, c->bootstrap[i]);
	}
	buf_printf(out, "</td><td>%s%s</td></tr>\n", c->tls ? "TLS" : "plain",
		   c->sasl_mechanism != NULL ? ", SASL" : "");
}

/* True if a link before `at` (or the source of this one) has shown this cluster. */
static bool cluster_seen(const struct status_source *s, size_t at, const struct cluster_config *c,
			 bool as_target)
{
	for (size_t i = 0; i < at; i++) {
		const struct link_config *k = link_config(s->links[i]);
		if (strcmp(k->source->name, c->name) == 0 || strcmp(k->target->name, c->name) == 0)
			return true;
	}
	return as_target && strcmp(link_config(s->links[at])->source->name, c->name) == 0;
}

static void put_clusters(const struct status_source *s, struct buf *out)
{
	buf_put_str(out, "<h2>Clusters</h2><div class=scroll><table><tr><th>Name</th>"
			 "<th>Bootstrap</th><th>Connection</th></tr>\n");
	for (size_t i = 0; i < s->links_n; i++) {
		const struct link_config *k = link_config(s->links[i]);
		if (!cluster_seen(s, i, k->source, false))
			put_cluster(out, k->source);
		if (!cluster_seen(s, i, k->target, true))
			put_cluster(out, k->target);
	}
	buf_put_str(out, "</table></div>\n");
}

/* ---- partitions ---- */

/* What is looked for first is on the left: a telephone shows no more, and the page comes anew
 * before anybody has scrolled. */
static void put_partition(struct buf *out, const struct topic_entry *t, const struct partition *p,
			  int64_t wall)
{
	buf_put_str(out, "<tr>");
	put_cell(out, t->target_name);
	put_number(out, p->index);
	buf_put_str(out, "<td>");
	put_state(out, p->state);
	if (p->reason.text[0] != '\0') {
		buf_put_str(out, "<br><small>");
		page_text(out, p->reason.text);
		buf_put_str(out, "</small>");
	}
	buf_put_str(out, "</td>");
	put_number(out, partition_lag_records(p));
	buf_printf(out, "<td class=n>%.1f</td>", partition_lag_seconds(p, wall));
	put_number(out, p->src_acked);
	put_number(out, p->source_hw);
	put_number(out, p->dst_acked);
	put_number(out, (int64_t)p->counters.records);
	buf_put_str(out, "</tr>\n");
}

/* The partitions of a link that are in trouble, or those that are not; returns how many it left
 * out. */
static size_t put_partitions(struct buf *out, struct topic_entry **topics, size_t n, bool trouble,
			     size_t *room, int64_t wall)
{
	size_t left_out = 0;
	for (size_t i = 0; i < n; i++) {
		for (int32_t k = 0; k < topics[i]->slots_n; k++) {
			const struct partition *p = topics[i]->slots[k]->p;
			if (mirror_state_moves(p->state) == trouble)
				continue;
			if (*room == 0) {
				left_out++;
				continue;
			}
			(*room)--;
			put_partition(out, topics[i], p, wall);
		}
	}
	return left_out;
}

/* ---- links ---- */

static void put_link_head(struct buf *out, const struct link *k, int64_t wall)
{
	const char *reason;
	int64_t since;
	enum mirror_state state = link_state(k, &reason, &since);
	buf_put_str(out, "<h2>");
	page_text(out, link_config(k)->source->name);
	buf_put_str(out, " &rarr; ");
	page_text(out, link_config(k)->target->name);
	buf_put_str(out, " ");
	put_state(out, state);
	buf_put_str(out, "</h2>\n<p>");
	buf_put_str(out, link_ready(k) ? "ready, " : "<b class=bad>not ready</b>, ");
	buf_put_str(out, "in this state for ");
	put_age(out, wall - since);
	if (reason[0] != '\0') {
		buf_put_str(out, ": ");
		page_text(out, reason);
	}
	buf_put_str(out, "</p>\n");
}

/* Topics that cannot be copied yet say why. */
static void put_problems(struct buf *out, struct topic_entry **topics, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (topics[i]->problem.text[0] == '\0')
			continue;
		buf_put_str(out, "<p><b class=bad>");
		page_text(out, topics[i]->source_name);
		buf_put_str(out, "</b>: ");
		page_text(out, topics[i]->problem.text);
		buf_put_str(out, "</p>\n");
	}
}

/* What consumers would meet that moved now, in a line. */
static void put_groups(struct buf *out, const struct link *k, int64_t wall)
{
	struct groups_sums s;
	if (!groups_sum(k->groups, &s) || s.groups == 0)
		return;
	buf_printf(
		out,
		"<p><a href=/v1/groups>Consumer groups</a>: %zu; positions: %zu, %zu of them not "
		"on the target as they should be, %zu not known; if they moved now: %" PRId64
		" records lost, %" PRId64 " repeated, %" PRId64 " passed over",
		s.groups, s.positions, s.waiting, s.unknown, s.lost, s.repeated, s.skipped);
	if (s.done_ms > 0) {
		buf_put_str(out, "; looked at ");
		put_age(out, wall - s.done_ms);
		buf_put_str(out, " ago");
	}
	buf_put_str(out, "</p>\n");
	if (s.problem[0] == '\0')
		return;
	buf_put_str(out, "<p><b class=bad>Groups</b>: ");
	page_text(out, s.problem);
	buf_put_str(out, "</p>\n");
}

static void put_link(struct buf *out, const struct link *k, int64_t wall)
{
	size_t n, room = PAGE_PARTITIONS_MAX;
	struct topic_entry **topics = link_topics_sorted(k, &n);
	put_link_head(out, k, wall);
	put_groups(out, k, wall);
	put_problems(out, topics, n);
	if (n == 0)
		buf_put_str(out, "<p>No topics yet.</p>\n");
	else
		buf_put_str(out, "<div class=scroll><table><tr><th>Target topic</th>"
				 "<th class=n>Part</th><th>State</th>"
				 "<th class=n>Lag</th><th class=n>Lag, s</th>"
				 "<th class=n>Source position</th><th class=n>Source end</th>"
				 "<th class=n>Target position</th><th class=n>Copied</th></tr>\n");
	size_t more = put_partitions(out, topics, n, true, &room, wall);
	more += put_partitions(out, topics, n, false, &room, wall);
	if (n > 0)
		buf_put_str(out, "</table></div>\n");
	if (more > 0)
		buf_printf(out,
			   "<p>%zu more partitions: see <a href=/v1/links>/v1/links</a>.</p>\n",
			   more);
	mem_free(topics);
}

void page_html(const struct status_source *s, struct buf *out)
{
	int64_t wall = clock_wall_ms(s->clock);
	buf_printf(out,
		   "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
		   "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
		   "<meta http-equiv=refresh content=%d><title>Farshore mirror</title>"
		   "<link rel=stylesheet href=/style.css></head><body>\n"
		   "<h1>Farshore mirror</h1>\n<p>version %s, up for ",
		   PAGE_REFRESH_S, FARSHORE_VERSION);
	put_age(out, wall - s->started_ms);
	buf_printf(out,
		   ", buffers %zu of %zu MiB. <a href=/metrics>Metrics</a>, "
		   "<a href=/v1/links>JSON</a>, <a href=/readyz>ready?</a></p>\n",
		   memory_used(s->memory) >> 20, memory_max(s->memory) >> 20);
	put_clusters(s, out);
	for (size_t i = 0; i < s->links_n; i++)
		put_link(out, s->links[i], wall);
	buf_put_str(out, "</body></html>\n");
}
