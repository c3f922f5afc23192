/* SPDX-License-Identifier: Apache-2.0 */
/* An entry's pattern has no blanks (a topic's name has none), so blanks part pattern and pairs. */
#include "mirror/config/policy.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "mirror/config/naming.h"

enum { ENTRIES_MAX = 1000 };

enum said { SAID_NOTHING, SAID_DEFAULT, SAID_OTHER };

struct entry {
	struct topic_filter *pattern;
	enum said said[ON_EVENTS];
};

struct policies {
	bool link_acts[ON_EVENTS];
	struct entry *entries;
	size_t n;
};

const char *const policy_words[ON_EVENTS][3] = {
#define X(name, word, safe, other) {safe, other, NULL},
	POLICY_EVENTS(X)
#undef X
};

static const char *const events[ON_EVENTS] = {
#define X(name, word, safe, other) word,
	POLICY_EVENTS(X)
#undef X
};

/* "data_loss, topic_recreated, ..." */
static const char *all_events(char *out, size_t cap)
{
	size_t at = 0;
	out[0] = '\0';
	for (int i = 0; i < ON_EVENTS && at < cap; i++) {
		int n = snprintf(out + at, cap - at, "%s%s", i == 0 ? "" : ", ", events[i]);
		at += n > 0 ? (size_t)n : 0;
	}
	return out;
}

/* One "STATE=ACTION". */
static enum err parse_pair(struct entry *e, struct bytes pair, struct errmsg *why)
{
	char known[200];
	const uint8_t *eq = memchr(pair.p, '=', pair.n);
	if (eq == NULL)
		return errmsg_set(why, ERR_CONFIG, "\"%.*s\" is not STATE=ACTION",
				  (int)(pair.n < 100 ? pair.n : 100), (const char *)pair.p);
	struct bytes state = bytes_of(pair.p, (size_t)(eq - pair.p));
	struct bytes action = bytes_of(eq + 1, pair.n - state.n - 1);
	for (int i = 0; i < ON_EVENTS; i++) {
		if (!bytes_eq_str(state, events[i]))
			continue;
		if (e->said[i] != SAID_NOTHING)
			return errmsg_set(why, ERR_CONFIG, "%s stands there twice", events[i]);
		if (!bytes_eq_str(action, policy_words[i][0]) &&
		    !bytes_eq_str(action, policy_words[i][1]))
			return errmsg_set(why, ERR_CONFIG, "%s can be %s or %s, not \"%.*s\"",
					  events[i], policy_words[i][0], policy_words[i][1],
					  (int)(action.n < 100 ? action.n : 100),
					  (const char *)action.p);
		e->said[i] = bytes_eq_str(action, policy_words[i][0]) ? SAID_DEFAULT : SAID_OTHER;
		return ERR_OK;
	}
	return errmsg_set(why, ERR_CONFIG, "there is no state \"%.*s\"; there are: %s",
			  (int)(state.n < 100 ? state.n : 100), (const char *)state.p,
			  all_events(known, sizeof known));
}

/* The next word of `*left`; false: there is none. */
static bool next_word(struct bytes *left, struct bytes *word)
{
	while (left->n > 0 && *left->p == ' ')
		*left = bytes_of(left->p + 1, left->n - 1);
	size_t n = 0;
	while (n < left->n && left->p[n] != ' ')
		n++;
	*word = bytes_of(left->p, n);
	*left = bytes_of(left->p + n, left->n - n);
	return n > 0;
}

static enum err parse_entry(struct entry *e, struct bytes text, struct errmsg *why)
{
	struct bytes left = text, word;
	char pattern[512];
	if (!next_word(&left, &word) || word.n >= sizeof pattern)
		return errmsg_set(why, ERR_CONFIG, "no pattern of topics, or a too long one");
	memcpy(pattern, word.p, word.n);
	pattern[word.n] = '\0';
	enum err err = topic_filter_new(pattern, "", &e->pattern, why);
	if (err != ERR_OK)
		return err;
	size_t pairs = 0;
	while (next_word(&left, &word)) {
		err = parse_pair(e, word, why);
		if (err != ERR_OK)
			return err;
		pairs++;
	}
	if (pairs == 0)
		return errmsg_set(why, ERR_CONFIG, "no STATE=ACTION follows the pattern");
	return ERR_OK;
}

static enum err parse_list(struct policies *p, const char *list, struct errmsg *why)
{
	size_t n = 1;
	for (const char *c = list; *c != '\0'; c++)
		n += *c == ',';
	if (*list == '\0')
		return ERR_OK;
	if (n > ENTRIES_MAX)
		return errmsg_set(why, ERR_CONFIG, "policies: more than %d entries", ENTRIES_MAX);
	p->entries = mem_zalloc(n, sizeof *p->entries);
	if (p->entries == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	while (p->n < n) {
		size_t len = strcspn(list, ",");
		struct bytes text = bytes_of(list, len);
		struct errmsg detail = {""};
		enum err e = parse_entry(&p->entries[p->n++], text, &detail);
		if (e != ERR_OK)
			return errmsg_set(why, e, "policies: \"%.*s\": %s",
					  (int)(len < 150 ? len : 150), list, detail.text);
		list += len + (list[len] == ',');
	}
	return ERR_OK;
}

enum err policies_new(const bool link_acts[ON_EVENTS], const char *list, struct policies **out,
		      struct errmsg *why)
{
	struct policies *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	memcpy(p->link_acts, link_acts, sizeof p->link_acts);
	enum err e = parse_list(p, list == NULL ? "" : list, why);
	if (e != ERR_OK) {
		policies_free(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

void policies_free(struct policies *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		topic_filter_free(p->entries[i].pattern);
	mem_free(p->entries);
	mem_free(p);
}

struct policy policies_of(const struct policies *p, const char *source_topic)
{
	struct policy out = {.asked = false};
	bool found[ON_EVENTS] = {false};
	memcpy(out.acts, p->link_acts, sizeof out.acts);
	for (size_t i = 0; i < p->n; i++) {
		const struct entry *e = &p->entries[i];
		if (!topic_filter_match(e->pattern, source_topic))
			continue;
		for (int ev = 0; ev < ON_EVENTS; ev++) {
			if (found[ev] || e->said[ev] == SAID_NOTHING)
				continue;
			found[ev] = true;
			out.acts[ev] = e->said[ev] == SAID_OTHER;
			out.asked = out.asked || ev == ON_TOPIC_DELETED;
		}
	}
	return out;
}
