/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which versions of which API a broker speaks, as it said in its ApiVersions answer, and the choice
 * of a version that both sides know.
 */
#ifndef FARSHORE_NET_VERSIONS_H
#define FARSHORE_NET_VERSIONS_H

#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

enum {
	VERSIONS_FIRST_TRY = 3, /* known since Kafka 2.4; brokers before that get a second try */
	VERSIONS_KEYS = 128     /* keys from here on are ignored; Kafka 4.1 ends at 92 */
};

struct versions_range {
	int16_t min;
	int16_t max; /* min > max: the broker does not know the API */
};

struct versions {
	struct versions_range keys[VERSIONS_KEYS];
};

/* Nothing is known. */
void versions_init(struct versions *v);

/* Fill in from a good answer; what was there is forgotten. */
void versions_learn(struct versions *v, const struct api_versions_response *answer);

/* The highest version of `api_key` that the broker, the schemas and `max_version` share; -1 if
 * there is none. */
int16_t versions_pick(const struct versions *v, int16_t api_key, int16_t max_version);

/*
 * Decode the body of an ApiVersions answer. `*version` is the version that was asked for, and then
 * the one that the answer has: a broker that does not know the version asked answers in version 0
 * with error 35 and, since Kafka 2.4, with its own range (KIP-511). An error-35 answer that does
 * not read as version 0 gives an answer with this error and an empty list. Errors: wire_decode's.
 */
enum err versions_decode(struct bytes body, int16_t *version, struct arena *a,
			 struct api_versions_response *out, struct errmsg *why) ERR_MUST_USE;

/* The version to ask with after an answer with error 35 to version `asked`; -1: give up. */
int16_t versions_next_try(const struct api_versions_response *answer, int16_t asked);

#endif
