/* SPDX-License-Identifier: Apache-2.0 */
/* The schema's version 0 is decoded as a prefix; what follows is of no interest. */
#include "cluster/group/subscription.h"

#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

enum {
	VERSION = 2,           /* bytes of the version in front */
	MEMORY_MAX = 16 << 20, /* of the decoded list; the bytes were bounded when they came in */
};

enum err subscription_topics(struct bytes metadata, struct map *out)
{
	static const char marker;
	struct consumer_protocol_subscription s;
	struct arena arena;
	size_t used;

	if (metadata.p == NULL || metadata.n < VERSION || (int16_t)be16_get(metadata.p) < 0)
		return ERR_MALFORMED;
	arena_init(&arena, MEMORY_MAX);
	enum err e = wire_decode_prefix(&wire_consumer_protocol_subscription, 0,
					bytes_of(metadata.p + VERSION, metadata.n - VERSION),
					&arena, &s, &used, NULL);
	for (int32_t i = 0; e == ERR_OK && i < s.topics_n; i++)
		e = map_put(out, s.topics[i], (void *)(uintptr_t)&marker);
	arena_fini(&arena);
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_MALFORMED;
}
