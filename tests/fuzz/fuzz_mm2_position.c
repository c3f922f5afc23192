/* SPDX-License-Identifier: Apache-2.0 */
/* Stored positions of MirrorMaker 2. Input: length of the key (2 bytes), key, value. */
#include <assert.h>
#include <string.h>

#include "mirror/link/mm2_position.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t n = be16_get(data);
	if (n > size - 2)
		return 0;
	struct mm2_position p;
	struct errmsg why = {""};
	struct bytes value = bytes_of(data + 2 + n, size - 2 - n);
	if (value.n == 0)
		value.p = NULL;
	enum err e = mm2_position_decode(bytes_of(data + 2, n), value, &p, &why);
	if (e != ERR_OK) {
		assert(why.text[0] != '\0');
		return 0;
	}
	assert(p.partition >= 0 && p.offset >= -1 && p.offset < INT64_MAX);
	assert(strlen(p.topic) > 0 && strlen(p.topic) <= MM2_POSITION_TOPIC_MAX);
	assert(strlen(p.cluster) > 0);
	return 0;
}
