/* SPDX-License-Identifier: Apache-2.0 */
/* States: names, order of badness, and who may follow whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mirror/partition/state.h"

static void names_and_kinds(void **state)
{
	(void)state;
	assert_string_equal(mirror_state_name(STATE_ACTIVE), "ACTIVE");
	assert_string_equal(mirror_state_name(STATE_SOURCE_TRUNCATED), "SOURCE_TRUNCATED");
	assert_string_equal(mirror_state_name((enum mirror_state)STATE_COUNT), "?");
	assert_string_equal(mirror_state_name((enum mirror_state) - 1), "?");
	assert_false(mirror_state_needs_person((enum mirror_state)STATE_COUNT));
	for (int s = 0; s < STATE_COUNT; s++) {
		assert_true(strlen(mirror_state_name((enum mirror_state)s)) > 0);
		bool moves = s == STATE_ACTIVE || s == STATE_CATCHING_UP;
		assert_int_equal(mirror_state_moves((enum mirror_state)s), moves);
		/* What needs a person is worse than all that does not. */
		assert_int_equal(mirror_state_needs_person((enum mirror_state)s),
				 s >= STATE_REFUSED);
	}
}

/* Only an operator's pause (or his deletion of the target, by STARTING) leads out of a state that
 * needs a person; REFUSED mends itself when its cause goes. */
static void a_stop_is_final(void **state)
{
	(void)state;
	for (int from = STATE_TOPIC_RECREATED; from < STATE_COUNT; from++)
		for (int to = 0; to < STATE_COUNT; to++)
			if (to != from && to != STATE_PAUSED && to != STATE_STARTING)
				assert_false(mirror_state_allowed((enum mirror_state)from,
								  (enum mirror_state)to));
	assert_true(mirror_state_allowed(STATE_REFUSED, STATE_CATCHING_UP));
}

static void faults_come_from_and_lead_back_to_copying(void **state)
{
	(void)state;
	for (int s = 0; s < STATE_COUNT; s++) {
		assert_true(mirror_state_allowed(STATE_ACTIVE, (enum mirror_state)s));
		assert_true(mirror_state_allowed(STATE_CATCHING_UP, (enum mirror_state)s));
		assert_true(mirror_state_allowed((enum mirror_state)s, STATE_PAUSED));
		assert_true(mirror_state_allowed(STATE_PAUSED, (enum mirror_state)s));
		assert_true(mirror_state_allowed((enum mirror_state)s, (enum mirror_state)s));
	}
	assert_true(mirror_state_allowed(STATE_SOURCE_UNAVAILABLE, STATE_CATCHING_UP));
	assert_true(mirror_state_allowed(STATE_TARGET_UNAVAILABLE, STATE_DATA_LOSS));
	assert_true(mirror_state_allowed(STATE_TARGET_TRUNCATED, STATE_CATCHING_UP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_kinds),
		cmocka_unit_test(a_stop_is_final),
		cmocka_unit_test(faults_come_from_and_lead_back_to_copying),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
