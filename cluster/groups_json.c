/* SPDX-License-Identifier: Apache-2.0 */
/* Written group by group, so that many groups never stand in memory twice. */
#include "cluster/groups_json.h"

#include <inttypes.h>

#include "cluster/group/groups.h"

/* A JSON string (RFC 8259, section 7). */
static void put_text(struct buf *out, struct bytes s)
{
	buf_put_u8(out, '"');
	for (size_t at = 0, n; at < s.n; at += n == 0 ? 1 : n) {
		n = bytes_utf8(s, at);
		if (n == 0)
			buf_put_u8(out, '?');
		else if (s.p[at] < 0x20)
			buf_printf(out, "\\u%04x", s.p[at]);
		else if (s.p[at] == '"' || s.p[at] == '\\')
			buf_printf(out, "\\%c", s.p[at]);
		else
			buf_put(out, s.p + at, n);
	}
	buf_put_u8(out, '"');
}

static void put_offset(struct buf *out, const struct metadata *m, struct bytes topic, int32_t index,
		       int64_t offset)
{
	const struct partition *p = metadata_partition(m, topic, index);
	int64_t end = p == NULL || p->log == NULL ? -1 : plog_high_watermark(p->log);
	int64_t lag = end < offset ? (end < 0 ? -1 : 0) : end - offset;
	buf_put_str(out, "{\"topic\":");
	put_text(out, topic);
	buf_printf(out,
		   ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"end\":%" PRId64
		   ",\"lag\":%" PRId64 "}",
		   index, offset, end, lag);
}

static void put_offsets(struct buf *out, const struct metadata *m, const struct offsets *o)
{
	const struct offsets_topic *t;
	const struct committed_offset *c;
	struct bytes topic;
	size_t at = 0;
	const char *comma = "";
	buf_put_u8(out, '[');
	while (o != NULL && (t = offsets_next_topic(o, &at, &topic)) != NULL) {
		int32_t index;
		for (size_t i = 0; (c = offsets_topic_at(t, i, &index)) != NULL; i++) {
			buf_put_str(out, comma);
			comma = ",";
			put_offset(out, m, topic, index, c->offset);
		}
	}
	buf_put_u8(out, ']');
}

static void put_group(struct buf *out, const struct groups *g, const struct metadata *m,
		      const struct group *group)
{
	buf_put_str(out, "{\"group\":");
	put_text(out, group_id(group));
	buf_put_str(out, ",\"state\":");
	put_text(out, bytes_str(group_state_name(group_state(group))));
	buf_put_str(out, ",\"protocol_type\":");
	put_text(out, group_protocol_type(group));
	buf_printf(out, ",\"members\":%zu,\"offsets\":", group_members(group));
	put_offsets(out, m, groups_offsets(g, group_id(group)));
	buf_put_u8(out, '}');
}

void groups_json(const struct groups *g, const struct metadata *m, const char *only,
		 struct buf *out)
{
	const struct group *group;
	const char *comma = "";
	size_t at = 0;
	buf_put_str(out, "{\"groups\":[");
	while (out->err == ERR_OK && (group = groups_next(g, &at)) != NULL) {
		if (only != NULL && !bytes_eq_str(group_id(group), only))
			continue;
		buf_put_str(out, comma);
		comma = ",";
		put_group(out, g, m, group);
	}
	buf_put_str(out, "]}\n");
}
