/* SPDX-License-Identifier: Apache-2.0 */
/* Values with a grammar of their own: sasl.jaas.config and ${provider:path:key}. */
#include "tests/unit/base/unit.h"

#include "mirror/config/mm2_jaas.h"
#include "mirror/config/mm2_provider.h"

#define PROVIDERS "org.apache.kafka.common.config.provider."

struct rig {
	struct arena arena;
	struct mm2_properties props;
	struct mm2_providers providers;
	struct errmsg why;
	char dir[64];
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof *r);
	arena_init(&r->arena, 8 << 20);
	snprintf(r->dir, sizeof r->dir, "/tmp/farshore-values-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
	assert_int_equal(system(command), 0);
	arena_fini(&r->arena);
	free(r);
	return 0;
}

static void write_file(struct rig *r, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* ---- JAAS ---- */

static void a_plain_login(void **state)
{
	struct rig *r = *state;
	struct mm2_jaas j;
	assert_int_equal(mm2_jaas_parse("org.apache.kafka.common.security.plain.PlainLoginModule "
					"required username=\"alice\" password=\"a\\\"b;c=d\\\\\" ;",
					&r->arena, &j, &r->why),
			 ERR_OK);
	assert_string_equal(j.module, "org.apache.kafka.common.security.plain.PlainLoginModule");
	assert_string_equal(j.username, "alice");
	assert_string_equal(j.password, "a\"b;c=d\\");
	assert_false(j.token);
}

static void the_forms_that_java_takes(void **state)
{
	static const char *const texts[] = {
		"M REQUIRED password='p' username=u;",
		"  M\nsufficient\n\tusername = \"u\"\tpassword = \"p\"\n;\n",
		"/* c */ M required // c\n username=u password=p other=\"x\";",
		"M optional username=\"\\165\" password=\"\\160\";",
		"M requisite username=\"u\" password=\"p\" tokenauth=\"false\"; // end",
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct mm2_jaas j;
		if (mm2_jaas_parse(texts[i], &r->arena, &j, &r->why) != ERR_OK)
			fail_msg("%s: %s", texts[i], r->why.text);
		assert_string_equal(j.module, "M");
		assert_string_equal(j.username, "u");
		assert_string_equal(j.password, "p");
		assert_false(j.token);
	}
	struct mm2_jaas j;
	assert_int_equal(mm2_jaas_parse("M required tokenauth=true;", &r->arena, &j, &r->why),
			 ERR_OK);
	assert_true(j.token);
	assert_null(j.password);
}

/* No message quotes what could be a password. */
static void broken_logins(void **state)
{
	static const char *const texts[] = {
		"",
		";",
		"M",
		"M required",
		"M CANARY username=\"u\";",
		"M required username;",
		"M required username=;",
		"M required username=\"CANARY",
		"M required password=\"CANARY\"",
		"M required CANARY=\"x\" password=\"CANARY\" N required;",
		"M required; N required;",
		"M required password=\"CANARY\\",
		"/* CANARY",
		"M required password=\"CAN\nARY\";",
		"M required \"a\"=\"b\" =;",
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct mm2_jaas j;
		assert_int_equal(mm2_jaas_parse(texts[i], &r->arena, &j, &r->why), ERR_CONFIG);
		assert_true(strlen(r->why.text) > 0);
		assert_null(strstr(r->why.text, "CANARY"));
	}
}

/* ---- providers ---- */

static enum err providers(struct rig *r, const char *format)
{
	char *text = calloc(1, 4096);
	snprintf(text, 4096,
		 "config.providers = file, dir, env, vault\n"
		 "config.providers.file.class = " PROVIDERS "FileConfigProvider\n"
		 "config.providers.dir.class = " PROVIDERS "DirectoryConfigProvider\n"
		 "config.providers.env.class = " PROVIDERS "EnvVarConfigProvider\n"
		 "config.providers.vault.class = " PROVIDERS "FileConfigProvider\n%s\n",
		 format);
	enum err e =
		mm2_properties_parse(bytes_str(text), MM2_LATIN1, &r->arena, &r->props, &r->why);
	assert_int_equal(e, ERR_OK);
	free(text);
	return mm2_provider_load(&r->props, &r->arena, &r->providers, &r->why);
}

static const char *expand(struct rig *r, const char *format)
{
	char value[1024];
	const char *out = NULL;
	const char *at = strchr(format, '@');
	snprintf(value, sizeof value, "%.*s%s%s",
		 at == NULL ? (int)strlen(format) : (int)(at - format), format,
		 at == NULL ? "" : r->dir, at == NULL ? "" : at + 1);
	const char *kept = arena_strndup(&r->arena, bytes_str(value));
	enum err e = mm2_provider_expand(&r->providers, kept, &r->arena, &out, &r->why);
	assert_true(e == ERR_OK || e == ERR_CONFIG);
	return e == ERR_OK ? out : NULL;
}

static void assert_expands(struct rig *r, const char *format, const char *expected)
{
	const char *out = expand(r, format);
	if (out == NULL)
		fail_msg("%s: %s", format, r->why.text);
	assert_string_equal(out, expected);
}

static void assert_refused(struct rig *r, const char *format, const char *expected)
{
	assert_null(expand(r, format));
	if (strstr(r->why.text, expected) == NULL)
		fail_msg("%s: %s", format, r->why.text);
	assert_null(strstr(r->why.text, "CANARY"));
}

static void variables_are_replaced(void **state)
{
	struct rig *r = *state;
	assert_int_equal(providers(r, ""), ERR_OK);
	write_file(r, "p", "user = alice\npassword = gr\xc3\xbc\\u00df:x\nempty =\n");
	write_file(r, "whole", "line 1\nline 2\n");
	setenv("TEST_A", "va", 1);
	assert_expands(r, "plain", "plain");
	assert_expands(r, "${file:@/p:user}", "alice");
	assert_expands(r, "${file:@/p:password}", "gr\xc3\xbc\xc3\x9f:x");
	assert_expands(r, "a${file:@/p:empty}b", "ab");
	assert_expands(r, "u=\"${vault:@/p:user}\" p=\"${env:TEST_A}\" ${x}",
		       "u=\"alice\" p=\"va\" ${x}");
	assert_expands(r, "${dir:@:whole}", "line 1\nline 2\n");
	assert_expands(r, "$ ${ } ${nothing}", "$ ${ } ${nothing}");
	assert_expands(r, "${env:TEST_A", "${env:TEST_A");
	/* What comes out is not looked at again. */
	setenv("TEST_A", "${env:HOME}", 1);
	assert_expands(r, "${env:TEST_A}", "${env:HOME}");
	unsetenv("TEST_A");
}

static void variables_that_cannot_be_resolved(void **state)
{
	struct rig *r = *state;
	assert_int_equal(providers(r, ""), ERR_OK);
	write_file(r, "p", "user = CANARY\n");
	write_file(r, "bad", "user = CANARY \\u00\n");
	unsetenv("TEST_A");
	assert_refused(r, "${secrets:x:y}", "\"secrets\" is not declared in config.providers");
	assert_refused(r, "${env:TEST_A}", "the environment variable TEST_A is not set");
	assert_refused(r, "${env:path:TEST_A}", "write ${env:NAME}");
	assert_refused(r, "${file:@/p:nobody}", "/p: there is no key nobody in it");
	assert_refused(r, "${file:@/nofile:x}", "nofile: No such file or directory");
	assert_refused(r, "${file:@/bad:user}", "/bad: line 1: \\u needs four");
	assert_refused(r, "${file:@}", "write ${file:/path:key}");
	assert_refused(r, "${file:@:x}", "it is a directory");
	assert_refused(r, "${dir:@:../p}", "is not the name of a file");
	assert_refused(r, "${dir:@:..}", "is not the name of a file");
	assert_refused(r, "${dir:@:none}", "No such file");
}

static void allowed_paths(void **state)
{
	struct rig *r = *state;
	char text[256], command[256];
	snprintf(text, sizeof text, "config.providers.file.param.allowed.paths = /nowhere, %s/in/",
		 r->dir);
	snprintf(command, sizeof command, "mkdir -p %s/in %s/in-not", r->dir, r->dir);
	assert_int_equal(system(command), 0);
	write_file(r, "p", "k = CANARY\n");
	write_file(r, "in/p", "k = v\n");
	write_file(r, "in-not/p", "k = CANARY\n");
	assert_int_equal(providers(r, text), ERR_OK);
	assert_expands(r, "${file:@/in/p:k}", "v");
	assert_expands(r, "${file:@/in/../in/./p:k}", "v");
	assert_refused(r, "${file:@/p:k}", "is not in allowed.paths");
	assert_refused(r, "${file:@/in/../p:k}", "is not in allowed.paths");
	assert_refused(r, "${file:@/in-not/p:k}", "is not in allowed.paths");
	assert_refused(r, "${file:in/p:k}", "is not in allowed.paths");
	assert_refused(r, "${file:../../../../../../../..@/p:k}", "is not in allowed.paths");
	/* Another provider has no such limit. */
	assert_non_null(expand(r, "${vault:@/p:k}"));
	assert_int_equal(providers(r, "config.providers.dir.param.allowed.paths = relative"),
			 ERR_CONFIG);
	assert_non_null(strstr(r->why.text, "relative is not an absolute path"));
}

static void allowed_variables(void **state)
{
	struct rig *r = *state;
	assert_int_equal(providers(r, "config.providers.env.param.allowlist.pattern = KAFKA_.*"),
			 ERR_OK);
	setenv("KAFKA_A", "v", 1);
	setenv("OTHER_A", "CANARY", 1);
	assert_expands(r, "${env:KAFKA_A}", "v");
	assert_refused(r, "${env:OTHER_A}", "OTHER_A does not match allowlist.pattern");
	assert_int_equal(providers(r, "config.providers.env.param.allowlist.pattern = ("), ERR_OK);
	assert_refused(r, "${env:KAFKA_A}", "provider env: allowlist.pattern: pattern \"(\"");
}

static void classes_that_are_not_there(void **state)
{
	struct rig *r = *state;
	assert_int_equal(providers(r, "config.providers.file.class = com.acme.Vault"), ERR_CONFIG);
	assert_string_equal(r->why.text,
			    "6: config.providers.file.class: com.acme.Vault is not "
			    "available; FileConfigProvider, DirectoryConfigProvider and "
			    "EnvVarConfigProvider are");
	assert_int_equal(providers(r, "config.providers = none"), ERR_CONFIG);
	assert_string_equal(r->why.text, "6: config.providers.none.class is not set");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_plain_login),
		CASE(the_forms_that_java_takes),
		CASE(broken_logins),
		CASE(variables_are_replaced),
		CASE(variables_that_cannot_be_resolved),
		CASE(allowed_paths),
		CASE(allowed_variables),
		CASE(classes_that_are_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
