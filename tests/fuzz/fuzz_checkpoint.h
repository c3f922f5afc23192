/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz_checkpoint.c and its seeds (checkpoint_seeds.c) agree on. */
#ifndef FARSHORE_TESTS_FUZZ_CHECKPOINT_H
#define FARSHORE_TESTS_FUZZ_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

enum { FUZZ_DELETION = 0xffff }; /* the value length of a deletion */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
