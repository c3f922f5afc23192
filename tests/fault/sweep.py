# SPDX-License-Identifier: Apache-2.0
"""Going through the Nth of everything: all of them in a long run, some spread evenly otherwise."""

from typing import Callable

from conftest import LONG

SHOWN = 5  # failures of a sweep that are told in full


def points(total: int, some: int) -> list[int]:
    """1 .. total, or about `some` of them: the first ones, then evenly."""
    if LONG or total <= some:
        return list(range(1, total + 1))
    return sorted({1 + number * total // some for number in range(some)} | {2, 3, total})


def sweep(numbers: list[int], one: Callable[[int], None]) -> None:
    """Try all, then fail if one failed: where the failures are says more than the first one."""
    failed: list[tuple[int, BaseException]] = []
    for number in numbers:
        try:
            one(number)
        except (Exception, AssertionError) as err:  # pylint: disable=broad-except
            failed.append((number, err))
    told = "\n".join(f"{number}: {err!r:.1500}" for number, err in failed[:SHOWN])
    where = [number for number, _ in failed]
    assert not failed, f"{len(failed)} of {len(numbers)} failed, at {where}:\n{told}"
