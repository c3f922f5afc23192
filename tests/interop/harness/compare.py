# SPDX-License-Identifier: Apache-2.0
"""Does the target hold the source's records, each once, in order, equal in everything?"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import zip_longest

from .client import Client, Record, Stored
from .process import wait_for


def diff(source: Iterable[Stored], target: Iterable[Stored], timestamp_type: bool = True) -> str:
    """The first difference in words, "" if there is none. Offsets are not compared.

    With `timestamp_type` false the kind of timestamp may differ (the target's topic decides it),
    the timestamp not.
    """
    for index, (want, got) in enumerate(zip_longest(source, target)):
        if want is None or got is None:
            shorter = "source" if want is None else "target"
            return f"the {shorter} has {index} records, the other more"
        expected = want.record
        if not timestamp_type:
            expected = replace(expected, timestamp_type=got.record.timestamp_type)
        if expected != got.record:
            return (
                f"record {index}: source offset {want.offset} has {_short(want.record)}, "
                f"target offset {got.offset} has {_short(got.record)}"
            )
    return ""


def _short(record: Record) -> str:
    text = repr(record)
    return text if len(text) <= 240 else text[:240] + "..."


def assert_contiguous(target: Iterable[Stored]) -> None:
    """A mirror writes no markers and leaves no holes: the target's offsets are 0, 1, 2, ..."""
    for index, stored in enumerate(target):
        assert stored.offset == index, f"target offset {stored.offset} stands at place {index}"


def assert_same(
    source: Client,
    source_topic: str,
    target: Client,
    target_topic: str,
    timeout: float = 60,
    timestamp_type: bool = True,
) -> int:
    """Wait until the target has as many records as the source, then compare every partition.

    Returns the number of records compared.
    """
    total = 0
    partitions = len(source.leaders(source_topic))
    wait_for(
        f"{target_topic} with {partitions} partitions",
        lambda: len(target.leaders(target_topic)) >= partitions,
        timeout,
    )
    for partition in range(partitions):
        count = sum(1 for _ in source.records(source_topic, partition))
        wait_for(
            f"{target_topic}-{partition} to reach {count} records",
            lambda: target.offsets(target_topic, partition)[1] >= count,
            timeout,
        )
        why = diff(
            source.records(source_topic, partition),
            target.records(target_topic, partition),
            timestamp_type,
        )
        assert why == "", f"{target_topic}-{partition}: {why}"
        total += count
    return total
