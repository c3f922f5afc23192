/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror's process: links, HTTP, signals, the memory limit, an orderly end. */
#ifndef FARSHORE_MIRROR_DAEMON_H
#define FARSHORE_MIRROR_DAEMON_H

#include "lib/base/log.h"
#include "mirror/config/config.h"

/*
 * Keep SIGTERM, SIGINT and SIGHUP from ending the process until daemon_run takes them up; the first
 * thing that a program does.
 */
void daemon_signals_block(void);

/*
 * Run until SIGTERM or SIGINT; then drain, store the positions, and return ERR_OK. SIGHUP loads
 * `source`, where `config` came from, again, and takes over the settings that reload.
 * ERR_CONFIG: a setting that only shows when it is used (a certificate file, the HTTP address).
 * ERR_IO, ERR_NOMEM: could not start.
 */
enum err daemon_run(const struct mirror_config *config, const struct config_source *source,
		    struct log *log, struct errmsg *why) ERR_MUST_USE;

#endif
