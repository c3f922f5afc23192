/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version negotiation (KIP-35, KIP-511). A table indexed by API key; a broker may list keys that we
 * do not know, list a key twice, or give a nonsense range: none of that is fatal, a range that
 * holds no version is the same as an API that is not there.
 */
#include "lib/net/versions.h"

static const int16_t unsupported_version = 35; /* Errors.UNSUPPORTED_VERSION */

void versions_init(struct versions *v)
{
	for (int i = 0; i < VERSIONS_KEYS; i++)
		v->keys[i] = (struct versions_range){.min = 0, .max = -1};
}

void versions_learn(struct versions *v, const struct api_versions_response *answer)
{
	versions_init(v);
	for (int32_t i = 0; i < answer->api_keys_n; i++) {
		const struct api_versions_response_api_version *row = &answer->api_keys[i];
		if (row->api_key < 0 || row->api_key >= VERSIONS_KEYS || row->min_version < 0)
			continue;
		v->keys[row->api_key] = (struct versions_range){row->min_version, row->max_version};
	}
}

static int16_t min16(int16_t a, int16_t b)
{
	return a < b ? a : b;
}

int16_t versions_pick(const struct versions *v, int16_t api_key, int16_t max_version)
{
	const struct wire_message *m = wire_request(api_key);
	if (m == NULL || api_key < 0 || api_key >= VERSIONS_KEYS)
		return -1;
	const struct versions_range *r = &v->keys[api_key];
	int16_t best = min16(min16(r->max, m->max_version), max_version);
	return best < r->min || best < m->min_version ? -1 : best;
}

enum err versions_decode(struct bytes body, int16_t *version, struct arena *a,
			 struct api_versions_response *out, struct errmsg *why)
{
	const struct wire_message *m = &wire_api_versions_response;
	/* The error code comes first in every version. */
	bool unknown = body.n >= 2 && (int16_t)be16_get(body.p) == unsupported_version;
	if (!unknown)
		return wire_decode(m, *version, body, a, out, why);

	*version = 0;
	enum err e = wire_decode(m, 0, body, a, out, why);
	if (e == ERR_MALFORMED) {
		wire_init(m, out);
		out->error_code = unsupported_version;
		e = ERR_OK;
	}
	return e;
}

int16_t versions_next_try(const struct api_versions_response *answer, int16_t asked)
{
	if (asked <= 0)
		return -1;
	struct versions v;
	versions_learn(&v, answer);
	int16_t best = versions_pick(&v, WIRE_API_API_VERSIONS, (int16_t)(asked - 1));
	return best < 0 ? 0 : best;
}
