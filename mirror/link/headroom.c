/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror/link/headroom.h"

enum { TELL_AGAIN_MS = 5 * 60 * 1000 };

double headroom_update(struct headroom *h, int64_t now_ms, int64_t start, int64_t position)
{
	const struct headroom_at now = {.ms = now_ms, .start = start, .position = position};
	if (start < 0 || position < 0) {
		headroom_clear(h);
		return -1;
	}
	if (!h->known || position < h->past.position || start < h->past.start) {
		/* New, or not the log that it was. */
		h->past = h->mid = now;
		h->known = true;
		return -1;
	}
	if (now_ms - h->mid.ms >= HEADROOM_WINDOW_MS) {
		h->past = h->mid;
		h->mid = now;
	}
	double s = (double)(now_ms - h->past.ms) / 1000;
	double nearer = (double)((start - h->past.start) - (position - h->past.position));
	if (now_ms - h->past.ms < HEADROOM_LEAST_MS || nearer <= 0)
		return -1;
	return position <= start ? 0 : (double)(position - start) * s / nearer;
}

void headroom_clear(struct headroom *h)
{
	h->known = h->near = false;
}

bool headroom_warn(struct headroom *h, int64_t now_ms, double seconds, double limit)
{
	if (seconds < 0 || seconds > 2 * limit)
		h->near = false;
	if (seconds < 0 || seconds > limit || limit <= 0)
		return false;
	if (h->near && now_ms - h->told_ms < TELL_AGAIN_MS)
		return false;
	h->near = true;
	h->told_ms = now_ms;
	return true;
}
