/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the C of checked schemas. */
#ifndef FARSHORE_WIRE_GEN_EMIT_H
#define FARSHORE_WIRE_GEN_EMIT_H

#include "lib/base/buf.h"
#include "lib/wire/gen/schema.h"

/* Append messages.h: the structs and the declarations of the tables. Errors stick to `out`. */
void emit_header(const struct schema_message *first, struct buf *out);

/* Append messages.c: the tables, and those that find a message by API key. */
void emit_source(const struct schema_message *first, struct buf *out);

#endif
