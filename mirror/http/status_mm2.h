/* SPDX-License-Identifier: Apache-2.0 */
/* MM2's metrics of its source connector, under the names that the Prometheus JMX exporter makes of
 * them and dashboards read. */
#ifndef FARSHORE_MIRROR_STATUS_MM2_H
#define FARSHORE_MIRROR_STATUS_MM2_H

#include "lib/base/metrics.h"
#include "mirror/http/status.h"

/* Write them: for each partition that copied something since the start. */
void status_mm2_metrics(const struct status_source *s, struct metrics *m);

#endif
