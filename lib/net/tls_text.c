/* SPDX-License-Identifier: Apache-2.0 */
/* TLS failures in words for people: what, whose certificate, and what to do. Text that comes from a
 * certificate is printed with its control characters escaped. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/net/tls_impl.h"

enum { TEXT_MAX = 200, NAMES_MAX = 6 };

struct reason {
	int code;
	const char *text;
};

#define WANTS_OUR_CERTIFICATE "; set the key store with a certificate that the peer trusts"

/* By OpenSSL's reason code; 1000 and more are alerts that the peer sent. */
static const struct reason reasons[] = {
	{SSL_R_WRONG_VERSION_NUMBER,
	 "the peer does not speak TLS; this looks like a plaintext listener"},
	{SSL_R_HTTP_REQUEST, "the peer speaks HTTP, not TLS"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "the peer offers no TLS version from 1.2 up"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer accepts no TLS version from 1.2 up"},
	{SSL_R_NO_SHARED_CIPHER, "no cipher in common with the peer"},
	{SSL_R_NO_CIPHERS_AVAILABLE, "no cipher can be used; check the cipher list"},
	{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
	 "the peer refused the handshake: no cipher in common, or it wants a client certificate"},
	{SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "the peer wants stronger ciphers"},
	{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
	 "the peer requires a client certificate" WANTS_OUR_CERTIFICATE},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
	 "the peer refused our certificate" WANTS_OUR_CERTIFICATE},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
	 "the peer refused our certificate: not for this use" WANTS_OUR_CERTIFICATE},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
	 "the peer refused our certificate, or its own does not suit us" WANTS_OUR_CERTIFICATE},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
	 "the peer refused our certificate: revoked" WANTS_OUR_CERTIFICATE},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
	 "the peer refused our certificate: expired" WANTS_OUR_CERTIFICATE},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	 "the peer does not know the CA of our certificate" WANTS_OUR_CERTIFICATE},
	{SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the peer denied access to our certificate"},
	{SSL_R_TLSV1_UNRECOGNIZED_NAME, "the peer has no certificate for this host name"},
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
	 "the client sent no certificate, which this listener requires"},
	{SSL_R_NO_RENEGOTIATION, "the peer asked for a renegotiation, which is not allowed"},
};

/* The same alerts, as a listener sees them: the client refused. */
static const struct reason server_reasons[] = {
	{SSL_R_WRONG_VERSION_NUMBER, "the client does not speak TLS"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "the client offers no TLS version from 1.2 up"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the client refused this listener's certificate"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
	 "the client refused this listener's certificate: not trusted, or for another host name"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
	 "the client refused this listener's certificate: expired"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	 "the client does not know the CA of this listener's certificate"},
};

static const char *find(const struct reason *table, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].code == code)
			return table[i].text;
	return NULL;
}

const char *tls_text_failure(unsigned long error, bool server)
{
	const char *text = NULL;
	int code = ERR_GET_REASON(error);
	if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
		if (server)
			text = find(server_reasons,
				    sizeof server_reasons / sizeof server_reasons[0], code);
		if (text == NULL)
			text = find(reasons, sizeof reasons / sizeof reasons[0], code);
	}
	if (text == NULL)
		text = ERR_reason_error_string(error);
	return text == NULL ? "TLS failed" : text;
}

/* Drain a memory BIO into `out`, cut to its size. */
static void take_text(BIO *bio, char *out, size_t n)
{
	int got = bio == NULL ? 0 : BIO_read(bio, out, (int)n - 1);
	out[got > 0 ? got : 0] = '\0';
	BIO_free(bio);
}

static void format_name(const X509_NAME *name, char *out, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio != NULL && name != NULL)
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	take_text(bio, out, n);
}

static void format_time(const ASN1_TIME *t, char *out, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio != NULL && t != NULL)
		ASN1_TIME_print_ex(bio, t, ASN1_DTFLGS_ISO8601);
	take_text(bio, out, n);
}

static void put_printable(struct buf *b, const unsigned char *p, int n)
{
	for (int i = 0; i < n; i++)
		buf_put_u8(b, p[i] > 0x20 && p[i] < 0x7f ? p[i] : '?');
}

static void put_name(struct buf *b, const GENERAL_NAME *name)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	if (type == GEN_DNS) {
		put_printable(b, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
	} else if (type == GEN_IPADD) {
		int family = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;
		if (ASN1_STRING_length(s) == 4 || ASN1_STRING_length(s) == 16)
			inet_ntop(family, ASN1_STRING_get0_data(s), ip, sizeof ip);
		buf_put_str(b, ip);
	}
}

/* The names that a certificate is for: "a.example, b.example, 10.0.0.1 and 3 more". */
static void format_hosts(const X509 *cert, char *out, size_t n)
{
	struct buf b;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int shown = 0, more = 0;
	buf_init(&b, n - 1);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		if (shown == NAMES_MAX) {
			more++;
			continue;
		}
		buf_put_str(&b, shown++ > 0 ? ", " : "");
		put_name(&b, name);
	}
	if (more > 0)
		buf_printf(&b, " and %d more", more);
	GENERAL_NAMES_free(names);
	if (b.len > 0)
		memcpy(out, b.p, b.len);
	out[b.len] = '\0';
	buf_fini(&b);
	if (shown == 0)
		format_name(X509_get_subject_name(cert), out, n);
}

static void text_validity(X509_STORE_CTX *x, int code, const char *subject, struct errmsg *why)
{
	char when[64];
	const X509 *cert = X509_STORE_CTX_get_current_cert(x);
	bool expired = code == X509_V_ERR_CERT_HAS_EXPIRED;
	format_time(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), when,
		    sizeof when);
	errmsg_set(why, ERR_TLS, "%s (%s, %s %s); renew it, or check this machine's clock",
		   X509_verify_cert_error_string(code), subject, expired ? "on" : "before", when);
}

void tls_text_verify(X509_STORE_CTX *x, const char *host, struct errmsg *why)
{
	char subject[TEXT_MAX] = "?", other[TEXT_MAX] = "";
	int code = X509_STORE_CTX_get_error(x);
	const X509 *cert = X509_STORE_CTX_get_current_cert(x);
	const char *text = X509_verify_cert_error_string(code);
	if (cert != NULL)
		format_name(X509_get_subject_name(cert), subject, sizeof subject);
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		text_validity(x, code, subject, why);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		format_hosts(cert, other, sizeof other);
		errmsg_set(why, ERR_TLS,
			   "the certificate is not for '%s' but for %s; use a name that it has, "
			   "or a certificate for this one",
			   host, other);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		format_name(X509_get_issuer_name(cert), other, sizeof other);
		errmsg_set(why, ERR_TLS, "%s: %s, issued by %s; is that CA in the trust store?",
			   text, subject, other);
		break;
	default:
		errmsg_set(why, ERR_TLS, "%s (%s)", text, subject);
	}
}
