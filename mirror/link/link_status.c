/* SPDX-License-Identifier: Apache-2.0 */
/* How a link is, from the states of its partitions and of both clusters, for whoever shows it. */
#include <stdlib.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/link/link_parts.h"

/* No record copied for so long although some wait: not ready. */
enum { STALL_MS = 30 * 1000 };

static void link_set_state(struct link *k, enum mirror_state to, const char *reason)
{
	if (k->state == to && strcmp(k->reason.text, reason) == 0)
		return;
	enum mirror_state from = k->state;
	errmsg_set(&k->reason, ERR_OK, "%s", reason);
	k->state = to;
	if (from == to)
		return;
	k->since_ms = clock_wall_ms(loop_clock(k->loop));
	log_event(loop_log(k->loop),
		  mirror_state_needs_person(to)                    ? LOG_ERROR
		  : mirror_state_moves(to) || to == STATE_STARTING ? LOG_INFO
								   : LOG_WARN,
		  "link_state", LOG_S("link", k->config->name),
		  LOG_S("state", mirror_state_name(to)), LOG_S("from", mirror_state_name(from)),
		  LOG_S("reason", reason));
}

bool link_held(const struct link *k)
{
	size_t at = 0;
	void *v;
	while (k->held != NULL && map_next(k->entries, &at, NULL, &v)) {
		const struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++)
			if (t->slots[i]->p->state != STATE_PAUSED)
				return false;
	}
	return k->held != NULL;
}

void link_judge(struct link *k)
{
	struct errmsg why = {""};
	if (k->held != NULL && link_held(k)) {
		k->last_progress_ms = loop_now_ms(k->loop);
		link_set_state(k, STATE_PAUSED, k->held);
		return;
	}
	if (client_ready(k->source_client, &why) == 0 && client_down_since(k->source_client) > 0) {
		link_set_state(k, STATE_SOURCE_UNAVAILABLE, why.text);
		return;
	}
	if (client_ready(k->target_client, &why) == 0 && client_down_since(k->target_client) > 0) {
		link_set_state(k, STATE_TARGET_UNAVAILABLE, why.text);
		return;
	}
	if (!k->started) {
		if (k->loaded && !two_way_ready(k, &why))
			link_set_state(k, STATE_STARTING, why.text);
		else
			link_set_state(k, STATE_STARTING, k->load_problem.text);
		return;
	}
	if (two_way_problem(k, &why)) {
		link_set_state(k, STATE_SOURCE_UNAVAILABLE, why.text);
		return;
	}
	enum mirror_state worst = STATE_ACTIVE;
	const struct partition *of = NULL;
	bool lag = false;
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		if (t->gone_deleted)
			continue; /* and so is its copy: the policy is done with it */
		/* What was deleted at the source does not wait there any more. */
		bool waits = !t->gone || t->gone_since_ms < 0;
		for (int32_t i = 0; i < t->slots_n; i++) {
			const struct partition *p = t->slots[i]->p;
			lag = lag || (waits && p->state != STATE_PAUSED && partition_behind(p));
			if (p->state > worst) {
				worst = p->state;
				of = p;
			}
		}
	}
	if (!lag)
		k->last_progress_ms = loop_now_ms(k->loop);
	if (of != NULL && !mirror_state_moves(worst) && of->reason.text[0] != '\0')
		errmsg_set(&why, ERR_OK, "%s-%d: %s", of->env->source_topic, of->index,
			   of->reason.text);
	link_set_state(k, worst, why.text);
}

enum mirror_state link_state(const struct link *k, const char **reason, int64_t *since_ms)
{
	*reason = k->reason.text;
	*since_ms = k->since_ms;
	return k->state;
}

bool link_ready(const struct link *k)
{
	if (link_held(k))
		return true;
	if (!k->started || client_ready(k->source_client, NULL) == 0 ||
	    client_ready(k->target_client, NULL) == 0)
		return false;
	return loop_now_ms(k->loop) - k->last_progress_ms < STALL_MS;
}

size_t link_partitions(const struct link *k)
{
	size_t n = 0, at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v))
		n += (size_t)((struct topic_entry *)v)->slots_n;
	return n;
}

static int by_name(const void *a, const void *b)
{
	const struct topic_entry *const *x = a, *const *y = b;
	return strcmp((*x)->source_name, (*y)->source_name);
}

struct topic_entry **link_topics_sorted(const struct link *k, size_t *n)
{
	*n = 0;
	size_t count = map_count(k->entries);
	if (count == 0)
		return NULL;
	struct topic_entry **out = mem_zalloc(count, sizeof *out);
	size_t at = 0;
	void *v;
	while (out != NULL && map_next(k->entries, &at, NULL, &v))
		out[(*n)++] = v;
	if (out != NULL)
		qsort(out, *n, sizeof *out, by_name);
	return out;
}
