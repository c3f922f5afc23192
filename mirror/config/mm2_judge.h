/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on each key of an MM2 file. */
#ifndef FARSHORE_MIRROR_MM2_JUDGE_H
#define FARSHORE_MIRROR_MM2_JUDGE_H

#include "mirror/config/mm2_side.h"

/* A fault if the key is unknown or refused; a warning if it is ignored, has no effect where it
 * stands, or was set more than once. Nothing if it is mapped, or says what is done anyway. */
void mm2_judge_key(struct mm2 *m, const struct mm2_property *p);

#endif
