/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fixtures/metadata-records.txt: records as Apache Kafka wrote them. */
#ifndef FARSHORE_TESTS_FIXTURE_RECORDS_H
#define FARSHORE_TESTS_FIXTURE_RECORDS_H

#include <stddef.h>
#include <stdint.h>

enum { FIXTURE_RECORDS_MAX = 64 };

struct fixture_record {
	char kind[40];
	int64_t offset;
	uint8_t value[1024];
	size_t n;
};

/* How many there are in `out`; ends the program if the file cannot be read. */
size_t fixture_records_load(const char *path, struct fixture_record out[FIXTURE_RECORDS_MAX]);

#endif
