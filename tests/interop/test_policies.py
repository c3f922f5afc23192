# SPDX-License-Identifier: Apache-2.0
"""Policies: what is lost is recorded durably, and copying goes on; each driven by its real cause."""

import json
import signal
import time
from typing import Any

from conftest import Pair, Topic
from harness.client import Client, Record, Stored, numbered
from harness.compare import assert_same
from harness.mirror import Mirror
from harness.process import wait_for
from test_states import LARGE, assert_others_go_on, recreate, two_partitions

GAPS = "east.gaps.internal"
LETTERS = "east.dead-letters.internal"
GO_ON = "record_and_continue"


def policy(**on: str) -> list[str]:
    return [f"links.east->west.on_{state}={action}" for state, action in on.items()]


def stored_gaps(target: Client, topic: str, cause: str) -> list[dict[str, Any]]:
    """What the target holds, the newest record of each key, oldest key first."""
    newest: dict[bytes, dict[str, Any]] = {}
    for stored in target.read(GAPS) if GAPS in target.topics() else []:
        assert stored.record.key is not None and stored.record.value is not None
        key = json.loads(stored.record.key)
        if key["topic"] == topic and key["cause"] == cause:
            newest[stored.record.key] = json.loads(stored.record.value)
    return list(newest.values())


def shown_gaps(mirror: Mirror, topic: str, cause: str) -> list[dict[str, Any]]:
    status, body = mirror.get(f"/v1/gaps?topic={topic}")
    assert status == 200
    (link,) = json.loads(body)["links"]
    return [gap for gap in link["gaps"] if gap["cause"] == cause]


def wait_gaps(
    pair: Pair, mirror: Mirror, topic: str, cause: str, count: int = 1
) -> list[dict[str, Any]]:
    """Until so many gaps are in the topic; the log, the API and the metrics say the same."""

    def probe() -> list[dict[str, Any]] | None:
        found = stored_gaps(pair.target, topic, cause)
        assert len(found) <= count, found
        return found if len(found) == count else None

    found = wait_for(f"{count} {cause} of {topic}", probe)
    assert shown_gaps(mirror, topic, cause) == found
    line = mirror.wait_log(rf"event=gap_recorded.*topic={topic} .*cause={cause}")
    assert GAPS in line
    assert mirror.metric("farshore_gap_records_total", topic=topic, cause=cause) >= count
    for gap in found:
        assert gap["link"] == "east->west" and gap["target_topic"] == f"east.{topic}"
        assert gap["reason"] and abs(gap["time_ms"] / 1000 - time.time()) < 120
    return found


def values(stored: list[Stored]) -> list[bytes | None]:
    return [s.record.value for s in stored]


# -- DATA_LOSS


def test_data_loss_is_recorded_and_passed(pair: Pair, topic: Topic) -> None:
    """F26, M1, M13: what DeleteRecords took is in a gap record before copying goes on; a restart
    shows it again and repeats nothing."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    mirror = pair.mirror(name, *policy(data_loss=GO_ON))
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)
    for partition in range(2):
        pair.source.produce(name, numbered(1000, start=1000), partition)
    pair.source.delete_records(name, 1500)
    with mirror:
        (gap,) = wait_gaps(pair, mirror, name, "DATA_LOSS")
        assert (gap["partition"], gap["count"]) == (0, 500)
        assert (gap["source_first"], gap["source_last"], gap["source_next"]) == (1000, 1499, 1500)
        assert gap["target_next"] == 1000
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1500)
        mirror.wait_state("ACTIVE", name)
        assert_others_go_on(pair, mirror, name)
        got = values(pair.target.read(mirrored))
        assert got[1000:] == [r.value for r in numbered(500, start=1500)]
        status, body = mirror.get(f"/v1/translate?topic={name}&partition=0&offset=1200")
        assert status == 200 and json.loads(body)["translated"] == 1000, body
    mirror.kill()
    with mirror:
        mirror.wait_state("ACTIVE", name)
        wait_for("read back", lambda: shown_gaps(mirror, name, "DATA_LOSS") == [gap])
        pair.source.produce(name, numbered(10, start=2000))
        wait_for("more", lambda: pair.target.offsets(mirrored)[1] == 1510)


def test_a_reloaded_policy_ends_a_stop(pair: Pair, topic: Topic) -> None:
    """M1, M5: who finds a stopped partition changes the policy, and it goes on; others stay."""
    name, other = topic("t"), topic("u")
    config = pair.folder / "native.conf"

    def write(policies: str) -> None:
        config.write_text(
            f'clusters = {{ east = {{ bootstrap = "{pair.east.bootstrap()}"; }};'
            f' west = {{ bootstrap = "{pair.west.bootstrap()}"; }}; }};\n'
            f'links = ( {{ source = "east"; target = "west"; topics = "{name}, {other}";'
            f" refresh_topics_interval = \"1 s\"; policies = {policies}; }} );\n"
        )

    write("[]")
    mirror = pair.mirror("none")
    mirror.process.argv[1:3] = ["--config", str(config)]
    two_partitions(pair, name)
    two_partitions(pair, other)
    with mirror:
        for each in (name, other):
            assert_same(pair.source, each, pair.target, f"east.{each}")
    for each in (name, other):
        pair.source.produce(each, numbered(100, start=1000))
        pair.source.delete_records(each, 1050)
    with mirror:
        for each in (name, other):
            mirror.wait_state("DATA_LOSS", each)
        write(f'["{name} data_loss=record_and_continue"]')
        mirror.process.signal(signal.SIGHUP)
        mirror.wait_log("setting_changed.*policies.*in_force=now")
        wait_gaps(pair, mirror, name, "DATA_LOSS")
        mirror.wait_state("ACTIVE", name)
        wait_for("the rest", lambda: pair.target.offsets(f"east.{name}")[1] == 1050)
        mirror.wait_state("DATA_LOSS", other)
        assert not stored_gaps(pair.target, other, "DATA_LOSS")


# -- TOPIC_RECREATED


def test_a_recreated_topic_is_copied_behind_the_old(pair: Pair, topic: Topic) -> None:
    """F25, M1, M7: the new topic follows from its start; the record tells ids and the border."""
    name, other = topic("t"), topic("u")
    mirrored = f"east.{name}"
    two_partitions(pair, name)
    two_partitions(pair, other)
    with pair.mirror(f"{name}, {other}", *policy(topic_recreated="restart")) as mirror:
        for each in (name, other):
            assert_same(pair.source, each, pair.target, f"east.{each}")
        recreate(pair, name, 20)
        found = wait_gaps(pair, mirror, name, "TOPIC_RECREATED", 2)
        for gap in found:
            assert gap["topic_id"] != gap["new_topic_id"]
            assert (gap["source_next"], gap["target_next"]) == (0, 1000)
        for partition in range(2):
            wait_for(
                "the new topic", lambda: pair.target.offsets(mirrored, partition)[1] == 1020
            )
            got = values(pair.target.read(mirrored, partition))
            assert got[1000:] == [r.value for r in numbered(20, start=5_000_000)]
            mirror.wait_state("ACTIVE", name, partition)
        assert_others_go_on(pair, mirror, other)


# -- REFUSED


def test_refused_records_are_parked(pair: Pair, topic: Topic) -> None:
    """F31, M1, M4, M7: of a batch all but the refused record arrives; that one lies in the
    dead-letter topic as it was, and the run table knows of the hole."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    large = Record(b"large", b"x" * (2 << 20), (("h", b"v"), ("n", None)), 1_700_000_000_123)
    batch = [*numbered(30, start=1000), large, *numbered(30, start=1031)]
    pair.source.produce(name, batch, 0, **LARGE)
    with pair.mirror(name, *policy(refused="dead_letter")) as mirror:
        (gap,) = wait_gaps(pair, mirror, name, "REFUSED")
        assert (gap["source_first"], gap["count"]) == (1030, 1)
        assert gap["error"] == "KAFKA_MESSAGE_TOO_LARGE"
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1060)
        got = values(pair.target.read(mirrored))
        assert got[1000:] == [r.value for r in batch if r is not large]
        mirror.wait_state("ACTIVE", name)
        assert_others_go_on(pair, mirror, name)
        letters = [
            s.record for s in pair.target.read(LETTERS) if ("farshore.topic", name.encode()) in s.record.headers
        ]
        (letter,) = letters
        assert (letter.key, letter.value, letter.timestamp) == (
            large.key,
            large.value,
            large.timestamp,
        )
        assert letter.headers[:2] == large.headers
        told = dict(letter.headers[2:])
        assert told["farshore.partition"] == b"0" and told["farshore.offset"] == b"1030"
        assert told["farshore.timestamp"] == b"1700000000123"
        assert told["farshore.error"] == b"KAFKA_MESSAGE_TOO_LARGE"
        assert mirror.metric("farshore_dead_letters_total", topic=name) == 1
        mirror.wait_log(rf"event=dead_letter.*topic={name} .*offset=1030")
        for offset, lands in ((1029, 1029), (1030, 1030), (1031, 1030), (1060, 1059)):
            _status, body = mirror.get(f"/v1/translate?topic={name}&partition=0&offset={offset}")
            assert json.loads(body)["translated"] == lands, body


def test_null_keys_for_a_compacted_target_are_parked(pair: Pair, topic: Topic) -> None:
    """F31, M1: records that only the target's own topic refuses, several in one batch."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    pair.source.create_topic(name, partitions=2)
    keep = {"config.properties.exclude": "cleanup.policy"}
    with pair.mirror(name, *policy(refused="dead_letter"), more=keep) as mirror:
        pair.source.produce(name, numbered(10))
        assert_same(pair.source, name, pair.target, mirrored)
        pair.target.alter_config(mirrored, cleanup_policy="compact")
        sent = [
            Record(None if i in (3, 4, 17) else b"k%d" % i, b"value %d" % i) for i in range(40)
        ]
        pair.source.produce(name, sent, linger_ms=200)
        found = wait_gaps(pair, mirror, name, "REFUSED", 3)
        assert [gap["source_first"] for gap in found] == [13, 14, 27]
        assert {gap["error"] for gap in found} == {"KAFKA_INVALID_RECORD"}
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 47)
        got = values(pair.target.read(mirrored))
        assert got[10:] == [r.value for r in sent if r.key is not None]
        assert_others_go_on(pair, mirror, name)


def test_a_lowered_max_message_bytes(pair: Pair, topic: Topic) -> None:
    """F31, M5: the target takes less from now on: what is too large for it alone is parked, the
    rest is split."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    keep = {"config.properties.exclude": "max.message.bytes"}
    with pair.mirror(name, *policy(refused="dead_letter"), more=keep) as mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        pair.target.alter_config(mirrored, max_message_bytes=20_000)
        sent = [
            Record(b"k%d" % i, b"%d" % i * (10_000 if i == 7 else 1000)) for i in range(10, 60)
        ]
        sent.insert(25, Record(b"big", b"y" * 30_000))
        pair.source.produce(name, sent, linger_ms=200)
        (gap,) = wait_gaps(pair, mirror, name, "REFUSED")
        assert gap["source_first"] == 1025
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1050)
        got = values(pair.target.read(mirrored))
        assert got[1000:] == [r.value for r in sent if r.key != b"big"]
        assert_others_go_on(pair, mirror, name)
