# SPDX-License-Identifier: Apache-2.0
"""The operator's command: where offsets lie on the other side, how the links are.

Translations are held against the two logs themselves: the records that a reader sees on the source
and on the target, in order, are the same, so that the Nth of one is the Nth of the other.
"""

import http.server
import json
import random
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from conftest import Pair, Topic
from harness.client import Client, numbered
from harness.command import Answer, Reply, farshore, impostor, says
from harness.compare import assert_same
from harness.mirror import Mirror
from harness.ports import free_port
from harness.process import wait_for

BEYOND = 3  # offsets past the end that are asked about, too


def url(mirror: Mirror) -> str:
    return f"http://{mirror.http}"


def config(mirror: Mirror) -> tuple[str, ...]:
    """The mirror's own configuration, for the command."""
    argv = mirror.process.argv
    assert argv[1] == "--mm2" and argv[3] == "--set", argv
    return tuple(argv[1:5])


def direct(mirror: Mirror) -> tuple[str, ...]:
    return (*config(mirror), "--direct")


def transactions(client: Client, topic: str, count: int, name: str) -> None:
    """Transactions of 1 to 5 records in one partition; a third of them is aborted."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    producer = Producer({**client.config, "transactional.id": name, "linger.ms": 0})
    producer.init_transactions(30)
    for number in range(count):
        producer.begin_transaction()
        for record in numbered(chance.randint(1, 5), start=number * 10):
            producer.produce(topic, record.value, record.key, 0)
        if chance.random() < 1 / 3:
            producer.flush(30)
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)


class Logs:
    """Both sides of one partition, as readers see them."""

    def __init__(self, pair: Pair, topic: str):
        self.topic, self.target_topic = topic, f"east.{topic}"
        source, target = pair.source.read(topic), pair.target.read(self.target_topic)
        assert [s.record.value for s in source] == [t.record.value for t in target]
        self.source = [s.offset for s in source]
        self.target = [t.offset for t in target]
        self.source_end = pair.source.offsets(topic)[1]
        self.target_end = pair.target.offsets(self.target_topic)[1]

    def sides(self, back: bool) -> tuple[list[int], int, list[int], int]:
        here = (self.source, self.source_end), (self.target, self.target_end)
        (own, own_end), (other, other_end) = reversed(here) if back else here
        return own, own_end, other, other_end

    def right(self, offset: int, back: bool) -> tuple[int, int]:
        """The true position and how many offsets before it are not mirrored."""
        own, own_end, other, other_end = self.sides(back)
        if offset >= own_end:
            return other_end, offset - own_end
        return (other + [other_end])[bisect_left(own, offset)], 0

    def questions(self, back: bool) -> range:
        return range(self.sides(back)[1] + BEYOND)


def translations(answer: Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.json()["translations"]
    return found


def assert_exact(logs: Logs, answer: Answer, offsets: Sequence[int], back: bool) -> None:
    found = translations(answer)
    assert [t["offset"] for t in found] == list(offsets)
    for t in found:
        want, pending = logs.right(t["offset"], back)
        assert (t["translated"], t["exact"], t["max_behind"], t["pending"]) == (
            want,
            True,
            0,
            pending,
        ), t
        assert t["direction"] == ("back" if back else "forward")
        assert (t["link"], t["topic"], t["target_topic"], t["partition"]) == (
            "east->west",
            logs.topic,
            logs.target_topic,
            0,
        )
        assert t["problem"] == ""
    pending_last = logs.right(offsets[-1], back)[1]
    assert answer.code == (4 if pending_last else 0), answer.err


def ask_all(logs: Logs, *how: str) -> None:
    """Every offset of both logs."""
    for back in (False, True):
        offsets = logs.questions(back)
        name = logs.target_topic if back else logs.topic
        direction = ["--back"] if back else []
        words = ["translate", name, 0, *offsets, *direction, "--json", *how]
        assert_exact(logs, farshore(*words), offsets, back)


def test_every_offset_translates_exactly(pair: Pair, topic: Topic) -> None:
    """M7: forward and back, by the daemon; after a kill -9, too."""
    pair.need_transactions()
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(20, start=100_000))
    transactions(pair.source, name, 80, name)
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        logs = Logs(pair, name)
        assert len(logs.source) < logs.source_end - 60
        ask_all(logs, "--url", url(mirror))

        # Both names are understood in both directions.
        (swapped,) = translations(
            farshore("translate", logs.target_topic, 0, 25, "--json", "--url", url(mirror))
        )
        assert swapped["translated"] == logs.right(25, False)[0]

        mirror.kill()
        transactions(pair.source, name, 10, name)
        mirror.start()
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        logs = Logs(pair, name)
        ask_all(logs, "--url", url(mirror))
    # Without a mirror: from what it has stored.
    ask_all(logs, *direct(mirror))


def test_killed_in_mid_copy_gives_bounds(pair: Pair, topic: Topic) -> None:
    """M7, without the mirror and with a table that lags: what is exact is right, the rest is early
    by no more than it says."""
    name = topic()
    pair.source.create_topic(name)
    mirror = pair.mirror(name)
    for turn in range(30):
        mirror.start()
        mirror.wait_link("ACTIVE")
        pair.source.produce(name, numbered(20, start=20 * turn))
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.kill()
        end = pair.source.offsets(name)[1]
        answer = farshore("translate", name, 0, end, "--json", *direct(mirror))
        if not translations(answer)[0]["exact"]:
            break
    else:
        pytest.fail("the table was always stored before the kill")
    assert answer.code == 3
    logs = Logs(pair, name)
    for back in (False, True):
        offsets = logs.questions(back)
        words = ["translate", name, 0, *offsets, "--json", *(["--back"] if back else [])]
        early = 0
        for found in translations(farshore(*words, *direct(mirror))):
            want, _ = logs.right(found["offset"], back)
            assert found["exact"] == (found["max_behind"] == 0)
            assert found["translated"] <= want <= found["translated"] + found["max_behind"]
            early += not found["exact"]
        assert early > 0


def commit(client: Client, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    consumer = Consumer({**client.config, "group.id": group, "enable.auto.commit": False})
    consumer.commit(
        offsets=[TopicPartition(t, p, offset) for (t, p), offset in offsets.items()],
        asynchronous=False,
    )
    consumer.close()


def test_groups(pair: Pair, topic: Topic) -> None:
    """All that a group committed, by the mirror and without it, at the source and (back) at the
    target; what is not mirrored is told, not left out."""
    pair.need_transactions()
    name, other = topic("t"), topic("other")
    pair.source.create_topic(name, partitions=2)
    pair.source.create_topic(other)
    transactions(pair.source, name, 20, name)
    pair.source.produce(name, numbered(9), 1)
    group, foreign = f"{name}-group", f"{name}-foreign"
    commit(pair.source, group, {(name, 0): 13, (name, 1): 4})
    commit(pair.source, foreign, {(name, 1): 2, (other, 0): 0})
    more = {
        "sync.group.offsets.enabled": "true",
        "sync.group.offsets.interval.seconds": "1",
        "refresh.groups.interval.seconds": "1",
        "groups": f"{name}-.*",
    }
    with pair.mirror(name, more=more) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        logs = Logs(pair, name)
        zero = [name, "0", "13", "west", f"east.{name}", str(logs.right(13, False)[0]), "exact"]
        one = [name, "1", "4", "west", f"east.{name}", "4", "exact"]
        how = ("--url", url(mirror))

        def synced() -> bool:
            found = farshore("groups", group, "--json", *how).json()["groups"]
            return bool(found) and found[0]["waiting"] == 0 and found[0]["synced_ms"] is not None

        wait_for("the group at the target", synced)
        by_mirror = farshore("translate", "--group", group, *how)
        assert by_mirror.code == 0, by_mirror.err
        assert [line.split() for line in by_mirror.out.splitlines()[1:]] == [zero, one]
        answer = farshore("translate", "--group", foreign, *how)
        assert answer.code == 5 and "1 of the group's positions" in answer.err
        answer = farshore("translate", "--group", "nobody", *how)
        assert answer.code == 5 and "follows no group" in answer.complaint()
        answer = farshore("translate", "--group", group, "--back", *how)
        assert answer.code == 2 and "--config" in answer.complaint()

        answer = farshore("groups", *how)
        assert answer.code == 3, answer  # one of them reads what is not mirrored
        rows = {line.split()[1]: line.split() for line in answer.out.splitlines()[1:3]}
        assert rows[group][2:7] == ["2", "0", "0", "0", "0"]
        assert f"{foreign}: 1 of its positions" in answer.out
        answer = farshore("groups", group, *how)
        assert answer.code == 0, answer
        assert answer.out.splitlines()[2].split()[:5] == [*zero[:3], zero[5], zero[5]]
        assert farshore("groups", "nobody", *how).code == 5
        answer = farshore("groups", "--json", "--link", "east->west", *how)
        assert len(answer.json()["groups"]) == 2

    # Nobody answers there: the clusters do.
    how = config(mirror)
    answer = farshore("translate", "--group", group, *how)
    assert (answer.code, answer.out) == (0, by_mirror.out)
    assert "asking the clusters" in answer.err
    answer = farshore("translate", "--group", foreign, "--json", *how)
    assert answer.code == 5 and answer.json()["group"] == foreign
    missing, found = translations(answer)
    assert (missing["topic"], missing["translated"]) == (other, None)
    assert "not mirrored by this link" in missing["problem"]
    assert (found["offset"], found["translated"], found["exact"]) == (2, 2, True)

    commit(pair.target, group, {(f"east.{name}", 0): 7, (f"east.{name}", 1): 9})
    answer = farshore("translate", "--group", group, "--back", *how)
    assert answer.code == 0, answer.err
    assert [line.split() for line in answer.out.splitlines()[1:]] == [
        [f"east.{name}", "0", "7", "east", name, str(logs.right(7, True)[0]), "exact"],
        [f"east.{name}", "1", "9", "east", name, "9", "exact"],
    ]
    answer = farshore("translate", "--group", "nobody", *how, "--direct")
    assert answer.code == 5 and "no offsets" in answer.complaint()


def test_no_mirror_and_clusters_that_changed(pair: Pair, topic: Topic) -> None:
    """The clusters are asked when no mirror answers; what does not fit the table is never exact."""
    name, late = topic("t"), topic("late")
    for made in (name, late):
        pair.source.create_topic(made)
        pair.source.produce(made, numbered(20))
    with pair.mirror(f"{name},{late}") as mirror:
        for made in (name, late):
            assert_same(pair.source, made, pair.target, f"east.{made}")
            mirror.wait_state("ACTIVE", made)
    how = ("--json", *config(mirror))

    answer = farshore("translate", f"east.{name}", 0, 5, *how)
    assert (answer.code, translations(answer)[0]["translated"]) == (0, 5)
    assert "cannot connect" in answer.err and "asking the clusters" in answer.err
    assert farshore("translate", name, 0, 5, *direct(mirror)).err == ""

    for words, code, word in (
        (("translate", "nothing", 0, 0), 5, "not mirrored"),
        (("translate", name, 1, 0), 5, "not mirrored"),
        (("translate", name, 0, 0, "--link", "b->a"), 5, "no such link"),
    ):
        answer = farshore(*words, *direct(mirror))
        assert answer.code == code and word in answer.complaint(), answer

    # The source is gone: all but what only it knows is told.
    gone = ("--set", "clusters.east.bootstrap=localhost:1")
    answer = farshore("translate", name, 0, 5, "--json", *direct(mirror), *gone)
    assert (answer.code, translations(answer)[0]["translated"]) == (0, 5)
    assert "cluster east" in answer.err and "not checked" in answer.err
    gone = ("--set", "clusters.west.bootstrap=localhost:1")
    answer = farshore("translate", name, 0, 5, *direct(mirror), *gone)
    assert answer.code == 1 and "cluster west" in answer.complaint()

    # Topics that were made again, here and there.
    pair.source.delete_topic(name)
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(20))
    pair.target.delete_topic(f"east.{late}")
    pair.target.create_topic(f"east.{late}")
    for made, word in ((name, "made again"), (late, "lost records")):
        answer = farshore("translate", made, 0, 5, "--json", *direct(mirror))
        (found,) = translations(answer)
        assert (answer.code, found["exact"], found["max_behind"]) == (3, False, None)
        assert word in found["problem"]


def test_what_is_not_mirrored_yet_is_told(pair: Pair, topic: Topic) -> None:
    """A paused partition: the position is the target's end, and so many records are missing."""
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(30))
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        how = ("--url", url(mirror))
        _act(mirror, "pause")
        mirror.wait_state("PAUSED", name)
        pair.source.produce(name, numbered(12))
        answer = farshore("translate", name, 0, 42, *how)
        assert answer.code == 4
        assert answer.out.splitlines()[1].split() == (
            f"{name} 0 42 west east.{name} 30 exact, 12 not mirrored yet".split()
        )
        _act(mirror, "resume")
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        answer = farshore("translate", name, 0, 42, *how)
        assert (answer.code, answer.out.split()[-2:]) == (0, ["42", "exact"])


def _act(mirror: Mirror, verb: str) -> None:
    connection = http.client.HTTPConnection(mirror.http, timeout=5)
    path = f"/v1/links/{quote('east->west')}/{verb}"
    connection.request("POST", path, headers={"X-Farshore": "1"})
    assert connection.getresponse().status == 200
    connection.close()


def test_wrong_questions(pair: Pair, topic: Topic) -> None:
    """Each is refused with what is wrong: by the API with 400 or 404, by the command with 2 or 5."""
    name = topic()
    pair.source.create_topic(name, partitions=2)
    with pair.mirror(name) as mirror:
        mirror.wait_state("ACTIVE", name, 1)
        good = f"/v1/translate?topic={name}&partition=1&offset=0"
        assert mirror.get(good)[0] == 200
        for path, status, word in (
            (good + "&offset=1", 400, "once"),
            (good + "&group=g", 400, "Only the parameters"),
            (good + "&direction=up", 400, "forward or back"),
            (good + "&link=nowhere", 404, "no such link"),
            (good.replace("partition=1", "partition=2"), 404, "partitions 0 to 1"),
            (good.replace("partition=1", "partition=-1"), 400, "partition="),
            (good.replace("offset=0", "offset=9223372036854775808"), 400, "offset="),
            (good.replace("offset=0", "offset=1e3"), 400, "offset="),
            (good.replace("&offset=0", ""), 400, "offset="),
            (good.replace(name, "nothing"), 404, "No such topic"),
            (good.replace(name, ""), 400, "topic="),
            ("/v1/links?link=nowhere", 404, "no such link"),
            ("/v1/gaps?link=nowhere", 404, "no such link"),
            ("/v1/links?links=east", 400, "parameter link"),
        ):
            got, text = mirror.get(path)
            assert got == status and word in text, (path, got, text)

        how = ("--url", url(mirror))
        for words, code, word in (
            (("translate", "nothing", 0, 0), 5, "No such topic"),
            (("translate", name, 2, 0), 5, "partitions 0 to 1"),
            (("translate", name, 1, 0, "--link", "b->a"), 5, "no such link"),
            (("lag", "--topic", "nothing"), 5, "no such topic"),
            (("lag", "--link", "b->a"), 5, "no such link"),
            (("link", "status", "b->a"), 5, "no such link"),
            (("translate", name, "x", 0), 2, "PARTITION"),
            (("translate", name, 0, "x"), 2, "OFFSET"),
            (("translate", name, 0), 2, "TOPIC PARTITION OFFSET"),
            (("lag", "--back"), 2, "--back"),
        ):
            answer = farshore(*words, *how)
            assert answer.code == code and word in answer.complaint(), (words, answer)


def test_two_links_with_one_topic(pair: Pair, topic: Topic) -> None:
    """A question that two links could answer is refused, until one of them is named."""
    name = topic()
    for client in (pair.source, pair.target):
        client.create_topic(name)
        client.produce(name, numbered(5))
    more = {"west->east.enabled": "true", "west->east.topics": name}
    with pair.mirror(name, more=more) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        assert_same(pair.target, name, pair.source, f"west.{name}")
        how = ("--url", url(mirror), "--json")
        answer = farshore("translate", name, 0, 3, *how)
        assert answer.code == 2
        assert "east->west" in answer.complaint() and "west->east" in answer.complaint()
        for words, link in (
            ((name, "--link", "west->east"), "west->east"),
            ((f"east.{name}", "--back"), "east->west"),
            ((f"west.{name}", "--back"), "west->east"),
        ):
            answer = farshore("translate", words[0], 0, 3, *words[1:], *how)
            (found,) = translations(answer)
            assert (found["link"], found["translated"], answer.code) == (link, 3, 0)


def test_topics_that_both_sides_write(pair: Pair, topic: Topic) -> None:
    """Equal names, copied both ways: nothing that was not read is passed over, and an exact answer
    repeats nothing."""
    name = topic()
    for client in (pair.source, pair.target):
        client.create_topic(name)
    more = {
        "west->east.enabled": "true",
        "west->east.topics": name,
        "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
    }
    with pair.mirror(name, more=more) as mirror:
        for turn in range(6):
            pair.source.produce(name, numbered(5, start=turn * 10))
            pair.target.produce(name, numbered(3, start=1000 + turn * 10))

        def sides() -> tuple[list[bytes | None], list[bytes | None]]:
            return tuple([s.record.value for s in c.read(name)] for c in (pair.source, pair.target))

        wait_for("both sides", lambda: all(len(found) == 48 for found in sides()))
        here, there = sides()
        assert sorted(map(str, here)) == sorted(map(str, there))

        def settled() -> bool:
            words = ("translate", name, 0, 48, "--link", "east->west", "--json")
            return farshore(*words, "--url", url(mirror)).code == 0

        wait_for("the other link's table", settled)
        exact = 0
        for back in (False, True):
            own, other = (there, here) if back else (here, there)
            words = ["translate", name, 0, *range(49), "--link", "east->west", "--json"]
            answer = farshore(*words, *(["--back"] if back else []), "--url", url(mirror))
            for found in translations(answer):
                unread = set(own[found["offset"] :])
                at = found["translated"]
                assert unread <= set(other[at:]), found
                again = len(other[at:]) - len(unread)
                assert again <= found["max_behind"], found
                exact += found["exact"]
        assert exact > 2
    # Only a mirror holds both tables.
    answer = farshore("translate", name, 0, 3, "--link", "east->west", *direct(mirror))
    assert answer.code == 5 and "both sides write" in answer.out


def test_links_and_lag(pair: Pair, topic: Topic) -> None:
    """The worst comes first, with its reason; the exit code says if somebody is needed."""
    name, bad = topic("good"), topic("bad")
    for made in (name, bad):
        pair.source.create_topic(made, partitions=2)
        pair.source.produce(made, numbered(7))
    # Records that the link did not write: it stops this partition.
    pair.target.create_topic(f"east.{bad}", partitions=2)
    pair.target.produce(f"east.{bad}", numbered(3))
    with pair.mirror(f"{name},{bad}") as mirror:
        mirror.wait_state("FOREIGN_WRITE", bad)
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)
        mirror.wait_link("FOREIGN_WRITE")
        how = ("--url", url(mirror))
        answer = farshore("link", "status", *how)
        assert answer.code == 3, answer
        head, row, *rest = answer.out.splitlines()
        assert head.split() == "LINK STATE SINCE LAG TOPICS PARTITIONS READY".split()
        assert row.split()[:2] == ["east->west", "FOREIGN_WRITE"]
        assert f"{bad}-0 FOREIGN_WRITE for" in answer.out and "another writer" in answer.out
        assert f"{name}-" not in answer.out
        assert len(rest) >= 2

        whole = farshore("link", "status", "east->west", "--json", *how)
        assert whole.code == 3
        assert whole.json()["program"] == "farshore-mirror"
        assert whole.json()["links"][0]["needs_person"] is True

        answer = farshore("lag", *how)
        rows = [line.split() for line in answer.out.splitlines()]
        assert rows[0] == "LINK TOPIC PART LAG AGE STATE".split()
        assert rows[1][1:3] == [bad, "0"] and rows[1][-1] == "FOREIGN_WRITE"
        assert rows[-1][0] == "4"
        lags = farshore("lag", "--topic", f"east.{name}", "--json", *how)
        assert lags.code == 0
        assert [(p["topic"], p["lag_records"]) for p in lags.json()["partitions"]] == [(name, 0)] * 2

        # What has no answer is not given one.
        answer = farshore("translate", bad, 0, 1, *how, "--json")
        (found,) = translations(answer)
        assert answer.code == 5
        assert found["translated"] is None and found["state"] == "FOREIGN_WRITE"
        assert found["problem"] != "" and found["exact"] is False


# What listens where the mirror should, and a word of what the command says then.
GOOD_TRANSLATION = {
    "link": "a->b",
    "topic": "t",
    "target_topic": "a.t",
    "partition": 0,
    "direction": "forward",
    "offset": 1,
    "translated": 1,
    "exact": True,
    "max_behind": 0,
    "pending": 0,
    "state": "ACTIVE",
    "problem": "",
}


def changed(**fields: object) -> Reply:
    return says(json.dumps({**GOOD_TRANSLATION, **fields}).encode())


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b'{"links":[')
    while True:
        handler.wfile.write(b"0," * (1 << 19))


def silent(_handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(3)


IMPOSTORS: dict[str, tuple[Reply, str]] = {
    "a page": (says(b"<html>hello</html>", kind="text/html"), "not as a Farshore mirror does"),
    "an array": (says(b"[]"), "not as a Farshore mirror does"),
    "half": (says(b'{"links":['), "not as a Farshore mirror does"),
    "twice": (says(b'{"offset":1,"offset":2}'), "not as a Farshore mirror does"),
    "deep": (says(b'{"a":' * 100_000), "not as a Farshore mirror does"),
    "no UTF-8": (says(b'{"link":"\xff"}'), "not as a Farshore mirror does"),
    "a NUL": (changed(topic="t\0u"), "not as a Farshore mirror does"),
    "nothing": (says(b"{}"), "usable link"),
    "text for a number": (changed(translated="1"), "usable translated"),
    "a fraction": (changed(offset=1.5), "usable offset"),
    "below zero": (changed(pending=-1), "usable pending"),
    "large": (changed(partition=1 << 31), "usable partition"),
    "contradiction": (changed(exact=True, max_behind=4), "exact and is not"),
    "a refusal": (
        says(b"go \x1b[31maway\nand more", 404, "text/plain"),
        "(404): go ?[31maway",
    ),
    "another program": (says(b"404 page not found", 404, "text/html"), "mirror's http.listen?"),
    "a broker": (says(b"Not found. This server has:\n", 404, "text/plain"), "http.listen?"),
    "elsewhere": (
        says(b"", 302, Location="http://127.0.0.1:1/"),
        "(302)",
    ),
    "endless": (endless, "larger than 64 MiB"),
    "silent": (silent, "timed out"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_something_else_listens(kind: str) -> None:
    """A wrong daemon's answer is refused in one clear line."""
    reply, word = IMPOSTORS[kind]
    with impostor(reply) as where:
        answer = farshore("translate", "t", 0, 1, "--url", where, "--timeout", "1")
    assert answer.code == (5 if kind == "a refusal" else 1)
    assert word in answer.complaint(), answer.err
    assert where in answer.complaint() or kind in ("deep",)
    assert "\x1b" not in answer.err


def test_names_are_made_safe() -> None:
    """What a daemon says cannot steer the terminal."""
    evil = "t\x1b[2J\u202e\u009b\x07"
    with impostor(changed(topic=evil, problem="say \x1b]0;x\x07")) as where:
        answer = farshore("translate", "t", 0, 1, "--url", where)
    assert answer.code == 0
    assert "t?[2J???" in answer.out and "say ?]0;x?" in answer.out


def test_nobody_listens() -> None:
    """No daemon: exit code 1, and where it was looked for; a URL that is none: 2."""
    where = f"http://127.0.0.1:{free_port()}"
    for command in (("lag",), ("link", "status"), ("translate", "t", 0, 1)):
        answer = farshore(*command, "--url", where)
        assert answer.code == 1
        assert where in answer.complaint() and "cannot connect" in answer.complaint()
        assert "does a mirror run there?" in answer.complaint()
    for wrong in ("127.0.0.1:8380", "ftp://127.0.0.1/", "http://", "http://a/?b=c", "http://a b"):
        answer = farshore("lag", "--url", wrong)
        assert answer.code == 2 and "is no URL" in answer.complaint()
    answer = farshore("lag", "--config", "/nonexistent/mirror.conf")
    assert answer.code == 2 and "/nonexistent/mirror.conf" in answer.complaint()
    answer = farshore("link", "state")
    assert answer.code == 2 and "link status" in answer.err
    answer = farshore("lag", "--url", "http://me:secret@127.0.0.1:1")
    assert "secret" not in answer.err
