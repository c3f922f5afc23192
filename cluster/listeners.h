/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets of the broker, with their certificates and the addresses that they tell. */
#ifndef FARSHORE_CLUSTER_LISTENERS_H
#define FARSHORE_CLUSTER_LISTENERS_H

#include "cluster/broker.h"
#include "cluster/session.h"

struct listeners;

/* Bind all. Connections wait in the system's queue until the loop runs, and go to `all`.
 * ERR_CONFIG: a certificate or a host name; ERR_IO: an address cannot be used; ERR_NOMEM. */
enum err listeners_new(struct loop *l, const struct broker_config *c, struct sessions *all,
		       struct listeners **out, struct errmsg *why) ERR_MUST_USE;

/* Read the certificates as listeners_new would. ERR_CONFIG: which listener, which file and why;
 * ERR_NOMEM. */
enum err listeners_check(const struct broker_config *c, struct errmsg *why) ERR_MUST_USE;

/* Listen no more. What sessions borrow stays. */
void listeners_stop(struct listeners *ls);

/* After all sessions are gone. NULL is safe. */
void listeners_free(struct listeners *ls);

size_t listeners_n(const struct listeners *ls);
const struct endpoint *listeners_endpoint(const struct listeners *ls, size_t i);
/* The port that is listened on. */
uint16_t listeners_port(const struct listeners *ls, size_t i);

#endif
