/* SPDX-License-Identifier: Apache-2.0 */
/* What cmocka.h wants before it. */
#ifndef FARSHORE_TESTS_UNIT_H
#define FARSHORE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
