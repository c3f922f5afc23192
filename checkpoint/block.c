/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of `<source>.offset-runs.internal`. Integers are big-endian; uvarint is LEB128.
 *
 * Key of a block of runs:
 * OFFSET SIZE  field
 *      0    1  format version, 1
 *      1    1  kind, 1
 *      2    4  source partition, >= 0
 *      6    8  first source offset F, >= 0
 *     14    2  length of the source topic's name, 1 to 249
 *     16       the name
 *
 * Its value:
 * OFFSET SIZE  field
 *      0    4  CRC-32C over the key, then bytes 4..end of the value
 *      4    1  format version, 1
 *      5    1  0
 *      6    2  number of runs, 0 to 512
 *      8   16  id of the source topic; zero: unknown
 *     24    4  leader epoch of the last record copied; -1 unknown
 *     28    2  producer epoch, and
 *     30    8  producer id that wrote the target's records; -1 unknown
 *     38    8  source end: source offsets below were looked at (exclusive); -1 unknown
 *     46    8  target end: the table is complete through here (exclusive); -1 unknown
 *     54    8  past, what was mirrored before this block: source offset and
 *     62    8  target offset of the first record ever mirrored (none: where the copy began),
 *     70    8  source end and
 *     78    8  target end of the last run before this block (none: as the two above),
 *     86    8  number of records mirrored before this block. No past known: -1, -1, -1, -1, 0
 *     94       the runs, each: uvarint(source gap * 2 + (target gap > 0)),
 *                              uvarint(target gap) if that is > 0, uvarint(n).
 *              Gaps are those to the end of the run before; for the first run to max(F, past
 *              source end) and to the past target end
 *
 * Key and value of a link's producer:
 *      0    1  format version, 1               0    4  CRC-32C over the key, then bytes 4..end
 *      1    1  kind, 0                         4    1  format version, 1
 *      2    2  length of the member's name     5    1  0
 *      4       the name, 0 to 249 bytes        6    2  producer epoch
 *                                              8    8  producer id
 *
 * A block is valid if the checksum is right, all bytes are used, gaps and ends do not overflow, the
 * past is possible (runs_restore), and neither end lies below the last run's. The checksum, its
 * place and the version's stay in all versions; a reader leaves records of a newer version alone.
 *
 * How a table is rebuilt, and why that is right after a crash at any moment, stands in
 * docs/formats/offset-runs.md; store.c does it.
 */
#include "checkpoint/block.h"

#include <assert.h>

#include "checkpoint/uvarint.h"
#include "lib/wire/batch.h"

enum {
	KEY_HEAD = 16,
	LINK_KEY_HEAD = 4,
	LINK_VALUE = 16,
	VALUE_HEAD = 94,
	CRC_SIZE = 4,
};

static_assert(BLOCK_KEY_MAX == KEY_HEAD + BLOCK_NAME_MAX, "the key's bound follows its layout");
static_assert(BLOCK_VALUE_MAX == VALUE_HEAD + BLOCK_RUNS_MAX * 3 * UVARINT_MAX,
	      "the value's bound follows its layout");
static_assert(VALUE_HEAD == 4 + 1 + 1 + 2 + sizeof(struct uuid) + 4 + 2 + 8 + 7 * 8,
	      "the value's head has no hole");

/* Keys */

enum err block_key_kind(struct bytes key, enum block_kind *kind, struct errmsg *why)
{
	if (key.p == NULL || key.n < 2)
		return errmsg_set(why, ERR_MALFORMED, "key of %zu bytes", key.n);
	if (key.p[0] > BLOCK_FORMAT)
		return errmsg_set(why, ERR_UNSUPPORTED, "key of format version %u, newer than %u",
				  key.p[0], BLOCK_FORMAT);
	if (key.p[0] != BLOCK_FORMAT)
		return errmsg_set(why, ERR_MALFORMED, "key of format version 0");
	if (key.p[1] > BLOCK_PARTITION)
		return errmsg_set(why, ERR_UNSUPPORTED, "record of unknown kind %u", key.p[1]);
	*kind = (enum block_kind)key.p[1];
	return ERR_OK;
}

static enum err key_expect(struct bytes key, enum block_kind kind, struct errmsg *why)
{
	enum block_kind got = kind;
	enum err e = block_key_kind(key, &got, why);
	if (e == ERR_OK && got != kind)
		e = errmsg_set(why, ERR_MALFORMED, "key of kind %d, not %d", got, kind);
	return e;
}

static size_t key_put(const struct block_info *info, uint8_t p[BLOCK_KEY_MAX])
{
	p[0] = BLOCK_FORMAT;
	p[1] = BLOCK_PARTITION;
	be32_put(p + 2, (uint32_t)info->partition);
	be64_put(p + 6, (uint64_t)info->first_src);
	be16_put(p + 14, (uint16_t)info->topic.n);
	memcpy(p + KEY_HEAD, info->topic.p, info->topic.n);
	return KEY_HEAD + info->topic.n;
}

static bool topic_fits(struct bytes topic)
{
	return topic.p != NULL && topic.n > 0 && topic.n <= BLOCK_NAME_MAX;
}

enum err block_encode_key(const struct block_info *info, struct buf *key)
{
	if (!topic_fits(info->topic))
		return ERR_LIMIT;
	uint8_t p[BLOCK_KEY_MAX];
	buf_put(key, p, key_put(info, p));
	return key->err;
}

enum err block_decode_key(struct bytes key, struct block_info *info, struct errmsg *why)
{
	enum err e = key_expect(key, BLOCK_PARTITION, why);
	if (e != ERR_OK)
		return e;
	if (key.n < KEY_HEAD)
		return errmsg_set(why, ERR_MALFORMED, "block key of %zu bytes", key.n);
	*info = (struct block_info){.topic = bytes_of(key.p + KEY_HEAD, key.n - KEY_HEAD),
				    .partition = (int32_t)be32_get(key.p + 2),
				    .first_src = (int64_t)be64_get(key.p + 6)};
	if (info->partition < 0 || info->first_src < 0 || !topic_fits(info->topic) ||
	    be16_get(key.p + 14) != info->topic.n)
		return errmsg_set(why, ERR_MALFORMED,
				  "block key: partition %d, source offset %lld, name of %u bytes "
				  "where there are %zu",
				  info->partition, (long long)info->first_src, be16_get(key.p + 14),
				  info->topic.n);
	return ERR_OK;
}

/* Values */

/* The checksum of the value at `p`, whose first bytes are not looked at, under its key. */
static uint32_t value_crc(const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
	return crc32c(crc32c(0, key, key_n), p + CRC_SIZE, n - CRC_SIZE);
}

static enum err value_check(struct bytes value, size_t head, const uint8_t *key, size_t key_n,
			    struct errmsg *why)
{
	if (value.p == NULL || value.n <= CRC_SIZE)
		return errmsg_set(why, ERR_MALFORMED, "value of %zu bytes", value.n);
	if (be32_get(value.p) != value_crc(key, key_n, value.p, value.n))
		return errmsg_set(why, ERR_CORRUPT, "wrong checksum over %zu bytes", value.n);
	if (value.p[4] > BLOCK_FORMAT)
		return errmsg_set(why, ERR_UNSUPPORTED, "value of format version %u, newer than %u",
				  value.p[4], BLOCK_FORMAT);
	if (value.p[4] != BLOCK_FORMAT || value.n < head || value.p[5] != 0)
		return errmsg_set(why, ERR_MALFORMED, "value of %zu bytes, version %u", value.n,
				  value.p[4]);
	return ERR_OK;
}

static void past_put(uint8_t *p, const struct runs_past *past)
{
	be64_put(p, (uint64_t)past->src);
	be64_put(p + 8, (uint64_t)past->dst);
	be64_put(p + 16, (uint64_t)past->src_end);
	be64_put(p + 24, (uint64_t)past->dst_end);
	be64_put(p + 32, (uint64_t)past->n);
}

static void past_get(const uint8_t *p, struct runs_past *past)
{
	past->src = (int64_t)be64_get(p);
	past->dst = (int64_t)be64_get(p + 8);
	past->src_end = (int64_t)be64_get(p + 16);
	past->dst_end = (int64_t)be64_get(p + 24);
	past->n = (int64_t)be64_get(p + 32);
}

static void head_put(uint8_t *p, const struct block_info *info, const struct runs_past *past,
		     size_t n)
{
	p[4] = BLOCK_FORMAT;
	p[5] = 0;
	be16_put(p + 6, (uint16_t)n);
	memcpy(p + 8, info->topic_id.b, sizeof info->topic_id.b);
	be32_put(p + 24, (uint32_t)info->leader_epoch);
	be16_put(p + 28, (uint16_t)info->producer_epoch);
	be64_put(p + 30, (uint64_t)info->producer_id);
	be64_put(p + 38, (uint64_t)info->src_end);
	be64_put(p + 46, (uint64_t)info->dst_end);
	past_put(p + 54, past);
}

static void head_get(const uint8_t *p, struct block_info *info)
{
	memcpy(info->topic_id.b, p + 8, sizeof info->topic_id.b);
	info->leader_epoch = (int32_t)be32_get(p + 24);
	info->producer_epoch = (int16_t)be16_get(p + 28);
	info->producer_id = (int64_t)be64_get(p + 30);
	info->src_end = (int64_t)be64_get(p + 38);
	info->dst_end = (int64_t)be64_get(p + 46);
	past_get(p + 54, &info->past);
}

/* The place before the first run: what its gaps are relative to. */
static struct run base_of(int64_t first_src, const struct runs_past *past)
{
	int64_t src = past->src_end > first_src ? past->src_end : first_src;
	return (struct run){.src = src, .dst = past->dst_end};
}

static uint8_t *run_put(uint8_t *p, const struct run *before, const struct run *run)
{
	uint64_t src_gap = (uint64_t)(run->src - before->src - before->n);
	uint64_t dst_gap = (uint64_t)(run->dst - before->dst - before->n);
	p = uvarint_put(p, src_gap << 1 | (dst_gap > 0));
	if (dst_gap > 0)
		p = uvarint_put(p, dst_gap);
	return uvarint_put(p, (uint64_t)run->n);
}

enum err block_encode_value(const struct block_info *info, const struct runs *r, size_t first,
			    size_t n, struct buf *value)
{
	assert(n <= BLOCK_RUNS_MAX && first <= runs_count(r) && n <= runs_count(r) - first);
	if (!topic_fits(info->topic))
		return ERR_LIMIT;
	uint8_t out[BLOCK_VALUE_MAX];
	struct runs_past past;
	runs_past_at(r, first, &past);
	head_put(out, info, &past, n);

	uint8_t *p = out + VALUE_HEAD;
	struct run last = base_of(info->first_src, &past);
	struct run run;
	struct runs_cursor c;
	runs_cursor_init(&c, r, first);
	for (size_t i = 0; i < n && runs_cursor_next(&c, &run); i++) {
		assert(run.src >= last.src);
		p = run_put(p, &last, &run);
		last = run;
	}
	uint8_t key[BLOCK_KEY_MAX];
	size_t size = (size_t)(p - out);
	be32_put(out, value_crc(key, key_put(info, key), out, size));
	buf_put(value, out, size);
	return value->err;
}

/* Move `run` on to the next one. False: it cannot be. */
static bool run_get(struct bytes *in, struct run *run)
{
	uint64_t src_gap, n;
	uint64_t dst_gap = 0;
	if (!uvarint_get(in, &src_gap))
		return false;
	if ((src_gap & 1) && (!uvarint_get(in, &dst_gap) || dst_gap == 0))
		return false;
	if (!uvarint_get(in, &n) || n == 0)
		return false;
	/* All three are below 2^63 here or refused; ends do not pass INT64_MAX. */
	src_gap >>= 1;
	uint64_t src = (uint64_t)run->src + (uint64_t)run->n;
	uint64_t dst = (uint64_t)run->dst + (uint64_t)run->n;
	if (src_gap > INT64_MAX - src || dst_gap > INT64_MAX - dst)
		return false;
	src += src_gap;
	dst += dst_gap;
	if (n > INT64_MAX - src || n > INT64_MAX - dst)
		return false;
	*run = (struct run){.src = (int64_t)src, .dst = (int64_t)dst, .n = (int64_t)n};
	return true;
}

/* Ends that fit the last run, or the past where there is none. */
static bool ends_fit(const struct block_info *info, const struct run *last)
{
	if (info->past.src >= 0)
		return info->src_end >= last->src + last->n && info->dst_end >= last->dst + last->n;
	return info->src_end >= -1 && info->dst_end >= -1;
}

static enum err runs_check(struct bytes in, size_t n, const struct block_info *info,
			   struct errmsg *why)
{
	const struct runs_past *past = &info->past;
	bool known = past->src >= 0;
	if (known ? !runs_past_possible(past)
		  : past->src != -1 || past->dst != -1 || past->src_end != -1 ||
			    past->dst_end != -1 || past->n != 0 || n > 0)
		return errmsg_set(why, ERR_MALFORMED, "impossible past");
	struct run run = base_of(info->first_src, past);
	for (size_t i = 0; i < n; i++)
		if (!run_get(&in, &run))
			return errmsg_set(why, ERR_MALFORMED, "run %zu of %zu is not valid", i, n);
	if (in.n > 0)
		return errmsg_set(why, ERR_MALFORMED, "%zu bytes after the last run", in.n);
	if (!ends_fit(info, &run))
		return errmsg_set(why, ERR_MALFORMED, "ends %lld, %lld lie inside the runs",
				  (long long)info->src_end, (long long)info->dst_end);
	return ERR_OK;
}

enum err block_decode_value(struct bytes value, struct block_info *info,
			    enum err (*each)(void *arg, struct run run), void *arg,
			    struct errmsg *why)
{
	if (!topic_fits(info->topic))
		return errmsg_set(why, ERR_MALFORMED, "no topic");
	uint8_t key[BLOCK_KEY_MAX];
	enum err e = value_check(value, VALUE_HEAD, key, key_put(info, key), why);
	if (e != ERR_OK)
		return e;
	size_t n = be16_get(value.p + 6);
	if (n > BLOCK_RUNS_MAX)
		return errmsg_set(why, ERR_MALFORMED, "%zu runs in one block", n);
	head_get(value.p, info);
	struct bytes in = bytes_of(value.p + VALUE_HEAD, value.n - VALUE_HEAD);
	e = runs_check(in, n, info, why);
	if (e != ERR_OK)
		return e;

	struct run run = base_of(info->first_src, &info->past);
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		run_get(&in, &run);
		e = each(arg, run);
	}
	return e;
}

/* A link's producer */

static size_t link_key_put(const struct block_link *link, uint8_t p[BLOCK_KEY_MAX])
{
	p[0] = BLOCK_FORMAT;
	p[1] = BLOCK_LINK;
	be16_put(p + 2, (uint16_t)link->member.n);
	if (link->member.n > 0)
		memcpy(p + LINK_KEY_HEAD, link->member.p, link->member.n);
	return LINK_KEY_HEAD + link->member.n;
}

enum err block_encode_link(const struct block_link *link, struct buf *key, struct buf *value)
{
	if (link->member.n > BLOCK_NAME_MAX)
		return ERR_LIMIT;
	uint8_t k[BLOCK_KEY_MAX];
	size_t k_n = link_key_put(link, k);
	uint8_t v[LINK_VALUE] = {0};
	v[4] = BLOCK_FORMAT;
	be16_put(v + 6, (uint16_t)link->producer_epoch);
	be64_put(v + 8, (uint64_t)link->producer_id);
	be32_put(v, value_crc(k, k_n, v, sizeof v));
	buf_put(key, k, k_n);
	buf_put(value, v, sizeof v);
	return key->err != ERR_OK ? key->err : value->err;
}

enum err block_decode_link_key(struct bytes key, struct block_link *link, struct errmsg *why)
{
	enum err e = key_expect(key, BLOCK_LINK, why);
	if (e != ERR_OK)
		return e;
	if (key.n < LINK_KEY_HEAD || key.n - LINK_KEY_HEAD > BLOCK_NAME_MAX ||
	    be16_get(key.p + 2) != key.n - LINK_KEY_HEAD)
		return errmsg_set(why, ERR_MALFORMED, "link key of %zu bytes", key.n);
	*link = (struct block_link){.member =
					    bytes_of(key.p + LINK_KEY_HEAD, key.n - LINK_KEY_HEAD),
				    .producer_id = -1,
				    .producer_epoch = -1};
	return ERR_OK;
}

enum err block_decode_link_value(struct bytes value, struct block_link *link, struct errmsg *why)
{
	if (link->member.n > BLOCK_NAME_MAX)
		return errmsg_set(why, ERR_MALFORMED, "member's name of %zu bytes", link->member.n);
	uint8_t key[BLOCK_KEY_MAX];
	enum err e = value_check(value, LINK_VALUE, key, link_key_put(link, key), why);
	if (e != ERR_OK)
		return e;
	if (value.n != LINK_VALUE)
		return errmsg_set(why, ERR_MALFORMED, "link value of %zu bytes", value.n);
	link->producer_epoch = (int16_t)be16_get(value.p + 6);
	link->producer_id = (int64_t)be64_get(value.p + 8);
	return ERR_OK;
}
