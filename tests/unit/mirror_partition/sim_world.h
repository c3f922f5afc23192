/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for one mirrored partition: the model source and target, the stored run table, a process
 * that can die, connections whose requests can land late, and a virtual clock. It is the
 * partition's host. All chance comes from one seed.
 */
#ifndef FARSHORE_TESTS_SIM_WORLD_H
#define FARSHORE_TESTS_SIM_WORLD_H

#include "checkpoint/store.h"
#include "mirror/partition/partition.h"
#include "tests/unit/mirror_partition/sim_source.h"
#include "tests/unit/mirror_partition/sim_target.h"

enum sim_mode {
	SIM_EXACT,          /* crashes, lost connections, refusals, elections: nothing may show */
	SIM_COMPACTED,      /* the source is compacted meanwhile */
	SIM_TARGET_LOSES,   /* the target loses records that it had acknowledged */
	SIM_TARGET_EMPTIED, /* the target topic is deleted and made again */
	SIM_RETENTION,      /* the source's retention overtakes the mirror */
	SIM_SOURCE_LOSES,   /* an unclean election at the source */
	SIM_RECREATED,      /* the source topic is deleted and made again */
	SIM_FOREIGN,        /* somebody else writes to the target */
	SIM_SHARED,         /* others may write there, and the source holds copies (two ways) */
	SIM_SHARED_LOSES,   /* the same, and the target loses what it had acknowledged */
	SIM_REFUSED,        /* the target refuses some records, whatever batch they come in */
	SIM_MODES
};

enum event_kind {
	EV_PROBE,
	EV_PROBE_TAIL,
	EV_FETCH,
	EV_FETCHED,
	EV_READ_TARGET,
	EV_PRODUCER,
	EV_TIMER,
	EV_READY,
	EV_REBATCH,
	EV_STORE,
	EV_STORE_LANDS,
	EV_STORED,
	EV_PARKED,
	EV_RECORDED,
	EV_BROKER,
	EV_ANSWER,
	EV_METADATA,
	EV_REPLICATE,
	EV_GROW,
	EV_CHAOS,
	EV_RESTART,
	EV_RESUME,
	EV_ORIGIN,
	EV_LOCAL,
	EV_KINDS
};

struct sim_event {
	int64_t due;
	uint64_t order; /* equal times: first come, first served */
	enum event_kind kind;
	uint64_t token; /* of the asker; not the present one: nobody waits for it */
	int64_t number;
	enum err err;
	bool repeated; /* an answer: the batch was there before */
	struct unit *unit;
	void *what;
};

struct sim_request {
	struct sim_request *next;
	struct unit
		*unit; /* for the process that sent it, while it lives and the connection does */
	int topic;     /* the topic's id, see target_topic */
	size_t n;
	uint8_t bytes[];
};

/* One connection to the target; a broker handles its requests in order. */
struct sim_conn {
	struct sim_conn *next;
	struct sim_request *head, **tail;
	bool dead; /* nobody hears the answers */
	int64_t died;
	bool waits;         /* the head was appended and waits to be replicated */
	bool repeated;      /* it was there before */
	int64_t base, need; /* then */
	int64_t answered;   /* when the last answer goes out */
};

struct sim_entry {
	size_t key_n, value_n;
	uint8_t bytes[BLOCK_KEY_MAX + BLOCK_VALUE_MAX];
};

/* Records of one write to the stored run table. */
struct sim_write {
	struct sim_world *w;
	size_t n;
	struct sim_entry *v[64];
};

/* A durable gap record. */
struct sim_gap {
	struct gap g;
	int64_t topic; /* which of the source's topics */
};

struct sim_world {
	struct rng g;
	enum sim_mode mode;
	bool calm;  /* no faults any more */
	bool trace; /* tell what happens */
	int64_t now;
	struct clock clock;
	struct partition_env env;
	struct sim_truth truth;
	struct sim_source source;
	struct sim_target target;
	int target_topic; /* which of those of that name; requests to another one are refused */
	int asked_topic;  /* that of the last probe, for which units are made */
	struct sim_event *events;
	size_t events_n, events_cap;
	uint64_t order, steps;
	struct sim_conn *conns; /* the newest first: the process's own if it is not dead */
	int64_t slow;           /* ms that an answer may take */
	int64_t in_flight_max;
	int64_t fetch_batches;
	int64_t grow_left; /* source batches still to come in the chaotic part */

	/* the process */
	struct partition *p; /* NULL: dead */
	struct stored *stored;
	uint64_t life;
	uint64_t tokens[EV_KINDS];
	struct probe_result probe;
	int probe_open;
	int64_t fetch_offset;
	struct fetch_result fetched;
	bool fetch_told; /* the fetch that goes on was answered once */
	uint64_t shrunk; /* times that the source lost records or was made again, ... */
	uint64_t shrunk_asked, shrunk_told; /* ... of which the last fetch, and answer, knew */
	int64_t told_end, told_stable, told_start;
	struct uuid fetch_id;
	uint64_t origins; /* of which producers it knows the origin, as bits */
	bool ready_queued, ready_waits;
	bool dirty, urgent, writing;
	size_t held; /* bytes of the frames that hold rebuilt batches */

	/* the stored run table's log */
	struct sim_entry **log;
	size_t log_n, log_cap;

	/* What is durable of gaps and dead letters, and what is on its way there. */
	struct sim_gap *gaps, gap_asked;
	size_t gaps_n, gaps_cap;
	bool *parked; /* by id of the record */
	size_t parked_n;
	int64_t letter_asked;
	bool asked_landed;
	struct uuid topics[64]; /* ids of the source's topics, by number */
	uint64_t refused_share; /* of 97 records */

	int64_t next_producer;
	uint32_t seen;   /* states that were reached, as bits */
	int64_t foreign; /* records of the other writers */
	bool hit;        /* the mode's event happened */
	bool goes_on;    /* the policies say so in every state */
	bool mixed;      /* records landed that the source had lost before, or after such */
	uint64_t crashes, zombies, faults;
	long fail_alloc; /* the Nth allocation inside the partition fails; 0: none */
	void (*enter)(struct sim_world *w); /* around every call of the partition; may be NULL */
	void (*leave)(struct sim_world *w);
};

void sim_world_init(struct sim_world *w, enum sim_mode mode, uint64_t seed);
void sim_world_fini(struct sim_world *w);

/* The policies say to go on in every state; before the first step. */
void sim_world_goes_on(struct sim_world *w);

/* What was asked for becomes durable. */
void sim_gaps_land(struct sim_world *w);
void sim_gaps_land_letter(struct sim_world *w);
/* May this record stand where it landed, where the policies go on? */
void sim_gaps_check_copy(struct sim_world *w, int64_t offset);

/* Is it told durably that this record is not (or is no longer) a copy at the target? */
bool sim_world_is_told(const struct sim_world *w, int64_t id);
/* The same for a record of the target that the source has lost. */
bool sim_world_is_told_extra(const struct sim_world *w, int64_t target_offset);
/* Does the target refuse this record for ever? */
bool sim_world_refuses(const struct sim_world *w, int64_t id);

/* The next event. */
void sim_world_step(struct sim_world *w);

void sim_world_start(struct sim_world *w); /* the process */
void sim_world_crash(struct sim_world *w);

/* Run with faults until the source has grown to its size, then without until nothing moves any
 * more. */
void sim_world_run(struct sim_world *w);

/* The stored run table as a new process would load it; free `taken->runs` and `->stored`. */
enum err sim_world_load(struct sim_world *w, struct run_taken *taken);

#endif
