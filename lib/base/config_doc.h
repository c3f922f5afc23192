/* SPDX-License-Identifier: Apache-2.0 */
/* What a program tells about its settings: the sample file, the manual page, the dump. All of it is
 * made from the table. */
#ifndef FARSHORE_BASE_CONFIG_DOC_H
#define FARSHORE_BASE_CONFIG_DOC_H

#include "lib/base/config.h"

/* A value that stands in the sample file as a live line. Objects of named sections exist in the
 * sample if an example names them. */
struct config_doc_example {
	const char *section, *name, *key, *value;
};

/* A native file: the first object of each section shows every setting with its help, commented out
 * unless there is an example for it. */
void config_doc_sample(const struct config_schema *s, const struct config_doc_example *examples,
		       size_t examples_n, FILE *out);

/* Markdown: a heading and a table for each section. */
void config_doc_manual(const struct config_schema *s, FILE *out);

/* One "path = value" line for each setting of a filled object; secrets as "(secret)"; nothing for
 * texts that are not set. */
void config_doc_dump(const struct config_schema *s, const char *section, const char *name,
		     const void *object, FILE *out);

#endif
