/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MM2's internal records. They are in Kafka's old encoding of schemas (protocol/types/Schema.java):
 * integers are big-endian, a string is its length in two bytes and its UTF-8 bytes; no tags, no
 * length of the whole, no checksum.
 *
 *                key                                value
 * heartbeat      source alias: string               version: int16, 0
 *                target alias: string               timestamp in ms: int64
 *
 * offset sync    topic: string                      upstream offset: int64
 *                partition: int32                   downstream offset: int64
 *
 * checkpoint     group: string                      version: int16, 0
 *                topic on the target: string        upstream offset: int64
 *                partition: int32                   downstream offset: int64
 *                                                   metadata: string
 *
 * MM2's own readers take bytes that are left over and offsets below zero; we do not, since MM2
 * never writes them and what is misread here would be believed.
 */
#include "checkpoint/mm2_records.h"

enum { VERSION = 0 };

/* ---- encoding ---- */

static void put_string(struct buf *b, struct bytes s)
{
	buf_put_be16(b, (uint16_t)s.n);
	buf_put(b, s.p, s.n);
}

static enum err end_of(const struct buf *key, const struct buf *value)
{
	return key->err != ERR_OK || value == NULL ? key->err : value->err;
}

enum err mm2_records_encode_heartbeat(const struct mm2_heartbeat *h, struct buf *key,
				      struct buf *value)
{
	if (h->source.n > MM2_STRING_MAX || h->target.n > MM2_STRING_MAX)
		return ERR_LIMIT;
	put_string(key, h->source);
	put_string(key, h->target);
	if (value != NULL) {
		buf_put_be16(value, VERSION);
		buf_put_be64(value, (uint64_t)h->timestamp_ms);
	}
	return end_of(key, value);
}

enum err mm2_records_encode_offset_sync(const struct mm2_offset_sync *s, struct buf *key,
					struct buf *value)
{
	if (s->topic.n > MM2_STRING_MAX)
		return ERR_LIMIT;
	put_string(key, s->topic);
	buf_put_be32(key, (uint32_t)s->partition);
	if (value != NULL) {
		buf_put_be64(value, (uint64_t)s->upstream);
		buf_put_be64(value, (uint64_t)s->downstream);
	}
	return end_of(key, value);
}

enum err mm2_records_encode_checkpoint(const struct mm2_checkpoint *c, struct buf *key,
				       struct buf *value)
{
	if (c->group.n > MM2_STRING_MAX || c->topic.n > MM2_STRING_MAX ||
	    c->metadata.n > MM2_STRING_MAX)
		return ERR_LIMIT;
	put_string(key, c->group);
	put_string(key, c->topic);
	buf_put_be32(key, (uint32_t)c->partition);
	if (value != NULL) {
		buf_put_be16(value, VERSION);
		buf_put_be64(value, (uint64_t)c->upstream);
		buf_put_be64(value, (uint64_t)c->downstream);
		put_string(value, c->metadata);
	}
	return end_of(key, value);
}

/* ---- decoding ---- */

/* What is left of a key or a value. After the first fault everything reads as zero. */
struct cursor {
	struct bytes left;
	bool bad;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	if (c->bad || n > c->left.n) {
		c->bad = true;
		return NULL;
	}
	const uint8_t *p = c->left.p;
	c->left = bytes_of(p + n, c->left.n - n);
	return p;
}

static uint16_t take16(struct cursor *c)
{
	const uint8_t *p = take(c, 2);
	return p == NULL ? 0 : be16_get(p);
}

static int32_t take32(struct cursor *c)
{
	const uint8_t *p = take(c, 4);
	return p == NULL ? 0 : (int32_t)be32_get(p);
}

static int64_t take64(struct cursor *c)
{
	const uint8_t *p = take(c, 8);
	return p == NULL ? 0 : (int64_t)be64_get(p);
}

static struct bytes take_string(struct cursor *c)
{
	size_t n = take16(c);
	if (n > MM2_STRING_MAX)
		c->bad = true;
	const uint8_t *p = take(c, n);
	return p == NULL ? bytes_of("", 0) : bytes_of(p, n);
}

/* Was all of it read, and all of it there? */
static enum err all_read(const struct cursor *c, struct bytes whole, const char *what,
			 struct errmsg *why)
{
	if (c->bad)
		return errmsg_set(why, ERR_MALFORMED, "%s of %zu bytes is cut off", what, whole.n);
	if (c->left.n > 0)
		return errmsg_set(why, ERR_MALFORMED, "%s of %zu bytes has %zu too many", what,
				  whole.n, c->left.n);
	return ERR_OK;
}

static enum err check_place(struct bytes topic, int32_t partition, struct errmsg *why)
{
	if (topic.n == 0 || topic.n > MM2_TOPIC_MAX)
		return errmsg_set(why, ERR_MALFORMED, "name of a topic of %zu bytes", topic.n);
	if (partition < 0)
		return errmsg_set(why, ERR_MALFORMED, "partition %d", partition);
	return ERR_OK;
}

static enum err check_offsets(int64_t upstream, int64_t downstream, struct errmsg *why)
{
	if (upstream < 0 || downstream < 0)
		return errmsg_set(why, ERR_MALFORMED, "offsets %lld -> %lld", (long long)upstream,
				  (long long)downstream);
	return ERR_OK;
}

/* The version at the head of a value: what follows is known only for version 0. */
static enum err take_version(struct cursor *c, struct bytes value, struct errmsg *why)
{
	int16_t version = (int16_t)take16(c);
	if (c->bad)
		return all_read(c, value, "value", why);
	if (version != VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "value of format version %d, not %d",
				  version, VERSION);
	return ERR_OK;
}

enum err mm2_records_decode_heartbeat(struct bytes key, struct bytes value,
				      struct mm2_heartbeat *out, struct errmsg *why)
{
	struct cursor k = {.left = key}, v = {.left = value};
	*out = (struct mm2_heartbeat){.source = take_string(&k)};
	out->target = take_string(&k);
	enum err e = all_read(&k, key, "key", why);
	if (e == ERR_OK && value.p == NULL)
		return ERR_NOT_FOUND;
	if (e == ERR_OK)
		e = take_version(&v, value, why);
	if (e != ERR_OK)
		return e;
	out->timestamp_ms = take64(&v);
	return all_read(&v, value, "value", why);
}

enum err mm2_records_decode_offset_sync(struct bytes key, struct bytes value,
					struct mm2_offset_sync *out, struct errmsg *why)
{
	struct cursor k = {.left = key}, v = {.left = value};
	*out = (struct mm2_offset_sync){.topic = take_string(&k)};
	out->partition = take32(&k);
	enum err e = all_read(&k, key, "key", why);
	if (e == ERR_OK)
		e = check_place(out->topic, out->partition, why);
	if (e == ERR_OK && value.p == NULL)
		return ERR_NOT_FOUND;
	if (e != ERR_OK)
		return e;
	out->upstream = take64(&v);
	out->downstream = take64(&v);
	e = all_read(&v, value, "value", why);
	return e == ERR_OK ? check_offsets(out->upstream, out->downstream, why) : e;
}

enum err mm2_records_decode_checkpoint(struct bytes key, struct bytes value,
				       struct mm2_checkpoint *out, struct errmsg *why)
{
	struct cursor k = {.left = key}, v = {.left = value};
	*out = (struct mm2_checkpoint){.group = take_string(&k), .metadata = bytes_of("", 0)};
	out->topic = take_string(&k);
	out->partition = take32(&k);
	enum err e = all_read(&k, key, "key", why);
	if (e == ERR_OK)
		e = check_place(out->topic, out->partition, why);
	if (e == ERR_OK && value.p == NULL)
		return ERR_NOT_FOUND;
	if (e == ERR_OK)
		e = take_version(&v, value, why);
	if (e != ERR_OK)
		return e;
	out->upstream = take64(&v);
	out->downstream = take64(&v);
	out->metadata = take_string(&v);
	e = all_read(&v, value, "value", why);
	return e == ERR_OK ? check_offsets(out->upstream, out->downstream, why) : e;
}
