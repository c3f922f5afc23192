/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash, a bad disk or a person leaves in the folder, and what opening makes of it: files
 * cut and flipped at every byte of the last batches, files missing, damaged and left over. (F1, F2,
 * F4)
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_log/log_rig.h"

static void write_file(const struct log_rig *r, const char *name, const void *p, size_t n)
{
	char path[256];

	log_rig_path(r, name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static size_t read_file(const struct log_rig *r, const char *name, uint8_t *p, size_t cap)
{
	char path[256];

	log_rig_path(r, name, path);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, p, cap);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static const char first[] = "00000000000000000000.log";

/* The last batch of three is cut at every byte: it goes, the others stay. */
static void cut_at_every_byte(void **state)
{
	struct log_rig *r = *state;
	uint8_t image[8192];

	log_rig_open(r);
	log_rig_produce_many(r, 2, 3);
	int64_t edge = plog_size(r->plog);
	log_rig_produce_many(r, 1, 3);
	log_rig_kill(r);
	size_t n = read_file(r, first, image, sizeof image);
	for (size_t cut = (size_t)edge; cut <= n; cut++) {
		write_file(r, first, image, cut);
		log_rig_open(r);
		assert_int_equal(plog_end(r->plog), cut == n ? 9 : 6);
		assert_int_equal(plog_size(r->plog), cut == n ? (int64_t)n : edge);
		assert_int_equal(log_rig_size(r, first), plog_size(r->plog));
		assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
		if (cut % 16 == 0) {
			assert_int_equal(log_rig_produce(r, 2), ERR_OK);
			assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
		}
		log_rig_kill(r);
	}
}

/* One flipped bit anywhere in the last batch: it goes. (But in the leader epoch, which no checksum
 * covers.) */
static void flip_at_every_byte(void **state)
{
	struct log_rig *r = *state;
	uint8_t image[8192];

	log_rig_open(r);
	log_rig_produce_many(r, 2, 3);
	size_t edge = (size_t)plog_size(r->plog);
	log_rig_produce_many(r, 1, 3);
	log_rig_kill(r);
	size_t n = read_file(r, first, image, sizeof image);
	for (size_t at = edge; at < n; at++) {
		bool epoch = at >= edge + 12 && at < edge + 16;
		/* A base offset that is a little higher is a gap, as compaction leaves it. */
		bool gap = at < edge + 8;
		image[at] ^= 0x10;
		write_file(r, first, image, n);
		image[at] ^= 0x10;
		log_rig_open(r);
		if (!epoch && !gap)
			assert_int_equal(plog_end(r->plog), 6);
		assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
		log_rig_kill(r);
	}
}

static void zeroes_behind_the_end(void **state)
{
	struct log_rig *r = *state;
	uint8_t image[16384] = {0};

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	log_rig_kill(r);
	size_t n = read_file(r, first, image, 4096);
	write_file(r, first, image, n + 5000);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 9);
	assert_int_equal(log_rig_size(r, first), (int64_t)n);
}

/* A bad batch in an older segment that was not below the recovery point takes what follows with
 * it. */
static void cut_in_an_older_segment(void **state)
{
	struct log_rig *r = *state;
	uint8_t image[8192];

	log_rig_open(r);
	log_rig_produce_many(r, 60, 3);
	assert_true(store_next(r->store, NULL) == r->plog);
	log_rig_kill(r);
	size_t n = read_file(r, first, image, sizeof image);
	image[n - 5] ^= 1;
	write_file(r, first, image, n);
	/* The checkpoint was never written: the recovery point is 0. */
	log_rig_open(r);
	int64_t end = plog_end(r->plog);
	assert_true(end > 0 && end < 60);
	assert_int_equal(log_rig_read_all(r, 0), end);
	assert_true(plog_size(r->plog) < 4096);
	log_rig_produce_many(r, 60, 3);
	assert_int_equal(log_rig_read_all(r, 0), end + 180);
}

/* F4: damage below the recovery point is for readers to find: nothing is cut. */
static void damage_below_the_recovery_point(void **state)
{
	struct log_rig *r = *state;
	uint8_t image[8192];
	struct plog_slice s;
	struct errmsg why = {{0}};

	r->config.segment_bytes = 1 << 20;
	log_rig_open(r);
	log_rig_produce_many(r, 5, 3);
	size_t at = (size_t)plog_size(r->plog);
	log_rig_produce_many(r, 5, 3);
	log_rig_sleep(r, 60000); /* the checkpoint: 30 */
	log_rig_produce_many(r, 5, 3);
	log_rig_kill(r);
	size_t n = read_file(r, first, image, sizeof image);
	/* In a payload: the checksum is wrong. */
	image[at + 70] ^= 1;
	write_file(r, first, image, n);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 45);
	assert_int_equal(plog_read(r->plog, 0, 100000, true, &s, &why), ERR_OK);
	assert_int_equal(s.n, n);
	plog_file_unref(s.file);
	log_rig_kill(r);
	/* In a head: the way is lost, and found again behind it. */
	image[at + 8] ^= 0x40;
	write_file(r, first, image, n);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 45);
	assert_int_equal(log_rig_size(r, first), (int64_t)n);
	log_rig_produce_many(r, 2, 3);
	assert_int_equal(plog_read(r->plog, 15, 100000, true, &s, &why),
			 ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_kill(r);
	/* All that follows is gone, too: new records go behind the recovery point. */
	n = read_file(r, first, image, sizeof image);
	memset(image + at, 0xff, n - at);
	write_file(r, first, image, n);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 30);
	log_rig_produce_many(r, 2, 3);
	assert_int_equal(log_rig_read_all(r, 30), 36);
	assert_int_equal(log_rig_size(r, first), (int64_t)n);
}

static void corrupt(struct log_rig *r, const char *name, int how)
{
	uint8_t image[8192];
	char path[256];

	log_rig_path(r, name, path);
	if (access(path, F_OK) != 0)
		return;
	size_t n = read_file(r, name, image, sizeof image);
	if (how == 0) {
		assert_int_equal(unlink(path), 0);
	} else if (how == 1) {
		write_file(r, name, image, n / 2 + 1);
	} else {
		memset(image, how == 2 ? 0xee : 0, sizeof image);
		write_file(r, name, image, n + 3);
	}
}

/* Indexes, epochs, producers, topic id: missing, cut, garbage, zeroes; clean and after a crash. */
static void side_files_are_made_anew(void **state)
{
	struct log_rig *r = *state;
	char path[256];

	for (int how = 0; how < 8; how++) {
		struct plog_found f;
		struct plog_appended a;
		log_rig_open(r);
		int64_t before = plog_end(r->plog);
		int64_t t0 = r->now_ms;
		log_rig_produce_many(r, 60, 3);
		struct batch_head h = batches_head();
		h.producer_id = 5;
		h.producer_epoch = 0;
		h.base_sequence = 0;
		h.base_timestamp = r->now_ms += 10;
		if (how > 0) /* it is there from the last round */
			h.base_sequence = how;
		assert_int_equal(log_rig_append_head(r, &h, 1, &a), ERR_OK);
		assert_false(a.duplicate);
		int64_t end = plog_end(r->plog);
		log_rig_settle(r);
		if (how % 2 == 0)
			assert_int_equal(log_rig_close(r), ERR_OK);
		else
			log_rig_kill(r);
		for (int64_t base = 0; base <= end; base++) {
			static const char *const suffixes[] = {"index", "timeindex", "snapshot"};
			for (size_t i = 0; i < 3; i++) {
				(void)snprintf(path, sizeof path, "%020lld.%s", (long long)base,
					       suffixes[i]);
				corrupt(r, path, how / 2);
			}
		}
		corrupt(r, "leader-epoch-checkpoint", how / 2);
		corrupt(r, "partition.metadata", how / 2);
		log_rig_open(r);
		assert_int_equal(plog_end(r->plog), end);
		assert_int_equal(plog_epoch_at(r->plog, end - 1), 3);
		for (int64_t at = before; at < end; at += 7)
			assert_int_equal(log_rig_read_all(r, at), end);
		assert_int_equal(plog_find_time(r->plog, t0 + 300, &f, NULL), ERR_OK);
		assert_int_equal(f.offset, before + 3 * 29);
		assert_int_equal(log_rig_append_head(r, &h, 1, &a), ERR_OK);
		assert_true(a.duplicate);
		assert_int_equal(log_rig_produce(r, 2), ERR_OK);
		assert_int_equal(log_rig_close(r), ERR_OK);
	}
}

static void write_top(const struct log_rig *r, const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", r->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void checkpoints_that_lie(void **state)
{
	struct log_rig *r = *state;
	static const char *const texts[] = {
		"",
		"0\n0\n",
		"0\n1\norders 0 99999999\n",
		"0\n1\norders 0 9223372036854775806\n",
		"7\n1\n",
		"junk",
		"0\n1\norders 0 4\n",
		"0\n1\norders 0 1\n",
		"0\n99\n",
		"0\n1\n",
	};

	log_rig_open(r);
	log_rig_produce_many(r, 60, 3);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		log_rig_kill(r);
		write_top(r, "recovery-point-offset-checkpoint", texts[i]);
		write_top(r, "cleaner-offset-checkpoint", texts[i]);
		log_rig_open(r);
		assert_int_equal(plog_end(r->plog), 180);
		assert_int_equal(log_rig_read_all(r, 0), 180);
	}
}

static void a_clean_mark_is_used_once(void **state)
{
	struct log_rig *r = *state;
	char path[256];

	log_rig_open(r);
	(void)snprintf(path, sizeof path, "%s/.kafka_cleanshutdown", r->dir);
	log_rig_produce_many(r, 10, 3);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(log_rig_close(r), ERR_OK);
	assert_int_equal(access(path, F_OK), 0);
	log_rig_open(r);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(log_rig_read_all(r, 0), 30);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(log_rig_read_all(r, 0), 30);
}

/* The mark, but no recovery point for this log: it is checked. */
static void a_clean_mark_without_checkpoint(void **state)
{
	struct log_rig *r = *state;
	char path[256];

	log_rig_open(r);
	log_rig_produce_many(r, 10, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	(void)snprintf(path, sizeof path, "%s/recovery-point-offset-checkpoint", r->dir);
	assert_int_equal(unlink(path), 0);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 30);
	assert_int_equal(log_rig_read_all(r, 0), 30);
}

static void leftovers_go(void **state)
{
	struct log_rig *r = *state;
	static const char *const names[] = {
		"00000000000000000000.log.cleaned", "00000000000000000000.index.cleaned",
		"00000000000000000000.log.deleted", "00000000000000000007.timeindex.deleted",
		"leader-epoch-checkpoint.tmp",      "00000000000000000099.log.cleaned",
	};

	log_rig_open(r);
	log_rig_produce_many(r, 10, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		write_file(r, names[i], "junk", 4);
	write_file(r, "notes.txt", "mine", 4);
	log_rig_open(r);
	assert_int_equal(log_rig_read_all(r, 0), 30);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(log_rig_size(r, names[i]), -1);
	assert_int_equal(log_rig_size(r, "notes.txt"), 4);
}

/* A compaction was stopped after its new segment counted: the old ones go. */
static void a_swap_is_finished(void **state)
{
	struct log_rig *r = *state;
	static uint8_t image[65536];
	size_t n = 0;
	char name[64];

	log_rig_open(r);
	log_rig_produce_many(r, 60, 3);
	log_rig_kill(r);
	/* The first two segments as one. */
	n = read_file(r, first, image, sizeof image);
	for (int64_t base = 1; base < 180; base++) {
		(void)snprintf(name, sizeof name, "%020lld.log", (long long)base);
		if (log_rig_size(r, name) < 0)
			continue;
		n += read_file(r, name, image + n, sizeof image - n);
		break;
	}
	write_file(r, "00000000000000000000.log.swap", image, n);
	log_rig_open(r);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log.swap"), -1);
	assert_int_equal(log_rig_size(r, name), -1);
	assert_int_equal(log_rig_size(r, first), (int64_t)n);
	assert_int_equal(log_rig_read_all(r, 0), 180);
	for (int64_t at = 0; at < 180; at += 5)
		assert_int_equal(log_rig_read_all(r, at), 180);
}

static void folders_of_deleted_logs_go(void **state)
{
	struct log_rig *r = *state;
	char path[256], file[300];

	(void)snprintf(path, sizeof path, "%s/old-3.0123456789abcdef-delete", r->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(file, sizeof file, "%s/x", path);
	close(open(file, O_CREAT | O_WRONLY, 0644));
	log_rig_open(r);
	log_rig_settle(r);
	assert_int_equal(access(path, F_OK), -1);
}

/* ---- the directory ---- */

static void only_one_process(void **state)
{
	struct log_rig *r = *state;
	struct store *other;
	struct errmsg why = {{0}};

	log_rig_open(r);
	assert_int_equal(store_open(r->loop, &r->options, &other, &why), ERR_CONFIG);
	assert_non_null(strstr(why.text, "another process"));
}

static void meta_properties(void **state)
{
	struct log_rig *r = *state;
	struct errmsg why = {{0}};
	char id[64];

	log_rig_open(r);
	(void)snprintf(id, sizeof id, "%s", store_cluster_id(r->store));
	assert_string_equal(id, "rig-cluster");
	struct uuid dir = store_directory_id(r->store);
	assert_false(uuid_is_zero(&dir));
	log_rig_kill(r);
	r->options.cluster_id = NULL;
	log_rig_open(r);
	assert_string_equal(store_cluster_id(r->store), id);
	struct uuid again = store_directory_id(r->store);
	assert_true(uuid_eq(&dir, &again));
	assert_string_equal(store_dir(r->store), r->dir);
	log_rig_kill(r);
	r->options.node_id = 2;
	assert_int_equal(log_rig_try_open(r, &why), ERR_CONFIG);
	assert_non_null(strstr(why.text, "node 1"));
	r->options.node_id = 1;
	write_top(r, "meta.properties", "cluster.id=\nvers");
	assert_int_equal(log_rig_try_open(r, &why), ERR_CONFIG);
	assert_non_null(strstr(why.text, "meta.properties"));
}

/* A directory that has logs and no meta.properties is no new one: nobody gets a new cluster id. */
static void meta_properties_missing(void **state)
{
	struct log_rig *r = *state;
	struct errmsg why = {{0}};
	char path[128];

	log_rig_open(r);
	assert_int_equal(log_rig_close(r), ERR_OK);
	(void)snprintf(path, sizeof path, "%s/meta.properties", r->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(log_rig_try_open(r, &why), ERR_CONFIG);
	assert_non_null(strstr(why.text, "meta.properties"));
	assert_int_equal(access(path, F_OK), -1);
}

struct strays {
	int n, deleted;
	const char *keep;
};

static bool stray(void *arg, const char *topic, int32_t partition, const struct uuid *id)
{
	struct strays *s = arg;

	s->n++;
	(void)id;
	if (strcmp(topic, s->keep) == 0 && partition == 0)
		return false;
	s->deleted++;
	return true;
}

static void strays(void **state)
{
	struct log_rig *r = *state;
	static const char *const names[] = {"a-0",  "a-b-12", "no-partition",
					    "x-01", "-3",     "orders-1"};
	char path[256];
	struct strays s = {.keep = "a"};

	log_rig_open(r);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", r->dir, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	store_strays(r->store, stray, &s);
	log_rig_settle(r);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.deleted, 2);
	(void)snprintf(path, sizeof path, "%s/a-0", r->dir);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof path, "%s/orders-1", r->dir);
	assert_int_equal(access(path, F_OK), -1);
}

/* A start that was kept for a topic does not come back to a later topic of that name. */
static void a_new_log_of_an_old_name(void **state)
{
	struct log_rig *r = *state;
	int64_t start;

	log_rig_open(r);
	log_rig_produce_many(r, 10, 3);
	assert_int_equal(plog_delete_before(r->plog, 20, &start, NULL), ERR_OK);
	log_rig_sleep(r, 60000);
	store_delete(r->store, r->plog);
	log_rig_settle(r);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 0);
	log_rig_produce_many(r, 2, 3);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 0);
	assert_int_equal(log_rig_read_all(r, 0), 6);
	/* The folder was removed by hand, the checkpoints were not. */
	assert_int_equal(plog_delete_before(r->plog, 5, &start, NULL), ERR_OK);
	log_rig_sleep(r, 60000);
	log_rig_kill(r);
	char command[300];
	(void)snprintf(command, sizeof command, "rm -r %s/orders-0", r->dir);
	assert_int_equal(system(command), 0);
	log_rig_open(r);
	log_rig_produce_many(r, 1, 3);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 0);
	assert_int_equal(log_rig_read_all(r, 0), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_RIG_TEST(cut_at_every_byte),
		LOG_RIG_TEST(flip_at_every_byte),
		LOG_RIG_TEST(zeroes_behind_the_end),
		LOG_RIG_TEST(cut_in_an_older_segment),
		LOG_RIG_TEST(damage_below_the_recovery_point),
		LOG_RIG_TEST(side_files_are_made_anew),
		LOG_RIG_TEST(checkpoints_that_lie),
		LOG_RIG_TEST(a_clean_mark_is_used_once),
		LOG_RIG_TEST(a_clean_mark_without_checkpoint),
		LOG_RIG_TEST(leftovers_go),
		LOG_RIG_TEST(a_swap_is_finished),
		LOG_RIG_TEST(folders_of_deleted_logs_go),
		LOG_RIG_TEST(only_one_process),
		LOG_RIG_TEST(meta_properties),
		LOG_RIG_TEST(meta_properties_missing),
		LOG_RIG_TEST(strays),
		LOG_RIG_TEST(a_new_log_of_an_old_name),
	};

	return cmocka_run_group_tests_name("log_recovery", tests, NULL, NULL);
}
