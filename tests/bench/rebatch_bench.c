/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the slow path costs per record: coalescing small plain batches, renumbering a batch with
 * holes, and the same through each codec; and a re-stamp, for comparison. Values of 100 bytes.
 * Prints one line per case.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/wire/rebatch.h"

enum { VALUE = 100, RECORDS = 4096 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Values of half-random text, so that codecs have something to do. */
static void fill(uint8_t *p, size_t n, uint64_t *state)
{
	for (size_t i = 0; i < n; i++) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		p[i] = (uint8_t)("abcdefgh0123,:{}"[*state >> 60]);
	}
}

static void must(enum err e)
{
	if (e == ERR_OK)
		return;
	fprintf(stderr, "%s\n", err_name(e));
	exit(1);
}

/* RECORDS records in batches of `each`, at the end of `out`. */
static size_t make(enum batch_codec codec, int each, struct buf *out, struct bytes *in)
{
	struct batch_builder b;
	uint8_t value[VALUE];
	uint64_t state = 1;
	size_t at[RECORDS + 1], n = 0;

	batch_builder_init(&b, codec, 1 << 24);
	for (int i = 0; i < RECORDS; i += each) {
		at[n] = out->len;
		for (int k = 0; k < each; k++) {
			fill(value, sizeof value, &state);
			struct record r = {.timestamp = 1700000000000 + i,
					   .value = bytes_of(value, sizeof value)};
			must(batch_builder_add(&b, &r));
		}
		must(batch_builder_finish(&b, out));
		be64_put(out->p + at[n++], (uint64_t)i);
	}
	at[n] = out->len;
	for (size_t i = 0; i < n; i++)
		in[i] = bytes_of(out->p + at[i], at[i + 1] - at[i]);
	batch_builder_fini(&b);
	return n;
}

static void run(const char *what, enum batch_codec codec, int each)
{
	struct rebatch_options o = {
		.trim_from = INT64_MAX, .max_batch_bytes = 1 << 20, .inflate_limit = 1 << 26};
	static struct bytes in[RECORDS];
	struct rebatch rb;
	struct buf source;
	int rounds = 0;

	buf_init(&source, 1 << 26);
	rebatch_init(&rb, 1 << 26);
	size_t n = make(codec, each, &source, in);
	double start = now(), end;
	do {
		must(rebatch_encode(&rb, in, n, &o, NULL));
		rounds++;
		end = now();
	} while (end - start < 3e8);
	printf("%-34s %8.1f ns per record  (%zu batches in, %zu out)\n", what,
	       (end - start) / rounds / RECORDS, n, rb.batches_n);
	rebatch_fini(&rb);
	buf_fini(&source);
}

static void run_restamp(size_t payload)
{
	uint8_t *p = calloc(1, BATCH_HEAD + payload), out[BATCH_HEAD];
	struct batch_head h = {.count = 1, .producer_id = 7};
	int rounds = 0;

	if (p == NULL)
		must(ERR_NOMEM);
	batch_head_seal(p, payload, &h);
	double start = now(), end;
	do {
		for (int i = 0; i < 1000; i++) {
			h.base_sequence = i;
			batch_head_restamp(p, payload, &h, out);
		}
		rounds += 1000;
		end = now();
	} while (end - start < 1e8);
	printf("re-stamp, %7zu bytes of payload   %8.1f ns per batch\n", payload,
	       (end - start) / rounds);
	free(p);
}

int main(void)
{
	run("coalesce plain, 1 record each", CODEC_NONE, 1);
	run("coalesce plain, 8 records each", CODEC_NONE, 8);
	run("renumber plain, one batch", CODEC_NONE, RECORDS);
	run("coalesce gzip, 8 records each", CODEC_GZIP, 8);
	run("coalesce snappy, 8 records each", CODEC_SNAPPY, 8);
	run("coalesce lz4, 1 record each", CODEC_LZ4, 1);
	run("coalesce lz4, 8 records each", CODEC_LZ4, 8);
	run("coalesce zstd, 1 record each", CODEC_ZSTD, 1);
	run("coalesce zstd, 8 records each", CODEC_ZSTD, 8);
	run("renumber zstd, one batch", CODEC_ZSTD, RECORDS);
	run_restamp(100);
	run_restamp(16384);
	run_restamp(1 << 20);
	return 0;
}
