/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An MM2 file as native settings. Each flow that the file names becomes a link; each of its ends
 * becomes a cluster of its own in the store of settings, since flows may differ in their client
 * settings.
 */
#ifndef FARSHORE_MIRROR_CONFIG_MM2_H
#define FARSHORE_MIRROR_CONFIG_MM2_H

#include "lib/base/config.h"

/* Put all settings of an MM2 file. What is ignored is told in `warnings`; unknown and refused keys
 * are faults of `c`. ERR_IO, ERR_LIMIT: cannot be read; ERR_CONFIG: no .properties file; ERR_NOMEM.
 */
enum err config_mm2_load(struct config *c, const char *file, FILE *warnings,
			 struct errmsg *why) ERR_MUST_USE;

/* The name under "clusters" of one end of a link. */
void config_mm2_side_name(char *out, size_t size, const char *link, bool source);

/* The part of docs/configuration.md about MM2 files. */
void config_mm2_manual(FILE *out);

#endif
