/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of topic configurations, their checks (ConfigDef.java, LogConfig.java) and what they do
 * to a log. What was checked once is applied without errors later, also in a replay, where
 * image_apply checks again.
 */
#include "cluster/metadata/topic_config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/wire/batch.h"

#define FIELD(f)   ((int)offsetof(struct plog_config, f))
#define NO_FIELD   (-1)
#define LONG_RANGE INT64_MIN, INT64_MAX

/* The documentation is ours, one line each; names, types, ranges and defaults are Kafka's. */
/* clang-format off */
static const struct topic_config table[] = {
	{"cleanup.policy", "log.cleanup.policy", CONFIG_TYPE_LIST, TOPIC_CONFIG_USED, "delete", 0, 0,
	 "compact, delete", NO_FIELD,
	 "What happens to old records: \"delete\" drops old segments, \"compact\" keeps the last record of each key; both may be named."},
	{"compression.gzip.level", "compression.gzip.level", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "-1", -1, 9,
	 NULL, NO_FIELD, "The level if compression.type is gzip; -1 is the codec's default."},
	{"compression.lz4.level", "compression.lz4.level", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "9", 1, 17,
	 NULL, NO_FIELD, "The level if compression.type is lz4."},
	{"compression.type", "compression.type", CONFIG_TYPE_STRING, TOPIC_CONFIG_USED, "producer", 0, 0,
	 "uncompressed, zstd, lz4, snappy, gzip, producer", NO_FIELD,
	 "The codec that batches are stored in; \"producer\" keeps the producer's."},
	{"compression.zstd.level", "compression.zstd.level", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "3", -131072, 22,
	 NULL, NO_FIELD, "The level if compression.type is zstd."},
	{"delete.retention.ms", "log.cleaner.delete.retention.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "86400000",
	 0, INT64_MAX, NULL, FIELD(delete_retention_ms),
	 "How long compaction keeps a tombstone after it cleaned the records before it."},
	{"file.delete.delay.ms", "log.segment.delete.delay.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_STORED, "60000",
	 0, INT64_MAX, NULL, NO_FIELD,
	 "Stored only: files are removed at once, and readers that hold one open finish."},
	{"flush.messages", "log.flush.interval.messages", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "9223372036854775807",
	 1, INT64_MAX, NULL, FIELD(flush_messages), "Sync the log after so many records."},
	{"flush.ms", "log.flush.interval.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "9223372036854775807",
	 0, INT64_MAX, NULL, FIELD(flush_ms), "Sync the log after so long."},
	{"follower.replication.throttled.replicas", NULL, CONFIG_TYPE_LIST, TOPIC_CONFIG_STORED, "", 0, 0,
	 NULL, NO_FIELD, "Stored only: there are no followers to throttle."},
	{"index.interval.bytes", "log.index.interval.bytes", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "4096",
	 0, INT32_MAX, NULL, FIELD(index_interval_bytes), "Bytes of log between two entries of its indexes."},
	{"leader.replication.throttled.replicas", NULL, CONFIG_TYPE_LIST, TOPIC_CONFIG_STORED, "", 0, 0,
	 NULL, NO_FIELD, "Stored only: there are no followers to throttle."},
	{"local.retention.bytes", "log.local.retention.bytes", CONFIG_TYPE_LONG, TOPIC_CONFIG_STORED, "-2",
	 -2, INT64_MAX, NULL, NO_FIELD, "Stored only: it is about tiered storage, which is not offered."},
	{"local.retention.ms", "log.local.retention.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_STORED, "-2",
	 -2, INT64_MAX, NULL, NO_FIELD, "Stored only: it is about tiered storage, which is not offered."},
	{"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED,
	 "9223372036854775807", 1, INT64_MAX, NULL, FIELD(max_compaction_lag_ms),
	 "The longest time that a record stays out of compaction."},
	{"max.message.bytes", "message.max.bytes", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "1048588",
	 0, INT32_MAX, NULL, FIELD(max_message_bytes), "The largest record batch that is taken."},
	{"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED,
	 "3600000", 0, INT64_MAX, NULL, FIELD(timestamp_after_max_ms),
	 "How far a record's CreateTime may lie in the future."},
	{"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED,
	 "9223372036854775807", 0, INT64_MAX, NULL, FIELD(timestamp_before_max_ms),
	 "How far a record's CreateTime may lie in the past."},
	{"message.timestamp.type", "log.message.timestamp.type", CONFIG_TYPE_STRING, TOPIC_CONFIG_USED,
	 "CreateTime", 0, 0, "CreateTime, LogAppendTime", NO_FIELD, "Whose clock gives a record's timestamp."},
	{"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", CONFIG_TYPE_DOUBLE, TOPIC_CONFIG_USED,
	 "0.5", 0, 1, NULL, NO_FIELD, "Compact once so large a part of the log was written since the last time."},
	{"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "0",
	 0, INT64_MAX, NULL, FIELD(min_compaction_lag_ms), "Records younger than this are not compacted."},
	{"min.insync.replicas", "min.insync.replicas", CONFIG_TYPE_INT, TOPIC_CONFIG_STORED, "1", 1, INT32_MAX,
	 NULL, NO_FIELD, "Stored only: a partition has one replica, and no more than that can be asked for."},
	{"preallocate", "log.preallocate", CONFIG_TYPE_BOOLEAN, TOPIC_CONFIG_REFUSED, "false", 0, 0,
	 NULL, NO_FIELD, "Only false: files grow as they are written."},
	{"remote.log.copy.disable", NULL, CONFIG_TYPE_BOOLEAN, TOPIC_CONFIG_STORED, "false", 0, 0,
	 NULL, NO_FIELD, "Stored only: it is about tiered storage, which is not offered."},
	{"remote.log.delete.on.disable", NULL, CONFIG_TYPE_BOOLEAN, TOPIC_CONFIG_STORED, "false", 0, 0,
	 NULL, NO_FIELD, "Stored only: it is about tiered storage, which is not offered."},
	{"remote.storage.enable", NULL, CONFIG_TYPE_BOOLEAN, TOPIC_CONFIG_REFUSED, "false", 0, 0,
	 NULL, NO_FIELD, "Only false: tiered storage is not offered."},
	{"retention.bytes", "log.retention.bytes", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "-1",
	 LONG_RANGE, NULL, FIELD(retention_bytes), "Bytes that a partition keeps; -1 is no limit."},
	{"retention.ms", "log.retention.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "604800000",
	 -1, INT64_MAX, NULL, FIELD(retention_ms), "How long a segment is kept after its last record; -1 is no limit."},
	{"segment.bytes", "log.segment.bytes", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "1073741824",
	 1048576, INT32_MAX, NULL, FIELD(segment_bytes), "The size of a segment file."},
	{"segment.index.bytes", "log.index.size.max.bytes", CONFIG_TYPE_INT, TOPIC_CONFIG_USED, "10485760",
	 4, INT32_MAX, NULL, FIELD(segment_index_bytes), "The largest size of a segment's index."},
	{"segment.jitter.ms", "log.roll.jitter.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_STORED, "0",
	 0, INT64_MAX, NULL, NO_FIELD, "Stored only: segments roll at segment.ms."},
	{"segment.ms", "log.roll.ms", CONFIG_TYPE_LONG, TOPIC_CONFIG_USED, "604800000",
	 1, INT64_MAX, NULL, FIELD(segment_ms), "Begin a new segment after so long."},
	{"unclean.leader.election.enable", "unclean.leader.election.enable", CONFIG_TYPE_BOOLEAN, TOPIC_CONFIG_STORED,
	 "false", 0, 0, NULL, NO_FIELD, "Stored only: a partition has one replica."},
};
/* clang-format on */

enum { TABLE_N = sizeof table / sizeof table[0] };

const struct topic_config *topic_config_all(size_t *n)
{
	*n = TABLE_N;
	return table;
}

const struct topic_config *topic_config_find(struct bytes name)
{
	for (size_t i = 0; i < TABLE_N; i++)
		if (bytes_eq_str(name, table[i].name))
			return &table[i];
	return NULL;
}

const struct topic_config *topic_config_by_broker(struct bytes name)
{
	for (size_t i = 0; i < TABLE_N; i++)
		if (table[i].broker != NULL && bytes_eq_str(name, table[i].broker))
			return &table[i];
	return NULL;
}

/* ---- text to value ---- */

/* The next item of a comma separated list, trimmed; false at the end. The empty text has none. */
static bool list_next(struct bytes *left, struct bytes *item)
{
	if (left->p == NULL || left->n == 0)
		return false;
	const uint8_t *comma = memchr(left->p, ',', left->n);
	size_t n = comma == NULL ? left->n : (size_t)(comma - left->p);
	*item = bytes_trim(bytes_of(left->p, n));
	*left = comma == NULL ? bytes_of(NULL, 0) : bytes_of(comma + 1, left->n - n - 1);
	return true;
}

static bool list_has(struct bytes list, struct bytes word)
{
	struct bytes item;

	while (list_next(&list, &item))
		if (bytes_eq(item, word))
			return true;
	return false;
}

/* Long.parseLong. */
static bool number_get(struct bytes s, int64_t *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t v = 0, max = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = bytes_of(s.p + 1, s.n - 1);
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = (int64_t)(negative ? 0 - v : v);
	return true;
}

/* A decimal number; no NaN, no infinity, nothing hexadecimal. */
static bool double_get(struct bytes s, double *out)
{
	char text[64], *end;

	if (s.n == 0 || s.n >= sizeof text)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == 0 || strchr("0123456789+-.eE", s.p[i]) == NULL)
			return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	*out = strtod(text, &end);
	return *end == 0 && isfinite(*out);
}

static bool bool_get(struct bytes s, bool *out)
{
	*out = s.n == 4 && strncasecmp((const char *)s.p, "true", 4) == 0;
	return *out || (s.n == 5 && strncasecmp((const char *)s.p, "false", 5) == 0);
}

/* ---- checks ---- */

struct check {
	const struct topic_config *tc;
	const char *name;
	struct errmsg *why;
};

/* "Invalid value x for configuration retention.ms: ...". The value is cut, and what is not plain
 * ASCII shows as '?'. */
static enum err refuse(const struct check *c, struct bytes value, const char *reason)
{
	char shown[81];
	size_t n = value.n < sizeof shown - 1 ? value.n : sizeof shown - 1;

	for (size_t i = 0; i < n; i++)
		shown[i] = (char)(value.p[i] < ' ' || value.p[i] > '~' ? '?' : value.p[i]);
	shown[n] = 0;
	return errmsg_set(c->why, ERR_KAFKA_INVALID_CONFIG,
			  "Invalid value %s for configuration %s: %s", shown, c->name, reason);
}

static enum err check_range(const struct check *c, struct bytes value, int64_t v)
{
	char reason[80];

	if (strcmp(c->tc->name, "compression.gzip.level") == 0 && (v < -1 || v == 0 || v > 9))
		return refuse(c, value, "Value must be between 1 and 9 or equal to -1");
	if (v < c->tc->min) {
		snprintf(reason, sizeof reason, "Value must be at least %" PRId64, c->tc->min);
		return refuse(c, value, reason);
	}
	if (v > c->tc->max) {
		snprintf(reason, sizeof reason, "Value must be no more than %" PRId64, c->tc->max);
		return refuse(c, value, reason);
	}
	return ERR_OK;
}

static enum err check_number(const struct check *c, struct bytes value)
{
	bool small = c->tc->type == CONFIG_TYPE_INT;
	int64_t v;

	if (!number_get(value, &v) || (small && (v < INT32_MIN || v > INT32_MAX)))
		return refuse(c, value,
			      small ? "Not a number of type INT" : "Not a number of type LONG");
	return check_range(c, value, v);
}

static enum err check_double(const struct check *c, struct bytes value)
{
	double v;

	if (!double_get(value, &v))
		return refuse(c, value, "Not a number of type DOUBLE");
	if (v < (double)c->tc->min)
		return refuse(c, value, "Value must be at least 0");
	if (v > (double)c->tc->max)
		return refuse(c, value, "Value must be no more than 1");
	return ERR_OK;
}

static enum err check_word(const struct check *c, struct bytes word)
{
	char reason[120];

	if (list_has(bytes_str(c->tc->words), word))
		return ERR_OK;
	snprintf(reason, sizeof reason, "String must be one of: %s", c->tc->words);
	return refuse(c, word, reason);
}

static bool is_digits(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* "3:1": partition and broker. */
static bool is_replica(struct bytes s)
{
	const uint8_t *colon = memchr(s.p, ':', s.n);

	if (colon == NULL)
		return false;
	size_t n = (size_t)(colon - s.p);
	return is_digits(bytes_of(s.p, n)) && is_digits(bytes_of(colon + 1, s.n - n - 1));
}

/* ThrottledReplicaListValidator.java. */
static enum err check_replicas(const struct check *c, struct bytes value)
{
	struct bytes left = value, item;
	bool ok = true;

	if (bytes_eq_str(bytes_trim(value), "*"))
		return ERR_OK;
	while (list_next(&left, &item))
		ok = ok && is_replica(item);
	if (ok)
		return ERR_OK;
	return refuse(c, value,
		      "it must be the literal '*' or a list of replicas in the following format: "
		      "[partitionId]:[brokerId],[partitionId]:[brokerId],...");
}

static enum err check_list(const struct check *c, struct bytes value)
{
	struct bytes item;

	if (c->tc->words == NULL)
		return check_replicas(c, value);
	while (list_next(&value, &item)) {
		enum err e = check_word(c, item);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err check_bool(const struct check *c, struct bytes value)
{
	bool v;

	if (!bool_get(value, &v))
		return refuse(c, value, "Expected value to be either true or false");
	if (!v || c->tc->use != TOPIC_CONFIG_REFUSED)
		return ERR_OK;
	if (strcmp(c->tc->name, "remote.storage.enable") == 0)
		return errmsg_set(c->why, ERR_KAFKA_INVALID_CONFIG,
				  "Tiered Storage functionality is disabled in the broker. Topic "
				  "cannot be configured with remote log storage.");
	return refuse(c, value, "this broker does not offer it, only false is accepted");
}

enum err topic_config_check(const struct topic_config *tc, const char *name, struct bytes value,
			    struct errmsg *why)
{
	const struct check c = {tc, name, why};
	struct bytes v = bytes_trim(value);

	switch (tc->type) {
	case CONFIG_TYPE_BOOLEAN:
		return check_bool(&c, v);
	case CONFIG_TYPE_STRING:
		return check_word(&c, v);
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_LONG:
		return check_number(&c, v);
	case CONFIG_TYPE_DOUBLE:
		return check_double(&c, v);
	case CONFIG_TYPE_LIST:
		return check_list(&c, v);
	}
	return ERR_OK;
}

enum err topic_config_check_all(const struct plog_config *c, struct errmsg *why)
{
	if (c->min_compaction_lag_ms > c->max_compaction_lag_ms)
		return errmsg_set(why, ERR_KAFKA_INVALID_CONFIG,
				  "conflict topic config setting min.compaction.lag.ms (%" PRId64
				  ") > max.compaction.lag.ms (%" PRId64 ")",
				  c->min_compaction_lag_ms, c->max_compaction_lag_ms);
	return ERR_OK;
}

/* ---- to the log's configuration and back ---- */

/* enum batch_codec by name; -1 is "producer". */
static const char *const codecs[] = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"};

static int64_t *field_of(const struct topic_config *tc, struct plog_config *c)
{
	return (int64_t *)((char *)c + tc->offset);
}

/* Another codec begins with its own default level. */
static void apply_codec(struct bytes v, struct plog_config *c)
{
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		int8_t codec = (int8_t)((int)i - 1);
		if (!bytes_eq_str(v, codecs[i]) || codec == c->compression)
			continue;
		c->compression = codec;
		c->compression_level = 0;
		return;
	}
}

static void apply_by_name(const struct topic_config *tc, struct bytes v, struct plog_config *c)
{
	if (strcmp(tc->name, "cleanup.policy") == 0) {
		c->cleanup_delete = list_has(v, bytes_str("delete"));
		c->cleanup_compact = list_has(v, bytes_str("compact"));
	} else if (strcmp(tc->name, "message.timestamp.type") == 0) {
		c->log_append_time = bytes_eq_str(v, "LogAppendTime");
	} else if (strcmp(tc->name, "min.cleanable.dirty.ratio") == 0) {
		double ratio;
		if (double_get(v, &ratio))
			c->min_cleanable_dirty_ratio = ratio;
	} else if (strcmp(tc->name, "compression.type") == 0) {
		apply_codec(v, c);
	}
}

void topic_config_apply(const struct topic_config *tc, struct bytes value, struct plog_config *c)
{
	struct bytes v = bytes_trim(value);
	int64_t n;

	if (tc->offset == NO_FIELD)
		apply_by_name(tc, v, c);
	else if (number_get(v, &n))
		*field_of(tc, c) = n < -1 ? -1 : n; /* retention.bytes: any negative is no limit */
}

/* The configuration that gives the level of the codec in effect; NULL: it has none. */
static const char *level_name(int8_t codec)
{
	switch (codec) {
	case CODEC_GZIP:
		return "compression.gzip.level";
	case CODEC_LZ4:
		return "compression.lz4.level";
	case CODEC_ZSTD:
		return "compression.zstd.level";
	}
	return NULL;
}

void topic_config_apply_map(const struct map *set, bool broker_names, struct plog_config *c)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (map_next(set, &at, &key, &value)) {
		const struct topic_config *tc =
			broker_names ? topic_config_by_broker(key) : topic_config_find(key);
		if (tc != NULL)
			topic_config_apply(tc, bytes_str(value), c);
	}
}

void topic_config_apply_level(const struct map *set, struct plog_config *c)
{
	const char *name = level_name(c->compression);
	const char *value = name == NULL ? NULL : map_get(set, bytes_str(name));
	int64_t level;

	if (value != NULL && number_get(bytes_trim(bytes_str(value)), &level))
		c->compression_level = level == -1 ? 0 : (int)level;
}

static void show_by_name(const struct topic_config *tc, const struct plog_config *c, char *out)
{
	const char *name = level_name(c->compression), *text = tc->def;

	if (strcmp(tc->name, "cleanup.policy") == 0)
		text = c->cleanup_compact && c->cleanup_delete ? "compact,delete"
		       : c->cleanup_compact                    ? "compact"
		       : c->cleanup_delete                     ? "delete"
							       : "";
	else if (strcmp(tc->name, "message.timestamp.type") == 0)
		text = c->log_append_time ? "LogAppendTime" : "CreateTime";
	else if (strcmp(tc->name, "compression.type") == 0)
		text = codecs[c->compression + 1];
	snprintf(out, TOPIC_CONFIG_TEXT, "%s", text);
	if (strcmp(tc->name, "min.cleanable.dirty.ratio") == 0)
		snprintf(out, TOPIC_CONFIG_TEXT, "%g", c->min_cleanable_dirty_ratio);
	else if (name != NULL && strcmp(tc->name, name) == 0 && c->compression_level != 0)
		snprintf(out, TOPIC_CONFIG_TEXT, "%d", c->compression_level);
}

void topic_config_show(const struct topic_config *tc, const struct plog_config *c,
		       char out[TOPIC_CONFIG_TEXT])
{
	struct plog_config copy = *c;

	if (tc->offset == NO_FIELD)
		show_by_name(tc, c, out);
	else
		snprintf(out, TOPIC_CONFIG_TEXT, "%" PRId64, *field_of(tc, &copy));
}

/* ---- lists ---- */

static void list_put(struct bytes item, struct buf *out)
{
	if (out->len > 0)
		buf_put_u8(out, ',');
	buf_put(out, item.p, item.n);
}

void topic_config_list_append(struct bytes value, struct bytes change, struct buf *out)
{
	struct bytes left = value, item;

	while (list_next(&left, &item))
		list_put(item, out);
	for (left = change; list_next(&left, &item);)
		if (!list_has(buf_bytes(out), item))
			list_put(item, out);
}

void topic_config_list_subtract(struct bytes value, struct bytes change, struct buf *out)
{
	struct bytes item;

	while (list_next(&value, &item))
		if (!list_has(change, item))
			list_put(item, out);
}
