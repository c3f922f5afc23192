# SPDX-License-Identifier: Apache-2.0
"""What an operator does to a running mirror: pause, resume, reload, an early SIGTERM."""

import http.client
import random
import signal
import threading
import time
from contextlib import closing
from urllib.parse import quote

from conftest import Pair, Topic
from harness.client import Client, numbered
from harness.compare import assert_contiguous, assert_same
from harness.mirror import Mirror
from harness.process import wait_for

LINK = "east->west"
MARK = {"X-Farshore": "1"}


def ask(
    mirror: Mirror,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(mirror.http, timeout=5)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def act(mirror: Mirror, verb: str, query: str = "") -> str:
    status, text = ask(mirror, "POST", f"/v1/links/{quote(LINK)}/{verb}{query}", MARK)
    assert status == 200, text
    return text


class Writer(threading.Thread):
    """Produces into one topic's partitions until told to stop."""

    def __init__(self, client: Client, topic: str, partitions: int = 1):
        super().__init__(daemon=True)
        self.client, self.topic, self.partitions = client, topic, partitions
        self.ending = threading.Event()
        self.written = 0

    def run(self) -> None:
        while not self.ending.wait(0.02):
            for partition in range(self.partitions):
                self.client.produce(
                    self.topic, numbered(200, start=self.written, size=300), partition
                )
            self.written += 200

    def finish(self) -> None:
        self.ending.set()
        self.join()


def still(client: Client, topic: str, seconds: float = 1.0) -> list[int]:
    """The ends of a topic that must not grow for a while; what was in flight at first may land."""
    time.sleep(0.3)
    before = client.end_offsets(topic)
    time.sleep(seconds)
    assert client.end_offsets(topic) == before
    return before


def test_pause_and_resume_are_exact(pair: Pair, topic: Topic) -> None:
    """M1, M2: a link that is paused and resumed at random moments of a copy, and killed once in a
    pause, copies each record once."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    pair.source.produce(name, numbered(100), 0)
    writer = Writer(pair.source, name, partitions=2)
    mirror = pair.mirror(name)
    with mirror:
        wait_for("the copy's begin", lambda: sum(pair.target.end_offsets(f"east.{name}")) > 0)
        writer.start()
        for turn in range(10):
            time.sleep(chance.uniform(0, 0.3))
            assert '"paused":' in act(mirror, "pause")
            if turn == 3:
                mirror.wait_state("PAUSED", name, 1)
                still(pair.target, f"east.{name}")
            if turn == 6:
                mirror.kill()
                mirror.start()
                # A pause does not outlive the process.
                mirror.wait_link("ACTIVE")
            time.sleep(chance.uniform(0, 0.2))
            act(mirror, "resume")
        writer.finish()
        copied = assert_same(pair.source, name, pair.target, f"east.{name}")
        assert copied == 100 + 2 * writer.written
        for partition in range(2):
            assert_contiguous(pair.target.records(f"east.{name}", partition))
        assert mirror.wait_state("ACTIVE", name)["reason"] == ""


def test_a_paused_link_shows_it(pair: Pair, topic: Topic) -> None:
    """State and reason in /v1/links and /metrics; /readyz stays 200; a topic that comes is held."""
    name, later = topic("t"), topic("later")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    with pair.mirror(f"{name},{later}") as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        assert act(mirror, "pause") == '{"paused":1}\n'
        link = mirror.link()
        assert link["state"] == "PAUSED" and link["paused"] is True
        assert link["reason"] == "paused by an operator"
        entry = mirror.wait_state("PAUSED", name)
        assert entry["reason"] == "paused by an operator"
        assert mirror.metric("farshore_partition_state", topic=name, state="PAUSED") == 1
        assert mirror.metric("farshore_link_state", state="PAUSED") == 1
        assert mirror.get("/readyz")[0] == 200
        pair.source.produce(name, numbered(10, start=10))
        pair.source.create_topic(later)
        pair.source.produce(later, numbered(10))
        mirror.wait_state("PAUSED", later)
        assert still(pair.target, f"east.{name}") == [10]
        wait_for("the later topic", lambda: pair.target.end_offsets(f"east.{later}") == [0])
        act(mirror, "resume")
        assert_same(pair.source, name, pair.target, f"east.{name}")
        assert_same(pair.source, later, pair.target, f"east.{later}")
        assert mirror.wait_link("ACTIVE")["paused"] is False


def test_one_partition_alone(pair: Pair, topic: Topic) -> None:
    """M4: what is not named goes on; a resume of the link releases all."""
    name, other = topic("t"), topic("other")
    for each in (name, other):
        pair.source.create_topic(each, partitions=2)
        pair.source.produce(each, numbered(10), 0)
        pair.source.produce(each, numbered(10), 1)
    with pair.mirror(f"{name},{other}") as mirror:
        for each in (name, other):
            assert_same(pair.source, each, pair.target, f"east.{each}")
        assert act(mirror, "pause", f"?topic={name}&partition=1") == '{"paused":1}\n'
        assert act(mirror, "pause", f"?topic={other}") == '{"paused":2}\n'
        for each in (name, other):
            pair.source.produce(each, numbered(10, start=10), 0)
            pair.source.produce(each, numbered(10, start=10), 1)
        wait_for(
            "partition 0 of the first topic",
            lambda: pair.target.end_offsets(f"east.{name}") == [20, 10],
        )
        still(pair.target, f"east.{name}")
        assert pair.target.end_offsets(f"east.{other}") == [10, 10]
        assert mirror.get("/readyz")[0] == 200
        assert act(mirror, "resume", f"?topic={name}&partition=1") == '{"resumed":1}\n'
        assert_same(pair.source, name, pair.target, f"east.{name}")
        act(mirror, "resume")
        assert_same(pair.source, other, pair.target, f"east.{other}")


def test_a_pause_hides_no_fault(pair: Pair, topic: Topic) -> None:
    """M5: a partition that waits for a person shows that, paused or not."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        pair.target.produce(f"east.{name}", numbered(1, start=7))
        pair.source.produce(name, numbered(100, start=100))
        mirror.wait_state("FOREIGN_WRITE", name)
        act(mirror, "pause")
        assert mirror.link()["state"] == "FOREIGN_WRITE"
        act(mirror, "resume")
        time.sleep(1)
        mirror.wait_state("FOREIGN_WRITE", name)


def test_starts_paused(pair: Pair, topic: Topic) -> None:
    """The setting `paused`; what was paused by it is released by HTTP."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    mirror = pair.mirror(name)
    mirror.process.argv += ["--set", f"links.{LINK}.paused=true"]
    with mirror:
        entry = mirror.wait_state("PAUSED", name)
        assert "setting" in entry["reason"]
        assert mirror.get("/readyz")[0] == 200
        assert still(pair.target, f"east.{name}") == [0]
        act(mirror, "resume")
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_what_is_refused(pair: Pair, topic: Topic) -> None:
    """Only a marked POST from this host is an action, and what is not understood does nothing."""
    name = topic("t")
    pair.source.create_topic(name)
    path = f"/v1/links/{quote(LINK)}/pause"
    with pair.mirror(name) as mirror:
        mirror.wait_state("ACTIVE", name)
        cases: list[tuple[int, str, str, dict[str, str], bytes | None]] = [
            (403, "POST", path, {}, None),
            (403, "POST", path, {"Origin": "http://evil.example"}, None),
            (403, "POST", path, {"X-Farshore": "0"}, None),
            (403, "POST", path, {**MARK, "Host": "evil.example"}, None),
            (405, "GET", path, MARK, None),
            (405, "OPTIONS", path, MARK, None),
            (405, "POST", "/v1/links", MARK, None),
            (400, "POST", path, MARK, b"topic=x"),
            (404, "POST", "/v1/links/no-such/pause", MARK, None),
            (404, "POST", "/v1/links/%zz/pause", MARK, None),
            (404, "POST", f"{path}?topic=no-such", MARK, None),
            (404, "POST", f"{path}?topic={name}&partition=1", MARK, None),
            (400, "POST", f"{path}?topics={name}", MARK, None),
            (400, "POST", f"{path}?topic=%zz", MARK, None),
            (400, "POST", f"{path}?topic={name}&topic={name}", MARK, None),
            (400, "POST", f"{path}?partition=0", MARK, None),
            (400, "POST", f"{path}?topic={name}&partition=-1", MARK, None),
            (400, "POST", f"{path}?topic={name}&partition=0x0", MARK, None),
        ]
        for want, method, where, headers, body in cases:
            status, text = ask(mirror, method, where, headers, body)
            assert status == want, (method, where, headers, text)
            assert text.endswith(".\n") or status == 404, text
        assert mirror.wait_state("ACTIVE", name)["reason"] == ""
        assert mirror.link()["paused"] is False


def test_reload(pair: Pair, topic: Topic) -> None:
    """SIGHUP takes over what reloads, names the rest, and a bad file changes nothing."""
    name = topic("t")
    pair.source.create_topic(name)
    mirror = pair.mirror(name)
    with mirror:
        mirror.wait_state("ACTIVE", name)
        config = pair.folder / "mirror0.properties"
        good = config.read_text()
        mirror.process.signal(signal.SIGHUP)
        mirror.wait_log("event=reloaded .*changes=0")
        config.write_text(good + "east->west.refresh.topics.interval.seconds=7\n")
        mirror.process.signal(signal.SIGHUP)
        mirror.wait_log(
            "level=warn event=setting_changed "
            'setting=.?links.east->west.refresh_topics_interval.? in_force="after a restart"'
        )
        config.write_text("nonsense=1\n" + good)
        mirror.process.signal(signal.SIGHUP)
        mirror.wait_log("level=error event=reload_failed .*nonsense")
        pair.source.produce(name, numbered(10))
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_reload_of_a_native_file(pair: Pair, topic: Topic) -> None:
    """log.level and paused are taken over; a pause by HTTP stays until the setting changes."""
    name = topic("t")
    pair.source.create_topic(name)
    config = pair.folder / "mirror.conf"

    def write(level: str, paused: str) -> None:
        config.write_text(
            f"""
            log: {{ level = "{level}"; }};
            clusters: {{
                east: {{ bootstrap = "{pair.east.bootstrap()}"; }};
                west: {{ bootstrap = "{pair.west.bootstrap()}"; }};
            }};
            links: ( {{ source = "east"; target = "west"; topics = "{name}";
                        replication_factor = 1; refresh_topics_interval = "1 s";
                        paused = {paused}; }} );
            """
        )

    write("info", "false")
    mirror = pair.mirror(name)
    mirror.process.argv[1:3] = ["--config", str(config)]
    with mirror:
        mirror.wait_state("ACTIVE", name)
        write("debug", "true")
        mirror.process.signal(signal.SIGHUP)
        mirror.wait_log("level=info event=setting_changed setting=log.level in_force=now")
        mirror.wait_log('level=info event=setting_changed setting=.*paused.? in_force=now')
        mirror.wait_state("PAUSED", name)
        pair.source.produce(name, numbered(10))
        assert still(pair.target, f"east.{name}") == [0]
        write("debug", "false")
        mirror.process.signal(signal.SIGHUP)
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_log("level=debug")
        act(mirror, "pause")
        write("info", "false")
        mirror.process.signal(signal.SIGHUP)
        wait_for("reload", lambda: mirror.process.log_text().count("event=reloaded") == 3)
        assert mirror.wait_state("PAUSED", name)["reason"] == "paused by an operator"


def guarded(mirror: Mirror) -> bool:
    """Is SIGTERM blocked or caught? Before main nobody can see to that."""
    with open(f"/proc/{mirror.process.pid}/status", encoding="ascii", errors="replace") as status:
        masks = [int(line.split()[1], 16) for line in status if line[:6] in ("SigBlk", "SigCgt")]
    return any(mask & 1 << (signal.SIGTERM - 1) for mask in masks)


def test_sigterm_in_the_first_milliseconds(pair: Pair, topic: Topic) -> None:
    """M13: from main's first line on, SIGTERM is a clean end."""
    mirror = pair.mirror(topic("t"))
    early = 0
    for turn in range(20):
        before = len(mirror.process.log_text())
        mirror.start()
        wait_for("main", lambda: guarded(mirror), 5, every=0.0001)
        early += len(mirror.process.log_text()) == before
        time.sleep(turn / 1000)
        mirror.stop()
    assert early > 0
