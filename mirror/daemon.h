/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror's process: links, HTTP, signals, the memory limit, an orderly end. */
#ifndef FARSHORE_MIRROR_DAEMON_H
#define FARSHORE_MIRROR_DAEMON_H

#include "lib/base/log.h"
#include "mirror/config.h"

/*
 * Run until SIGTERM or SIGINT; then drain, store the positions, and return ERR_OK.
 * ERR_CONFIG: a setting that only shows when it is used (a certificate file, the HTTP address).
 * ERR_IO, ERR_NOMEM: could not start.
 */
enum err daemon_run(const struct mirror_config *config, struct log *log,
		    struct errmsg *why) ERR_MUST_USE;

#endif
