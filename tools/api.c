/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/api.h"

#include <curl/curl.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "tools/intake.h"
#include "tools/text.h"

enum { CONNECT_MS = 3000, URL_MAX = 16 << 10, WORDS_MAX = 300 };

struct api {
	CURL *curl;
	struct buf url; /* as given, without a slash at its end */
	char *shown;    /* without user and password */
	int64_t timeout_ms;
	bool local;
	char detail[CURL_ERROR_SIZE];
};

/* ---- where ---- */

static bool is_local(const char *host)
{
	return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "[::1]") == 0;
}

static enum err bad_url(const char *url, struct errmsg *why)
{
	struct buf clean;
	buf_init(&clean, URL_MAX);
	text_clean(&clean, url);
	errmsg_set(why, ERR_CONFIG, "%.*s is no URL; it looks like http://127.0.0.1:8380",
		   (int)clean.len, (const char *)clean.p);
	buf_fini(&clean);
	return ERR_CONFIG;
}

/* What is said about the URL in messages, and whether it is this host. */
static enum err look_at(struct api *a, CURLU *u, const char *url, struct errmsg *why)
{
	char *scheme = NULL, *host = NULL, *query = NULL, *whole = NULL;
	enum err e = ERR_OK;
	if (strlen(url) > URL_MAX / 2 || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
	    curl_url_get(u, CURLUPART_QUERY, &query, 0) != CURLUE_NO_QUERY)
		e = bad_url(url, why);
	if (e == ERR_OK) {
		a->local = is_local(host);
		curl_url_set(u, CURLUPART_USER, NULL, 0);
		curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
		curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
		if (curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK)
			a->shown = mem_strdup(whole);
		if (a->shown == NULL)
			e = errmsg_set(why, ERR_NOMEM, "out of memory");
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(query);
	curl_free(whole);
	return e;
}

enum err api_new(const char *url, int64_t timeout_ms, struct api **out, struct errmsg *why)
{
	struct api *a = mem_zalloc(1, sizeof *a);
	CURLU *u = curl_url();
	enum err e = ERR_OK;
	if (a == NULL || u == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		errmsg_set(why, ERR_NOMEM, "out of memory");
		e = ERR_NOMEM;
	} else {
		a->timeout_ms = timeout_ms;
		buf_init(&a->url, URL_MAX);
		e = look_at(a, u, url, why);
	}
	if (e == ERR_OK) {
		size_t n = strlen(url);
		while (n > 0 && url[n - 1] == '/')
			n--;
		buf_put(&a->url, url, n);
		a->curl = curl_easy_init();
		if (a->curl == NULL || a->url.err != ERR_OK)
			e = errmsg_set(why, ERR_NOMEM, "out of memory");
	}
	curl_url_cleanup(u);
	if (e != ERR_OK)
		api_free(a);
	else
		*out = a;
	return e;
}

void api_free(struct api *a)
{
	if (a == NULL)
		return;
	curl_easy_cleanup(a->curl);
	buf_fini(&a->url);
	mem_free(a->shown);
	mem_free(a);
	curl_global_cleanup();
}

const char *api_url(const struct api *a)
{
	return a->shown;
}

/* ---- one question ---- */

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct buf *answer = arg;
	buf_put(answer, p, size * n);
	return answer->err == ERR_OK ? size * n : 0;
}

static void put_url(const struct api *a, const char *path, const struct api_parameter *p,
		    struct buf *out)
{
	char mark = '?';
	buf_put(out, a->url.p, a->url.len);
	buf_put_str(out, path);
	for (; p->name != NULL; p++) {
		if (p->value == NULL)
			continue;
		char *value = curl_easy_escape(a->curl, p->value, 0);
		if (value == NULL)
			out->err = ERR_NOMEM;
		else
			buf_printf(out, "%c%s=%s", mark, p->name, value);
		curl_free(value);
		mark = '&';
	}
	buf_put_u8(out, '\0');
}

static bool set_options(struct api *a, const char *url, struct buf *answer)
{
	CURL *c = a->curl;
	curl_easy_reset(c);
	CURLcode bad = curl_easy_setopt(c, CURLOPT_URL, url);
	bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
				(long)(a->timeout_ms < CONNECT_MS ? a->timeout_ms : CONNECT_MS));
	bad |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)a->timeout_ms);
	bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, "farshore/" FARSHORE_VERSION);
	bad |= curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, NULL);
	bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	bad |= curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
	bad |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->detail);
	if (a->local)
		bad |= curl_easy_setopt(c, CURLOPT_PROXY, "");
	return bad == CURLE_OK;
}

/* An error of the transfer, in our words and the library's. */
static enum err not_asked(const struct api *a, CURLcode code, const struct buf *answer,
			  struct errmsg *why)
{
	enum err e = ERR_IO;
	if (answer->err != ERR_OK)
		return errmsg_set(
			why, answer->err,
			"%s: the answer is larger than %d MiB: no Farshore mirror listens "
			"there?",
			a->shown, API_ANSWER_MAX >> 20);
	if (code == CURLE_COULDNT_CONNECT)
		e = ERR_CONNECT;
	else if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY)
		e = ERR_DNS;
	else if (code == CURLE_OPERATION_TIMEDOUT)
		e = ERR_TIMEOUT;
	else if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION)
		e = ERR_TLS;
	else if (code == CURLE_OUT_OF_MEMORY)
		e = ERR_NOMEM;
	return errmsg_set(why, e, "%s: %s: %s%s", a->shown, err_text(e),
			  a->detail[0] != '\0' ? a->detail : curl_easy_strerror(code),
			  e == ERR_CONNECT ? "; does a mirror run there? --url says where" : "");
}

/* The first line of a refusal. */
static void put_words(const struct buf *answer, struct buf *out)
{
	char line[WORDS_MAX];
	size_t n = answer->len < sizeof line - 1 ? answer->len : sizeof line - 1;
	if (n > 0)
		memcpy(line, answer->p, n);
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	text_clean(out, line);
	buf_put_u8(out, '\0');
}

/* A path that a mirror has is not there. */
static bool is_another_program(const struct api *a, long status, const struct buf *answer)
{
	static const char no_such_path[] = "Not found."; /* lib/net/http_routes.c */
	const char *kind = NULL;
	curl_easy_getinfo(a->curl, CURLINFO_CONTENT_TYPE, &kind);
	return status == 404 && (kind == NULL || strncmp(kind, "text/plain", 10) != 0 ||
				 (answer->len >= sizeof no_such_path - 1 &&
				  memcmp(answer->p, no_such_path, sizeof no_such_path - 1) == 0));
}

static enum err refused(const struct api *a, const char *path, long status,
			const struct buf *answer, struct errmsg *why)
{
	if (is_another_program(a, status, answer))
		return errmsg_set(why, ERR_UNSUPPORTED,
				  "%s has no %s (404): is it the mirror's http.listen?", a->shown,
				  path);
	enum err e = status == 404 ? ERR_NOT_FOUND : status == 400 ? ERR_CONFIG : ERR_UNSUPPORTED;
	struct buf words;
	buf_init(&words, URL_MAX);
	put_words(answer, &words);
	errmsg_set(why, e, "%s says (%ld): %s", a->shown, status,
		   words.err == ERR_OK ? (const char *)words.p : "");
	buf_fini(&words);
	return e;
}

static enum err read_answer(const struct api *a, const struct buf *answer, json_t **out,
			    struct errmsg *why)
{
	*out = intake_parse(buf_bytes(answer));
	if (*out != NULL)
		return ERR_OK;
	return errmsg_set(why, ERR_MALFORMED,
			  "%s answers, but not as a Farshore mirror does: is it the mirror's "
			  "http.listen?",
			  a->shown);
}

enum err api_get(struct api *a, const char *path, const struct api_parameter *parameters,
		 json_t **out, struct errmsg *why)
{
	struct buf url, answer;
	long status = 0;
	enum err e;
	buf_init(&url, URL_MAX);
	buf_init(&answer, API_ANSWER_MAX);
	a->detail[0] = '\0';
	put_url(a, path, parameters, &url);
	if (url.err != ERR_OK || !set_options(a, (const char *)url.p, &answer)) {
		e = errmsg_set(why, url.err == ERR_OK ? ERR_NOMEM : url.err,
			       "the question is too long");
	} else {
		CURLcode code = curl_easy_perform(a->curl);
		curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
		if (code != CURLE_OK)
			e = not_asked(a, code, &answer, why);
		else if (status != 200)
			e = refused(a, path, status, &answer, why);
		else
			e = read_answer(a, &answer, out, why);
	}
	buf_fini(&url);
	buf_fini(&answer);
	return e;
}
