/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks for metadata: when told to, and at the latest after a while. One request at a time; asks
 * that come meanwhile make one more.
 */
#ifndef FARSHORE_CLIENT_REFRESHER_H
#define FARSHORE_CLIENT_REFRESHER_H

#include "lib/client/brokers.h"

struct refresher;

struct refresher_options {
	struct brokers *brokers; /* borrowed */
	const char *cluster;     /* alias, for log lines; borrowed */
	int64_t timeout_ms;
	int64_t max_age_ms;
	int64_t backoff_min_ms;
	int64_t backoff_max_ms;
};

/* Takes an answer in. An error means that it was not applied: another one is asked for after a
 * back-off, and ERR_MALFORMED, ERR_LIMIT or ERR_KAFKA_INCONSISTENT_CLUSTER_ID close the connection
 * that it came from. May free the refresher's owner: see refresher_close. */
typedef enum err refresher_apply(void *arg, const struct metadata_response *r, struct errmsg *why);

/* Asks for the first answer as soon as a broker is ready. NULL when out of memory. */
struct refresher *refresher_new(struct loop *l, const struct refresher_options *o,
				refresher_apply *apply, void *arg);

/* Stop: apply is not called any more. */
void refresher_close(struct refresher *r);
/* After refresher_close, when no caller of it is on the stack any more. NULL is safe. */
void refresher_free(struct refresher *r);

/* Ask soon. The time between two requests is at least the smallest back-off. */
void refresher_ask(struct refresher *r);

/* A broker became ready: ask now if that is what was missing. */
void refresher_kick(struct refresher *r);

/* What is asked for; see client.h. */
void refresher_follow_all(struct refresher *r);
enum err refresher_follow(struct refresher *r, const char *topic) ERR_MUST_USE;
void refresher_unfollow(struct refresher *r, const char *topic);

#endif
