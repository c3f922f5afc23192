/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fault shim and the tests that drive it share: one file, mapped by both, so that faults
 * can be armed while the program runs and counts survive SIGKILL. tests/fault/shim.py has the same
 * layout; all fields are little-endian and 8 bytes.
 *
 * OFFSET field
 *      0 calls        disk calls of the masked kinds so far
 *      8 call_at      the call (1, 2, ...) at which the fault is done; 0: never
 *     16 call_n       how many calls in a row fail from there on (EIO and ENOSPC)
 *     24 action       enum fault_action
 *     32 mask         kinds of calls that count, 1 << enum fault_kind
 *     40 allocs       allocations so far, while alloc_at is not 0
 *     48 alloc_at     the allocation that fails; 0: none
 *     56 alloc_n      how many in a row
 *     64 fired        faults done
 *     72 fired_kind   enum fault_kind of the last one
 *     80 fired_path   of the last one, up to 255 bytes and NUL
 */
#ifndef FARSHORE_TESTS_FAULT_SHIM_H
#define FARSHORE_TESTS_FAULT_SHIM_H

#include <stdint.h>

enum fault_kind {
	FAULT_OPEN, /* for writing */
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_TRUNCATE,
	FAULT_RENAME,
	FAULT_UNLINK, /* and rmdir */
	FAULT_LINK,
	FAULT_MKDIR,
	FAULT_ALLOCATE, /* fallocate */
	FAULT_READ      /* open for reading, read, sendfile */
};

enum fault_action {
	FAULT_KILL_BEFORE, /* SIGKILL instead of the call */
	FAULT_KILL_AFTER,
	FAULT_KILL_HALF, /* a write: half of the bytes, then SIGKILL; others: as KILL_AFTER */
	FAULT_EIO,
	FAULT_ENOSPC,
	FAULT_SHORT /* a write: half of the bytes, and says so; others: nothing happens */
};

struct fault_control {
	uint64_t calls, call_at, call_n, action, mask;
	uint64_t allocs, alloc_at, alloc_n;
	uint64_t fired, fired_kind;
	char fired_path[256];
};

#endif
