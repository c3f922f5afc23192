/* SPDX-License-Identifier: Apache-2.0 */
/* JSON by jansson, from bounded input; every field is checked for its type and its range. */
#include "mirror/link/mm2_position.h"

#include <jansson.h>
#include <string.h>

enum { JSON_BYTES_MAX = 8 << 10 };

static enum err parse(struct bytes in, json_t **out, const char *what, struct errmsg *why)
{
	json_error_t error;
	*out = NULL;
	if (in.n > JSON_BYTES_MAX)
		return errmsg_set(why, ERR_LIMIT, "the %s has %zu bytes, more than %d", what, in.n,
				  JSON_BYTES_MAX);
	*out = json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			  &error);
	if (*out != NULL)
		return ERR_OK;
	if (json_error_code(&error) == json_error_out_of_memory)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	return errmsg_set(why, ERR_MALFORMED, "the %s is not JSON: %.80s", what, error.text);
}

/* Copy a string field; false: it is not there, not a string, empty, too long, or has a NUL. */
static bool text(const json_t *o, const char *name, char *out, size_t max)
{
	const json_t *v = json_object_get(o, name);
	size_t n = json_string_length(v);
	if (n == 0 || n > max || memchr(json_string_value(v), '\0', n) != NULL)
		return false;
	memcpy(out, json_string_value(v), n + 1);
	return true;
}

static enum err key_fields(const json_t *key, struct mm2_position *out, struct errmsg *why)
{
	const json_t *o = json_array_get(key, 1);
	if (json_array_size(key) != 2 || !json_is_string(json_array_get(key, 0)) ||
	    !json_is_object(o))
		return errmsg_set(why, ERR_MALFORMED,
				  "the key is not [connector, {source partition}]");
	const json_t *partition = json_object_get(o, "partition");
	/* MirrorHeartbeatConnector has "sourceClusterAlias", MirrorCheckpointConnector "group". */
	if (json_object_get(o, "cluster") == NULL || json_object_get(o, "group") != NULL)
		return errmsg_set(why, ERR_NOT_FOUND, "a position of another connector");
	if (!text(o, "cluster", out->cluster, MM2_POSITION_ALIAS_MAX) ||
	    !text(o, "topic", out->topic, MM2_POSITION_TOPIC_MAX) || !json_is_integer(partition))
		return errmsg_set(why, ERR_MALFORMED,
				  "the key does not name cluster, topic and partition");
	json_int_t p = json_integer_value(partition);
	if (p < 0 || p > INT32_MAX)
		return errmsg_set(why, ERR_MALFORMED, "the partition is out of range");
	out->partition = (int32_t)p;
	return ERR_OK;
}

static enum err value_field(const json_t *value, struct mm2_position *out, struct errmsg *why)
{
	const json_t *offset = json_object_get(value, "offset");
	if (json_is_null(value)) {
		out->offset = -1;
		return ERR_OK;
	}
	if (!json_is_integer(offset))
		return errmsg_set(why, ERR_MALFORMED, "the value has no offset");
	json_int_t at = json_integer_value(offset);
	if (at < 0 || at == INT64_MAX)
		return errmsg_set(why, ERR_MALFORMED, "the offset is out of range");
	out->offset = at;
	return ERR_OK;
}

enum err mm2_position_decode(struct bytes key, struct bytes value, struct mm2_position *out,
			     struct errmsg *why)
{
	json_t *k, *v;
	*out = (struct mm2_position){.offset = -1};
	enum err e = parse(key, &k, "key", why);
	if (e == ERR_OK)
		e = key_fields(k, out, why);
	json_decref(k);
	/* A null value deletes the position. */
	if (e != ERR_OK || value.p == NULL)
		return e;
	e = parse(value, &v, "value", why);
	if (e == ERR_OK)
		e = value_field(v, out, why);
	json_decref(v);
	return e;
}
