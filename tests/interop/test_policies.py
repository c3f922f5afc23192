# SPDX-License-Identifier: Apache-2.0
"""Policies: what is lost is recorded durably, and copying goes on; each driven by its real cause."""

import json
import re
import shutil
import time
from collections.abc import Iterator

import pytest

from conftest import Pair, Topic
from harness.broker import Cluster
from harness.certs import Authority
from harness.client import Client, Record, Stored, numbered
from harness.compare import assert_same
from harness.evidence import (
    Bystander,
    RuledMirror,
    assert_gaps_shown,
    assert_nothing_recorded,
    assert_state_shown,
    shown_gaps,
    stored_gaps,
)
from harness.mirror import Mirror
from harness.process import wait_for
from harness.proxy import Proxy
from test_states import LARGE, recreate, two_partitions

GAPS = "east.gaps.internal"
LETTERS = "east.dead-letters.internal"
GO_ON = "record_and_continue"


def policy(**on: str) -> list[str]:
    """The link's policies; nothing here is on its way for long, so they need not wait for it."""
    return [
        "links.east->west.request_lifetime=1 s",
        *(f"links.east->west.on_{state}={action}" for state, action in on.items()),
    ]


def bystander(pair: Pair, mirror: Mirror, name: str, partition: int = 1) -> Bystander:
    return Bystander(pair.source, pair.target, mirror, name, partition)


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
    with mirror, bystander(pair, mirror, name):
        (gap,) = assert_gaps_shown(pair.target, mirror, name, "DATA_LOSS")
        assert (gap["partition"], gap["count"]) == (0, 500)
        assert (gap["source_first"], gap["source_last"], gap["source_next"]) == (1000, 1499, 1500)
        assert gap["target_next"] == 1000
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1500)
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


def test_reloaded_policies_end_what_has_stopped(pair: Pair, topic: Topic) -> None:
    """M1, M5: without a policy each cause stops its partition, with state, reason and time since in the
    log, the API and the metrics, and gives nothing up; when the policy changes each is recorded and
    goes on. Where it does not change all stays; the others never notice."""
    lost, stays, again, refused, foreign = causes = [
        topic(each) for each in ("lost", "stays", "again", "refused", "foreign")
    ]
    ruled = RuledMirror(
        pair.mirror("none"), pair.source, pair.target, ", ".join(causes)
    )
    mirror = ruled.mirror
    for each in causes:
        two_partitions(pair, each)
    with mirror:
        for each in causes:
            assert_same(pair.source, each, pair.target, f"east.{each}")
    for each in (lost, stays):
        pair.source.produce(each, numbered(100, start=1000))
        pair.source.delete_records(each, 1050)
    with mirror:
        with bystander(pair, mirror, lost), bystander(pair, mirror, foreign):
            large = Record(b"large", b"x" * (2 << 20))
            pair.source.produce(refused, [large, *numbered(10, start=1001)], 0, **LARGE)
            pair.target.produce(f"east.{foreign}", [Record(b"foreign", b"1")])
            pair.source.produce(foreign, numbered(10, start=1000))
            recreate(pair, again, 20)
            expected = {
                lost: ("DATA_LOSS", "offsets 1000 to 1049"),
                stays: ("DATA_LOSS", "offsets 1000 to 1049"),
                again: ("TOPIC_RECREATED", "deleted and made again"),
                refused: ("REFUSED", "offset 1000"),
                foreign: ("FOREIGN_WRITE", "offset 1000"),
            }
            for each, (state, reason) in expected.items():
                assert_state_shown(mirror, each, state, 0, reason)
                assert_nothing_recorded(pair.target, mirror, each, state)
            mirror.wait_link("DATA_LOSS")
            ruled.rule(
                f"{lost} data_loss=record_and_continue",
                f"{again} topic_recreated=restart",
                f"{refused} refused=dead_letter",
                f"{foreign} foreign_write=record_and_continue",
            )
            for each, (state, _reason) in expected.items():
                if each != stays:
                    assert_gaps_shown(
                        pair.target, mirror, each, state, 2 if each == again else 1
                    )
            ends = {lost: 1050, again: 1020, refused: 1010, foreign: 1011}
            for each, end in ends.items():
                wait_for(each, lambda: pair.target.offsets(f"east.{each}")[1] == end)
            assert_state_shown(mirror, stays, *expected[stays][:1], 0, expected[stays][1])
            assert_nothing_recorded(pair.target, mirror, stays, "DATA_LOSS")


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
        with bystander(pair, mirror, other):
            recreate(pair, name, 20)
            found = assert_gaps_shown(pair.target, mirror, name, "TOPIC_RECREATED", 2)
        for gap in found:
            assert gap["topic_id"] != gap["new_topic_id"]
            assert (gap["source_next"], gap["target_next"]) == (0, 1000)
        for partition in range(2):
            wait_for(
                "the new topic", lambda: pair.target.offsets(mirrored, partition)[1] == 1020
            )
            got = values(pair.target.read(mirrored, partition))
            assert got[1000:] == [r.value for r in numbered(20, start=5_000_000)]


# -- REFUSED


def test_refused_records_are_parked(pair: Pair, topic: Topic) -> None:
    """F31, M1, M4, M7: of a batch all but the refused record arrives; that one lies in the
    dead-letter topic as it was, and the run table knows of the hole."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    large = Record(b"large", b"x" * (2 << 20), (("h", b"v"), ("n", None)), 1_700_000_000_123)
    batch = [*numbered(30, start=1000), large, *numbered(30, start=1031)]
    pair.source.produce(name, batch, 0, **LARGE)
    mirror = pair.mirror(name, *policy(refused="dead_letter"))
    with mirror, bystander(pair, mirror, name):
        (gap,) = assert_gaps_shown(pair.target, mirror, name, "REFUSED")
        assert (gap["source_first"], gap["count"]) == (1030, 1)
        assert gap["error"] == "KAFKA_MESSAGE_TOO_LARGE"
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1060)
        got = values(pair.target.read(mirrored))
        assert got[1000:] == [r.value for r in batch if r is not large]
        letters = [
            s.record
            for s in pair.target.read(LETTERS)
            if ("farshore.topic", name.encode()) in s.record.headers
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
        with bystander(pair, mirror, name):
            pair.source.produce(name, sent, linger_ms=200)
            found = assert_gaps_shown(pair.target, mirror, name, "REFUSED", 3)
        assert [gap["source_first"] for gap in found] == [13, 14, 27]
        assert {gap["error"] for gap in found} == {"KAFKA_INVALID_RECORD"}
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 47)
        got = values(pair.target.read(mirrored))
        assert got[10:] == [r.value for r in sent if r.key is not None]


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
        with bystander(pair, mirror, name):
            pair.source.produce(name, sent, linger_ms=200)
            (gap,) = assert_gaps_shown(pair.target, mirror, name, "REFUSED")
        assert gap["source_first"] == 1025
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1050)
        got = values(pair.target.read(mirrored))
        assert got[1000:] == [r.value for r in sent if r.key != b"big"]


# -- FOREIGN_WRITE


def test_foreign_writers_are_noted(pair: Pair, topic: Topic) -> None:
    """M1, M2: where others wrote is recorded, and the partition is shared with them from then on."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    with pair.mirror(name, *policy(foreign_write=GO_ON)) as mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        with bystander(pair, mirror, name):
            pair.target.produce(mirrored, [Record(b"foreign", b"1")])
            pair.source.produce(name, numbered(10, start=1000))
            (gap,) = assert_gaps_shown(pair.target, mirror, name, "FOREIGN_WRITE")
            assert (gap["target_first"], gap["target_last"], gap["count"]) == (1000, 1000, 1)
            pair.target.produce(mirrored, [Record(b"foreign", b"2")])
            pair.source.produce(name, numbered(10, start=1010))
            wait_for("all", lambda: pair.target.offsets(mirrored)[1] == 1022)
        got = [s.record for s in pair.target.read(mirrored)]
        mine = [r.value for r in got if r.key != b"foreign"]
        assert mine[1000:] == [r.value for r in numbered(20, start=1000)]
        assert_gaps_shown(pair.target, mirror, name, "FOREIGN_WRITE")


# -- a warning before retention overtakes


def test_retention_comes_near(pair: Pair, topic: Topic) -> None:
    """F26: while the copy stands still the log's start comes nearer: told before it overtakes, by
    rates, in the log, the metrics and the API; and it ends when the copy goes on."""
    name = topic("t")
    two_partitions(pair, name)
    with Proxy(pair.west.broker(1)) as proxy:
        sets = ["links.east->west.retention_warning=1 h"]
        with pair.mirror(name, *sets, listener=("PLAINTEXT", "PROXIED")) as mirror:
            assert_same(pair.source, name, pair.target, f"east.{name}")
            proxy.refuse(True)
            proxy.cut()
            # More than the mirror holds: it stops to fetch.
            pair.source.produce(name, numbered(90_000, start=1000, size=1000), 0)
            for start in range(100, 900, 100):
                pair.source.delete_records(name, start)
                time.sleep(1)
            line = mirror.wait_log(rf"event=retention_near.*topic={name} partition=0", 20)
            (seconds,) = re.findall(r" seconds=(\d+)", line)
            assert 0 < int(seconds) < 3600
            (sample,) = (
                value
                for labels, value in mirror.metrics("farshore_retention_headroom_seconds")
                if labels["topic"] == name
            )
            assert 0 < sample < 3600
            entry = mirror.partition(name, 0)
            assert entry is not None and entry["retention_headroom_seconds"] < 3600
            proxy.refuse(False)
            mirror.wait_state("ACTIVE", name, timeout=60)
            wait_for(
                "no danger", lambda: not mirror.metrics("farshore_retention_headroom_seconds")
            )


# -- topics that are deleted


def test_topic_deletion_follows_where_the_policy_says_so(pair: Pair, topic: Topic) -> None:
    """F25, M1: by default the copy stays; else it goes, after the source has said so for a while; a
    topic that others wrote to stays."""
    kept, followed, other, used = topic("kept"), topic("followed"), topic("other"), topic("used")
    deleted = ", ".join(f"{each} topic_deleted=delete" for each in (followed, other, used))
    sets = [
        f"links.east->west.policies={deleted}",
        "links.east->west.topic_deleted_wait=2 s",
        "links.east->west.request_lifetime=1 s",
    ]
    for each in (kept, followed, other, used):
        two_partitions(pair, each)
    with pair.mirror(f"{kept}, {followed}, {other}, {used}", *sets) as mirror:
        for each in (kept, followed, other, used):
            assert_same(pair.source, each, pair.target, f"east.{each}")
        pair.target.produce(f"east.{used}", numbered(1), 1)
        with bystander(pair, mirror, other):
            for each in (kept, followed, used):
                pair.source.delete_topic(each)
            began = time.monotonic()
            for each in (kept, followed):
                assert_state_shown(
                    mirror, each, "SOURCE_UNAVAILABLE", 0, "was deleted at the source"
                )
            wait_for("the copy to go", lambda: f"east.{followed}" not in pair.target.topics())
            assert time.monotonic() - began >= 2
            mirror.wait_log(f"event=topic_deleted.*topic={followed}")
            assert_state_shown(mirror, followed, "SOURCE_UNAVAILABLE", 0, "as the policy says")
        assert pair.target.end_offsets(f"east.{kept}") == [1000, 1000]
        mirror.wait_log(f"event=topic_not_deleted.*topic={used} .*others wrote to it: partition 1")
        assert pair.target.end_offsets(f"east.{used}") == [1000, 1001]
        # It comes back as another topic, and is copied afresh.
        two_partitions(pair, followed)
        assert_same(pair.source, followed, pair.target, f"east.{followed}")


# -- authorization that is withdrawn while the mirror runs

MIRROR_USER = "User:CN=mirror"


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[Cluster, Client]]:
    """A broker with Kafka's authorizer; who comes without a certificate may do everything."""
    overrides = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    cluster = Cluster(
        "guarded", tmp_path_factory.mktemp("guarded"), authority=authority, overrides=overrides
    ).start()
    try:
        yield cluster.wait_ready(), Client(cluster)
    finally:
        cluster.stop()


def assert_nothing_lost(target: Client, mirror: Mirror, name: str) -> None:
    """A right that is missing for a while takes no record away: nothing is recorded as a gap."""
    for cause in ("DATA_LOSS", "REFUSED", "TOPIC_RECREATED"):
        assert_nothing_recorded(target, mirror, name, cause)


def with_certificate(alias: str, authority: Authority) -> dict[str, str]:
    store = authority.issue("mirror").keystore()
    return {
        f"{alias}.ssl.keystore.type": "PEM",
        f"{alias}.ssl.keystore.location": str(store),
    }


def test_authorization_withdrawn_at_the_source(
    pair: Pair, guarded: tuple[Cluster, Client], authority: Authority, topic: Topic
) -> None:
    """F13, M5: a topic that may not be read any more is told as that, not as deleted, and is never
    deleted at the target; the others go on; it goes on when the right is back."""
    cluster, source = guarded
    name, other = topic("t"), topic("u")
    for each in (name, other):
        source.create_topic(each)
        source.produce(each, numbered(100))
        for operation in ("READ", "DESCRIBE_CONFIGS"):
            source.allow(MIRROR_USER, operation, "TOPIC", each)
    inside = Pair(cluster, pair.west, source, pair.target, pair.folder)
    sets = [
        "links.guarded->west.on_topic_deleted=delete",
        "links.guarded->west.topic_deleted_wait=1 s",
    ]
    with inside.mirror(
        f"{name}, {other}",
        *sets,
        listener=("MTLS", "PLAINTEXT"),
        more=with_certificate("guarded", authority),
    ) as mirror:
        for each in (name, other):
            assert_same(source, each, pair.target, f"guarded.{each}")
        with Bystander(source, pair.target, mirror, other, 0):
            source.forbid(MIRROR_USER, "READ", "TOPIC", name)
            withdrawn = "TOPIC_AUTHORIZATION_FAILED"
            assert_state_shown(mirror, name, "SOURCE_UNAVAILABLE", 0, withdrawn)
            time.sleep(3)
            assert_state_shown(mirror, name, "SOURCE_UNAVAILABLE", 0, withdrawn)
            assert pair.target.end_offsets(f"guarded.{name}") == [100]
            source.produce(name, numbered(10, start=100))
            source.allow(MIRROR_USER, "READ", "TOPIC", name)
            assert_same(source, name, pair.target, f"guarded.{name}")
            mirror.wait_state("ACTIVE", name)
        assert_nothing_lost(pair.target, mirror, name)


def test_authorization_withdrawn_at_the_target(
    pair: Pair, guarded: tuple[Cluster, Client], authority: Authority, topic: Topic
) -> None:
    """F13, M5: the same at the target: writing, and making topics."""
    cluster, target = guarded
    name, other, late = topic("t"), topic("u"), topic("late")
    mirrored = f"east.{name}"
    for right in ("CREATE", "ALTER", "DESCRIBE", "IDEMPOTENT_WRITE"):
        target.allow(MIRROR_USER, right, "BROKER", "kafka-cluster")
    names = [f"east.{each}" for each in (name, other, late)]
    for each in (*names, "east.offset-runs.internal", GAPS, LETTERS):
        for right in ("WRITE", "READ", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "CREATE"):
            target.allow(MIRROR_USER, right, "TOPIC", each)
    for each in (name, other):
        pair.source.create_topic(each)
        pair.source.produce(each, numbered(100))
    inside = Pair(pair.east, cluster, pair.source, target, pair.folder)
    with inside.mirror(
        f"{name}, {other}, {late}",
        listener=("PLAINTEXT", "MTLS"),
        more=with_certificate("guarded", authority),
    ) as mirror:
        for each in (name, other):
            assert_same(pair.source, each, target, f"east.{each}")
        with Bystander(pair.source, target, mirror, other, 0):
            target.forbid(MIRROR_USER, "WRITE", "TOPIC", mirrored)
            pair.source.produce(name, numbered(10, start=100))
            withdrawn = "TOPIC_AUTHORIZATION_FAILED"
            assert_state_shown(mirror, name, "TARGET_UNAVAILABLE", 0, withdrawn)
            target.allow(MIRROR_USER, "WRITE", "TOPIC", mirrored)
            assert_same(pair.source, name, target, mirrored)
            mirror.wait_state("ACTIVE", name)
        assert_nothing_lost(target, mirror, name)
        # Topics cannot be made any more.
        target.forbid(MIRROR_USER, "CREATE", "BROKER", "kafka-cluster")
        target.forbid(MIRROR_USER, "CREATE", "TOPIC", f"east.{late}")
        pair.source.create_topic(late)
        pair.source.produce(late, numbered(10))
        line = mirror.wait_log(rf"event=topic_not_ready.*topic={late} ")
        assert "AUTHORIZATION_FAILED" in line
        target.allow(MIRROR_USER, "CREATE", "TOPIC", f"east.{late}")
        assert_same(pair.source, late, target, f"east.{late}")


@pytest.mark.long
def test_a_certificate_that_expired(
    pair: Pair, guarded: tuple[Cluster, Client], authority: Authority, topic: Topic
) -> None:
    """F13, M5: the broker's certificate is past its end: said in the link's state, the log and the
    metrics, with the time since; when it is replaced the link goes on by itself."""
    cluster, source = guarded
    name = topic("t")
    source.create_topic(name)
    source.produce(name, numbered(10))
    for right in ("READ", "DESCRIBE_CONFIGS"):
        source.allow(MIRROR_USER, right, "TOPIC", name)
    setting = "listener.name.mtls.ssl.keystore.location"
    # A running broker takes a certificate for the same name only, and not for all connections at
    # once: hence the restarts.
    old, good = pair.folder / "old.pem", pair.folder / "good.pem"
    shutil.copy(authority.issue("guarded-1", days=-1).keystore(), old)
    shutil.copy(authority.issue("guarded-1").keystore(), good)
    source.alter_broker(1, setting, str(old))
    cluster.broker(1).restart()
    inside = Pair(cluster, pair.west, source, pair.target, pair.folder)
    more = with_certificate("guarded", authority)
    with inside.mirror(name, listener=("MTLS", "PLAINTEXT"), more=more) as mirror:
        entry = mirror.wait_link("SOURCE_UNAVAILABLE")
        assert "expired" in entry["reason"], entry["reason"]
        assert mirror.get("/readyz")[0] == 503
        mirror.wait_log("event=link_state.*state=SOURCE_UNAVAILABLE.*expired")
        assert mirror.metric("farshore_link_state", state="SOURCE_UNAVAILABLE") == 1
        wait_for("time", lambda: mirror.metric("farshore_link_state_seconds") > 1)
        source.alter_broker(1, setting, str(good))
        cluster.broker(1).restart()
        assert_same(source, name, pair.target, f"guarded.{name}")
        mirror.wait_link("ACTIVE")
