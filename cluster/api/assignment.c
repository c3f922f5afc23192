/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas that clients choose themselves; see assignment.h. */
#include "cluster/api/assignment.h"

#include <inttypes.h>

enum err assignment_check(int32_t self, const int32_t *brokers, int32_t n, struct errmsg *why)
{
	if (n <= 0)
		return errmsg_set(
			why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
			"The manual partition assignment includes an empty replica list.");
	for (int32_t i = 0; i < n; i++)
		if (brokers[i] != self)
			return errmsg_set(why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
					  "The manual partition assignment includes broker %" PRId32
					  ", but no such broker is registered.",
					  brokers[i]);
	if (n > 1)
		return errmsg_set(why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
				  "The manual partition assignment includes the broker %" PRId32
				  " more than once.",
				  self);
	return ERR_OK;
}
