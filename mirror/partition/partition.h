/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mirrored partition: where it is, what is on its way, what state it is in. It does no I/O:
 * what it needs done it asks of its host (struct partition_host), and the host tells it what
 * happened. So a test can drive it with a virtual clock and a made-up pair of clusters.
 *
 * Life:
 *
 *   IDLE --start--> PROBE --both ends, target's tail--> [ALIGN] --> [STORE] --> COPY
 *                     ^ |                                                        |
 *                     | +--> RECORD --> PROBE                                    |
 *                     |                                                          | any fault
 *                     +--- WAIT (back-off) <------ DRAIN (answers in flight) <---+
 *                                                    |
 *                                                    +---> STOPPED (a person must decide)
 *
 *   PROBE  reads both logs' ends and the target's last batch, compares them with the run table.
 *   TAKEOVER  (in ALIGN's place, when nothing is stored) another copier wrote to the target: find
 *          out how far it came.
 *   ALIGN  the target is ahead of the run table (a crash before the table was stored): walk the
 *          source to find where.
 *   RECORD the link's policy says to go on after a loss: wait until its gap record (gap.h) is
 *          durable, then probe again (partition_policy.c).
 *   STORE  wait until the position (and the producer id) is stored on the target, before the
 *          first record is sent.
 *   COPY   fetch, forward, count.
 *
 * The exactness argument. Producer id, epoch and sequence of the next batch follow from the
 * target's own last batch, so the sequence number is a compare-and-swap on the target's end: a
 * request of a dead process or a dead connection that arrives late either stands where ours would
 * (then ours is answered as its repetition) or makes ours fail with OUT_OF_ORDER_SEQUENCE_NUMBER;
 * both ways the partition probes again, and compares what it finds with the source if that may have
 * changed. A batch that lands at another offset than expected shows a foreign writer; where others
 * may write too, partition_shared.c has the argument.
 */
#ifndef FARSHORE_MIRROR_PARTITION_H
#define FARSHORE_MIRROR_PARTITION_H

#include "checkpoint/runs.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/client/fetch.h"
#include "mirror/clusters/origin.h"
#include "mirror/partition/gap.h"
#include "mirror/partition/meter.h"
#include "mirror/partition/state.h"
#include "mirror/partition/unit.h"

struct partition;
struct partition_takeover;
struct rebatch_task;
struct record;
struct suspect;
struct retrace_result;
struct target_records;

enum partition_phase {
	PHASE_IDLE,
	PHASE_PROBE,
	PHASE_ALIGN,
	PHASE_RECORD,
	PHASE_TAKEOVER,
	PHASE_STORE,
	PHASE_COPY,
	PHASE_DRAIN,
	PHASE_WAIT,
	PHASE_STOPPED
};

/* Both ends of both logs, and the target's last batch. */
struct probe_result {
	enum err source_err, target_err; /* ERR_OK, or why that side could not be asked */
	struct errmsg why;               /* of the first that failed */
	int64_t source_start, source_end;
	int64_t target_start, target_end;
	int64_t epoch_end; /* source: end of the asked leader epoch (OffsetForLeaderEpoch), -1: not
			      known */
	/* Shared: the newest batch of our producer that the target remembers, also one that is not
	 * replicated yet. */
	bool own_known;
	int32_t own_sequence; /* its last */
	int16_t own_epoch;
	struct frame *tail_frame; /* holds `tail`; NULL when the target is empty. Borrowed */
	struct bytes tail;        /* the batch with the target's last record, whole */
};

/* A record for the dead-letter topic. */
struct dead_letter {
	const struct record *record;
	int64_t source_offset;
	enum err error;     /* what the target said */
	const char *detail; /* for people */
};

/* What another copier left behind about a partition; see retrace.h. */
struct takeover_words {
	int64_t records;                /* asked: how many the target has */
	int64_t believed;               /* -1: nothing */
	int64_t anchor_src, anchor_dst; /* -1: none, or not to be used */
	const char *wait;               /* why it cannot begin now; static storage */
};

/* What a partition asks of its surroundings. None of these calls back into the partition before it
 * returned. */
struct partition_host {
	/* Ask for a probe; answered by partition_on_probe. `epoch` is the leader epoch whose end is
	 * asked for, or -1. */
	void (*probe)(void *host, struct partition *p, int32_t epoch);
	/* Fetch from `offset`; answered by partition_on_fetched, again and again until fetch_stop.
	 * `behind`: more is known to wait. */
	void (*fetch)(void *host, struct partition *p, int64_t offset, bool behind);
	void (*fetch_stop)(void *host, struct partition *p);
	/* There are units to send: the host calls partition_next_unit when there is room. */
	void (*ready)(void *host, struct partition *p);
	/* The position changed and should be stored within a second; `now`: at once, answered by
	 * partition_on_stored. */
	void (*store)(void *host, struct partition *p, bool now);
	/* A fresh producer id is needed; answered by partition_on_producer. */
	void (*new_producer)(void *host, struct partition *p);
	/* Rebuild batches off the loop; answered by partition_on_rebatched. Takes over `task`. */
	void (*rebatch)(void *host, struct partition *p, struct rebatch_task *task);
	/* A new frame holds batches from now on: its memory counts. */
	void (*count)(void *host, struct frame *frame);
	/* Read the target's records from `offset` on; answered by partition_on_target_read, exactly
	 * once. False: no memory, and no answer; the host calls partition_on_timer later. */
	bool (*read_target)(void *host, struct partition *p, int64_t offset);
	/* Committed records alone; answered by partition_on_takeover_read. Otherwise the same. */
	bool (*read_committed)(void *host, struct partition *p, int64_t offset);
	/* The partition wants to take over what another copier wrote. False: not now, `wait` says
	 * why; the host calls partition_on_timer when that has changed. True: it has begun, until
	 * takeover_end. */
	bool (*takeover_begin)(void *host, struct partition *p, struct takeover_words *out);
	/* It is over. `result` is what was found, NULL: it was left. */
	void (*takeover_end)(void *host, struct partition *p, const struct retrace_result *result);
	/* Call partition_on_timer in `ms`. */
	void (*retry_in)(void *host, struct partition *p, int64_t ms);
	/* Only where the source holds copies that must not go back (`two_way`): who wrote this
	 * batch of it? ORIGIN_UNKNOWN is followed by partition_on_origin. */
	enum origin_verdict (*origin)(void *host, struct partition *p, const struct batch_head *h);
	/* Leaders may have moved. */
	void (*refresh)(void *host, struct partition *p, bool source);
	/* Park a record that the target refuses; answered by partition_on_parked, once. Borrowed
	 * for the call. */
	void (*park)(void *host, struct partition *p, const struct dead_letter *d);
	/* Write this gap record; answered by partition_on_recorded when it is durable. Borrowed for
	 * the call. */
	void (*record)(void *host, struct partition *p, const struct gap *gap);
	/* The state changed (for the log and the link's own state). */
	void (*changed)(void *host, struct partition *p, enum mirror_state from);
};

/* What all partitions of a topic share; owned by the topic's entry, which outlives its partitions.
 */
struct partition_env {
	const char *source_topic, *target_topic;
	struct uuid source_id; /* zero if the broker has none */
	bool compacted;        /* source cleanup.policy contains compact */
	bool start_latest;
	bool take_over; /* a target that another copier filled is taken over */
	bool read_committed;
	/* Another link copies the same topic the other way, under the same name: what that one
	 * wrote to the source is not copied, and the target has writers of its own (`shared`). */
	bool two_way;
	const char *source_trouble; /* why the source does not have the topic; "" or NULL if it
				       has */
	struct policy policy;
	int32_t target_max_batch;    /* target's max.message.bytes */
	int64_t request_lifetime_ms; /* so long may a request that nobody waits for be on its way */
	size_t queue_high, queue_low; /* bytes waiting or in flight in one partition */
	size_t decode_max;            /* bytes of one decompressed batch on the slow path */
	const struct clock *clock;
	const struct partition_host *host;
	void *host_ctx;
};

struct partition_counters {
	uint64_t records, bytes;
	uint64_t batches[UNIT_CAUSES_N];
	uint64_t aborted_batches, control_batches;
	uint64_t copy_batches;    /* of the link in the other direction */
	uint64_t faults;          /* times that copying was left for a fault */
	uint64_t gaps[ON_EVENTS]; /* gap records written, by cause */
	uint64_t dead_letters;
	uint64_t missing_records; /* source offsets known to be lost */
};

struct partition {
	const struct partition_env *env;
	int32_t index;
	enum partition_phase phase;
	enum mirror_state state;
	struct errmsg reason;
	int64_t since_ms; /* wall clock, when `state` began */

	struct runs *runs;
	size_t runs_budget;    /* bytes */
	struct uuid stored_id; /* topic id that the run table belongs to */
	bool producer_asked;   /* PHASE_STORE: and what is stored meanwhile does not count */
	bool stored_once;      /* a position with this producer id is durable */
	int32_t last_epoch;    /* leader epoch at src_acked; -1 unknown */

	int64_t src_next;   /* next source offset to fetch */
	int32_t next_epoch; /* leader epoch of the batch before src_next (KIP-595); -1 unknown */
	int64_t src_acked;  /* source offsets below this are done: copied, or nothing to copy */
	int64_t dst_next;   /* where the next unit sent will land */
	int64_t dst_acked;
	int64_t source_hw, source_lso, source_start; /* as last seen; -1 unknown */

	int64_t producer_id;
	int16_t producer_epoch;
	int32_t sequence;
	/* Others write to the target too: see partition_shared.c. */
	bool shared;
	int32_t ack_sequence; /* shared: of the batch whose landing counts next */
	bool ack_known;       /* that is so since this process began to copy */
	int64_t own_gone_ms;  /* monotonic: since when our last batch cannot be found; 0 */
	int64_t own_back;     /* records that the search for our last batch went back; 0 */
	bool origin_waits;    /* fetching waits for the origin of a batch */
	bool writer_known; /* the target holds a batch of this producer, so it checks sequences */

	struct unit_queue waiting;   /* not yet sent */
	struct unit_queue in_flight; /* sent, oldest first */
	struct rebatch_task
		*task; /* the slow-path job that runs for the queue's end; fetching waits for it */
	bool rebatch_alone; /* a group was too much for the slow path: batch by batch */
	bool fetching;
	bool ready_listed; /* the host knows that `waiting` has units */
	bool held;         /* paused: see partition_pause */
	const char *held_why;

	int64_t align_goal;         /* the target end to explain */
	int64_t align_target_start; /* shared: where the target's log begins */
	int32_t align_sequence;     /* shared: of the first record behind the table; -1 unknown */
	bool align_last_known; /* shared: what the target remembers, see probe_result.own_known */
	int32_t align_last_sequence;
	int16_t align_last_epoch;
	bool align_verify; /* each record of it is compared with the source's */
	bool align_check;  /* it only compares the last batch that the table knows */
	bool tail_checked; /* that was done, or could not be, since the process started */
	bool end_known;    /* paused: all that was sent was acknowledged before, so that the run
			       table's end is the end of what was copied */
	bool settle;       /* what lies behind dst_acked may not be what we sent last */
	int64_t align_src, align_dst;        /* where `align` began */
	bool align_tail;                     /* the sequence follows from the target's last batch */
	struct align *align;                 /* PHASE_ALIGN only */
	struct partition_takeover *takeover; /* what was taken over, or is being; NULL: nothing */
	bool target_reading; /* an answer to read_target is to come; only one at a time */
	bool target_stale;   /* that one is for an earlier alignment */
	unsigned attempt;    /* faults in a row without progress */
	enum err last_fault;
	int64_t fault_offset; /* source offset of the last refused batch */
	int64_t missing_end;  /* missing source offsets below this were counted */
	unsigned fault_repeats;
	int64_t unsure_ms;         /* monotonic: since when the end of everything sent is known */
	int64_t sequence_fault_ms; /* monotonic: since when the target refuses our sequence; 0 */
	int64_t acked_ms;          /* monotonic, of the last acknowledgement */
	bool target_made_again;
	struct gap *gap;  /* what PHASE_RECORD records, or has recorded; NULL: nothing */
	bool gap_durable; /* it is: the next probe acts on it */
	int64_t foreign_first, foreign_end; /* FOREIGN_WRITE: others wrote there; -1: it is not only
					       that, and no policy goes on */
	struct suspect *suspect; /* a range in which the target refuses a record; NULL: none */
	int64_t parting_end;     /* the source was seen to end, or part from the copy, there; -1 */
	bool go_alone; /* one batch at a time: the position was moved by a policy, and what is
			  late would be taken for one of several */
	int64_t alone_until_ms; /* monotonic: until one has landed after this */
	bool passed_loss;     /* a policy went past a loss: what comes late is compared with care */
	bool align_rematch;   /* it looks for what of the source is in what nothing explains */
	bool align_parting;   /* the alignment looks for where a truncated source parts */
	bool align_recreated; /* it compares what the table does not know with a new topic */
	int64_t compared_end; /* up to there the target holds no copy of the new topic; -1 */
	int64_t align_from;   /* the source begins there since it lost its beginning; -1 */
	bool align_lost;      /* it did, and nothing has landed since: what landed late may be gone
				 at the source */
	int64_t behind_since_ms; /* monotonic; 0 when not behind */
	int64_t last_timestamp;  /* ms, of the newest record copied; -1 none */

	struct partition_counters counters;
	struct meter *meter; /* NULL until something was copied */
	void *host_data;     /* the host's own */
};

/* `runs_budget` in bytes. NULL when out of memory. Starts IDLE, STARTING. */
struct partition *partition_new(const struct partition_env *env, int32_t index, size_t runs_budget);
void partition_free(struct partition *p);

/* Start from what was stored: `runs` (taken; NULL: nothing stored yet, then the partition must be
 * new on the target). */
struct partition_stored {
	struct runs *runs;
	struct uuid topic_id;
	int32_t leader_epoch;
	int64_t producer_id;
	int16_t producer_epoch;
	int64_t src_end, dst_end;
};
/* `stored` NULL: nothing. `link_pid`: the producer id of the link for partitions that have none. */
void partition_start(struct partition *p, struct partition_stored *stored, int64_t link_pid,
		     int16_t link_epoch);

/*
 * Hold the partition, at an operator's wish or for good: what waits is dropped, answers in flight
 * are still counted, and nothing is begun until partition_resume. `why` is the reason that is shown
 * (static storage). A state that needs a person stays to be seen; such a partition does not move
 * anyway.
 */
void partition_pause(struct partition *p, const char *why);
void partition_resume(struct partition *p);

/* ---- what the host tells ---- */
void partition_on_probe(struct partition *p, const struct probe_result *r);
void partition_on_fetched(struct partition *p, const struct fetch_result *r);
/* The answer that should have held this partition's records did not come. */
void partition_on_fetch_failed(struct partition *p, enum err e, const struct errmsg *why);
/* A connection is open and nobody answers on it, since `ms`: only the state shows it, what is
 * under way stays under way. partition_on_heard ends it. */
void partition_on_silence(struct partition *p, bool source, int64_t ms);
void partition_on_heard(struct partition *p);
/* What is ready cannot be sent: no leader, say. */
void partition_on_send_failed(struct partition *p, enum err e, const struct errmsg *why);
void partition_on_target_read(struct partition *p, enum err e, struct bytes records, int64_t end);
void partition_on_takeover_read(struct partition *p, enum err e, const struct target_records *r);
void partition_on_producer(struct partition *p, enum err e, const struct errmsg *why, int64_t id,
			   int16_t epoch);
void partition_on_stored(struct partition *p);
void partition_on_rebatched(struct partition *p, struct rebatch_task *task);
/* The gap record is durable; or (e != ERR_OK) it could not be written yet and is tried again. */
void partition_on_recorded(struct partition *p, enum err e, const struct errmsg *why);
/* The dead letter is durable; or it cannot be parked. */
void partition_on_parked(struct partition *p, enum err e, const struct errmsg *why);
/* The policy in the environment changed: what stopped may go on now. */
void partition_on_policy(struct partition *p);
void partition_on_timer(struct partition *p);
/* What the host called ORIGIN_UNKNOWN may be known now. */
void partition_on_origin(struct partition *p);
/*
 * From now on others may write to the target partition too: their records are no fault any more
 * (FOREIGN_WRITE ends), and what this link wrote is told by its producer. Copies stay exact, each
 * record once and in order. Not taken back.
 */
void partition_share(struct partition *p);
/* The source's topic has another id now, or is gone. */
void partition_on_source_topic(struct partition *p, bool exists, const struct uuid *id);

/* `source_trouble` of the environment changed. */
void partition_on_source_trouble(struct partition *p);
/* The source's log starts there, as somebody else found out. */
void partition_on_source_start(struct partition *p, int64_t offset);

/* The target's topic was deleted and made again, perhaps by the person whom this partition waits
 * for. */
void partition_on_target_topic(struct partition *p);

/* The target topic's configuration changed: what was refused may be taken now. */
void partition_on_target_config(struct partition *p);

/* The next unit to send, stamped, moved to the in-flight queue; NULL: none. `*size` its bytes. */
struct unit *partition_next_unit(struct partition *p);

/* How the request that carried a unit ended. */
struct produced {
	enum err err; /* the partition's error, or that of the whole request */
	const struct errmsg *why;
	int64_t base_offset;
	bool repeated; /* the target says that it had this batch before */
};
/* The end of the request that carried `u`, which partition_next_unit gave. May free the unit. */
void partition_on_produced(struct partition *p, struct unit *u, const struct produced *a);

/* ---- what others read ---- */
/* What was found when the partition was taken over by this process; NULL: it was not. */
const struct retrace_result *partition_taken_over(const struct partition *p);
/* While it is being taken over: how much of the target's records was compared, 0 to 1; else -1. */
double partition_takeover_progress(const struct partition *p);
/* True if records that may be copied wait at the source (an open transaction's may not). */
bool partition_behind(const struct partition *p);
int64_t partition_lag_records(const struct partition *p); /* -1 unknown */
double partition_lag_seconds(const struct partition *p, int64_t wall_ms);
static inline size_t partition_held_bytes(const struct partition *p)
{
	return p->waiting.bytes + p->in_flight.bytes;
}

#endif
