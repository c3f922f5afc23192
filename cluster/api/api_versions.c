/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApiVersions: what this broker serves. A version that it does not know gets error 35 in version 0
 * with the one API whose versions the client needs to ask again (KIP-511); such a request has no
 * message.
 */
#include <ctype.h>

#include "cluster/api.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

/* MetadataVersion's levels: 3.3-IV3, the lowest that Kafka 4.1 supports, and 4.1-IV1. */
enum { LEVEL_MIN = 7, LEVEL_MAX = 27, SOFTWARE_FROM = 3 };

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? (ApiVersionsRequest.java) */
static bool is_software(struct bytes s)
{
	if (s.n == 0 || !isalnum(s.p[0]) || !isalnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return true;
}

static bool put_keys(struct request *r, struct api_versions_response *out, bool own_only)
{
	size_t n;
	const struct api *all = api_all(&n);
	const struct wire_struct *s = &wire_api_versions_response_api_version;
	out->api_keys = wire_array_new(&r->arena, s, (int32_t)n);
	if (out->api_keys == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (own_only && all[i].key != WIRE_API_API_VERSIONS)
			continue;
		out->api_keys[out->api_keys_n++] = (struct api_versions_response_api_version){
			.api_key = all[i].key,
			.min_version = all[i].advertised_min,
			.max_version = all[i].max,
		};
	}
	return true;
}

/* metadata.version alone: no feature that would make clients use transactions of the second kind or
 * the group protocol of KIP-848. */
static bool put_features(struct request *r, struct api_versions_response *out)
{
	const struct wire_struct *supported = &wire_api_versions_response_supported_feature_key;
	const struct wire_struct *finalized = &wire_api_versions_response_finalized_feature_key;
	out->supported_features = wire_array_new(&r->arena, supported, 1);
	out->finalized_features = wire_array_new(&r->arena, finalized, 1);
	if (out->supported_features == NULL || out->finalized_features == NULL)
		return false;
	const struct metadata *m = broker_metadata(r->broker);
	struct bytes name = bytes_str("metadata.version");
	int16_t level = metadata_version(m);
	out->supported_features_n = 1;
	out->finalized_features_n = level > 0;
	*out->supported_features = (struct api_versions_response_supported_feature_key){
		.name = name, .min_version = LEVEL_MIN, .max_version = LEVEL_MAX};
	*out->finalized_features = (struct api_versions_response_finalized_feature_key){
		.name = name, .min_version_level = level, .max_version_level = level};
	out->finalized_features_epoch = metadata_offset(m);
	return true;
}

void api_api_versions(struct request *r)
{
	const struct api_versions_request *in = r->msg;
	struct api_versions_response *out = request_response(r);
	if (out == NULL) {
		request_no_memory(r);
		return;
	}
	bool fits = true;
	if (in == NULL) {
		out->error_code = err_to_kafka(ERR_KAFKA_UNSUPPORTED_VERSION);
		fits = put_keys(r, out, true);
	} else if (r->version >= SOFTWARE_FROM && (!is_software(in->client_software_name) ||
						   !is_software(in->client_software_version))) {
		out->error_code = err_to_kafka(ERR_KAFKA_INVALID_REQUEST);
	} else {
		fits = put_keys(r, out, false) &&
		       (r->version < SOFTWARE_FROM || put_features(r, out));
	}
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
