/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka message codec. Layouts come from lib/wire/schemas.txt only: a generator turns them into
 * messages.h (one struct per message, serving all its versions) and into the tables that this codec
 * walks.
 *
 * Generated names. Message FetchRequest is `struct fetch_request`; a struct inside it named
 * FetchTopic is `struct fetch_request_fetch_topic`; fields are snake_case (TopicId topic_id,
 * Enable2Pc enable2_pc, KRaftVersion kraft_version; a word that C reserves gets a trailing
 * underscore). Types:
 *   bool int8 int16 uint16 int32 uint32 int64 float64   bool, int8_t, ... double
 *   uuid            struct uuid
 *   string, bytes   struct bytes; p == NULL is null
 *   records         struct wire_records
 *   []T             `T *name; int32_t name_n;` name_n == -1 is null
 *   struct          embedded by value; a nullable one is followed by `bool name_present;`
 * Each message has a table `wire_fetch_request` (struct wire_message) and each struct one, such as
 * `wire_fetch_request_fetch_topic` (struct wire_struct), for wire_array_new. API keys are
 * WIRE_API_FETCH and so on.
 */
#ifndef FARSHORE_WIRE_WIRE_H
#define FARSHORE_WIRE_WIRE_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct wire_struct;

/* A message: its key, its versions, its layout. Tables are constant and generated. */
struct wire_message {
	const char *name;    /* as in Kafka: "FetchRequest" */
	int16_t api_key;     /* -1 for headers and for data that travels inside records */
	int16_t record_type; /* of a metadata or coordinator record; else -1 */
	int16_t min_version; /* min > max: no version is valid (an API that Kafka removed) */
	int16_t max_version;
	int16_t flexible_from; /* INT16_MAX: never */
	bool latest_unstable;  /* max_version is not released yet: a broker does not offer it */
	const struct wire_struct *body;
};

/* A range of an open file. */
struct wire_file {
	int fd;
	int64_t position;
	size_t n;
};

/* Record bytes of a fetch or produce partition. A decoder gives one slice in `data`; an encoder
 * sends `data`, then `more` (a re-stamped batch head, then the payload where it lies). `data.p ==
 * NULL` is null. With `file.n > 0` it sends that range of the file instead, and `data` and `more`
 * must be empty: the bytes are not read into memory where the connection is plain. */
struct wire_records {
	struct bytes data;
	struct bytes more;
	struct wire_file file;
};

/* The request or response layout of an API key; NULL if the key is unknown. An API that Kafka
 * removed has a layout without versions. */
const struct wire_message *wire_request(int16_t api_key);
const struct wire_message *wire_response(int16_t api_key);

/* The API's name for people ("Fetch"), or "unknown". */
const char *wire_api_name(int16_t api_key);

/* Set every field of a message to its default. Where the schema names none that is zero, the empty
 * string or array (not null), and null for records. */
void wire_init(const struct wire_message *m, void *msg);

/* `n` elements, each set to its defaults, in the arena; NULL when out of memory or n < 0. With a
 * message's `body` and n = 1 it makes a message whose type is known at run time only. */
void *wire_array_new(struct arena *a, const struct wire_struct *s, int32_t n);

/*
 * Decode the body `in` (no header, no length prefix) of version `version` into `*msg`, the
 * message's struct; it need not be initialised: fields that the version lacks get their defaults.
 * Strings, bytes and records borrow from `in`; arrays live in `a`. All bytes must be consumed.
 * Unknown tagged fields are skipped. ERR_UNSUPPORTED: no such version. ERR_MALFORMED: `why` says
 * which field at which byte, and `*msg` must not be read. ERR_NOMEM or ERR_LIMIT: the arena is
 * full; counts are bounded by the bytes left before anything is allocated. `why` may be NULL.
 */
enum err wire_decode(const struct wire_message *m, int16_t version, struct bytes in,
		     struct arena *a, void *msg, struct errmsg *why) ERR_MUST_USE;

/* As wire_decode for a payload that may be followed by other bytes; `*used` is how many it took. */
enum err wire_decode_prefix(const struct wire_message *m, int16_t version, struct bytes in,
			    struct arena *a, void *msg, size_t *used,
			    struct errmsg *why) ERR_MUST_USE;

/* A piece of a message that is not copied: `bytes`, or the range of a file where `file.n > 0`, goes
 * before the byte at offset `at` of the encoded buffer (which does not count splices). Splices
 * stand in sending order; several may share an `at`. */
struct wire_splice {
	size_t at;
	struct bytes bytes;
	struct wire_file file;
};

/* Where an encoder writes. Record slices of at least `splice_min` bytes are not copied into `buf`
 * but noted in `splices` (the caller keeps them alive until the message is sent); 0 copies
 * everything but file ranges, which are always noted, and whose file the caller keeps open. The
 * message is buf.len + splice_bytes long; only `buf` counts against its maximum. */
struct wire_out {
	struct buf buf;
	struct wire_splice *splices;
	size_t splices_n;
	size_t splices_cap;
	size_t splice_min;
	size_t splice_bytes; /* sum of the splices' lengths */
};

void wire_out_init(struct wire_out *o, size_t max, size_t splice_min);
void wire_out_fini(struct wire_out *o);

/*
 * Append the encoding of `msg` in `version`. Use wire_init first: a zeroed struct is not a message
 * at its defaults.
 * ERR_UNSUPPORTED: no such version; or a field that is not at its default does not exist in that
 * version and may not be dropped; or a null where that version allows none; `why` (may be NULL)
 * names the field. ERR_LIMIT: over the maximum, a string over 32767 bytes, more than a frame can
 * hold. ERR_NOMEM. After an error `out` is as before, but for a sticky buf.err.
 */
enum err wire_encode(const struct wire_message *m, int16_t version, const void *msg,
		     struct wire_out *out, struct errmsg *why) ERR_MUST_USE;

/* Request header, any version (RequestHeader.json; KIP-482). `client_id` may be null. */
struct wire_request_header {
	int16_t api_key;
	int16_t api_version;
	int32_t correlation_id;
	struct bytes client_id;
};

/* Append the header that fits the API version (v1, or v2 when flexible). A fault sticks to
 * out->buf.err. */
void wire_put_request_header(const struct wire_request_header *h, struct wire_out *out);

/* Read a request header from the start of `in`; `*used` is its length; `client_id` borrows from
 * `in`. The version is not checked: the caller compares it with what it serves. An unknown or
 * removed API key gives ERR_UNSUPPORTED with api_key, api_version and correlation_id read, a fault
 * after those ERR_MALFORMED likewise. */
enum err wire_get_request_header(struct bytes in, struct wire_request_header *h, size_t *used,
				 struct errmsg *why) ERR_MUST_USE;

/* The same for response headers. The header of an ApiVersions response is always version 0
 * (KIP-511). */
void wire_put_response_header(int16_t api_key, int16_t api_version, int32_t correlation_id,
			      struct wire_out *out);
enum err wire_get_response_header(struct bytes in, int16_t api_key, int16_t api_version,
				  int32_t *correlation_id, size_t *used,
				  struct errmsg *why) ERR_MUST_USE;

#endif
