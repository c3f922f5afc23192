/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, and
 * the authors' reference for the long output). With a random key nobody can make two inputs
 * collide, and 128 bits do not collide by chance: a table of hashes can stand for a table of keys.
 */
#ifndef FARSHORE_CLUSTER_LOG_KEY_HASH_H
#define FARSHORE_CLUSTER_LOG_KEY_HASH_H

#include "lib/base/bytes.h"

struct key_hash {
	uint64_t a, b;
};

struct key_hash key_hash_of(const uint64_t key[2], struct bytes data);

#endif
