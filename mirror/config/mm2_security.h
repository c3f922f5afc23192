/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and SASL of one end of a flow, from Kafka's settings to native ones. */
#ifndef FARSHORE_MIRROR_MM2_SECURITY_H
#define FARSHORE_MIRROR_MM2_SECURITY_H

#include "mirror/config/mm2_side.h"

void mm2_security_put(const struct mm2_side *s);

#endif
