/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint texts. A file is checked as a whole before any entry is used, as in Kafka: a line that
 * is wrong, or a count that is, makes all of it void. Nothing is allocated.
 */
#include "cluster/log/checkpoint_file.h"

#include <inttypes.h>

enum { VERSION = 0, TOPIC_MAX = 249 };

void checkpoint_file_put_head(struct buf *out, size_t count)
{
	buf_printf(out, "%d\n%zu\n", VERSION, count);
}

void checkpoint_file_put(struct buf *out, const char *topic, int32_t partition, int64_t offset)
{
	buf_printf(out, "%s %" PRId32 " %" PRId64 "\n", topic, partition, offset);
}

bool checkpoint_file_line(struct checkpoint_file *f, struct bytes *line)
{
	if (f->left.n == 0)
		return false;
	const uint8_t *end = memchr(f->left.p, '\n', f->left.n);
	size_t n = end == NULL ? f->left.n : (size_t)(end - f->left.p);
	size_t used = end == NULL ? n : n + 1;

	*line = bytes_of(f->left.p, n);
	if (n > 0 && line->p[n - 1] == '\r')
		line->n--;
	f->left = bytes_of(f->left.p + used, f->left.n - used);
	f->line++;
	return true;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static void skip(struct bytes *line, size_t n)
{
	*line = bytes_of(line->p + n, line->n - n);
}

static void skip_blanks(struct bytes *line)
{
	while (line->n > 0 && is_blank(line->p[0]))
		skip(line, 1);
}

bool checkpoint_file_number(struct bytes *line, int64_t max, int64_t *out)
{
	int64_t v = 0;
	size_t i = 0;

	for (; i < line->n && line->p[i] >= '0' && line->p[i] <= '9'; i++) {
		int digit = line->p[i] - '0';
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (i == 0 || (i < line->n && !is_blank(line->p[i])))
		return false;
	skip(line, i);
	skip_blanks(line);
	*out = v;
	return true;
}

static bool head_number(struct checkpoint_file *f, int64_t *out)
{
	struct bytes line;

	return checkpoint_file_line(f, &line) && checkpoint_file_number(&line, INT32_MAX, out) &&
	       line.n == 0;
}

enum err checkpoint_file_open(struct checkpoint_file *f, struct bytes file, struct errmsg *why)
{
	int64_t version, count;

	*f = (struct checkpoint_file){.left = file};
	if (file.n == 0)
		return ERR_OK;
	if (!head_number(f, &version))
		return errmsg_set(why, ERR_MALFORMED, "line 1 is not a version");
	if (version != VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "version %" PRId64 " is not known",
				  version);
	if (!head_number(f, &count))
		return errmsg_set(why, ERR_MALFORMED, "line 2 is not a number of entries");
	/* Every writer ends every line; a last number without its end may have lost digits. */
	if (file.p[file.n - 1] != '\n')
		return errmsg_set(why, ERR_MALFORMED, "the last line is cut off");
	/* The shortest entry is "0 0" and the end of the line. */
	if ((uint64_t)count > f->left.n / 4)
		return errmsg_set(why, ERR_MALFORMED, "%" PRId64 " entries cannot be in %zu bytes",
				  count, f->left.n);
	f->count = (size_t)count;
	return ERR_OK;
}

static bool topic_ok(struct bytes t)
{
	if (t.n == 0 || t.n > TOPIC_MAX || bytes_eq_str(t, ".") || bytes_eq_str(t, ".."))
		return false;
	for (size_t i = 0; i < t.n; i++) {
		uint8_t c = t.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

static bool entry_get(struct bytes line, struct checkpoint_file_entry *out)
{
	int64_t partition;
	size_t n = 0;

	while (n < line.n && !is_blank(line.p[n]))
		n++;
	out->topic = bytes_of(line.p, n);
	if (!topic_ok(out->topic))
		return false;
	skip(&line, n);
	skip_blanks(&line);
	if (!checkpoint_file_number(&line, INT32_MAX, &partition) ||
	    !checkpoint_file_number(&line, INT64_MAX, &out->offset))
		return false;
	out->partition = (int32_t)partition;
	return line.n == 0;
}

enum err checkpoint_file_check(struct bytes file, struct errmsg *why)
{
	struct checkpoint_file f;
	struct checkpoint_file_entry entry;
	struct bytes line;
	size_t lines = 0;
	enum err e = checkpoint_file_open(&f, file, why);

	if (e != ERR_OK)
		return e;
	for (; checkpoint_file_line(&f, &line); lines++)
		if (!entry_get(line, &entry))
			return errmsg_set(why, ERR_MALFORMED,
					  "line %zu is not a topic, a partition and an offset",
					  f.line);
	if (lines != f.count)
		return errmsg_set(why, ERR_MALFORMED, "%zu entries where the head says %zu", lines,
				  f.count);
	return ERR_OK;
}

bool checkpoint_file_next(struct bytes file, size_t *at, struct checkpoint_file_entry *out)
{
	struct checkpoint_file f;
	struct bytes line;

	if (*at == 0 && checkpoint_file_open(&f, file, NULL) != ERR_OK)
		return false;
	if (*at != 0)
		f = (struct checkpoint_file){.left = bytes_of(file.p + *at, file.n - *at)};
	if (!checkpoint_file_line(&f, &line) || !entry_get(line, out))
		return false;
	*at = file.n - f.left.n;
	return true;
}
