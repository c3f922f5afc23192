/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of a link share: the source side (source.c: fetchers), the target side (sender.c:
 * produce pipelines), the probes (prober.c), the stored run tables (journal.c) and the link itself
 * (link.c). For the files of link/, for group/, which works on a link's run tables, and for http/,
 * which shows it; others use link.h.
 *
 *   source.c --fetched--> partition --ready--> sender.c
 *                         partition <--answers-- sender.c
 *                         partition --position--> journal.c
 */
#ifndef FARSHORE_MIRROR_LINK_PARTS_H
#define FARSHORE_MIRROR_LINK_PARTS_H

#include "mirror/clusters/origin.h"
#include "mirror/clusters/topics.h"
#include "mirror/config/config.h"
#include "mirror/link/headroom.h"
#include "mirror/link/link.h"
#include "mirror/link/memory.h"
#include "mirror/link/offset_syncs.h"
#include "mirror/partition/partition.h"

struct source;
struct sender;
struct prober;
struct journal;
struct heartbeats;
struct groups;
struct gaps;
struct takeover;
struct gone;
struct retention;
struct fetch_lane;
struct send_lane;

/* A partition's place in the link: what each side keeps about it. */
struct slot {
	struct partition *p;
	struct topic_entry *topic;
	struct loop_timer *retry; /* back-off after a fault */

	/* source.c */
	struct fetch_lane *fetch_lane;
	struct fetch_part *fetch_part;
	struct uuid fetch_id; /* the topic's, as `fetch_part` asks for it */
	int64_t fetch_offset;
	int32_t fetch_max; /* bytes asked for; grows when a batch does not fit */
	bool fetch_behind;
	bool fetch_live;          /* records come to it; see source.c */
	int64_t fetch_records_ms; /* monotonic: when the last ones came */
	bool fetch_nearer;        /* fetch from `fetch_replica` instead of the leader */
	int32_t fetch_replica;
	bool fetch_armed; /* in a request, or wanted in the next */
	size_t fetch_at;  /* its place in the lane's list of those */
	struct slot *fetch_next;
	bool fetch_queued; /* in its lane's or the source's list of those to resume */

	/* two_way.c */
	struct slot *origin_next;
	bool origin_queued; /* in the link's list of those that wait for the origin of a batch */

	/* sender.c */
	struct send_lane *send_lane; /* where its batches in flight are */
	struct slot *send_next;
	bool send_queued;

	/* prober.c */
	struct probe *probe;
	struct uuid target_id; /* of the target topic that was probed; zero if it has none */

	/* retention.c */
	struct headroom headroom;
	double headroom_seconds; /* -1: not known, or no danger */
	uint32_t start_asked;    /* in this round of questions */

	/* journal.c */
	struct stored *stored;                            /* what is stored of the run table */
	struct slot *journal_next, *journal_writing_next; /* it may be in both lists */
	bool journal_dirty, journal_urgent;

	struct offset_sync_state sync; /* offset_syncs.c */
	/* link_host.c: it was copying since the process started, and nothing threw doubt on its run
	 * table since */
	bool settled;

	/* takeover.c */
	struct slot *takeover_next;
	bool takeover_waits;   /* in its line */
	size_t takeover_bytes; /* granted for the walk */
};

struct topic_entry {
	/* gone.c: while the source does not list it */
	struct errmsg source_trouble;
	unsigned gone_seen; /* times in a row that the source said that there is no such topic, */
	int64_t gone_since_ms; /* since then; monotonic; -1 */
	bool gone_deleted;     /* its copy was deleted */
	bool gone_told;        /* what became of its copy is shown */

	struct link *link;
	char *source_name, *target_name;
	struct partition_env env;
	struct slot **slots; /* one allocation each: addresses are stable */
	int32_t slots_n;
	bool gone;
	uint32_t target_made; /* see struct topic_info */
	uint64_t target_configs;
	bool target_stamps;    /* the target stamps the records: repetitions do not show */
	struct errmsg problem; /* why it is not ready; "" if it is */
	const char *held;      /* why its new partitions are held; NULL: they are not */
};

struct link {
	struct loop *loop;
	const struct link_config *config;
	struct memory *memory;
	struct client *source_client, *target_client;
	struct tls_ctx *source_tls, *target_tls;
	struct topics *topics;
	struct source *source;
	struct sender *sender;
	struct prober *prober;
	struct journal *journal;
	struct gaps *gaps;
	struct gone *gone;
	struct retention *retention;
	struct policies *policies;
	struct reverse *reverse; /* with `two_way`; NULL: not followed */
	struct origin *origin;   /* with `two_way` */
	struct slot *origin_slots;
	struct reverse_watch reverse_watch;
	void (*two_way_begin)(struct link *k);
	bool loaded;           /* run tables are loaded */
	struct map *entries;   /* source topic name -> struct topic_entry */
	struct groups *groups; /* NULL: none are followed */
	struct heartbeats *heartbeats;
	struct offset_syncs *syncs; /* NULL: none are written */
	struct takeover *takeover;
	struct loop_timer *tick, *load_retry;
	struct errmsg load_problem;
	unsigned load_attempt;
	size_t calls; /* requests of the link itself that are not answered yet */
	int64_t producer_id;
	int16_t producer_epoch;
	bool started; /* run tables are loaded, the reverse ones too: partitions may start */
	bool stopping;
	const char *held; /* why new topics are held; NULL: they are not */
	enum mirror_state state;
	struct errmsg reason;
	int64_t since_ms;
	int64_t last_progress_ms; /* monotonic: a record was copied, or nothing was waiting */
};

/* ---- link_status.c ---- */
/* Look at all that a link's state follows from, and tell when it has another: once a second, and
 * when something was done to it. The link is as bad as its worst partition, or cannot reach a
 * cluster. */
void link_judge(struct link *k);

/* ---- link_host.c ---- */
/* `host_ctx` is the struct link, a partition's `host_data` its slot. */
extern const struct partition_host link_host;

/* ---- two_way.c ---- */
/* With the setting `two_way`: follow the other link's tables, and ask who wrote a batch. Else
 * nothing is made. `begin` is called when two_way_ready becomes true. ERR_NOMEM, ERR_LIMIT (a name
 * that is too long). */
enum err two_way_new(struct link *k, void (*begin)(struct link *k)) ERR_MUST_USE;
/* Before the clients are freed, and after. */
void two_way_stop(struct link *k);
void two_way_free(struct link *k);
void two_way_on_metadata(struct link *k);
/* False: partitions may not start yet, `why` says what is waited for. */
bool two_way_ready(const struct link *k, struct errmsg *why);
/* True: batches wait whose origin cannot be asked about; `why`. */
bool two_way_problem(const struct link *k, struct errmsg *why);
enum origin_verdict two_way_origin(struct link *k, struct slot *slot, const struct batch_head *h);

/* ---- source.c ---- */
enum err source_new(struct link *k, struct source **out) ERR_MUST_USE;
void source_free(struct source *s);
/* Fetch from `offset`; results go to the partition. */
void source_fetch(struct source *s, struct slot *slot, int64_t offset, bool behind);
void source_stop(struct source *s, struct slot *slot);
/* A topic will be fetched soon: open the connections. */
void source_prepare(struct source *s, const char *topic);
/* Leaders may have moved: move the partitions after them. */
void source_on_metadata(struct source *s);

/* Once a second: show brokers that do not answer, and part the live from the idle. */
void source_tick(struct source *s);

/* ---- sender.c ---- */
enum err sender_new(struct link *k, struct sender **out) ERR_MUST_USE;
void sender_free(struct sender *s);
/* The partition has units to send. */
void sender_ready(struct sender *s, struct slot *slot);
void sender_forget(struct sender *s, struct slot *slot);
/* A topic will be written soon: open the connections. */
void sender_prepare(struct sender *s, const char *topic);
void sender_on_metadata(struct sender *s);
/* Once a second: show brokers that do not answer. */
void sender_tick(struct sender *s);
/* Requests in flight. */
size_t sender_in_flight(const struct sender *s);

/* ---- prober.c ---- */
enum err prober_new(struct link *k, struct prober **out) ERR_MUST_USE;
void prober_free(struct prober *b);
void prober_ask(struct prober *b, struct slot *slot, int32_t epoch);
void prober_forget(struct prober *b, struct slot *slot);

/* ---- journal.c ---- */
enum err journal_new(struct link *k, struct journal **out) ERR_MUST_USE;
/* Before the target's client is freed, and after. */
void journal_stop(struct journal *j);
void journal_free(struct journal *j);
/* Load all stored tables and the link's producer id (made and stored if there is none); `done`
 * comes once. */
void journal_load(struct journal *j, void (*done)(void *arg, enum err e, const struct errmsg *why),
		  void *arg);
/* The target's metadata are new. */
void journal_on_metadata(struct journal *j);
/* Begin to store the partition. ERR_OK: `out` is what was stored before (its runs are the
 * caller's). ERR_NOT_FOUND: nothing was. ERR_NOMEM: ask again. */
enum err journal_take(struct journal *j, struct slot *slot,
		      struct partition_stored *out) ERR_MUST_USE;
/* The partition's position changed; `now`: store at once and tell partition_on_stored. */
void journal_mark(struct journal *j, struct slot *slot, bool now);
void journal_forget(struct journal *j, struct slot *slot);
/* Store all that is not stored; true when nothing is left to store or under way. */
bool journal_flush(struct journal *j);

#endif
