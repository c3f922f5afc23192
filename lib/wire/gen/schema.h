/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of schemas.txt: messages, their structs, the fields of those. What is built here was
 * checked: every type is known, structs nest without recursion, names do not clash.
 */
#ifndef FARSHORE_WIRE_GEN_SCHEMA_H
#define FARSHORE_WIRE_GEN_SCHEMA_H

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/wire/layout.h"

struct schema_struct;

struct schema_field {
	struct schema_field *next;
	const char *name;   /* "TopicId" */
	const char *c_name; /* "topic_id" */
	const char *type_name;
	enum wire_type type;
	struct schema_struct *sub; /* of WIRE_STRUCT */
	bool array;
	bool ignorable;
	bool inflexible;
	bool null_default;
	struct wire_versions versions;
	struct wire_versions nullable;
	int tag; /* -1: positional */
	int64_t def;
	unsigned line;
};

struct schema_struct {
	struct schema_struct *next;  /* of the message, as they stand in the file */
	struct schema_struct *order; /* of the message, each after those that it uses */
	const char *name;
	const char *c_name; /* without a message's "wire_" */
	struct schema_field *fields;
	size_t fields_n;
	size_t tagged_n;
	size_t min_wire;
	unsigned height; /* levels of structs, this one included */
	enum { SCHEMA_UNSEEN, SCHEMA_OPEN, SCHEMA_PLACED } visit;
};

enum schema_kind { SCHEMA_REQUEST, SCHEMA_RESPONSE, SCHEMA_DATA };

struct schema_message {
	struct schema_message *next;
	const char *name;
	enum schema_kind kind;
	int key; /* API key, or record type of data; -1 */
	struct wire_versions versions;
	int16_t flexible_from;
	bool latest_unstable;
	struct schema_struct *structs; /* the body first */
	struct schema_struct *first;   /* of the list by `order`; the body is last */
	unsigned line;
};

/* Parse and check the text of schemas.txt (changed while it is read: words are cut in place). The
 * model lives in `a`. ERR_MALFORMED: `why` names the line. ERR_NOMEM. */
enum err schema_parse(char *text, struct arena *a, struct schema_message **out,
		      struct errmsg *why) ERR_MUST_USE;

/* Complete a parsed message: bind struct types, order the structs, sort tagged fields, compute
 * sizes. */
enum err schema_check(struct schema_message *m, struct errmsg *why) ERR_MUST_USE;

#endif
