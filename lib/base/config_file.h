/* SPDX-License-Identifier: Apache-2.0 */
/* Reading configuration files: whole and bounded, and the native format (libconfig). */
#ifndef FARSHORE_BASE_CONFIG_FILE_H
#define FARSHORE_BASE_CONFIG_FILE_H

#include "lib/base/buf.h"
#include "lib/base/config.h"

enum { CONFIG_FILE_MAX = 4 * 1024 * 1024 }; /* bytes of a configuration file */

/*
 * Append the whole of a text file to `out` (the limit is the buffer's own) and a NUL that is not
 * counted. ERR_IO: cannot be read; ERR_LIMIT: too large; ERR_MALFORMED: has a NUL byte; ERR_NOMEM.
 * `why` names the file.
 */
enum err config_file_read(const char *file, struct buf *out, struct errmsg *why) ERR_MUST_USE;

/* True if a regular file (or a pipe) can be opened for reading; else `why` says what is wrong. */
bool config_file_readable(const char *file, struct errmsg *why);

/*
 * Put all settings of a native file. ERR_IO or ERR_LIMIT: it cannot be read; ERR_CONFIG: it is not
 * in libconfig's syntax; both with `why`. Unknown keys and wrong types are faults of `c`
 * (config_result). Files named with @include are looked up beside `file`.
 */
enum err config_file_load(struct config *c, const char *file, struct errmsg *why) ERR_MUST_USE;

#endif
