/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "tests/unit/base/fail_alloc.h"

/* A log into memory, under a clock that the test sets. */
struct rig {
	struct log *log;
	int fd;
	int64_t mono, wall;
	struct clock clock;
	char text[128 * 1024];
};

static int64_t rig_mono(void *ctx)
{
	return ((struct rig *)ctx)->mono;
}

static int64_t rig_wall(void *ctx)
{
	return ((struct rig *)ctx)->wall;
}

static uint64_t rig_random(void *ctx)
{
	(void)ctx;
	return 4;
}

static struct rig *rig_new(enum log_level level)
{
	struct rig *r = calloc(1, sizeof *r);
	r->fd = memfd_create("log", 0);
	assert_true(r->fd >= 0);
	r->wall = 1700000000123;
	r->mono = 1000;
	r->clock = (struct clock){rig_mono, rig_wall, rig_random, r};
	r->log = log_new(r->fd, level, &r->clock);
	assert_non_null(r->log);
	return r;
}

/* What was written since the last call. */
static const char *rig_take(struct rig *r)
{
	lseek(r->fd, 0, SEEK_SET);
	ssize_t n = read(r->fd, r->text, sizeof r->text - 1);
	assert_true(n >= 0);
	r->text[n] = '\0';
	assert_int_equal(ftruncate(r->fd, 0), 0);
	lseek(r->fd, 0, SEEK_SET);
	return r->text;
}

static void rig_free(struct rig *r)
{
	log_free(r->log);
	close(r->fd);
	free(r);
}

static unsigned lines(const char *s)
{
	unsigned n = 0;
	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static void a_line(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	log_event(r->log, LOG_INFO, "link_started", LOG_S("link", "east->west"),
		  LOG_I("partitions", -6), LOG_B("raw", bytes_of("ab", 2)));
	assert_string_equal(rig_take(r),
			    "ts=2023-11-14T22:13:20.123Z level=info "
			    "event=link_started link=east->west partitions=-6 raw=ab\n");
	log_event(NULL, LOG_ERROR, "nobody", LOG_S("a", "b"));
	rig_free(r);
	log_free(NULL);
}

static const char *value_of(struct rig *r, struct bytes v)
{
	r->mono += 1000;
	log_event(r->log, LOG_INFO, "e", LOG_B("v", v));
	const char *text = strstr(rig_take(r), " v=");
	assert_non_null(text);
	return text + 3;
}

static void values_cannot_forge_a_line(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	assert_string_equal(value_of(r, bytes_str("plain-1.2/3")), "plain-1.2/3\n");
	assert_string_equal(value_of(r, bytes_str("")), "\"\"\n");
	assert_string_equal(value_of(r, bytes_str(NULL)), "\"\"\n");
	assert_string_equal(value_of(r, bytes_str("a b")), "\"a b\"\n");
	assert_string_equal(value_of(r, bytes_str("a=b")), "\"a=b\"\n");
	assert_string_equal(value_of(r, bytes_str("x\nts=1 level=error event=fake")),
			    "\"x\\nts=1 level=error event=fake\"\n");
	assert_string_equal(value_of(r, bytes_str("q\"b\\s")), "\"q\\\"b\\\\s\"\n");
	assert_string_equal(value_of(r, bytes_of("\0\r\t\x1b[31m\x7f", 9)),
			    "\"\\x00\\x0d\\x09\\x1b[31m\\x7f\"\n");
	rig_free(r);
}

static void bytes_above_ascii(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	assert_string_equal(value_of(r, bytes_str("gr\xc3\xbc\xc3\x9f")),
			    "\"gr\xc3\xbc\xc3\x9f\"\n");
	assert_string_equal(value_of(r, bytes_str("\xf0\x9f\x98\x80")), "\"\xf0\x9f\x98\x80\"\n");
	/* Not UTF-8, and the C1 control that starts a terminal command. */
	assert_string_equal(value_of(r, bytes_str("\xff\xc3")), "\"\\xff\\xc3\"\n");
	assert_string_equal(value_of(r, bytes_str("\x9b"
						  "31m")),
			    "\"\\x9b"
			    "31m\"\n");
	assert_string_equal(value_of(r, bytes_str("\xc2\x9b"
						  "31m")),
			    "\"\\xc2\\x9b"
			    "31m\"\n");
	rig_free(r);
}

static void levels(void **state)
{
	(void)state;
	enum log_level level;
	struct rig *r = rig_new(LOG_WARN);
	log_event(r->log, LOG_INFO, "no", LOG_I("a", 1));
	assert_string_equal(rig_take(r), "");
	log_set_level(r->log, LOG_DEBUG);
	log_event(r->log, LOG_DEBUG, "yes", LOG_I("a", 1));
	assert_non_null(strstr(rig_take(r), "level=debug event=yes a=1\n"));
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_WARN);
	assert_false(log_level_parse("warning", &level));
	assert_false(log_level_parse("", &level));
	rig_free(r);
}

static void one_event_is_held_back_and_counted(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	for (int i = 0; i < 100; i++)
		log_event(r->log, LOG_INFO, "loud", LOG_I("i", i));
	log_event(r->log, LOG_INFO, "other", LOG_I("i", 0));
	const char *text = rig_take(r);
	assert_int_equal(lines(text), 21);
	assert_non_null(strstr(text, "event=loud i=19\n"));
	assert_null(strstr(text, "i=20"));
	assert_non_null(strstr(text, "event=other"));
	r->mono += 1000;
	log_event(r->log, LOG_INFO, "loud", LOG_I("i", 200));
	text = rig_take(r);
	assert_non_null(strstr(text, "level=warn event=log_lines_held_back of=loud count=80\n"));
	assert_non_null(strstr(text, "event=loud i=200\n"));
	rig_free(r);
}

/* More different events in a second than there are counters: none is lost in silence. */
static void many_events_share_the_last_counter(void **state)
{
	(void)state;
	static char names[200][24];
	struct rig *r = rig_new(LOG_INFO);
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof names[i], "event_%d", i);
		log_event(r->log, LOG_INFO, names[i], LOG_I("i", i));
	}
	assert_int_equal(lines(rig_take(r)), 64 + 20);
	r->mono += 1000;
	log_event(r->log, LOG_INFO, "later", LOG_I("i", 0));
	assert_non_null(strstr(rig_take(r), "event=log_lines_held_back of=other count=116\n"));
	rig_free(r);
}

static void a_long_line_is_cut_and_ended(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	char *v = malloc(100000);
	for (size_t n = 16 * 1024 - 120; n < 16 * 1024 + 10; n++) {
		memset(v, 'x', n);
		r->mono += 1000;
		log_event(r->log, LOG_INFO, "e", LOG_B("v", bytes_of(v, n)));
		const char *text = rig_take(r);
		assert_int_equal(lines(text), 1);
		assert_true(strlen(text) <= 16 * 1024);
		assert_int_equal(text[strlen(text) - 1], '\n');
	}
	memset(v, '\n', 100000);
	log_event(r->log, LOG_INFO, "e", LOG_B("v", bytes_of(v, 100000)));
	assert_int_equal(lines(rig_take(r)), 1);
	free(v);
	rig_free(r);
}

static void out_of_memory(void **state)
{
	(void)state;
	struct rig *r = rig_new(LOG_INFO);
	fail_alloc_at(1);
	assert_null(log_new(1, LOG_INFO, &r->clock));
	fail_alloc_at(1);
	log_event(r->log, LOG_INFO, "e", LOG_I("i", 1));
	fail_alloc_off();
	rig_take(r);
	log_event(r->log, LOG_INFO, "e", LOG_I("i", 2));
	assert_non_null(strstr(rig_take(r), "event=e i=2\n"));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line),
		cmocka_unit_test(values_cannot_forge_a_line),
		cmocka_unit_test(bytes_above_ascii),
		cmocka_unit_test(levels),
		cmocka_unit_test(one_event_is_held_back_and_counted),
		cmocka_unit_test(many_events_share_the_last_counter),
		cmocka_unit_test(a_long_line_is_cut_and_ended),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
