/* SPDX-License-Identifier: Apache-2.0 */
/* ListPartitionReassignments: on one node no partition is ever on its way to another. */
#include "cluster/api.h"
#include "lib/wire/messages.h"

void api_list_partition_reassignments(struct request *r)
{
	struct list_partition_reassignments_response *out = request_response(r);

	if (out == NULL) {
		request_no_memory(r);
		return;
	}
	out->error_message = bytes_of(NULL, 0);
	request_answer(r, out);
}
