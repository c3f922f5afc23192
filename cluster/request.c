/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: encoding, and the ways in which a request ends. */
#include "cluster/request.h"

#include "cluster/api.h"
#include "cluster/session.h"

enum {
	ANSWER_MAX = 256 << 20, /* bytes that an answer may take in memory */
	SPLICE_MIN = 4096,      /* smaller held records are copied */
};

void *request_response(struct request *r)
{
	return wire_array_new(&r->arena, wire_response(r->api->key)->body, 1);
}

static void answer(struct request *r, const void *response, size_t splice_min)
{
	struct errmsg why = {{0}};
	const struct wire_message *m = wire_response(r->api->key);
	wire_out_init(&r->answer, ANSWER_MAX, splice_min);
	wire_put_response_header(r->api->key, r->version, r->correlation_id, &r->answer);
	enum err e = wire_encode(m, r->version, response, &r->answer, &why);
	if (e == ERR_OK)
		e = r->answer.buf.err;
	if (e == ERR_OK) {
		session_answered(r->session, r);
		return;
	}
	wire_out_fini(&r->answer);
	wire_out_init(&r->answer, 0, 0);
	errmsg_wrap(&why, e, "%s v%d cannot be answered (%s)", wire_api_name(r->api->key),
		    r->version, err_text(e));
	session_hang_up(r->session, r, why.text);
}

void request_answer(struct request *r, const void *response)
{
	answer(r, response, 0);
}

void request_answer_held(struct request *r, const void *response, void (*release)(void *arg),
			 void *arg)
{
	r->release = release;
	r->release_arg = arg;
	answer(r, response, SPLICE_MIN);
}

void request_finish(struct request *r)
{
	session_answered(r->session, r);
}

void request_hang_up(struct request *r, const char *why)
{
	session_hang_up(r->session, r, why);
}

void request_no_memory(struct request *r)
{
	session_hang_up(r->session, r, "out of memory");
}

const char *request_client_host(const struct request *r)
{
	return session_host(r->session);
}

const char *request_advertised_host(const struct request *r)
{
	return session_endpoint(r->session)->host;
}

uint16_t request_advertised_port(const struct request *r)
{
	return session_endpoint(r->session)->port;
}
