/* SPDX-License-Identifier: Apache-2.0 */
/* Printing of topic ids (org.apache.kafka.common.Uuid: url-safe base64, no padding). */
#include "lib/base/bytes.h"

void uuid_format(const struct uuid *u, char out[23])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t acc = 0;
	unsigned bits = 0, o = 0;

	for (unsigned i = 0; i < 16; i++) {
		acc = acc << 8 | u->b[i];
		bits += 8;
		while (bits >= 6) {
			bits -= 6;
			out[o++] = digits[acc >> bits & 63];
		}
	}
	out[o++] = digits[acc << (6 - bits) & 63];
	out[o] = '\0';
}
