/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of a client, from the frame to the answer.
 *
 * A handler gets a decoded request and answers it exactly once, at once or later, with one of the
 * functions below; the request is gone then. Answers leave the connection in the order of the
 * requests. Requests of a connection are begun one after the other: the next one when the earlier
 * are answered, except that Produce may follow Produce without waiting (their appends are in order,
 * only the syncs overlap).
 *
 * A handler that answers later sets `cancel`. It is called, once and instead of an answer, when the
 * connection ends first; the handler takes its waits back and the request is freed after the call.
 */
#ifndef FARSHORE_CLUSTER_REQUEST_H
#define FARSHORE_CLUSTER_REQUEST_H

#include "lib/base/arena.h"
#include "lib/base/frame.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

struct api;
struct broker;
struct session;

struct request {
	struct broker *broker;
	struct session *session;
	const struct api *api;
	int16_t version;
	int32_t correlation_id;
	struct bytes client_id; /* may be null; borrowed from the frame */
	const void *msg;        /* the decoded request: `const struct produce_request *` ... */
	struct arena arena;     /* the message lives here; the handler may use it, too */
	struct frame *frame;    /* the request's bytes; kept until it is answered */
	int64_t received_ms;    /* monotonic */
	void (*cancel)(struct request *r); /* the handler's; NULL: nothing to take back */
	void *state;                       /* the handler's */
	/* The session's. */
	struct request *next;
	struct wire_out answer;
	void (*release)(void *arg);
	void *release_arg;
	int status;
};

/* Encode the response message of this API in the request's version and send it in its turn. A
 * response that cannot be encoded closes the connection with one logged line. */
void request_answer(struct request *r, const void *response);

/* The same for a response with records that stay where they are (bytes or file ranges, see
 * struct wire_records): `release(arg)` is called once when they were sent, or never will be. */
void request_answer_held(struct request *r, const void *response, void (*release)(void *arg),
			 void *arg);

/* No answer (Produce with acks=0). */
void request_finish(struct request *r);

/* Close the connection instead of an answer; `why` is logged. */
void request_hang_up(struct request *r, const char *why);

/* The response message of the request's API at its defaults, in the request's arena; NULL when out
 * of memory (then call request_no_memory). */
void *request_response(struct request *r);

/* Out of memory while answering: closes the connection. */
void request_no_memory(struct request *r);

/* The client's address, "127.0.0.1": for group members. Lives as long as the session. */
const char *request_client_host(const struct request *r);

/* The listener that the request came in by: its advertised address goes into Metadata. */
const char *request_advertised_host(const struct request *r);
uint16_t request_advertised_port(const struct request *r);

#endif
