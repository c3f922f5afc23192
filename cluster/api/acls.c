/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeAcls, CreateAcls, DeleteAcls. There is no authorizer: everybody may do everything, and
 * each of these gets SECURITY_DISABLED, as from a Kafka without one (AclApis.scala). It is what
 * makes MirrorMaker 2 leave ACLs alone without an error in its log.
 */
#include "cluster/api.h"

#define TEXT "No Authorizer is configured."

void api_describe_acls(struct request *r)
{
	struct describe_acls_response *out = request_response(r);
	if (out == NULL) {
		request_no_memory(r);
		return;
	}
	out->error_code = err_to_kafka(ERR_KAFKA_SECURITY_DISABLED);
	out->error_message = bytes_str(TEXT);
	request_answer(r, out);
}

void api_create_acls(struct request *r)
{
	const struct create_acls_request *q = r->msg;
	struct create_acls_response *out = request_response(r);
	int32_t n = q->creations_n > 0 ? q->creations_n : 0;
	if (out != NULL)
		out->results = wire_array_new(&r->arena,
					      &wire_create_acls_response_acl_creation_result, n);
	if (out == NULL || out->results == NULL) {
		request_no_memory(r);
		return;
	}
	out->results_n = n;
	for (int32_t i = 0; i < n; i++) {
		out->results[i].error_code = err_to_kafka(ERR_KAFKA_SECURITY_DISABLED);
		out->results[i].error_message = bytes_str(TEXT);
	}
	request_answer(r, out);
}

void api_delete_acls(struct request *r)
{
	const struct delete_acls_request *q = r->msg;
	struct delete_acls_response *out = request_response(r);
	int32_t n = q->filters_n > 0 ? q->filters_n : 0;
	if (out != NULL)
		out->filter_results = wire_array_new(
			&r->arena, &wire_delete_acls_response_delete_acls_filter_result, n);
	if (out == NULL || out->filter_results == NULL) {
		request_no_memory(r);
		return;
	}
	out->filter_results_n = n;
	for (int32_t i = 0; i < n; i++) {
		out->filter_results[i].error_code = err_to_kafka(ERR_KAFKA_SECURITY_DISABLED);
		out->filter_results[i].error_message = bytes_str(TEXT);
	}
	request_answer(r, out);
}
