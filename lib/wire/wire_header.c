/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and response headers. Which version a header has follows from the API and its version:
 * request header 2 and response header 1 where the API is flexible, else 1 and 0 (KIP-482). One
 * exception: the header of an ApiVersions response is always version 0, for a client that asked in
 * a version that the broker does not know (KIP-511).
 */
#include "lib/wire/messages.h"

static bool api_flexible(const struct wire_message *m, int16_t version)
{
	return version >= m->flexible_from;
}

static int16_t response_header_version(int16_t api_key, int16_t version)
{
	const struct wire_message *m = wire_response(api_key);
	return m != NULL && api_key != WIRE_API_API_VERSIONS && api_flexible(m, version) ? 1 : 0;
}

/* Append; a fault sticks to the buffer. */
static void put_header(const struct wire_message *m, int16_t version, const void *h,
		       struct wire_out *out)
{
	enum err e = wire_encode(m, version, h, out, NULL);
	if (e != ERR_OK && out->buf.err == ERR_OK)
		out->buf.err = e;
}

void wire_put_request_header(const struct wire_request_header *h, struct wire_out *out)
{
	const struct wire_message *api = wire_request(h->api_key);
	const struct request_header head = {
		.request_api_key = h->api_key,
		.request_api_version = h->api_version,
		.correlation_id = h->correlation_id,
		.client_id = h->client_id,
	};
	bool flexible = api != NULL && api_flexible(api, h->api_version);
	put_header(&wire_request_header, flexible ? 2 : 1, &head, out);
}

enum err wire_get_request_header(struct bytes in, struct wire_request_header *h, size_t *used,
				 struct errmsg *why)
{
	*h = (struct wire_request_header){0};
	*used = 0;
	if (in.p == NULL || in.n < 8)
		return errmsg_set(why, ERR_MALFORMED, "request header cut short");
	h->api_key = (int16_t)be16_get(in.p);
	h->api_version = (int16_t)be16_get(in.p + 2);
	h->correlation_id = (int32_t)be32_get(in.p + 4);
	const struct wire_message *api = wire_request(h->api_key);
	if (api == NULL || api->min_version > api->max_version)
		return errmsg_set(why, ERR_UNSUPPORTED, "no API has the key %d", h->api_key);

	struct request_header head;
	struct arena none; /* headers have no arrays */
	arena_init(&none, 0);
	enum err e =
		wire_decode_prefix(&wire_request_header, api_flexible(api, h->api_version) ? 2 : 1,
				   in, &none, &head, used, why);
	if (e == ERR_OK)
		h->client_id = head.client_id;
	return e;
}

void wire_put_response_header(int16_t api_key, int16_t api_version, int32_t correlation_id,
			      struct wire_out *out)
{
	const struct response_header head = {.correlation_id = correlation_id};
	put_header(&wire_response_header, response_header_version(api_key, api_version), &head,
		   out);
}

enum err wire_get_response_header(struct bytes in, int16_t api_key, int16_t api_version,
				  int32_t *correlation_id, size_t *used, struct errmsg *why)
{
	struct response_header head;
	struct arena none; /* headers have no arrays */
	arena_init(&none, 0);
	enum err e = wire_decode_prefix(&wire_response_header,
					response_header_version(api_key, api_version), in, &none,
					&head, used, why);
	if (e == ERR_OK)
		*correlation_id = head.correlation_id;
	return e;
}
