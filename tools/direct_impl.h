/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of direct*.c. */
#ifndef FARSHORE_TOOLS_DIRECT_IMPL_H
#define FARSHORE_TOOLS_DIRECT_IMPL_H

#include "lib/client/client.h"
#include "tools/direct.h"

struct tls_ctx;

/* One question under way. It lives in the struct direct, since an answer may still come when nobody
 * waits any more. */
struct direct_ask {
	bool done;
	enum err err;
	struct errmsg why;
};

struct direct_side {
	const struct cluster_config *config;
	struct client *client;
	struct tls_ctx *tls;
	struct metadata_request hello_msg;
	struct direct_ask hello;
	struct errmsg problem; /* why it cannot be asked; "" */
};

struct direct {
	const struct link_config *link;
	struct loop *loop;
	int64_t deadline; /* monotonic ms */
	struct direct_side source, target;
	struct run_store *store;
	const char *want_topic; /* NULL: all */
	int32_t want_partition;
	unsigned lost;
	struct arena arena; /* names that answers hold */
	struct direct_ask ask;

	/* reading the tables */
	int64_t read_at, read_end;

	/* where a log ends */
	struct list_offsets_request ends_msg;
	struct list_offsets_request_list_offsets_topic ends_topic;
	struct list_offsets_request_list_offsets_partition ends_part;
	int64_t end;

	/* a group's offsets */
	const char *group;
	int32_t coordinator;
	struct direct_offset *offsets;
	size_t offsets_n, offsets_cap;
};

struct direct_offset {
	const char *topic;
	int32_t partition;
	int64_t offset;
	enum err err;
};

/* Wait until the question is answered: its error, or ERR_TIMEOUT. `what` is put before `why`. */
enum err direct_wait(struct direct *d, struct direct_ask *ask, const char *what,
		     struct errmsg *why) ERR_MUST_USE;

/* Begin a question: `d->ask`, reset. */
struct direct_ask *direct_begin(struct direct *d);

/* Wait a little before the same is asked again. False: the deadline has come. */
bool direct_pause(struct direct *d);

enum { DIRECT_TEXT_MAX = 512 }; /* of a problem in an answer */

#endif
