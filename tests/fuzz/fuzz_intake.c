/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever answers the operator's command: nothing breaks it, and what is taken can be printed. */
#include <stdlib.h>

#include "tools/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(enum err e)
{
	if (e != ERR_OK)
		abort();
}

static void print_links(json_t *root, const struct report *r)
{
	struct intake in;
	struct errmsg why;
	int code;
	if (intake_links(root, &in, &why) != ERR_OK)
		return;
	must(report_links(r, &in, &code));
	must(report_lag(r, &in, NULL, &code));
	intake_fini(&in);
}

static void print_groups(json_t *root, const struct report *r)
{
	struct intake_groups in;
	struct errmsg why;
	int code;
	if (intake_groups(root, &in, &why) != ERR_OK)
		return;
	must(report_groups(r, &in, NULL, &code));
	must(report_groups(r, &in, "g", &code));
	intake_groups_fini(&in);
}

static void print_translation(const json_t *root, const struct report *r)
{
	struct translation t;
	struct errmsg why;
	int code;
	if (translate_from_json(root, &t, &why) != ERR_OK)
		return;
	must(report_translations(r, NULL, &t, 1, &code));
	if (t.exact && t.translated < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The first byte says how to print. */
	struct report r = {.width = size > 0 ? data[0] % 120 : 0,
			   .json = size > 0 && data[0] > 200};
	json_t *root = intake_parse(bytes_of(data + (size > 0), size - (size > 0)));
	if (root == NULL)
		return 0;
	r.out = fopen("/dev/null", "we");
	if (r.out == NULL)
		abort();
	print_translation(root, &r);
	print_groups(json_incref(root), &r);
	print_links(root, &r);
	fclose(r.out);
	return 0;
}
