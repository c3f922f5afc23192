/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_seeds FRAMES FOLDER: writes the seeds of fuzz_wire: every frame of FRAMES, and each message
 * of the schemas in its first and last version with random values. The same seeds every time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz_wire.h"
#include "tests/unit/wire/frames.h"
#include "tests/unit/wire/message.h"

enum { ARENA_MAX = 1 << 20, SEED_MAX = 1 << 16 };

struct seeds {
	const char *folder;
	size_t n;
	bool failed;
};

static void seeds_write(struct seeds *s, const struct buf *b)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%04zu", s->folder, s->n++);
	FILE *f = fopen(path, "wb");
	bool ok = f != NULL && b->err == ERR_OK && fwrite(b->p, 1, b->len, f) == b->len;
	ok = f != NULL && fclose(f) == 0 && ok;
	if (!ok)
		fprintf(stderr, "%s: cannot be written\n", path);
	s->failed = s->failed || !ok;
}

static void seeds_add_frame(struct seeds *s, const struct frames_item *f)
{
	struct buf b;
	buf_init(&b, SEED_MAX);
	buf_put_u8(&b, f->request ? FUZZ_WIRE_REQUEST : FUZZ_WIRE_RESPONSE);
	if (!f->request) {
		buf_put_be16(&b, (uint16_t)f->api_key);
		buf_put_u8(&b, (uint8_t)f->version);
	}
	buf_put(&b, f->data, f->n);
	seeds_write(s, &b);
	buf_fini(&b);
}

static void seeds_add_message(struct seeds *s, size_t number, int16_t version,
			      struct message_rng *rng)
{
	const struct wire_message *m = wire_message_at(number);
	struct arena a;
	struct wire_out out;
	struct errmsg why;
	arena_init(&a, ARENA_MAX);
	wire_out_init(&out, SEED_MAX, 0);
	void *msg = message_new(m, version, &a, rng);
	buf_put_u8(&out.buf, FUZZ_WIRE_MESSAGE);
	buf_put_be16(&out.buf, (uint16_t)number);
	buf_put_u8(&out.buf, (uint8_t)version);
	if (msg == NULL || wire_encode(m, version, msg, &out, &why) != ERR_OK)
		s->failed = true;
	else
		seeds_write(s, &out.buf);
	wire_out_fini(&out);
	arena_fini(&a);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: wire_seeds FRAMES FOLDER\n");
		return 2;
	}
	struct seeds s = {.folder = argv[2]};
	struct frames frames = frames_load(argv[1]);
	for (size_t i = 0; i < frames.n; i++)
		seeds_add_frame(&s, &frames.items[i]);
	frames_free(&frames);

	struct message_rng rng = {.state = 1};
	const struct wire_message *m;
	for (size_t i = 0; (m = wire_message_at(i)) != NULL; i++) {
		if (m->min_version > m->max_version)
			continue;
		seeds_add_message(&s, i, m->min_version, &rng);
		if (m->max_version != m->min_version)
			seeds_add_message(&s, i, m->max_version, &rng);
	}
	printf("%zu seeds\n", s.n);
	return s.failed;
}
