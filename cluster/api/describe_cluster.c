/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeCluster: this broker, as the listener that the request came in by advertises it. */
#include <stdio.h>

#include "cluster/api.h"
#include "cluster/api/changes.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

enum {
	ENDPOINT_BROKERS = 1,
	ENDPOINT_CONTROLLERS = 2,
	/* All operations on a cluster (AclEntry.supportedOperations). */
	CLUSTER_OPERATIONS = 8096,
};

static bool put_broker(struct request *r, struct describe_cluster_response *out)
{
	const struct broker_config *c = broker_config(r->broker);

	out->brokers = wire_array_new(&r->arena,
				      &wire_describe_cluster_response_describe_cluster_broker, 1);
	if (out->brokers == NULL)
		return false;
	out->brokers_n = 1;
	out->brokers->broker_id = c->node_id;
	out->brokers->host = bytes_str(request_advertised_host(r));
	out->brokers->port = request_advertised_port(r);
	out->brokers->rack = bytes_str(c->rack);
	out->cluster_id = bytes_str(store_cluster_id(broker_store(r->broker)));
	out->controller_id = c->node_id;
	return true;
}

void api_describe_cluster(struct request *r)
{
	const struct describe_cluster_request *in = r->msg;
	struct describe_cluster_response *out = request_response(r);
	struct errmsg why = {0};
	bool ok = out != NULL;

	snprintf(why.text, sizeof why.text, "Unsupported endpoint type %d", in->endpoint_type);
	if (ok && in->endpoint_type == ENDPOINT_CONTROLLERS) {
		out->error_code = err_to_kafka(ERR_KAFKA_MISMATCHED_ENDPOINT_TYPE);
		out->error_message =
			bytes_str("The request was sent to an endpoint of type BROKER, "
				  "but we wanted an endpoint of type CONTROLLER");
	} else if (ok && in->endpoint_type != ENDPOINT_BROKERS) {
		out->error_code = err_to_kafka(ERR_KAFKA_UNSUPPORTED_ENDPOINT_TYPE);
		out->error_message = changes_text(r, ERR_KAFKA_UNSUPPORTED_ENDPOINT_TYPE, &why);
	} else if (ok) {
		ok = put_broker(r, out);
		if (in->include_cluster_authorized_operations)
			out->cluster_authorized_operations = CLUSTER_OPERATIONS;
	}
	if (ok)
		request_answer(r, out);
	else
		request_no_memory(r);
}
