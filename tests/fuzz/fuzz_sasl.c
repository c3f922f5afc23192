/* SPDX-License-Identifier: Apache-2.0 */
/* What a SCRAM server says, as its first and as its last message. The signature is never accepted,
 * since it depends on a password that is not in the seeds. */
#include <stdlib.h>

#include "lib/net/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct bytes first, struct bytes final)
{
	const struct rpc_sasl c = {"SCRAM-SHA-256", "user", "not in the seeds"};
	struct errmsg why = {0};
	struct sasl *s = NULL;
	struct buf out;
	buf_init(&out, SASL_MESSAGE_MAX);
	if (sasl_new(&c, "fyko+d2lbbFgONRv9qkxdawL", &s, &why) != ERR_OK ||
	    sasl_put(s, &out) != ERR_OK)
		abort();
	enum err e = sasl_take(s, first, &why);
	if (e == ERR_OK && final.p != NULL) {
		if (sasl_compute(s) != ERR_OK || sasl_put(s, &out) != ERR_OK)
			abort();
		if (sasl_take(s, final, &why) == ERR_OK)
			abort();
	}
	sasl_free(s);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char good[] =
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
	run(bytes_of(data, size), bytes_of(NULL, 0));
	/* Deriving keys is slow: only for what can be a last message. */
	if (size > 0 && (data[0] == 'v' || data[0] == 'e'))
		run(bytes_str(good), bytes_of(data, size));
	return 0;
}
