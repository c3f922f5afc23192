/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security.protocol decides which of the other settings count: those of a protocol that is not used
 * are not looked at, as in Kafka. What cannot be honoured and keeps something out (a cipher list, a
 * callback class) is an error or a warning, never dropped in silence.
 */
#include "mirror/config/mm2_security.h"

#include <openssl/ssl.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/config_value.h"
#include "mirror/config/mm2_jaas.h"

enum { CIPHERS_MAX = 16 * 1024 };

static const char *text_of(const struct mm2_side *s, const char *key, const char *otherwise)
{
	const struct mm2_property *p = mm2_side_value(s, key);
	return p == NULL || *p->value == '\0' ? otherwise : p->value;
}

static void put_same(const struct mm2_side *s, const char *key, const char *to)
{
	const struct mm2_property *p = mm2_side_value(s, key);
	if (p != NULL && *p->value != '\0')
		mm2_side_put(s, to, p->value, p);
}

static void check_type(const struct mm2_side *s, const char *key)
{
	const struct mm2_property *p = mm2_side_value(s, key);
	if (p != NULL && strcasecmp(p->value, "JKS") != 0 && strcasecmp(p->value, "PKCS12") != 0 &&
	    strcasecmp(p->value, "PEM") != 0)
		mm2_side_fault(s->m, p, "\"%.40s\" is not supported; PEM and PKCS12 are", p->value);
}

/* Java's names of TLS 1.2 ciphers are those of the standard, which OpenSSL can translate. */
static void put_ciphers(const struct mm2_side *s)
{
	const struct mm2_property *p = mm2_side_value(s, "ssl.cipher.suites");
	const char *const *names;
	size_t n;
	if (p == NULL || *p->value == '\0')
		return;
	if (!config_value_split(s->m->arena, p->value, &names, &n)) {
		mm2_side_fault(s->m, p, "too long");
		return;
	}
	struct buf list;
	buf_init(&list, CIPHERS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *name = OPENSSL_cipher_name(names[i]);
		if (strncmp(names[i], "TLS_AES_", 8) == 0 ||
		    strncmp(names[i], "TLS_CHACHA20_", 13) == 0)
			continue; /* of TLS 1.3: always on */
		if (name == NULL || strcmp(name, "(NONE)") == 0) {
			mm2_side_warn(s->m, p, "%.80s is not known here and is left out", names[i]);
			continue;
		}
		buf_printf(&list, "%s%s", list.len == 0 ? "" : ":", name);
	}
	bool any = list.len > 0;
	buf_put_u8(&list, '\0');
	if (list.err != ERR_OK)
		mm2_side_fault(s->m, p, "too long");
	else if (any)
		mm2_side_put(s, "tls.ciphers", (const char *)list.p, p);
	else
		mm2_side_fault(s->m, p, "has no cipher of TLS 1.2; TLS 1.2 cannot be turned off");
	buf_fini(&list);
}

static void put_key_store(const struct mm2_side *s)
{
	bool pem = strcasecmp(text_of(s, "ssl.keystore.type", "JKS"), "PEM") == 0;
	const struct mm2_property *key = mm2_side_value(s, "ssl.key.password");
	const struct mm2_property *store = mm2_side_value(s, "ssl.keystore.password");
	check_type(s, "ssl.keystore.type");
	put_same(s, "ssl.keystore.location", "tls.cert");
	if (pem) {
		put_same(s, "ssl.key.password", "tls.key_password");
		return;
	}
	put_same(s, "ssl.keystore.password", "tls.key_password");
	if (key != NULL && store != NULL && strcmp(key->value, store->value) != 0)
		mm2_side_warn(s->m, key,
			      "ignored: a PKCS#12 store has one password, ssl.keystore.password");
}

static void put_tls(const struct mm2_side *s)
{
	const struct mm2_property *verify =
		mm2_side_value(s, "ssl.endpoint.identification.algorithm");
	check_type(s, "ssl.truststore.type");
	put_same(s, "ssl.truststore.location", "tls.ca");
	put_same(s, "ssl.truststore.password", "tls.ca_password");
	put_key_store(s);
	put_ciphers(s);
	if (verify == NULL)
		return;
	if (*verify->value == '\0')
		mm2_side_put(s, "tls.verify_host", "false", verify);
	else if (strcasecmp(verify->value, "https") != 0)
		mm2_side_fault(s->m, verify, "write https, or nothing to turn the check off");
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

static void put_credentials(const struct mm2_side *s, const char *mechanism,
			    const struct mm2_property *p)
{
	const char *wanted =
		strcmp(mechanism, "PLAIN") == 0 ? ".PlainLoginModule" : ".ScramLoginModule";
	struct mm2_jaas jaas;
	struct errmsg why = {{0}};
	enum err e = mm2_jaas_parse(p->value, s->m->arena, &jaas, &why);
	if (e != ERR_OK)
		mm2_side_fault(s->m, p, "%s", why.text);
	else if (!ends_with(jaas.module, wanted))
		mm2_side_fault(
			s->m, p, "%s needs the login module org.apache.kafka.common.security.%s%s",
			mechanism, *wanted == '.' && wanted[1] == 'P' ? "plain" : "scram", wanted);
	else if (jaas.token)
		mm2_side_fault(s->m, p, "delegation tokens (tokenauth) are not supported");
	else if (jaas.username == NULL || jaas.password == NULL)
		mm2_side_fault(s->m, p, "username or password is missing");
	else {
		mm2_side_put(s, "sasl.username", jaas.username, p);
		mm2_side_put(s, "sasl.password", jaas.password, p);
	}
}

static void put_sasl(const struct mm2_side *s, const struct mm2_property *protocol)
{
	static const char *const known[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
	const struct mm2_property *p = mm2_side_value(s, "sasl.mechanism");
	const struct mm2_property *jaas = mm2_side_value(s, "sasl.jaas.config");
	/* SaslConfigs.DEFAULT_SASL_MECHANISM */
	const char *mechanism = p == NULL ? "GSSAPI" : p->value;
	size_t i = 0;
	while (i < sizeof known / sizeof *known && strcmp(known[i], mechanism) != 0)
		i++;
	if (i == sizeof known / sizeof *known) {
		mm2_side_fault(
			s->m, p != NULL ? p : protocol,
			"SASL mechanism %.40s is not supported; set sasl.mechanism to PLAIN, "
			"SCRAM-SHA-256 or SCRAM-SHA-512",
			mechanism);
		return;
	}
	mm2_side_put(s, "sasl.mechanism", mechanism, p);
	if (jaas == NULL)
		mm2_side_fault(
			s->m, protocol,
			"sasl.jaas.config is not set for cluster %s (a JAAS file of the Java "
			"process is not read)",
			s->alias);
	else
		put_credentials(s, mechanism, jaas);
}

void mm2_security_put(const struct mm2_side *s)
{
	static const struct {
		const char *name;
		bool tls, sasl;
	} protocols[] = {
		{"PLAINTEXT", false, false},
		{"SSL", true, false},
		{"SASL_PLAINTEXT", false, true},
		{"SASL_SSL", true, true},
	};
	const struct mm2_property *p = mm2_side_value(s, "security.protocol");
	if (p == NULL)
		return;
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		if (strcasecmp(p->value, protocols[i].name) != 0)
			continue;
		mm2_side_put(s, "tls.enabled", protocols[i].tls ? "true" : "false", p);
		if (protocols[i].tls)
			put_tls(s);
		if (protocols[i].sasl)
			put_sasl(s, p);
		return;
	}
	mm2_side_fault(s->m, p, "\"%.40s\" is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
		       p->value);
}
