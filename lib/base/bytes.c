/* SPDX-License-Identifier: Apache-2.0 */
/* Printing of topic ids (org.apache.kafka.common.Uuid: url-safe base64, no padding), UTF-8,
 * blanks. */
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

struct bytes bytes_trim(struct bytes s)
{
	while (s.n > 0 && s.p[0] <= ' ')
		s = bytes_of(s.p + 1, s.n - 1);
	while (s.n > 0 && s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

size_t bytes_utf8(struct bytes s, size_t at)
{
	if (at >= s.n)
		return 0;
	const uint8_t *p = s.p + at;
	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (n == 0 || n > s.n - at)
		return 0;
	/* The first byte narrows the range of the second (RFC 3629, section 4). */
	uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}
