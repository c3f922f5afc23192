/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table answers exactly for all that it holds. Two things can make that less than the truth: the
 * logs are not those that it is about (a doubt: then nothing is known), or more was copied than it
 * knows (not settled): then a position beyond its end lies between that end and the end of the
 * other log. Both only ever make an answer early, never late.
 */
#include "checkpoint/translate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const char *const directions[] = {"forward", "back"};

const char *translate_direction_name(enum translate_direction d)
{
	return directions[d];
}

bool translate_direction_parse(const char *text, enum translate_direction *out)
{
	for (size_t i = 0; i < sizeof directions / sizeof *directions; i++) {
		if (strcmp(text, directions[i]) != 0)
			continue;
		*out = (enum translate_direction)i;
		return true;
	}
	return false;
}

void translate_fail(struct translation *out, const char *problem)
{
	out->translated = -1;
	out->exact = false;
	out->max_behind = -1;
	out->pending = 0;
	out->problem = problem;
}

bool translate_offset(const struct runs *r, enum translate_direction d, int64_t offset,
		      const struct translate_facts *facts, struct translation *out)
{
	struct runs_answer a;
	bool known =
		d == TRANSLATE_FORWARD ? runs_forward(r, offset, &a) : runs_backward(r, offset, &a);
	out->direction = d;
	out->offset = offset;
	out->state = facts->state;
	if (!known) {
		translate_fail(out, "nothing is known yet of where its records land");
		return false;
	}
	out->translated = a.offset;
	out->exact = a.exact;
	out->max_behind = a.max_behind;
	out->pending = a.pending;
	out->problem = facts->doubt;
	if (facts->doubt[0] != '\0') {
		out->exact = false;
		out->max_behind = -1;
	} else if (!facts->settled && a.pending > 0 && facts->other_end != a.offset) {
		out->exact = false;
		out->max_behind = facts->other_end > a.offset ? facts->other_end - a.offset : -1;
	}
	return true;
}

enum translate_quality translate_judge(const struct translation *t)
{
	if (t->translated < 0)
		return TRANSLATE_NONE;
	if (!t->exact)
		return TRANSLATE_EARLY;
	return t->pending > 0 ? TRANSLATE_PENDING : TRANSLATE_EXACT;
}

void translate_words(const struct translation *t, char out[TRANSLATE_WORDS_MAX])
{
	char behind[64] = "exact", pending[48] = "";
	if (t->translated < 0) {
		snprintf(out, TRANSLATE_WORDS_MAX, "no answer");
		return;
	}
	if (!t->exact && t->max_behind >= 0)
		snprintf(behind, sizeof behind, "up to %" PRId64 " early", t->max_behind);
	else if (!t->exact)
		snprintf(behind, sizeof behind, "early, not known by how much");
	if (t->pending > 0)
		snprintf(pending, sizeof pending, ", %" PRId64 " not mirrored yet", t->pending);
	snprintf(out, TRANSLATE_WORDS_MAX, "%s%s", behind, pending);
}

/* ---- JSON ---- */

/* -1 is null. */
static json_t *optional(int64_t value)
{
	return value < 0 ? json_null() : json_integer((json_int_t)value);
}

json_t *translate_to_json(const struct translation *t)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:o, s:b, s:o, s:I, s:s, s:s}", "link",
			 t->link, "topic", t->topic, "target_topic", t->target_topic, "partition",
			 (int)t->partition, "direction", directions[t->direction], "offset",
			 (json_int_t)t->offset, "translated", optional(t->translated), "exact",
			 (int)t->exact, "max_behind", optional(t->max_behind), "pending",
			 (json_int_t)t->pending, "state", t->state, "problem", t->problem);
}

static bool get_text(const json_t *in, const char *name, const char **out)
{
	const json_t *v = json_object_get(in, name);
	*out = json_string_value(v);
	return *out != NULL && json_string_length(v) == strlen(*out);
}

static bool get_count(const json_t *in, const char *name, bool optional_, int64_t *out)
{
	const json_t *v = json_object_get(in, name);
	if (optional_ && json_is_null(v)) {
		*out = -1;
		return true;
	}
	*out = json_integer_value(v);
	return json_is_integer(v) && *out >= 0;
}

static const char *read_fields(const json_t *in, struct translation *t)
{
	const struct {
		const char *name;
		const char **to;
	} texts[] = {{"link", &t->link},
		     {"topic", &t->topic},
		     {"target_topic", &t->target_topic},
		     {"state", &t->state},
		     {"problem", &t->problem}};
	const struct {
		const char *name;
		bool optional;
		int64_t *to;
	} counts[] = {{"offset", false, &t->offset},
		      {"translated", true, &t->translated},
		      {"max_behind", true, &t->max_behind},
		      {"pending", false, &t->pending}};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!get_text(in, texts[i].name, texts[i].to))
			return texts[i].name;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (!get_count(in, counts[i].name, counts[i].optional, counts[i].to))
			return counts[i].name;
	return NULL;
}

enum err translate_from_json(const json_t *in, struct translation *out, struct errmsg *why)
{
	int64_t partition;
	const char *direction;
	const json_t *exact = json_object_get(in, "exact");
	const char *bad = json_is_object(in) ? read_fields(in, out) : "not an object";
	if (bad == NULL &&
	    (!get_count(in, "partition", false, &partition) || partition > INT32_MAX))
		bad = "partition";
	if (bad == NULL && !(get_text(in, "direction", &direction) &&
			     translate_direction_parse(direction, &out->direction)))
		bad = "direction";
	if (bad == NULL && !json_is_boolean(exact))
		bad = "exact";
	if (bad != NULL)
		return errmsg_set(why, ERR_MALFORMED, "a translation without a usable %s", bad);
	out->partition = (int32_t)partition;
	out->exact = json_is_true(exact);
	/* What contradicts itself is not taken for a good answer. */
	if (out->exact && (out->translated < 0 || out->max_behind != 0))
		return errmsg_set(why, ERR_MALFORMED, "a translation that is exact and is not");
	return ERR_OK;
}
