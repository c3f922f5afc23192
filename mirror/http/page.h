/* SPDX-License-Identifier: Apache-2.0 */
/* The page for people at "/": clusters, links, topics, positions, lag, states with their reasons. It
 * is made whole by the server and asks for itself again; no script, nothing from elsewhere. */
#ifndef FARSHORE_MIRROR_PAGE_H
#define FARSHORE_MIRROR_PAGE_H

#include "mirror/http/status.h"

enum {
	PAGE_REFRESH_S = 2,
	/* Partitions shown per link: those in trouble first. The others are counted. */
	PAGE_PARTITIONS_MAX = 500
};

/* Append the page; the error of `out` says if it did not fit. */
void page_html(const struct status_source *s, struct buf *out);

/* The style sheet of "/style.css". Static storage. */
struct bytes page_css(void);

/* Append text with what HTML would take for markup escaped, and "?" for bytes that are not UTF-8.
 * Exposed for its test. */
void page_text(struct buf *out, const char *text);

#endif
