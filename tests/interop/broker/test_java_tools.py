# SPDX-License-Identifier: Apache-2.0
"""Kafka 4.1's command line tools, and its tool that reads a log's files."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import Topic
from harness.broker import Broker
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import CODECS, NOW, read_back
from .tools import Tools

SETTINGS = {"group.min.session.timeout.ms": "500"}


def table(text: str) -> list[dict[str, str]]:
    """The rows of a table whose cells have no spaces, by its header."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return [dict(zip(lines[0], cells)) for cells in lines[1:]]


def test_topics(tools: Tools, client: Client, topic: Topic) -> None:
    name = topic()
    options = ("--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=7777777")
    tools("topics", "--create", "--topic", name, *options)
    assert "already exists" in tools.fails("topics", "--create", "--topic", name)
    tools("topics", "--create", "--topic", name, "--if-not-exists")
    assert name in tools("topics", "--list").split()
    told = tools("topics", "--describe", "--topic", name)
    assert re.search(
        rf"Topic: {name}\s+TopicId: \S{{22}}\s+PartitionCount: 3\s+ReplicationFactor: 1\s+"
        r"Configs: .*retention.ms=7777777",
        told,
    )
    for partition in range(3):
        row = rf"Topic: {name}\s+Partition: {partition}\s+Leader: 1\s+Replicas: 1\s+Isr: 1"
        assert re.search(row, told)
    assert name in tools("topics", "--describe", "--topics-with-overrides")
    assert tools("topics", "--describe", "--unavailable-partitions").strip() == ""
    assert tools("topics", "--describe", "--under-replicated-partitions").strip() == ""
    tools("topics", "--alter", "--topic", name, "--partitions", "5")
    assert client.topics()[name] == 5
    fewer = ("--alter", "--topic", name, "--partitions", "2")
    assert "would not be an increase" in tools.fails("topics", *fewer)
    tools("topics", "--delete", "--topic", name)
    assert name not in tools("topics", "--list").split()
    assert "does not exist" in tools.fails("topics", "--describe", "--topic", name)


@pytest.mark.parametrize("codec", CODECS)
def test_console(tools: Tools, client: Client, topic: Topic, codec: str) -> None:
    """Produce (idempotent by default), then consume with everything printed."""
    client.create_topic(topic())
    lines = [f"a:{i}\tk{i}\tvalue {i} " + "y" * 100 for i in range(300)]
    properties = ("parse.key=true", "parse.headers=true", "null.marker=NULL")
    props = [word for p in properties for word in ("--property", p)]
    tools(
        "console-producer",
        *("--topic", topic(), "--compression-codec", codec, *props),
        stdin="\n".join([*lines, "a:1\tlast\tNULL"]) + "\n",
    )
    got = read_back(client, topic())
    assert len(got) == 301 and got[300].value is None
    wanted = ("key", "value", "headers", "offset", "partition", "timestamp")
    shown = [word for p in wanted for word in ("--property", f"print.{p}=true")]
    out = tools(
        "console-consumer", "--topic", topic(), "--from-beginning", "--max-messages", "301", *shown
    ).splitlines()
    assert out == [
        f"CreateTime:{got[i].timestamp}\tPartition:0\tOffset:{i}\ta:{h}\t{key}\t{value}"
        for i, (h, key, value) in enumerate(
            [(i, *line.split("\t")[1:]) for i, line in enumerate(lines)] + [(1, "last", "null")]
        )
    ]


def test_console_consumer_places(tools: Tools, client: Client, topic: Topic) -> None:
    """One partition from an offset; a group; isolation; a timeout when nothing more comes."""
    client.create_topic(topic(), partitions=2)
    client.produce(topic(), [Record(None, b"%d" % i) for i in range(50)], 1)
    out = tools(
        "console-consumer",
        *("--topic", topic(), "--partition", "1", "--offset", "40", "--max-messages", "10"),
        *("--isolation-level", "read_committed"),
    )
    assert out.split() == [str(i) for i in range(40, 50)]
    group = ("--group", topic("g"), "--consumer-property", "auto.offset.reset=earliest")
    first = tools("console-consumer", "--topic", topic(), *group, "--max-messages", "20").split()
    more = tools("console-consumer", "--topic", topic(), *group, "--max-messages", "30").split()
    assert first + more == [str(i) for i in range(50)]
    done = tools.raw(
        "console-consumer",
        *("--bootstrap-server", tools.address, "--topic", topic(), *group),
        *("--timeout-ms", "1500"),
    )
    assert done.out == "" and "0 messages" in done.err


def test_configs(tools: Tools, client: Client, topic: Topic) -> None:
    client.create_topic(topic())
    entity = ("--entity-type", "topics", "--entity-name", topic())
    tools("configs", "--alter", *entity, "--add-config", "retention.ms=7777777,segment.ms=888888")
    told = tools("configs", "--describe", *entity)
    assert "retention.ms=7777777" in told and "segment.ms=888888" in told
    assert "DYNAMIC_TOPIC_CONFIG:retention.ms=7777777" in told
    tools("configs", "--alter", *entity, "--delete-config", "segment.ms")
    assert client.topic_config(topic()) == {"retention.ms": "7777777"}
    every = tools("configs", "--describe", "--all", *entity)
    assert "cleanup.policy=delete" in every and "DEFAULT_CONFIG" in every
    tools.fails("configs", "--alter", *entity, "--add-config", "retention.ms=soon")
    broker = ("--entity-type", "brokers", "--entity-name", "1")
    assert "message.max.bytes=1048588" in tools("configs", "--describe", "--all", *broker)


def test_consumer_groups(tools: Tools, client: Client, topic: Topic) -> None:
    """Describe with lag, members and state; reset in every way; delete offsets and group."""
    name, group = topic(), topic("g")
    client.create_topic(name, partitions=2)
    client.produce(name, [Record(None, b"%d" % i, (), NOW + 1000 * i) for i in range(100)], 0)
    client.produce(name, numbered(10), 1)
    tools(
        "console-consumer",
        *("--topic", name, "--group", group, "--from-beginning", "--max-messages", "110"),
    )

    def described() -> dict[str, tuple[str, str, str]]:
        rows = table(tools("consumer-groups", "--describe", "--group", group))
        return {
            r["PARTITION"]: (r["CURRENT-OFFSET"], r["LOG-END-OFFSET"], r["LAG"])
            for r in rows
            if r.get("TOPIC") == name
        }

    assert group in tools("consumer-groups", "--list").split()
    assert described() == {"0": ("100", "100", "0"), "1": ("10", "10", "0")}
    state = tools("consumer-groups", "--describe", "--group", group, "--state")
    assert "Empty" in state and group in state
    assert group in tools("consumer-groups", "--list", "--state", "Empty")
    assert group not in tools("consumer-groups", "--list", "--state", "Stable")
    assert group in tools("groups", "--list")

    def reset(*how: str) -> dict[str, str]:
        rows = table(
            tools("consumer-groups", "--reset-offsets", "--group", group, "--topic", name, *how)
        )
        return {row["PARTITION"]: row["NEW-OFFSET"] for row in rows if row.get("TOPIC") == name}

    assert reset("--to-earliest", "--dry-run") == {"0": "0", "1": "0"}
    assert described()["0"] == ("100", "100", "0")
    assert reset("--to-offset", "30", "--execute") == {"0": "30", "1": "10"}
    assert described()["0"] == ("30", "100", "70")
    assert reset("--shift-by", "5", "--execute") == {"0": "35", "1": "10"}
    assert reset("--to-earliest", "--execute") == {"0": "0", "1": "0"}
    assert reset("--to-latest", "--execute") == {"0": "100", "1": "10"}
    when = _iso(NOW + 50_500)
    assert reset("--to-datetime", when, "--execute") == {"0": "51", "1": "0"}

    assert f"for group {group} are" in tools("configs", "--describe", "--entity-type", "groups")
    tools("consumer-groups", "--delete-offsets", "--group", group, "--topic", f"{name}:0")
    assert "0" not in described() or described()["0"][0] == "-"
    assert "successful" in tools("consumer-groups", "--delete", "--group", group)
    assert group not in tools("consumer-groups", "--list").split()
    assert "GroupIdNotFound" in tools("consumer-groups", "--delete", "--group", group)


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def test_offsets_and_records(tools: Tools, client: Client, topic: Topic, tmp_path: Path) -> None:
    """get-offsets by every time, delete-records, get-offsets again."""
    client.create_topic(topic(), partitions=2)
    times = [1000 * i for i in range(20)]
    times[7] = 99_000
    client.produce(topic(), [Record(None, b"x", (), NOW + t) for t in times])

    def offsets(when: str) -> list[str]:
        return tools("get-offsets", "--topic", topic(), "--time", when).split()

    assert offsets("latest") == [f"{topic()}:0:20", f"{topic()}:1:0"]
    assert offsets("earliest") == [f"{topic()}:0:0", f"{topic()}:1:0"]
    assert offsets("max-timestamp") == [f"{topic()}:0:7"]
    assert offsets(str(NOW + 3500))[0] == f"{topic()}:0:4"
    plan = tmp_path / "plan.json"
    plan.write_text(
        '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 5}]}' % topic()
    )
    assert "low_watermark: 5" in tools("delete-records", "--offset-json-file", str(plan))
    assert offsets("earliest") == [f"{topic()}:0:5", f"{topic()}:1:0"]


def test_cluster(tools: Tools, client: Client, topic: Topic, node: Broker) -> None:
    """What the broker says of itself: versions, features, id, folders, leaders."""
    client.create_topic(topic())
    client.produce(topic(), numbered(10, size=1000))
    told = tools("api-versions")
    assert f"127.0.0.1:{node.ports['PLAINTEXT']} (id: 1 rack: null" in told
    for api in ("Produce(0): 0 to", "Fetch(1): 4 to", "Metadata(3): 0 to", "ApiVersions(18): 0 to"):
        assert api in told
    assert "Feature: metadata.version" in tools("features", "describe")
    done = tools.raw("cluster", "cluster-id", "--bootstrap-server", tools.address)
    assert re.fullmatch(r"Cluster ID: \S{22}", done.out.strip())
    dirs = tools("log-dirs", "--describe", "--topic-list", topic())
    assert f'"partition":"{topic()}-0"' in dirs and str(node.data) in dirs
    place = ("--topic", topic(), "--partition", "0", "--election-type", "preferred")
    assert "Valid replica already elected" in tools("leader-election", *place)


# -- the files


class Dump:
    """What dump-log says of a partition's first segment."""

    def __init__(self, tools: Tools, folder: Path, *how: str):
        files = sorted(
            str(path) for end in ("log", "index", "timeindex") for path in folder.glob(f"*.{end}")
        )
        done = tools.raw("dump-log", "--files", ",".join(files), *how)
        assert done.code == 0, done.out + done.err
        self.text = done.out
        complaints = ("mismatch", "Mismatch", "Non-consecutive", "isvalid: false", "not valid")
        for complaint in complaints:
            assert complaint not in self.text, self.text


def test_dump_log(tools: Tools, client: Client, topic: Topic, node: Broker) -> None:
    """Records and batches as Kafka's own reader sees them."""
    client.create_topic(topic())
    sent = [Record(b"k%d" % i, b"v%d" % i, (("h", b"1"),), NOW + i) for i in range(200)]
    for codec in CODECS:
        client.produce(
            topic(), sent, codec=codec, batch_num_messages=40, enable_idempotence=True, retries=5
        )
    dump = Dump(tools, node.data / f"{topic()}-0", "--print-data-log", "--deep-iteration")
    rows = re.findall(
        r"\| offset: (\d+) CreateTime: (\d+) keySize: \d+ valueSize: \d+ sequence: (\d+) "
        r"headerKeys: \[h\] key: (\S+) payload: (\S+)",
        dump.text,
    )
    assert rows == [
        (str(200 * c + i), str(NOW + i), str(i), f"k{i}", f"v{i}")
        for c in range(len(CODECS))
        for i in range(200)
    ]
    assert set(re.findall(r"compresscodec: (\w+)", dump.text)) == set(CODECS)
    assert set(re.findall(r"partitionLeaderEpoch: (\d+)", dump.text)) == {"0"}


def test_dump_indexes(tools: Tools, client: Client, topic: Topic, node: Broker) -> None:
    """The sanity check of both indexes against the log, over several segments."""
    client.create_topic(topic(), index_interval_bytes=200, segment_bytes=1_048_576)
    for start in range(0, 3000, 300):
        records = [Record(None, b"x" * 1000, (), NOW + i) for i in range(start, start + 300)]
        client.produce(topic(), records, batch_num_messages=10)
    folder = node.data / f"{topic()}-0"
    assert len(list(folder.glob("*.log"))) >= 2
    node.stop()  # a clean stop cuts the indexes to what they hold
    try:
        for index in sorted(folder.glob("*index")):
            done = tools.raw("dump-log", "--files", str(index), "--index-sanity-check")
            assert done.code == 0 and "passed sanity check" in done.out, done.out + done.err
        text = Dump(tools, folder).text
    finally:
        node.start()
        node.wait_ready()
    wait_for("the log", lambda: client.offsets(topic()) == (0, 3000))
    entries = [int(n) for n in re.findall(r"^offset: (\d+) position: \d+$", text, re.M)]
    assert len(entries) > 100 and entries == sorted(entries)
    stamps = [int(n) for n in re.findall(r"^timestamp: (\d+) offset: \d+$", text, re.M)]
    assert len(stamps) > 10 and set(stamps) <= set(range(NOW, NOW + 3000))


def test_dump_offsets(tools: Tools, client: Client, topic: Topic, node: Broker) -> None:
    """Offsets and group metadata in __consumer_offsets, by Kafka's decoder."""
    client.create_topic(topic())
    client.produce(topic(), numbered(10))
    tools(
        "console-consumer",
        *("--topic", topic(), "--group", topic("g"), "--from-beginning", "--max-messages", "10"),
    )
    dump = Dump(tools, node.data / "__consumer_offsets-0", "--offsets-decoder")
    assert re.search(rf'"group":"{topic("g")}","topic":"{topic()}","partition":0', dump.text)
    assert re.search(r'"offset":10,', dump.text)
    assert re.search(rf'"type":"2","data":{{"group":"{topic("g")}"}}', dump.text)
    assert '"protocolType":"consumer"' in dump.text


def test_dump_metadata(tools: Tools, client: Client, topic: Topic, node: Broker) -> None:
    """Topics, partitions and settings in __cluster_metadata, by Kafka's decoder."""
    client.create_topic(topic(), partitions=2, retention_ms=7777777)
    client.create_topic(topic("gone"))
    client.delete_topic(topic("gone"))

    def dumped() -> Dump:
        found = Dump(tools, node.data / "__cluster_metadata-0", "--cluster-metadata-decoder")
        assert "REMOVE_TOPIC_RECORD" in found.text
        return found

    text = wait_for("the records", dumped).text
    created = re.search(
        rf'"type":"TOPIC_RECORD","version":0,"data":{{"name":"{topic()}","topicId":"(\S{{22}})"}}',
        text,
    )
    assert created
    for partition in range(2):
        assert re.search(
            rf'"type":"PARTITION_RECORD","version":\d,"data":{{"partitionId":{partition},'
            rf'"topicId":"{created[1]}","replicas":\[1\],"isr":\[1\]',
            text,
        )
    assert re.search(
        rf'"CONFIG_RECORD","version":0,"data":{{"resourceType":2,"resourceName":"{topic()}",'
        r'"name":"retention.ms","value":"7777777"}',
        text,
    )
    assert '"type":"REMOVE_TOPIC_RECORD"' in text


def test_arguments_are_not_ignored(tools: Tools) -> None:
    """The runner passes errors on: a tool's exit code and its words come back."""
    assert "is not a recognized option" in tools.fails("topics", "--no-such-option")
    done = tools.raw("get-offsets", "--bootstrap-server", "127.0.0.1:1x")
    assert done.code != 0
