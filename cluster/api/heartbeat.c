/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat: a sign of life, answered with whether the member must rejoin. */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

void api_heartbeat(struct request *r)
{
	struct heartbeat_response *out = request_response(r);
	if (out == NULL) {
		request_no_memory(r);
		return;
	}
	enum err e = groups_heartbeat(broker_groups(r->broker), r->msg);
	out->error_code = err_to_kafka(e);
	request_answer(r, out);
}
