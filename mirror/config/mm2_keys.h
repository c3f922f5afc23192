/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of a MirrorMaker 2 file, and what becomes of it. Data only. */
#ifndef FARSHORE_MIRROR_MM2_KEYS_H
#define FARSHORE_MIRROR_MM2_KEYS_H

#include <stddef.h>

/*
 * Where a key may stand. MM2 looks for connector settings at top level and under "A->B."; for
 * security settings (MirrorClientConfig.CLIENT_CONFIG_DEF) also under "A."; for the settings of a
 * client under "A.consumer." and the like; Kafka Connect's worker settings under "A.".
 */
enum {
	MM2_AT_DRIVER = 1 << 0,
	MM2_AT_CONNECTOR = 1 << 1,
	MM2_AT_SECURITY = 1 << 2,
	MM2_AT_CONSUMER = 1 << 3,
	MM2_AT_PRODUCER = 1 << 4,
	MM2_AT_ADMIN = 1 << 5,
	MM2_AT_WORKER = 1 << 6,
	MM2_AT_CLIENT = MM2_AT_CONSUMER | MM2_AT_PRODUCER | MM2_AT_ADMIN,
	MM2_PREFIX = 1 << 7 /* the key ends with a dot and stands for all that begin with it */
};

enum mm2_use {
	MM2_LINK,    /* a setting of the link: `to` */
	MM2_CLUSTER, /* a setting of the cluster, from the client's side: `to` */
	MM2_CODE,    /* mapped by code: more than one setting, or a value of another form */
	MM2_IGNORED, /* a warning with `why`, unless the value is one of `same` */
	MM2_REFUSED  /* an error with `why`, unless the value is one of `same` */
};

/* How the text of a value changes on the way. */
enum mm2_form {
	MM2_TEXT,
	MM2_BOOL,   /* true or false in any case */
	MM2_SECONDS /* a number of seconds */
};

struct mm2_key {
	const char *key;
	unsigned at;
	enum mm2_use use;
	const char *to; /* key of the native setting */
	enum mm2_form form;
	const char *same; /* comma list: values that say what is done anyway ("" the empty one) */
	const char *why;  /* reads on behind "KEY: " */
};

/* Static storage; ends with an entry whose key is NULL. */
extern const struct mm2_key mm2_keys[];

/* The row of a key where one of `at` applies; NULL: unknown there. */
const struct mm2_key *mm2_keys_find(const char *key, unsigned at);

#endif
