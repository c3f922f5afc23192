/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL client exchanges: the published test vectors, and servers that lie (CVE-2024-56128,
 * CVE-2026-10143, CVE-2017-12610).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/net/sasl.h"

/* RFC 7677 section 3 */
#define NONCE        "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SERVER_FIRST "r=" SERVER_NONCE ",s=" SALT ",i=4096"
#define PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const struct rpc_sasl user_pencil = {"SCRAM-SHA-256", "user", "pencil"};

static struct sasl *sasl_make(const struct rpc_sasl *c)
{
	struct errmsg why = {0};
	struct sasl *s = NULL;
	assert_int_equal(sasl_new(c, NONCE, &s, &why), ERR_OK);
	return s;
}

static void expect_put(struct sasl *s, const void *text, size_t n)
{
	struct buf b;
	buf_init(&b, SASL_MESSAGE_MAX);
	assert_int_equal(sasl_todo(s), SASL_PUT);
	assert_int_equal(sasl_put(s, &b), ERR_OK);
	assert_int_equal(b.len, n);
	assert_memory_equal(b.p, text, n);
	assert_int_equal(sasl_todo(s), SASL_TAKE);
	buf_fini(&b);
}

static void expect_text(struct sasl *s, const char *text)
{
	expect_put(s, text, strlen(text));
}

static enum err take(struct sasl *s, const char *text, struct errmsg *why)
{
	return sasl_take(s, bytes_str(text), why);
}

static void test_plain(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct sasl *s = sasl_make(&(struct rpc_sasl){"PLAIN", "alice", "s3cret"});
	expect_put(s, "\0alice\0s3cret", 13);
	assert_int_equal(take(s, "", &why), ERR_OK);
	assert_int_equal(sasl_todo(s), SASL_DONE);
	sasl_free(s);
}

static void test_scram_sha_256_of_rfc_7677(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct sasl *s = sasl_make(&user_pencil);
	expect_text(s, "n,,n=user,r=" NONCE);
	assert_int_equal(take(s, SERVER_FIRST, &why), ERR_OK);
	assert_int_equal(sasl_todo(s), SASL_COMPUTE);
	assert_int_equal(sasl_compute(s), ERR_OK);
	expect_text(s, "c=biws,r=" SERVER_NONCE ",p=" PROOF);
	assert_int_equal(take(s, "v=" SIGNATURE, &why), ERR_OK);
	assert_int_equal(sasl_todo(s), SASL_DONE);
	sasl_free(s);
}

/* The same exchange with SHA-512; proof and signature computed with Python's hashlib and hmac. */
static void test_scram_sha_512(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct sasl *s = sasl_make(&(struct rpc_sasl){"SCRAM-SHA-512", "user", "pencil"});
	expect_text(s, "n,,n=user,r=" NONCE);
	assert_int_equal(take(s, SERVER_FIRST, &why), ERR_OK);
	assert_int_equal(sasl_compute(s), ERR_OK);
	expect_text(s, "c=biws,r=" SERVER_NONCE ",p="
		       "gMGXRcevScNtxZ6/"
		       "8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==");
	assert_int_equal(take(s,
			      "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/"
			      "AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
			      &why),
			 ERR_OK);
	assert_int_equal(sasl_todo(s), SASL_DONE);
	sasl_free(s);
}

static void test_user_name_is_escaped(void **state)
{
	(void)state;
	struct sasl *s = sasl_make(&(struct rpc_sasl){"SCRAM-SHA-256", "a,b=c", "x"});
	expect_text(s, "n,,n=a=2Cb=3Dc,r=" NONCE);
	sasl_free(s);
}

/* As Kafka's own client: the bytes as they are, no SASLprep. */
static void test_non_ascii_goes_out_as_it_is(void **state)
{
	(void)state;
	struct sasl *s = sasl_make(&(struct rpc_sasl){"SCRAM-SHA-256", "J\xc3\xbcrgen", "x"});
	expect_text(s, "n,,n=J\xc3\xbcrgen,r=" NONCE);
	sasl_free(s);
}

static void test_own_nonces_differ(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct buf b[2];
	for (int i = 0; i < 2; i++) {
		struct sasl *s = NULL;
		buf_init(&b[i], SASL_MESSAGE_MAX);
		assert_int_equal(sasl_new(&user_pencil, NULL, &s, &why), ERR_OK);
		assert_int_equal(sasl_put(s, &b[i]), ERR_OK);
		assert_int_equal(b[i].len, strlen("n,,n=user,r=") + 32);
		sasl_free(s);
	}
	assert_false(bytes_eq(buf_bytes(&b[0]), buf_bytes(&b[1])));
	buf_fini(&b[0]);
	buf_fini(&b[1]);
}

static void test_bad_settings(void **state)
{
	(void)state;
	static char huge[2000];
	memset(huge, 'x', sizeof huge - 1);
	const struct rpc_sasl bad[] = {
		{"GSSAPI", "u", "p"},      {"plain", "u", "p"},  {"PLAIN", "", "p"},
		{"PLAIN", NULL, "p"},      {"PLAIN", "u", ""},   {"PLAIN", "u", NULL},
		{"SCRAM-SHA-1", "u", "p"}, {"PLAIN", huge, "p"}, {"PLAIN", "u", huge},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct errmsg why = {0};
		struct sasl *s = NULL;
		assert_int_equal(sasl_check(&bad[i], &why), ERR_CONFIG);
		assert_string_not_equal(why.text, "");
		assert_int_equal(sasl_new(&bad[i], NULL, &s, &why), ERR_CONFIG);
	}
}

/* ---- servers that lie ---- */

static enum err first_answer(const char *text, struct errmsg *why)
{
	struct buf b;
	buf_init(&b, SASL_MESSAGE_MAX);
	struct sasl *s = sasl_make(&user_pencil);
	assert_int_equal(sasl_put(s, &b), ERR_OK);
	enum err e = take(s, text, why);
	assert_int_equal(sasl_todo(s), e == ERR_OK ? SASL_COMPUTE : SASL_TAKE);
	assert_null(strstr(why->text, "pencil"));
	sasl_free(s);
	buf_fini(&b);
	return e;
}

static void test_bad_server_first(void **state)
{
	(void)state;
	static const struct {
		enum err e;
		const char *text;
	} cases[] = {
		{ERR_OK, "r=" SERVER_NONCE ",s=" SALT ",i=4096"},
		{ERR_OK, "r=" SERVER_NONCE ",s=" SALT ",i=1000000"},
		{ERR_OK, "r=" SERVER_NONCE ",s=" SALT ",i=4096,x=some extension"},
		/* nonce: absent, empty, ours alone, another's, ours not in front, not printable */
		{ERR_MALFORMED, ""},
		{ERR_MALFORMED, "r"},
		{ERR_MALFORMED, "s=" SALT ",i=4096"},
		{ERR_AUTH, "r=,s=" SALT ",i=4096"},
		{ERR_AUTH, "r=" NONCE ",s=" SALT ",i=4096"},
		{ERR_AUTH, "r=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,s=" SALT ",i=4096"},
		{ERR_AUTH, "r=x" NONCE ",s=" SALT ",i=4096"},
		{ERR_AUTH, "r=" NONCE "\x01,s=" SALT ",i=4096"},
		{ERR_AUTH, "r=" NONCE "\xff,s=" SALT ",i=4096"},
		/* salt */
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=!!!!,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=W22,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=W22ZaJ0,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=W===,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=====,i=4096"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",i=4096"},
		/* iterations: CVE-2026-10143 */
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=4095"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=1"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=0"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=-4096"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i="},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=04096"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=4096x"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=1000001"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=2147483647"},
		{ERR_AUTH, "r=" SERVER_NONCE ",s=" SALT ",i=99999999999999999999"},
		{ERR_MALFORMED, "r=" SERVER_NONCE ",s=" SALT},
		/* a mandatory extension, an error, channel binding */
		{ERR_MALFORMED, "m=ext," SERVER_FIRST},
		{ERR_MALFORMED, "e=other-error"},
		{ERR_MALFORMED, "p=tls-unique"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct errmsg why = {0};
		enum err e = first_answer(cases[i].text, &why);
		if (e != cases[i].e)
			fail_msg("%s: %s (%s)", cases[i].text, err_name(e), why.text);
		assert_true(e == ERR_OK || why.text[0] != '\0');
	}
}

static void test_long_server_first(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct buf b;
	buf_init(&b, 64 * 1024);
	buf_put_str(&b, "r=" SERVER_NONCE ",s=");
	for (int i = 0; i < 700; i++)
		buf_put_str(&b, "AAAA"); /* a salt of 2100 bytes */
	buf_put_str(&b, ",i=4096");
	buf_put_u8(&b, 0);
	assert_int_equal(first_answer((char *)b.p, &why), ERR_MALFORMED);

	buf_clear(&b);
	buf_put_str(&b, "r=" SERVER_NONCE);
	for (int i = 0; i < 600; i++)
		buf_put_u8(&b, 'n');
	buf_put_str(&b, ",s=" SALT ",i=4096");
	buf_put_u8(&b, 0);
	assert_int_equal(first_answer((char *)b.p, &why), ERR_AUTH);

	buf_clear(&b);
	buf_put_str(&b, SERVER_FIRST ",x=");
	for (int i = 0; i < 10000; i++)
		buf_put_u8(&b, 'n');
	buf_put_u8(&b, 0);
	assert_int_equal(first_answer((char *)b.p, &why), ERR_MALFORMED);
	buf_fini(&b);
}

static enum err final_answer(const char *text, struct errmsg *why)
{
	struct buf b;
	buf_init(&b, SASL_MESSAGE_MAX);
	struct sasl *s = sasl_make(&user_pencil);
	assert_int_equal(sasl_put(s, &b), ERR_OK);
	assert_int_equal(take(s, SERVER_FIRST, why), ERR_OK);
	assert_int_equal(sasl_compute(s), ERR_OK);
	assert_int_equal(sasl_put(s, &b), ERR_OK);
	enum err e = take(s, text, why);
	assert_int_equal(sasl_todo(s), e == ERR_OK ? SASL_DONE : SASL_TAKE);
	sasl_free(s);
	buf_fini(&b);
	return e;
}

/* The server must prove that it knows the keys. */
static void test_bad_server_final(void **state)
{
	(void)state;
	static const struct {
		enum err e;
		const char *text;
	} cases[] = {
		{ERR_OK, "v=" SIGNATURE},
		{ERR_MALFORMED, ""},
		{ERR_MALFORMED, "v"},
		{ERR_AUTH, "v="},
		{ERR_AUTH, "v=AAAA"},
		{ERR_AUTH, "v=" PROOF},
		{ERR_AUTH, "v=" SIGNATURE SIGNATURE},
		{ERR_AUTH, "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
		{ERR_AUTH, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G=="},
		{ERR_AUTH, "e=invalid-proof"},
		{ERR_MALFORMED, "x=" SIGNATURE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct errmsg why = {0};
		enum err e = final_answer(cases[i].text, &why);
		if (e != cases[i].e)
			fail_msg("%s: %s (%s)", cases[i].text, err_name(e), why.text);
	}
}

/* Every prefix and every changed byte of both server messages: an error or a good end, no crash. A
 * change of the signature's bytes is never accepted. */
static void test_mutations(void **state)
{
	(void)state;
	char text[256];
	size_t n = strlen(SERVER_FIRST);
	for (size_t cut = 0; cut < n; cut++) {
		struct errmsg why = {0};
		snprintf(text, sizeof text, "%.*s", (int)cut, SERVER_FIRST);
		assert_int_not_equal(first_answer(text, &why), ERR_OK);
	}
	for (size_t i = 0; i < n; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct errmsg why = {0};
			snprintf(text, sizeof text, "%s", SERVER_FIRST);
			text[i] = (char)(text[i] ^ 1 << bit);
			(void)!first_answer(text, &why);
		}
	n = strlen("v=" SIGNATURE);
	for (size_t i = 0; i < n; i += 3) {
		struct errmsg why = {0};
		snprintf(text, sizeof text, "%s", "v=" SIGNATURE);
		text[i] = (char)(text[i] ^ 0x10);
		assert_int_not_equal(final_answer(text, &why), ERR_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_scram_sha_256_of_rfc_7677),
		cmocka_unit_test(test_scram_sha_512),
		cmocka_unit_test(test_user_name_is_escaped),
		cmocka_unit_test(test_non_ascii_goes_out_as_it_is),
		cmocka_unit_test(test_own_nonces_differ),
		cmocka_unit_test(test_bad_settings),
		cmocka_unit_test(test_bad_server_first),
		cmocka_unit_test(test_long_server_first),
		cmocka_unit_test(test_bad_server_final),
		cmocka_unit_test(test_mutations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
