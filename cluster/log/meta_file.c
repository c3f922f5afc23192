/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two little property files. They are read strictly: which data a directory holds is not
 * guessed.
 */
#include "cluster/log/meta_file.h"

#include <inttypes.h>

enum { META_VERSION = 1, PARTITION_VERSION = 0, UUID_TEXT = 22 };

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static struct bytes trim(struct bytes s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = bytes_of(s.p + 1, s.n - 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* One line without its end: LF, CR or CR LF (the empty line between CR and LF does no harm). */
static struct bytes line_take(struct bytes *left)
{
	size_t n = 0;

	while (n < left->n && left->p[n] != '\n' && left->p[n] != '\r')
		n++;
	struct bytes line = bytes_of(left->p, n);
	size_t used = n < left->n ? n + 1 : n;
	*left = bytes_of(left->p + used, left->n - used);
	return line;
}

struct property {
	struct bytes key, value;
};

/* The next property. False at the end, and at a line that is none: then *bad is set. */
static bool property_next(struct bytes *left, struct property *out, bool *bad)
{
	*bad = false;
	while (left->n > 0) {
		struct bytes line = trim(line_take(left));
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == '!')
			continue;
		size_t n = 0;
		while (n < line.n && line.p[n] != '=' && line.p[n] != ':')
			n++;
		out->key = trim(bytes_of(line.p, n));
		if (n == line.n || out->key.n == 0 || memchr(line.p, '\\', line.n) != NULL) {
			*bad = true;
			return false;
		}
		out->value = trim(bytes_of(line.p + n + 1, line.n - n - 1));
		return true;
	}
	return false;
}

/* A number from 0 to `max`, digits only. */
static bool number_get(struct bytes s, int64_t max, int64_t *out)
{
	int64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		int digit = s.p[i] - '0';
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return s.n > 0;
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool meta_file_uuid(struct bytes text, struct uuid *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (text.n != UUID_TEXT)
		return false;
	for (size_t i = 0; i < UUID_TEXT; i++) {
		int v = base64_value(text.p[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8 && n < sizeof out->b) {
			have -= 8;
			out->b[n++] = (uint8_t)(bits >> have);
		}
	}
	/* 22 characters are 4 bits more than a uuid. */
	return (bits & 0x0f) == 0;
}

void meta_file_encode(const struct meta_file *m, struct buf *out)
{
	char directory[23];

	buf_printf(out, "version=%d\ncluster.id=%s\nnode.id=%" PRId32 "\n", META_VERSION,
		   m->cluster_id, m->node_id);
	if (uuid_is_zero(&m->directory_id))
		return;
	uuid_format(&m->directory_id, directory);
	buf_printf(out, "directory.id=%s\n", directory);
}

static bool cluster_id_get(struct bytes s, char out[META_FILE_CLUSTER_ID_MAX + 1])
{
	if (s.n == 0 || s.n > META_FILE_CLUSTER_ID_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

static const char *const meta_keys[] = {"version", "cluster.id", "node.id", "directory.id"};
enum { META_KEY_VERSION, META_KEY_CLUSTER, META_KEY_NODE, META_KEY_DIRECTORY, META_KEYS };

/* The values by key; null where there is none. */
static enum err meta_collect(struct bytes file, struct bytes values[META_KEYS], struct errmsg *why)
{
	struct property p;
	bool bad;

	while (property_next(&file, &p, &bad)) {
		for (int i = 0; i < META_KEYS; i++) {
			if (!bytes_eq_str(p.key, meta_keys[i]))
				continue;
			if (values[i].p != NULL)
				return errmsg_set(why, ERR_MALFORMED, "%s is there twice",
						  meta_keys[i]);
			values[i] = p.value;
		}
	}
	return bad ? errmsg_set(why, ERR_MALFORMED, "a line is not key=value") : ERR_OK;
}

enum err meta_file_decode(struct meta_file *m, struct bytes file, struct errmsg *why)
{
	struct bytes values[META_KEYS] = {{0}};
	int64_t version, node;
	enum err e = meta_collect(file, values, why);

	*m = (struct meta_file){0};
	if (e != ERR_OK)
		return e;
	for (int i = 0; i < META_KEY_DIRECTORY; i++)
		if (values[i].p == NULL)
			return errmsg_set(why, ERR_MALFORMED, "%s is missing", meta_keys[i]);
	if (!number_get(values[META_KEY_VERSION], INT32_MAX, &version))
		return errmsg_set(why, ERR_MALFORMED, "version is not a number");
	if (version != META_VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "version %" PRId64 " is not known",
				  version);
	if (!cluster_id_get(values[META_KEY_CLUSTER], m->cluster_id))
		return errmsg_set(why, ERR_MALFORMED, "cluster.id is not legal");
	if (!number_get(values[META_KEY_NODE], INT32_MAX, &node))
		return errmsg_set(why, ERR_MALFORMED, "node.id is not a number");
	m->node_id = (int32_t)node;
	if (values[META_KEY_DIRECTORY].p != NULL &&
	    !meta_file_uuid(values[META_KEY_DIRECTORY], &m->directory_id))
		return errmsg_set(why, ERR_MALFORMED, "directory.id is not a uuid");
	return ERR_OK;
}

void meta_file_encode_partition(const struct uuid *topic_id, struct buf *out)
{
	char text[23];

	uuid_format(topic_id, text);
	buf_printf(out, "version: %d\ntopic_id: %s\n", PARTITION_VERSION, text);
}

enum err meta_file_decode_partition(struct uuid *topic_id, struct bytes file, struct errmsg *why)
{
	struct property version, id;
	int64_t number;
	bool bad;

	if (!property_next(&file, &version, &bad) || !bytes_eq_str(version.key, "version") ||
	    !number_get(version.value, INT32_MAX, &number))
		return errmsg_set(why, ERR_MALFORMED, "the first line is not a version");
	if (number != PARTITION_VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "version %" PRId64 " is not known", number);
	if (!property_next(&file, &id, &bad) || !bytes_eq_str(id.key, "topic_id") ||
	    !meta_file_uuid(id.value, topic_id) || uuid_is_zero(topic_id))
		return errmsg_set(why, ERR_MALFORMED, "the second line is not a topic id");
	return ERR_OK;
}
