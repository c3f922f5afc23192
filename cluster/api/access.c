/* SPDX-License-Identifier: Apache-2.0 */
/* One order of checks for all handlers. */
#include "cluster/api/access.h"

enum err access_check(struct broker *b, const struct partition *p, int32_t current_epoch)
{
	if (p == NULL)
		return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (p->log == NULL)
		return ERR_KAFKA_KAFKA_STORAGE_ERROR;
	if (current_epoch >= 0 && current_epoch < p->leader_epoch)
		return ERR_KAFKA_FENCED_LEADER_EPOCH;
	if (current_epoch > p->leader_epoch)
		return ERR_KAFKA_UNKNOWN_LEADER_EPOCH;
	if (p->leader != broker_config(b)->node_id)
		return ERR_KAFKA_NOT_LEADER_OR_FOLLOWER;
	return ERR_OK;
}

int16_t access_code(enum err e)
{
	int16_t code = err_to_kafka(e);
	return e != ERR_OK && code == err_to_kafka(ERR_KAFKA_UNKNOWN_SERVER_ERROR)
		       ? err_to_kafka(ERR_KAFKA_KAFKA_STORAGE_ERROR)
		       : code;
}
