/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of MM2's internal topics. Input: which of the three (a byte, modulo 3), length of key (2
 * bytes), key, value. What is taken is written again as the same bytes.
 */
#include <assert.h>

#include "checkpoint/mm2_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf key_out, value_out;

static enum err again(uint8_t kind, struct bytes key, struct bytes value, struct errmsg *why)
{
	struct mm2_heartbeat h;
	struct mm2_offset_sync s;
	struct mm2_checkpoint c;
	enum err e = kind == 0   ? mm2_records_decode_heartbeat(key, value, &h, why)
		     : kind == 1 ? mm2_records_decode_offset_sync(key, value, &s, why)
				 : mm2_records_decode_checkpoint(key, value, &c, why);
	if (e != ERR_OK)
		return e;
	e = kind == 0   ? mm2_records_encode_heartbeat(&h, &key_out, &value_out)
	    : kind == 1 ? mm2_records_encode_offset_sync(&s, &key_out, &value_out)
			: mm2_records_encode_checkpoint(&c, &key_out, &value_out);
	assert(e == ERR_OK);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	size_t n = be16_get(data + 1);
	if (n > size - 3)
		return 0;
	struct bytes key = bytes_of(data + 3, n), value = bytes_of(data + 3 + n, size - 3 - n);
	struct errmsg why = {""};
	buf_init(&key_out, MM2_KEY_MAX);
	buf_init(&value_out, MM2_VALUE_MAX);
	enum err e = again(data[0] % 3, key, value, &why);
	if (e == ERR_OK)
		assert(bytes_eq(buf_bytes(&key_out), key) &&
		       bytes_eq(buf_bytes(&value_out), value));
	else
		assert((e == ERR_MALFORMED || e == ERR_UNSUPPORTED) && why.text[0] != '\0');
	buf_fini(&key_out);
	buf_fini(&value_out);
	return 0;
}
