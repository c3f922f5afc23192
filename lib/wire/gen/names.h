/* SPDX-License-Identifier: Apache-2.0 */
/* Names of C for names of Kafka. */
#ifndef FARSHORE_WIRE_GEN_NAMES_H
#define FARSHORE_WIRE_GEN_NAMES_H

#include "lib/base/arena.h"

/* "ThrottleTimeMs" -> "throttle_time_ms". Runs of capitals are one word ("HTTPPort" ->
 * "http_port"), KRaft is one word ("KRaftVersion" -> "kraft_version"), digits belong to the word
 * before
 * ("Enable2Pc" -> "enable2_pc"). NULL when out of memory. */
char *names_snake(struct arena *a, const char *name);

/* As names_snake, but a word that C reserves gets a trailing underscore. */
char *names_member(struct arena *a, const char *name);

/* "prefix_suffix"; NULL when out of memory. */
char *names_join(struct arena *a, const char *prefix, const char *suffix);

#endif
