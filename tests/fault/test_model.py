# SPDX-License-Identifier: Apache-2.0
"""The oracle itself: it must see what the sweeps look for."""

import pytest

from model import Log, Model, Promise
from raw import Seen

NAME = ("t", 0)


def filled(count: int = 4, acked: int = 3) -> tuple[Log, list[Seen]]:
    """`count` records sent, the first `acked` of them acknowledged; what a good broker has."""
    log = Log()
    for number in range(count):
        entry = log.add(None, b"%d" % number)
        if number < acked:
            entry.offset = number
    return log, [Seen(number, None, b"%d" % number) for number in range(acked)]


def test_takes_what_is_right() -> None:
    log, seen = filled()
    log.check(NAME, seen, 0)
    log.check(NAME, seen + [Seen(3, None, b"3")], 0)  # sent, not acknowledged: may be there
    log.start = log.start_asked = 2
    log.check(NAME, seen[2:], 2)


@pytest.mark.parametrize(
    "wrong,why",
    [
        ([0, 1], "B1"),
        ([1, 2], "B1"),
        ([0, 2], "holes"),
    ],
)
def test_sees_losses(wrong: list[int], why: str) -> None:
    log, seen = filled()
    with pytest.raises(AssertionError, match=why):
        log.check(NAME, [seen[i] for i in wrong], 0)


def test_sees_a_start_that_moves() -> None:
    log, seen = filled()
    with pytest.raises(AssertionError, match="B1"):
        log.check(NAME, seen[1:], 1)
    log.start = log.start_asked = 2
    with pytest.raises(AssertionError, match="B13"):
        log.check(NAME, seen[1:], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        [Seen(0, None, b"0"), Seen(1, None, b"0")],
        [Seen(0, None, b"1"), Seen(1, None, b"0")],
        [Seen(0, None, b"0"), Seen(1, None, b"never sent")],
        [Seen(n, None, b"%d" % n) for n in range(4)] + [Seen(4, None, b"3")],
    ],
)
def test_sees_doubles_order_and_strangers(wrong: list[Seen]) -> None:
    log, _ = filled()
    with pytest.raises(AssertionError, match="B3"):
        log.check(NAME, wrong, 0)


def test_sees_lost_keys() -> None:
    log = Log(compacted=True)
    for number, (key, value) in enumerate([(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None)]):
        log.add(key, value).offset = number
    good = [Seen(2, b"a", b"3"), Seen(3, b"b", None)]
    log.check(NAME, good, 0)
    with pytest.raises(AssertionError, match="B18"):
        log.check(NAME, good[:1], 0)
    with pytest.raises(AssertionError, match="B18"):
        log.check(NAME, [Seen(0, b"a", b"1"), good[1]], 0)


def test_sees_commits_that_go_back() -> None:
    model = Model(commits=[(1, True), (5, True), (7, False)])
    check = model._check_commits  # pylint: disable=protected-access
    check(5)
    check(7)
    for wrong in (-1, 1, 6):
        with pytest.raises(AssertionError, match="B14"):
            check(wrong)


def test_sees_topics_that_come_and_go() -> None:
    model = Model(
        created={name: Promise(True, True) for name in "ab"}, deleted={"b": Promise(True, True)}
    )
    check = model._check_topics  # pylint: disable=protected-access
    check({"a": 1})
    for wrong in ({}, {"a": 1, "b": 1}, {"a": 1, "c": 1}):
        with pytest.raises(AssertionError, match="B15"):
            check(wrong)
