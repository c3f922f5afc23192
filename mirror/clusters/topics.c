/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics of a link. A scan compares both clusters' metadata and finds, for every topic, the
 * next step:
 *
 *   missing at the target     -> describe the source's configuration, create with the same
 *                                partition count
 *   fewer partitions there    -> create partitions
 *   configuration not known   -> describe both sides, send the differences, learn what the mirror
 *                                must know
 *   all is well               -> tell the owner (on_ready), once per change
 *
 * Steps of one kind are batched into one request (a "job"); one job runs at a time, a scan follows
 * each. A topic whose step failed waits before it is tried again; the others go on.
 */
#include "mirror/clusters/topics.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/clusters/topics_priv.h"
#include "mirror/config/naming.h"

enum { RETRY_MS = 5 * 1000 };

static void scan(void *arg);

/* ---- life ---- */

void topics_scan_soon(struct topics *t)
{
	if (!t->scan.pending)
		loop_defer(t->loop, &t->scan);
}

static void on_refresh(void *arg)
{
	struct topics *t = arg;
	client_metadata_refresh(t->source);
	client_metadata_refresh(t->target);
	loop_timer_set(t->refresh, t->link->refresh_topics_ms);
	topics_scan_soon(t);
}

static void on_soon(void *arg)
{
	struct topics *t = arg;
	client_metadata_refresh(t->target);
	topics_scan_soon(t);
}

enum err topics_new(struct loop *l, const struct link_config *link, struct client *source,
		    struct client *target, const struct topics_events *ev, void *arg,
		    struct topics **out, struct errmsg *why)
{
	struct topics *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	t->loop = l;
	t->link = link;
	t->source = source;
	t->target = target;
	t->ev = ev;
	t->arg = arg;
	t->scan = (struct loop_deferred){.fn = scan, .arg = t};
	t->items = map_new();
	t->refresh = loop_timer_new(l, on_refresh, t);
	t->soon = loop_timer_new(l, on_soon, t);
	enum err e = ERR_OK;
	if (t->items == NULL || t->refresh == NULL || t->soon == NULL)
		e = errmsg_set(why, ERR_NOMEM, "out of memory");
	if (e == ERR_OK)
		e = topic_filter_new(link->topics, link->topics_exclude, &t->filter, why);
	if (e == ERR_OK)
		e = topic_filter_new(link->config_exclude, "", &t->exclude, why);
	if (e != ERR_OK) {
		topics_free(t);
		return errmsg_wrap(why, e, "link %s", link->name);
	}
	if (link->refresh_topics)
		loop_timer_set(t->refresh, link->refresh_topics_ms);
	*out = t;
	return ERR_OK;
}

static void item_free(struct topic_item *x)
{
	mem_free(x->source_name);
	mem_free(x->target_name);
	mem_free(x);
}

void topics_free(struct topics *t)
{
	if (t == NULL)
		return;
	loop_undefer(t->loop, &t->scan);
	loop_timer_free(t->refresh);
	loop_timer_free(t->soon);
	size_t at = 0;
	void *v;
	while (t->items != NULL && map_next(t->items, &at, NULL, &v))
		item_free(v);
	map_free(t->items);
	topic_filter_free(t->filter);
	topic_filter_free(t->exclude);
	/* A job under way frees itself when its answer comes. */
	if (t->job != NULL)
		t->job->owner = NULL;
	mem_free(t);
}

void topics_refresh(struct topics *t)
{
	client_metadata_refresh(t->source);
	client_metadata_refresh(t->target);
}

void topics_on_metadata(struct topics *t)
{
	topics_scan_soon(t);
}

void topics_recheck_config(struct topics *t, const char *source_name)
{
	struct topic_item *x = map_get(t->items, bytes_str(source_name));
	if (x != NULL) {
		x->configs_known = false;
		topics_scan_soon(t);
	}
}

/* ---- problems ---- */

void topics_problem(struct topics *t, struct topic_item *x, enum err e, const struct errmsg *why)
{
	x->retry_ms = loop_now_ms(t->loop) + RETRY_MS;
	loop_timer_set(t->soon, RETRY_MS);
	x->has_problem = true;
	t->ev->on_problem(t->arg, x->source_name, e, why);
}

void topics_well(struct topics *t, struct topic_item *x)
{
	if (!x->has_problem)
		return;
	x->has_problem = false;
	t->ev->on_problem(t->arg, x->source_name, ERR_OK, NULL);
}

/* ---- the scan ---- */

static struct topic_item *item_new(struct topics *t, const struct client_topic *s)
{
	struct topic_item *x;
	char target[TOPIC_NAME_MAX + 1];
	struct errmsg why;
	if (naming_remote(t->link, s->name, target) != ERR_OK) {
		errmsg_set(&why, ERR_LIMIT,
			   "its name on the target would be longer than %d characters",
			   TOPIC_NAME_MAX);
		t->ev->on_problem(t->arg, s->name, ERR_LIMIT, &why);
		return NULL;
	}
	x = mem_zalloc(1, sizeof *x);
	if (x == NULL)
		return NULL;
	x->source_name = mem_strdup(s->name);
	x->target_name = mem_strdup(target);
	if (x->source_name == NULL || x->target_name == NULL ||
	    client_follow_topic(t->target, target) != ERR_OK ||
	    map_put(t->items, bytes_str(s->name), x) != ERR_OK) {
		item_free(x);
		return NULL;
	}
	client_metadata_refresh(t->target);
	t->ev->on_found(t->arg, x->source_name);
	return x;
}

/*
 * Where source and target are one cluster, what is copied is a topic of the source as well; that
 * would be copied, and its copy, and so on without end. Also true as long as nobody knows: the
 * target has not said yet which topic has that name there.
 */
static bool is_own_copy(struct topics *t, const struct client_topic *s)
{
	const char *original = naming_own(t->link, s->name);
	if (original == NULL || uuid_is_zero(&s->id) ||
	    !naming_should_mirror(t->link, t->filter, original) ||
	    client_topic(t->source, original) == NULL)
		return false;
	const struct client_topic *g = client_topic(t->target, s->name);
	if (g == NULL || g->error != ERR_OK)
		return true;
	if (!uuid_eq(&g->id, &s->id))
		return false;
	if (!t->told_same)
		log_event(loop_log(t->loop), LOG_WARN, "same_cluster", LOG_S("link", t->link->name),
			  LOG_S("topic", s->name),
			  LOG_S("reason",
				"source and target are one cluster: what this link copied is "
				"not copied again; if that is not meant, correct the "
				"bootstrap of one of them"));
	t->told_same = true;
	return true;
}

/* Find what the source has. */
static void scan_source(struct topics *t)
{
	const struct client_topic *const *list;
	size_t n = client_topics(t->source, &list);
	t->scans++;
	for (size_t i = 0; i < n; i++) {
		const struct client_topic *s = list[i];
		if (!naming_should_mirror(t->link, t->filter, s->name))
			continue;
		/* A topic that is there but cannot be read (authorization ...) is not gone. */
		struct topic_item *x = map_get(t->items, bytes_str(s->name));
		if (x == NULL && s->error == ERR_OK && !is_own_copy(t, s))
			x = item_new(t, s);
		if (x == NULL)
			continue;
		x->seen = t->scans;
		if (s->error != ERR_OK)
			continue;
		x->gone = false;
		x->source_id = s->id;
		x->source_partitions = s->partitions_n;
	}
	size_t at = 0;
	void *v;
	while (map_next(t->items, &at, NULL, &v)) {
		struct topic_item *x = v;
		if (x->seen == t->scans || x->gone)
			continue;
		x->gone = true;
		x->told = false;
		t->ev->on_gone(t->arg, x->source_name);
	}
}

/* A topic that was just made: its leaders may be a moment away. */
static bool still_coming(const struct topic_item *x, const struct client_topic *g, int64_t now)
{
	for (int32_t i = 0; !x->told && now < x->retry_ms && i < g->partitions_n; i++)
		if (g->partitions[i].leader < 0)
			return true;
	return false;
}

static void tell(struct topics *t, struct topic_item *x, int32_t partitions)
{
	const struct topic_info info = {
		.source_name = x->source_name,
		.target_name = x->target_name,
		.source_id = x->source_id,
		.partitions = partitions,
		.compacted = x->compacted,
		.target_max_batch = x->target_max_batch,
		.target_stamps = x->target_stamps,
		.target_made = x->target_made,
		.target_configs = x->target_configs,
	};
	const struct topic_info *was = &x->last_told;
	if (x->told && was->partitions == partitions && was->compacted == x->compacted &&
	    was->target_max_batch == x->target_max_batch && was->target_made == x->target_made &&
	    was->target_configs == x->target_configs && uuid_eq(&was->source_id, &x->source_id))
		return;
	x->told = true;
	x->last_told = info;
	t->ev->on_ready(t->arg, &info);
}

/* The next step of a topic; tells the owner when there is something ready. */
static enum topic_step item_step(struct topics *t, struct topic_item *x, int64_t now)
{
	const struct client_topic *g = client_topic(t->target, x->target_name);
	if (x->gone || g == NULL)
		return TOPIC_STEP_NONE;
	bool may = now >= x->retry_ms;
	if (g->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
		/* Also what was just made is unknown until the next metadata. */
		if (!may)
			return TOPIC_STEP_NONE;
		if (x->configs_known)
			x->target_made++;
		x->configs_known = false;
		return TOPIC_STEP_CREATE;
	}
	if (g->error != ERR_OK && g->error != ERR_KAFKA_LEADER_NOT_AVAILABLE) {
		struct errmsg why;
		errmsg_set(&why, g->error, "the target says: %s", err_text(g->error));
		if (may)
			topics_problem(t, x, g->error, &why);
		return TOPIC_STEP_NONE;
	}
	if (g->partitions_n == 0)
		return TOPIC_STEP_NONE;
	if (!uuid_is_zero(&x->target_id) && !uuid_eq(&x->target_id, &g->id)) {
		x->target_made++;
		x->configs_known = false;
	}
	x->target_id = g->id;
	if (!x->configs_known || (t->link->sync_configs && now >= x->configs_due_ms))
		return may ? TOPIC_STEP_CONFIGS : TOPIC_STEP_NONE;
	if (still_coming(x, g, now))
		return TOPIC_STEP_NONE;
	tell(t, x, x->source_partitions < g->partitions_n ? x->source_partitions : g->partitions_n);
	return x->source_partitions > g->partitions_n && may ? TOPIC_STEP_GROW : TOPIC_STEP_NONE;
}

static void scan(void *arg)
{
	struct topics *t = arg;
	int64_t now = loop_now_ms(t->loop);
	if (client_metadata_version(t->source) > 0)
		scan_source(t);
	if (client_metadata_version(t->target) == 0)
		return;
	struct topic_job *jobs[TOPIC_STEP_CONFIGS + 1] = {NULL};
	size_t at = 0;
	void *v;
	while (map_next(t->items, &at, NULL, &v)) {
		struct topic_item *x = v;
		enum topic_step s = item_step(t, x, now);
		if (s == TOPIC_STEP_NONE || t->job != NULL)
			continue;
		if (jobs[s] == NULL)
			jobs[s] = topic_job_new(t, s);
		if (jobs[s] != NULL && jobs[s]->n < TOPIC_JOB_MAX)
			jobs[s]->items[jobs[s]->n++] = x;
	}
	for (int s = TOPIC_STEP_CREATE; s <= TOPIC_STEP_CONFIGS; s++) {
		if (jobs[s] == NULL)
			continue;
		if (t->job == NULL)
			topic_job_start(t, jobs[s]);
		else
			topic_job_free(jobs[s]);
	}
}
