/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as tests need them: filled at random, and compared field by field. Both walk the layout
 * tables, but share no code with the codec.
 */
#ifndef FARSHORE_TESTS_WIRE_MESSAGE_H
#define FARSHORE_TESTS_WIRE_MESSAGE_H

#include "lib/wire/layout.h"

/* Random numbers by seed (splitmix64). */
struct message_rng {
	uint64_t state;
};
uint64_t message_random(struct message_rng *r);

/* FARSHORE_SEED from the environment, else the time. Printed, so that a failure can be repeated. */
uint64_t message_seed(void);

/* A message of `version`: random values in the fields that the version has, defaults elsewhere. All
 * memory is the arena's. NULL when that is full. */
void *message_new(const struct wire_message *m, int16_t version, struct arena *a,
		  struct message_rng *rng);

/* Equal in every field. */
bool message_eq(const struct wire_message *m, const void *a, const void *b);

/* Give one field of a struct, which is no plain struct itself, a value that is not its default. */
void message_spoil(const struct wire_field *f, void *base, struct arena *a);

#endif
