/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round of group sync, every few seconds:
 *
 *   LISTING         which groups, and where
 *   FETCHING        what they committed at the source
 *   TARGET_LISTING  which of them have members at the target; from here on only for groups that
 *                   moved, that are not in step, or that were not looked at for a minute
 *   TARGET_FETCHING what they committed there
 *   COMMITTING, DELETING
 *
 * Checkpoints are told at the end. A phase begins when the one before is over, so a group is worked
 * on by one request at a time and groups are removed only between rounds. A phase that fails notes
 * why and the round goes on with what is known: what was not asked is due again next time.
 *
 * A group counts as gone at the source if in two listings in a row no broker named it, while all
 * answered, and its coordinator, asked by name, had no offset of it: a listing alone may be
 * incomplete while coordinators move. Rounds without a listing say nothing of that.
 */
#include <assert.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/client/group_list.h"
#include "mirror/clusters/reverse.h"
#include "mirror/config/naming.h"
#include "mirror/group/group_impl.h"

enum {
	LEAST_PAUSE_MS = 100,  /* between rounds, however long one takes */
	VERIFY_MS = 60 * 1000, /* look at the target although nothing moved */
	GONE_LISTINGS = 2,
	FIRST_ROUNDS = 5,
	FIRST_PACE_MS = 1000,
	OTHERS_MAX = 1000, /* names of groups of other kinds that are remembered as told */
};

static void on_timer(void *arg);
static void target_begin(struct groups *g);

/* ---- life ---- */

enum err groups_new(struct link *k, struct groups **out, struct errmsg *why)
{
	*out = NULL;
	if (k->config->groups == NULL || k->config->groups[0] == '\0')
		return ERR_OK;
	struct groups *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return errmsg_set(why, ERR_NOMEM, "groups: out of memory");
	g->link = k;
	g->config = k->config;
	g->topics_version = 1;
	g->seed = k->loop == NULL ? 1 : loop_clock(k->loop)->random(loop_clock(k->loop)->ctx);
	g->by_name = map_new();
	g->topics = map_new();
	g->targets = map_new();
	g->names = map_new();
	g->others = map_new();
	g->timer = loop_timer_new(k->loop, on_timer, g);
	enum err e = ERR_OK;
	if (g->by_name == NULL || g->topics == NULL || g->targets == NULL || g->names == NULL ||
	    g->others == NULL || g->timer == NULL)
		e = errmsg_set(why, ERR_NOMEM, "groups: out of memory");
	if (e == ERR_OK) {
		e = topic_filter_new(k->config->groups, k->config->groups_exclude, &g->filter, why);
		if (e != ERR_OK)
			errmsg_wrap(why, e, "link %s: groups", k->config->name);
	}
	if (e == ERR_OK && k->config->emit_checkpoints) {
		e = checkpoints_new(g, &g->checkpoints);
		if (e != ERR_OK)
			errmsg_set(why, e, "link %s: checkpoints: %s", k->config->name,
				   err_text(e));
	}
	if (e != ERR_OK) {
		groups_free(g);
		return e;
	}
	*out = g;
	return ERR_OK;
}

void groups_free(struct groups *g)
{
	if (g == NULL)
		return;
	assert(g->due_out == 0 && g->fetch.out == 0);
	loop_timer_free(g->timer);
	checkpoints_free(g->checkpoints);
	group_translate_free(g);
	group_table_fini(g);
	topic_filter_free(g->filter);
	map_free(g->others);
	mem_free(g->due);
	mem_free(g->fetch.names);
	mem_free(g->fetch.asked);
	mem_free(g);
}

static void on_loaded(struct groups *g)
{
	if (!g->stopping)
		loop_timer_set(g->timer, 0);
}

void groups_start(struct groups *g)
{
	if (g == NULL || g->begun)
		return;
	g->begun = true;
	if (g->checkpoints != NULL)
		checkpoints_load(g->checkpoints, on_loaded);
	else
		on_loaded(g);
}

void groups_on_metadata(struct groups *g)
{
	if (g == NULL)
		return;
	if (g->checkpoints != NULL)
		checkpoints_on_metadata(g->checkpoints);
	if (g->reverse != NULL)
		reverse_on_metadata(g->reverse);
}

void groups_stop(struct groups *g)
{
	if (g == NULL)
		return;
	g->stopping = true;
	group_translate_stop(g);
	loop_timer_stop(g->timer);
}

void groups_halt(struct groups *g)
{
	groups_stop(g);
	if (g != NULL && g->checkpoints != NULL)
		checkpoints_stop(g->checkpoints);
}

bool groups_stopped(struct groups *g)
{
	return g == NULL || ((g->phase == GROUPS_IDLE || !g->begun) &&
			     (g->checkpoints == NULL || checkpoints_idle(g->checkpoints)));
}

/* ---- the end of a round ---- */

/* A fault of the whole is told when it begins, and when another follows. */
void group_sync_problem(struct groups *g, enum err e, const char *doing, const char *why)
{
	struct errmsg text;
	if (g->stopping)
		return;
	errmsg_set(&text, e, "%s: %.300s", doing, why);
	g->round_failed = true;
	if (strcmp(text.text, g->problem.text) == 0)
		return;
	g->problem = text;
	log_event(loop_log(g->link->loop), LOG_WARN, "groups_not_synced",
		  LOG_S("link", g->config->name), LOG_S("error", err_name(e)),
		  LOG_S("reason", text.text));
}

static int64_t interval(const struct groups *g)
{
	int64_t ms = g->config->sync_groups_ms;
	if (g->config->emit_checkpoints &&
	    (g->config->emit_checkpoints_ms < ms || !g->config->sync_group_offsets))
		ms = g->config->emit_checkpoints_ms;
	return ms;
}

/* Groups that are gone at the source, and are not to be deleted at the target any more. */
static void drop_gone(struct groups *g)
{
	for (size_t i = g->all_n; i > 0; i--) {
		struct group *group = g->all[i - 1];
		if (group->gone < GONE_LISTINGS)
			continue;
		bool waits = g->config->delete_groups &&
			     group->target_state != GROUP_TARGET_ABSENT &&
			     (group->target_state != GROUP_TARGET_EMPTY || group->ours);
		if (waits)
			continue;
		log_event(loop_log(g->link->loop), LOG_INFO, "group_gone",
			  LOG_S("link", g->config->name), LOG_S("group", group->name),
			  LOG_S("at_target",
				group->target_state == GROUP_TARGET_ABSENT ? "gone" : "kept"));
		group_table_remove(g, group);
	}
}

static void round_end(struct groups *g)
{
	g->phase = GROUPS_IDLE;
	if (g->stopping)
		return;
	int64_t now = loop_now_ms(g->link->loop);
	if (g->checkpoints != NULL && g->round_ms >= g->tell_ms) {
		checkpoints_tell(g->checkpoints);
		g->tell_ms = g->round_ms + g->config->emit_checkpoints_ms;
	}
	drop_gone(g);
	if (!g->round_failed) {
		if (g->problem.text[0] != '\0')
			log_event(loop_log(g->link->loop), LOG_INFO, "groups_synced_again",
				  LOG_S("link", g->config->name));
		g->problem.text[0] = '\0';
		g->done_ms = clock_wall_ms(loop_clock(g->link->loop));
	}
	/* At a start partitions become ready one after the other. */
	int64_t pace = interval(g);
	if (g->rounds++ < FIRST_ROUNDS && pace > FIRST_PACE_MS)
		pace = FIRST_PACE_MS;
	int64_t left = g->round_ms + pace - now;
	loop_timer_set(g->timer, left > LEAST_PAUSE_MS ? left : LEAST_PAUSE_MS);
}

/* ---- the target ---- */

/* A group's positions: what is each on the target, and what is to be done. */
bool group_sync_judge(struct groups *g, struct group *group)
{
	bool commit = false, in_step = true, waits = false;
	bool active = group->target_state == GROUP_TARGET_ACTIVE ||
		      group->target_state == GROUP_TARGET_OTHER;
	bool held = loop_now_ms(g->link->loop) < group->hold_ms;
	group->open = held;
	for (int32_t i = 0; i < group->positions_n; i++) {
		struct group_position *p = &group->positions[i];
		struct group_translation t;
		group_translate(g, p->topic, p->partition, p->source, &t);
		struct group_plan plan = group_plan(p, &t, g->config->follow_rewinds, active);
		if (t.skip == GROUP_SKIP_NONE && p->rewound > 0 && p->target != GROUP_UNSEEN &&
		    t.offset >= p->target)
			p->rewound = 0;
		if (!g->config->sync_group_offsets && plan.skip == GROUP_SKIP_NONE)
			plan.skip = GROUP_SKIP_SYNC_OFF;
		else if (plan.commit && p->skip == GROUP_SKIP_REFUSED)
			plan.skip = GROUP_SKIP_REFUSED;
		p->skip = plan.skip;
		if (t.skip == GROUP_SKIP_NONE && checkpoints_due(p, &t))
			group->tell = true;
		commit = commit || plan.commit;
		waits = waits || plan.skip == GROUP_SKIP_TARGET_ACTIVE;
		in_step = in_step && !plan.commit && plan.skip == GROUP_SKIP_NONE;
		group->open = group->open || plan.open;
	}
	group->in_step = in_step;
	group->waits = waits && g->config->sync_group_offsets;
	return commit && !held && g->config->sync_group_offsets;
}

static void ripen(struct group *group)
{
	for (int32_t i = 0; i < group->positions_n; i++)
		if (group->positions[i].rewound == 1)
			group->positions[i].rewound = 2;
}

/* What the target has of a group. */
static void on_target_offsets(struct groups *g, struct group *group, enum err e,
			      struct group_offsets *o)
{
	struct group_offset x;
	if (e != ERR_OK) {
		if (err_retriable(e))
			group->verify_ms = 0;
		else
			group->hold_ms = loop_now_ms(g->link->loop) + VERIFY_MS;
		return;
	}
	group->fresh = true;
	group_clear_problem(group, GROUP_AT_TARGET);
	if (group->target_state == GROUP_TARGET_OTHER)
		group_set_problem(group, GROUP_AT_TARGET,
				  "the target has a group of another kind of this name");
	for (int32_t i = 0; i < group->positions_n; i++)
		group->positions[i].target = -1;
	group->ours = true;
	bool any = false;
	while (group_offsets_next(o, &x)) {
		struct group_position *p = group_table_target(g, group, x.topic, x.partition);
		if (x.err != ERR_OK) {
			group->ours = false;
			if (p != NULL)
				p->target = GROUP_UNSEEN;
		}
		if (x.err != ERR_OK || x.offset < 0)
			continue;
		any = true;
		group->ours = group->ours &&
			      group_table_placed(g, group, x.topic, x.partition) == x.offset;
		if (p == NULL)
			continue;
		struct bytes metadata = bytes_str(p->metadata == NULL ? "" : p->metadata);
		p->target = x.offset;
		p->metadata_differs = x.metadata.n != metadata.n ||
				      (metadata.n > 0 && !bytes_eq(x.metadata, metadata));
	}
	group->ours = group->ours && any;
	if (any && group->target_state == GROUP_TARGET_ABSENT)
		group->target_state = GROUP_TARGET_UNKNOWN;
	if (group_sync_judge(g, group) || !group->in_step)
		return;
	group->synced_ms = clock_wall_ms(loop_clock(g->link->loop));
}

void group_sync_written(struct groups *g)
{
	if (g->phase == GROUPS_COMMITTING && g->config->delete_groups && !g->stopping) {
		group_delete_start(g);
		return;
	}
	int64_t wall = clock_wall_ms(loop_clock(g->link->loop));
	for (size_t i = 0; i < g->due_n && !g->stopping; i++) {
		struct group *group = g->due[i];
		group->due = false;
		/* Judge once more, for what is shown and for what is due next time. */
		if (!group_sync_judge(g, group) && group->in_step)
			group->synced_ms = wall;
	}
	round_end(g);
}

static void on_target_fetched(struct groups *g)
{
	if (g->stopping || !g->commit_now) {
		group_sync_written(g);
		return;
	}
	group_commit_start(g);
}

/* Those that the listing does not name are asked about too: while coordinators move it may be
 * incomplete, and what is not known to be absent must not be written over. */
static void target_fetch(struct groups *g)
{
	int64_t now = loop_now_ms(g->link->loop);
	g->phase = GROUPS_TARGET_FETCHING;
	for (size_t i = 0; i < g->due_n; i++) {
		g->due[i]->verify_ms = now + VERIFY_MS;
		g->due[i]->fresh = false;
	}
	g->fetch = (struct group_fetch){
		.g = g,
		.client = g->link->target_client,
		.target = true,
		.list = g->due,
		.n = g->due_n,
		.each = on_target_offsets,
		.done = on_target_fetched,
	};
	group_fetch_start(&g->fetch);
}

static enum group_target_state target_state(const struct group_list_entry *e)
{
	if (!bytes_eq_str(e->protocol_type, "consumer") && e->protocol_type.n > 0)
		return GROUP_TARGET_OTHER;
	if (e->state.n == 0)
		return GROUP_TARGET_UNKNOWN;
	if (bytes_eq_str(e->state, "Empty") || bytes_eq_str(e->state, "Dead"))
		return GROUP_TARGET_EMPTY;
	return GROUP_TARGET_ACTIVE;
}

static void on_target_group(void *arg, const struct group_list_entry *e)
{
	struct groups *g = arg;
	struct group *group = group_table_find(g, e->group);
	if (group == NULL || !group->due)
		return;
	group->target_state = target_state(e);
	group->target_node = e->node;
}

static void on_target_listed(void *arg, enum err e, const struct errmsg *why)
{
	struct groups *g = arg;
	if (e != ERR_OK) {
		group_sync_problem(g, e, "at the target", why->text);
		/* What was not listed may be there nevertheless. */
		for (size_t i = 0; i < g->due_n; i++)
			if (g->due[i]->target_state == GROUP_TARGET_ABSENT)
				g->due[i]->target_state = GROUP_TARGET_UNKNOWN;
	}
	if (g->stopping)
		group_sync_written(g);
	else
		target_fetch(g);
}

static void target_begin(struct groups *g)
{
	static const struct group_list_events events = {on_target_group, on_target_listed};
	g->phase = GROUPS_TARGET_LISTING;
	for (size_t i = 0; i < g->due_n; i++)
		g->due[i]->target_state = GROUP_TARGET_ABSENT;
	enum err e = group_list(g->link->target_client, CLIENT_CHANNEL_GROUPS, &events, g);
	if (e != ERR_OK) {
		struct errmsg why;
		errmsg_set(&why, e, "listing groups: %s", err_text(e));
		on_target_listed(g, e, &why);
	}
}

/* Which groups need a look at the target? */
static void choose(struct groups *g)
{
	int64_t now = loop_now_ms(g->link->loop);
	g->due_n = 0;
	g->commit_now = g->round_ms >= g->commit_ms && g->link->held == NULL;
	if (g->commit_now)
		g->commit_ms = g->round_ms + g->config->sync_groups_ms;
	struct group **due = mem_resize(g->due, g->all_n == 0 ? 1 : g->all_n, sizeof *due);
	if (due == NULL) {
		group_sync_problem(g, ERR_NOMEM, "choosing groups", err_text(ERR_NOMEM));
		round_end(g);
		return;
	}
	g->due = due;
	for (size_t i = 0; i < g->all_n; i++) {
		struct group *group = g->all[i];
		bool work = false;
		if (group->gone == 0 && (group->changed || group->open)) {
			work = group_sync_judge(g, group);
			work = (work || group->waits) && g->commit_now;
			ripen(group);
			group->changed = group->changed && !g->commit_now;
		}
		bool look = now >= group->verify_ms &&
			    (group->gone == 0
				     ? group->positions_n > 0
				     : group->gone >= GONE_LISTINGS && g->config->delete_groups);
		group->due = work || look;
		if (group->due)
			g->due[g->due_n++] = group;
	}
	if (g->due_n == 0)
		round_end(g);
	else
		target_begin(g);
}

/* ---- the source ---- */

static void on_source_offsets(struct groups *g, struct group *group, enum err e,
			      struct group_offsets *o)
{
	if (e != ERR_OK)
		return;
	group_clear_problem(group, GROUP_AT_SOURCE);
	struct group_offsets look = *o;
	struct group_offset x;
	bool any = group_offsets_next(&look, &x);
	if (any || group->listed >= g->whole_round)
		group->gone = 0;
	else if (g->whole_round == g->round && group->gone < GONE_LISTINGS &&
		 ++group->gone == GONE_LISTINGS)
		group->verify_ms = 0;
	group_table_take(g, group, o);
}

static void on_source_fetched(struct groups *g)
{
	if (g->stopping)
		round_end(g);
	else
		choose(g);
}

static void source_fetch_begin(struct groups *g)
{
	g->phase = GROUPS_FETCHING;
	g->fetch = (struct group_fetch){
		.g = g,
		.client = g->link->source_client,
		.list = g->all,
		.n = g->all_n,
		.each = on_source_offsets,
		.done = on_source_fetched,
	};
	group_fetch_start(&g->fetch);
}

/* Share groups, streams groups, Connect's workers: no committed offsets of a consumer that could be
 * carried over. Each is named once. */
static void tell_other(struct groups *g, const struct group_list_entry *e, struct bytes kind)
{
	if (map_get(g->others, e->group) != NULL || map_count(g->others) >= OTHERS_MAX ||
	    map_put(g->others, e->group, g) != ERR_OK)
		return;
	log_event(loop_log(g->link->loop), LOG_INFO, "group_not_synced",
		  LOG_S("link", g->config->name), LOG_B("group", e->group), LOG_B("kind", kind),
		  LOG_S("reason", "only groups of consumers are synced"));
}

static bool type_is(struct bytes type, const char *word)
{
	return type.n == strlen(word) && strncasecmp((const char *)type.p, word, type.n) == 0;
}

static void on_source_group(void *arg, const struct group_list_entry *e)
{
	struct groups *g = arg;
	bool consumer = e->protocol_type.n == 0 || bytes_eq_str(e->protocol_type, "consumer");
	bool kind = e->type.n == 0 || type_is(e->type, "classic") || type_is(e->type, "consumer");
	if (!consumer || !kind) {
		tell_other(g, e, kind ? e->protocol_type : e->type);
		return;
	}
	struct group *group = group_table_get(g, e->group);
	if (group == NULL)
		return;
	group->listed = g->round;
	group->source_active = e->state.n > 0 && !bytes_eq_str(e->state, "Empty") &&
			       !bytes_eq_str(e->state, "Dead");
	if (!group->ask)
		group->source_node = e->node;
}

static void on_source_listed(void *arg, enum err e, const struct errmsg *why)
{
	struct groups *g = arg;
	if (e != ERR_OK) {
		group_sync_problem(g, e, "at the source", why->text);
	} else {
		g->list_ms = g->round_ms + g->config->refresh_groups_ms;
		g->whole_round = g->round;
	}
	for (size_t i = 0; i < g->all_n && e == ERR_OK; i++)
		if (g->all[i]->listed != g->round)
			g->all[i]->source_node = -1;
	if (g->stopping)
		round_end(g);
	else
		source_fetch_begin(g);
}

/* What is mirrored changes when topics come. */
static void look_at_topics(struct groups *g)
{
	size_t n = map_count(g->link->entries);
	if (n != g->topics_n)
		g->topics_version++;
	g->topics_n = n;
}

static void on_timer(void *arg)
{
	static const struct group_list_events events = {on_source_group, on_source_listed};
	struct groups *g = arg;
	if (g->stopping || g->phase != GROUPS_IDLE)
		return;
	g->round++;
	g->round_ms = loop_now_ms(g->link->loop);
	g->round_failed = false;
	look_at_topics(g);
	g->phase = GROUPS_LISTING;
	if (g->list_ms > 0 && (!g->config->refresh_groups || g->round_ms < g->list_ms)) {
		source_fetch_begin(g);
		return;
	}
	enum err e = group_list(g->link->source_client, CLIENT_CHANNEL_GROUPS, &events, g);
	if (e != ERR_OK) {
		struct errmsg why;
		errmsg_set(&why, e, "listing groups: %s", err_text(e));
		on_source_listed(g, e, &why);
	}
}
