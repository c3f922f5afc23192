/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a folder of its own, on a disk that fails, waits and loses power when told to, with a
 * clock that the test moves.
 */
#ifndef FARSHORE_TESTS_CLUSTER_LOG_LOG_RIG_H
#define FARSHORE_TESTS_CLUSTER_LOG_LOG_RIG_H

#include "cluster/log/disk.h"
#include "cluster/log/store.h"
#include "tests/unit/cluster_log/batches.h"
#include "tests/unit/rng.h"

enum log_rig_call {
	CALL_ANY,
	CALL_OPEN,
	CALL_PREAD,
	CALL_WRITE,
	CALL_FSYNC,
	CALL_FDATASYNC,
	CALL_TRUNCATE,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_MKDIR,
	CALL_LIST,
	CALL_STAT,
	CALL_KINDS
};

struct log_rig_disk;

struct log_rig {
	struct clock clock;
	int64_t now_ms; /* both clocks */
	uint64_t random;
	struct log *log;
	int log_fd;
	struct loop *loop;
	struct log_rig_disk *faults;
	struct store_options options;
	struct plog_config config;
	char dir[64]; /* the data directory */
	struct store *store;
	struct plog *plog; /* "orders-0" */
	struct buf batch;
	struct buf seen;
};

/* A loop and an empty folder; nothing is opened. The default: fsync=always, segments of 4 KiB, an
 * index entry every 256 bytes. */
void log_rig_init(struct log_rig *r);
void log_rig_fini(struct log_rig *r); /* removes the folder */

/* The same around each test of cmocka, which finds its rig in *state. */
int log_rig_setup(void **state);
int log_rig_teardown(void **state);
#define LOG_RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, log_rig_setup, log_rig_teardown)

/* Open store and log, which have to succeed. */
void log_rig_open(struct log_rig *r);
enum err log_rig_try_open(struct log_rig *r, struct errmsg *why);
/* As kill -9. */
void log_rig_kill(struct log_rig *r);
/* As a power cut: of the bytes that were not synced, each log file keeps a random part, or
 * garbage. */
void log_rig_power_cut(struct log_rig *r, struct rng *g);
/* A clean stop; gives what it said. A call that is held is let go when all else came to rest. */
enum err log_rig_close(struct log_rig *r);

/* Turn the loop until nothing is left to do. */
void log_rig_settle(struct log_rig *r);
/* Move the clock, and let the timers run. */
void log_rig_sleep(struct log_rig *r, int64_t ms);

/* Append a batch of `n` plain records. */
enum err log_rig_append(struct log_rig *r, int32_t n, struct plog_appended *out);
/* The same with a head of the test's own (producer, timestamps). */
enum err log_rig_append_head(struct log_rig *r, struct batch_head *h, int32_t n,
			     struct plog_appended *out);
/* Append, and wait until it is stored: what plog_wait_stored said. */
enum err log_rig_produce(struct log_rig *r, int32_t n);
/* That for many batches, 10 ms apart. */
void log_rig_produce_many(struct log_rig *r, int batches, int32_t n);

/* Read from `offset` to the high watermark by plog_read, and hold the batches together: the offset
 * behind the last one. All that is visible must be whole and right. */
int64_t log_rig_read_all(struct log_rig *r, int64_t offset);

/* DIR/orders-0/NAME */
void log_rig_path(const struct log_rig *r, const char *name, char out[256]);
int64_t log_rig_size(const struct log_rig *r, const char *name); /* -1: no such file */

/* ---- the disk ---- */

/* Let the `n`th call of a kind from now fail with that errno, and all after it with `sticky`. */
void log_rig_fail(struct log_rig *r, enum log_rig_call kind, long n, int error, bool sticky);
/* Stop that; true if a call failed. */
bool log_rig_heal(struct log_rig *r);
long log_rig_calls(struct log_rig *r, enum log_rig_call kind);
/* fdatasync waits until it is released. */
void log_rig_hold_sync(struct log_rig *r, bool hold);
/* The `n`th call of a kind from now waits until it is released; of a kind that only the pool makes,
 * or the loop stands still. */
void log_rig_hold_at(struct log_rig *r, enum log_rig_call kind, long n);
bool log_rig_held(struct log_rig *r);
void log_rig_release(struct log_rig *r);

#endif
