/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that Apache Kafka 4.1 and five clients exchanged (tests/fixtures/frames.txt), one per
 * line: "req|rsp apiKey version hex", without the length prefix; a response's version is its
 * request's.
 */
#ifndef FARSHORE_TESTS_WIRE_FRAMES_H
#define FARSHORE_TESTS_WIRE_FRAMES_H

#include "lib/base/bytes.h"
#include "lib/wire/wire.h"

struct frames_item {
	bool request;
	int16_t api_key;
	int16_t version;
	uint8_t *data; /* a block of its own of exactly n bytes, so that ASan sees an overrun */
	size_t n;
};

struct frames {
	struct frames_item *items;
	size_t n;
};

/* Read the file; aborts with a message when it cannot be read or has a bad line. */
struct frames frames_load(const char *path);
void frames_free(struct frames *f);

/* The layout of a frame's body. */
const struct wire_message *frames_message(const struct frames_item *f);

/* Read the frame's header; `*used` is its length. */
enum err frames_header(const struct frames_item *f, size_t *used, struct errmsg *why);

#endif
