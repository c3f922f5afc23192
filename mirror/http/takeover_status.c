/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a partition, keeps nothing. */
#include "mirror/http/takeover_status.h"

#include "mirror/partition/retrace.h"

size_t takeover_status_counts(const struct partition *p, struct takeover_count out[TAKEOVER_COUNTS])
{
	const struct retrace_result *r = partition_taken_over(p);
	if (r == NULL)
		return 0;
	out[0] = (struct takeover_count){"copied", r->copied};
	out[1] = (struct takeover_count){"doubled", r->doubled};
	out[2] = (struct takeover_count){"aborted", r->aborted};
	out[3] = (struct takeover_count){"gone", r->gone};
	out[4] = (struct takeover_count){"ahead", r->ahead};
	return TAKEOVER_COUNTS;
}

static json_t *result_json(const struct partition *p, const struct retrace_result *r)
{
	struct takeover_count counts[TAKEOVER_COUNTS];
	json_t *o =
		json_pack("{s:b, s:I, s:b, s:b}", "done", 1, "source_position", (json_int_t)r->src,
			  "runs_recovered", (int)r->from_start, "verified", (int)!r->unverified);
	size_t n = takeover_status_counts(p, counts);
	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, counts[i].kind, json_integer(counts[i].records));
	json_t *ranges = json_array();
	for (size_t i = 0; i < r->doubled_ranges_n && i < RETRACE_RANGES; i++)
		json_array_append_new(ranges,
				      json_pack("{s:I, s:I}", "first", r->doubled_ranges[i].first,
						"last", r->doubled_ranges[i].last));
	json_object_set_new(o, "doubled_ranges", ranges);
	json_object_set_new(o, "doubled_ranges_total",
			    json_integer((json_int_t)r->doubled_ranges_n));
	return o;
}

json_t *takeover_status_json(const struct partition *p)
{
	double progress = partition_takeover_progress(p);
	const struct retrace_result *r = partition_taken_over(p);
	if (progress >= 0)
		return json_pack("{s:b, s:f}", "done", 0, "progress", progress);
	return r == NULL ? NULL : result_json(p, r);
}
