/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts come from the schemas (GroupMetadataKey.json and so on); here is the version in front. */
#include "cluster/group/group_record.h"

#include "lib/wire/wire.h"

enum { PREFIX = 2, KEY_OFFSET_LEGACY = 0, KEY_OFFSET = 1, KEY_GROUP = 2 };

static enum err put(const struct wire_message *m, uint16_t prefix, int16_t version,
		    const void *body, struct buf *out)
{
	/* The encoder writes to the end of a buffer of its own: lend it ours. */
	struct wire_out w;
	wire_out_init(&w, out->max, 0);
	w.buf = *out;
	buf_put_be16(&w.buf, prefix);
	enum err e = wire_encode(m, version, body, &w, NULL);
	if (e == ERR_OK)
		e = w.buf.err;
	*out = w.buf;
	buf_init(&w.buf, 0);
	wire_out_fini(&w);
	return e;
}

enum err group_record_put_group_key(struct bytes group, struct buf *out)
{
	struct group_metadata_key k;
	wire_init(&wire_group_metadata_key, &k);
	k.group = group;
	return put(&wire_group_metadata_key, KEY_GROUP, 0, &k, out);
}

enum err group_record_put_group(const struct group_metadata_value *v, struct buf *out)
{
	return put(&wire_group_metadata_value, GROUP_RECORD_GROUP_VERSION,
		   GROUP_RECORD_GROUP_VERSION, v, out);
}

enum err group_record_put_offset_key(const struct offset_commit_key *k, struct buf *out)
{
	return put(&wire_offset_commit_key, KEY_OFFSET, 0, k, out);
}

enum err group_record_put_offset(const struct offset_commit_value *v, struct buf *out)
{
	int16_t version = v->expire_timestamp == -1 ? GROUP_RECORD_OFFSET_VERSION
						    : GROUP_RECORD_OFFSET_EXPIRES_VERSION;
	return put(&wire_offset_commit_value, (uint16_t)version, version, v, out);
}

/* Kinds that this coordinator has no use for, by their record type. */
static const char *kind_name(int16_t type)
{
	static const struct {
		int16_t type;
		const char *name;
	} kinds[] = {
		{3, "ConsumerGroupMetadata"},
		{4, "ConsumerGroupPartitionMetadata"},
		{5, "ConsumerGroupMemberMetadata"},
		{6, "ConsumerGroupTargetAssignmentMetadata"},
		{7, "ConsumerGroupTargetAssignmentMember"},
		{8, "ConsumerGroupCurrentMemberAssignment"},
		{10, "ShareGroupMemberMetadata"},
		{11, "ShareGroupMetadata"},
		{12, "ShareGroupTargetAssignmentMetadata"},
		{13, "ShareGroupTargetAssignmentMember"},
		{14, "ShareGroupCurrentMemberAssignment"},
		{15, "ShareGroupStatePartitionMetadata"},
		{16, "ConsumerGroupRegularExpression"},
		{17, "StreamsGroupMetadata"},
		{19, "StreamsGroupMemberMetadata"},
		{20, "StreamsGroupTargetAssignmentMetadata"},
		{21, "StreamsGroupTargetAssignmentMember"},
		{22, "StreamsGroupCurrentMemberAssignment"},
		{23, "StreamsGroupTopology"},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].type == type)
			return kinds[i].name;
	return "unknown";
}

static struct bytes after_prefix(struct bytes b)
{
	return bytes_of(b.p + PREFIX, b.n - PREFIX);
}

static enum err get_value(const struct wire_message *m, struct bytes value, struct arena *a,
			  void *out, struct errmsg *why)
{
	if (value.n < PREFIX)
		return errmsg_set(why, ERR_MALFORMED, "a value of %zu bytes", value.n);
	int16_t version = (int16_t)be16_get(value.p);
	return wire_decode(m, version, after_prefix(value), a, out, why);
}

static enum err get_offset(struct bytes key, struct bytes value, struct arena *a,
			   struct group_record *out, struct errmsg *why)
{
	out->type = GROUP_RECORD_OFFSET;
	/* A legacy key has the same fields, and its value is version 0 of the present one. */
	enum err e = wire_decode(&wire_offset_commit_key, 0, after_prefix(key), a, &out->offset_key,
				 why);
	if (e != ERR_OK)
		return e;
	out->group = out->offset_key.group;
	if (out->deleted)
		return ERR_OK;
	return get_value(&wire_offset_commit_value, value, a, &out->offset, why);
}

enum err group_record_get(struct bytes key, struct bytes value, struct arena *a,
			  struct group_record *out, struct errmsg *why)
{
	*out = (struct group_record){.type = GROUP_RECORD_OTHER, .deleted = value.p == NULL};
	if (key.p == NULL || key.n < PREFIX)
		return errmsg_set(why, ERR_MALFORMED, "a key of %zu bytes", key.n);
	int16_t type = (int16_t)be16_get(key.p);
	if (type == KEY_OFFSET || type == KEY_OFFSET_LEGACY)
		return get_offset(key, value, a, out, why);
	if (type != KEY_GROUP) {
		out->kind = kind_name(type);
		return ERR_OK;
	}
	out->type = GROUP_RECORD_GROUP;
	struct group_metadata_key k;
	enum err e = wire_decode(&wire_group_metadata_key, 0, after_prefix(key), a, &k, why);
	if (e != ERR_OK)
		return e;
	out->group = k.group;
	if (out->deleted)
		return ERR_OK;
	return get_value(&wire_group_metadata_value, value, a, &out->metadata, why);
}
