# SPDX-License-Identifier: Apache-2.0
"""What an operator meets: bad configuration, peers that cannot be used, signals, HTTP."""

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import Pair, Topic
from harness.certs import Authority
from harness.client import numbered
from harness.compare import assert_same
from harness.mirror import Mirror, mm2_properties, write_properties
from harness.paths import BROKER, MIRROR, ROOT
from harness.ports import free_port
from harness.process import Process, wait_for


def run(*args: str | Path, program: Path = MIRROR) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def good(pair: Pair) -> dict[str, str]:
    return mm2_properties(pair.east, pair.west, "nothing")


# What is changed in a good configuration, and the words that the error must have.
BAD: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "unknown key": (
        {"east->west.topicz": "a"},
        ("mm2.properties:", "east->west.topicz", 'did you mean "east->west.topics"'),
    ),
    "bad number": (
        {"replication.factor": "many"},
        ("mm2.properties:", "replication.factor", "many"),
    ),
    "bad pattern": ({"east->west.topics": "a(b"}, ("east->west", "topics", "a(b")),
    "undefined cluster": ({"clusters": "east"}, ("mm2.properties:", "west", "clusters")),
    "bad address": ({"east.bootstrap.servers": "localhost"}, ("east", "localhost", "host:port")),
    "missing file": (
        {
            "east.security.protocol": "SSL",
            "east.ssl.truststore.type": "PEM",
            "east.ssl.truststore.location": "/nonexistent/ca.pem",
        },
        ("mm2.properties:", "/nonexistent/ca.pem", "No such file"),
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_bad_configuration(tmp_path: Path, good: dict[str, str], mistake: str) -> None:
    """Exit code 2 and one clear line: what, where, what to do."""
    change, words = BAD[mistake]
    done = run("--mm2", write_properties(tmp_path / "mm2.properties", {**good, **change}))
    assert done.returncode == 2, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("farshore-mirror: ")]
    assert error == done.stderr.splitlines()[-1]
    assert all(word in error for word in words), error


def test_missing_configuration_file() -> None:
    """Exit code 2 and the file's name."""
    done = run("--mm2", "/nonexistent/mm2.properties")
    assert done.returncode == 2
    assert "/nonexistent/mm2.properties" in done.stderr


@pytest.mark.parametrize("args", ([], ["--nonsense"], ["--mm2"], ["--set", "http.listen=x"]))
def test_bad_command_line(args: list[str]) -> None:
    """Exit code 2 and a word on usage."""
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr


def test_check_config(tmp_path: Path, good: dict[str, str]) -> None:
    """--check-config says yes with 0 and prints no secret."""
    secret = {
        "east.sasl.mechanism": "PLAIN",
        "east.security.protocol": "SASL_PLAINTEXT",
        "east.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        'required username="me" password="canary-4711";',
    }
    done = run(
        "--mm2", write_properties(tmp_path / "mm2.properties", {**good, **secret}), "--check-config"
    )
    assert done.returncode == 0, done.stderr
    assert "canary-4711" not in done.stdout + done.stderr


def test_check_config_reads_certificates(tmp_path: Path) -> None:
    """A key of another certificate, or none, is found by --check-config, not by the next start."""
    ca = Authority(tmp_path / "ca")
    one, other = ca.issue("one"), ca.issue("other")
    (tmp_path / "mirror.conf").write_text(
        'clusters: { a: { bootstrap = "127.0.0.1:1"; }; b: { bootstrap = "127.0.0.1:2"; }; };\n'
        'links: ( { source = "a"; target = "b"; } );\n'
    )
    for name, value, word in (
        ("key", one.key, ""),
        ("key", other.key, "other.key: the private key does not belong to the certificate"),
        ("ca", one.key, "one.key"),
    ):
        tls = {"cert": one.cert, "key": one.key, "ca": ca.cert, name: value}
        by_mirror = [f"--set=clusters.a.tls.{k}={v}" for k, v in {**tls, "enabled": "true"}.items()]
        by_broker = [f"--set=listeners.T.tls.{k}={v}" for k, v in tls.items()]
        by_broker += ["--set=listeners.T.listen=127.0.0.1:1", "--set=listeners.T.protocol=SSL"]
        by_broker += ["--set=listeners.T.tls.client_auth=required", "--data", str(tmp_path / "d")]
        for done, where in (
            (run("--config", tmp_path / "mirror.conf", "--check-config", *by_mirror), "cluster a"),
            (run("--check-config", *by_broker, program=BROKER), "listeners.T"),
        ):
            if not word:
                assert done.returncode == 0 and done.stdout, done.stderr
                continue
            assert done.returncode == 2 and not done.stdout, done.stderr
            (line,) = done.stderr.splitlines()
            assert where in line and word in line
    assert not (tmp_path / "d").exists()


def test_properties_as_a_native_file(tmp_path: Path, good: dict[str, str]) -> None:
    """The line says what such a file is for."""
    done = run("--config", write_properties(tmp_path / "mm2.properties", good))
    assert done.returncode == 2 and "--mm2" in done.stderr, done.stderr


def expect_line(mirror: Mirror, *words: str) -> None:
    """One clear line about the trouble, not a storm of them; the process stays."""
    pattern = ".*".join(f"(?:{word})" for word in words)
    line = mirror.wait_log(pattern, timeout=15)
    assert re.search("level=(warn|error)", line), line
    time.sleep(2)
    assert mirror.process.running()
    same = [text for text in mirror.process.log_text().splitlines() if re.search(pattern, text)]
    assert len(same) <= 4, "\n".join(same)


def test_unreachable_cluster(pair: Pair, topic: Topic) -> None:
    """F9: nobody listens there: one line that names the address; retried; the exit is clean."""
    nobody = f"127.0.0.1:{free_port()}"
    with pair.mirror(topic("t"), more={"east.bootstrap.servers": nobody}) as mirror:
        expect_line(mirror, "east", re.escape(nobody))
        assert mirror.get("/livez")[0] == 200
        assert mirror.get("/readyz")[0] == 503


def test_host_that_does_not_exist(pair: Pair, topic: Topic) -> None:
    """F12: a name that does not resolve."""
    with pair.mirror(
        topic("t"), more={"east.bootstrap.servers": "no-such-host.invalid:9092"}
    ) as mirror:
        expect_line(mirror, "no-such-host.invalid")


def test_wrong_authority(pair: Pair, topic: Topic, tmp_path: Path) -> None:
    """F13: a certificate by an authority that is not trusted; nothing is sent in plain instead."""
    other = Authority(tmp_path / "other-ca", "other-ca").cert
    with pair.mirror(
        topic("t"), listener=("SSL", "PLAINTEXT"), more={"east.ssl.truststore.location": str(other)}
    ) as mirror:
        expect_line(mirror, re.escape(pair.east.broker(1).address("SSL")), "certificate")


def test_wrong_host_name(pair: Pair, topic: Topic) -> None:
    """F13: a certificate for another host."""
    with pair.mirror(topic("t"), listener=("BADNAME", "PLAINTEXT")) as mirror:
        expect_line(mirror, re.escape(pair.east.broker(1).address("BADNAME")), "name|host|address")


def test_host_name_not_verified_on_demand(pair: Pair, topic: Topic) -> None:
    """F13: ssl.endpoint.identification.algorithm set to nothing turns the check off."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    with pair.mirror(
        name,
        listener=("BADNAME", "PLAINTEXT"),
        more={"east.ssl.endpoint.identification.algorithm": ""},
    ):
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_plain_to_a_tls_port(pair: Pair, topic: Topic) -> None:
    """F13: the security protocol was forgotten."""
    with pair.mirror(
        topic("t"), more={"east.bootstrap.servers": pair.east.bootstrap("SSL")}
    ) as mirror:
        expect_line(mirror, re.escape(pair.east.broker(1).address("SSL")))


def test_tls_to_a_plain_port(pair: Pair, topic: Topic) -> None:
    """F13: the other way round."""
    props = {
        "east.security.protocol": "SSL",
        "east.ssl.truststore.type": "PEM",
        "east.ssl.truststore.location": str(pair.east.authority.cert),
    }
    with pair.mirror(topic("t"), more=props) as mirror:
        expect_line(mirror, re.escape(pair.east.broker(1).address()))


def test_certificate_missing_for_the_client(pair: Pair, topic: Topic) -> None:
    """F13: the broker demands a client certificate and gets none."""
    with pair.mirror(topic("t"), listener=("MTLS", "PLAINTEXT")) as mirror:
        expect_line(mirror, re.escape(pair.east.broker(1).address("MTLS")))


def test_first_record_within_a_second(pair: Pair, topic: Topic) -> None:
    """From the start of the process to the first record on the target, its topic not yet made."""
    name = topic("t")
    pair.source.create_topic(name, partitions=6)
    for partition in range(6):
        pair.source.produce(name, numbered(100), partition)

    def arrived() -> bool:
        return max(pair.target.end_offsets(f"east.{name}")) > 0

    with pair.mirror(name) as mirror:
        wait_for("the first record", arrived, 5, every=0.01)
        assert time.monotonic() - mirror.process.started_at < 1.5


def test_http(pair: Pair, topic: Topic) -> None:
    """M11: health, links and metrics say what is so."""
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    pair.source.produce(name, numbered(1000, size=100), 1)
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        wait_for("ready", lambda: mirror.get("/readyz")[0] == 200)
        assert mirror.get("/livez")[0] == 200
        assert mirror.get("/nothing")[0] == 404
        entry = mirror.wait_state("ACTIVE", name, 1)
        assert entry["source_position"] == entry["source_end"] == 1000
        assert entry["target_position"] == 1000
        assert entry["lag_records"] == 0 and entry["lag_seconds"] == 0
        (link,) = mirror.links()
        assert link["name"] == "east->west" and link["state"] == "ACTIVE"
        (found,) = [t for t in link["topics"] if t["source"] == name]
        assert found["target"] == f"east.{name}"
        status, text = mirror.get("/metrics")
        assert status == 200 and f'topic="{name}"' in text
        json.dumps(link)


def test_documented_metrics(pair: Pair, tmp_path: Path) -> None:
    """What the manual tells to watch is there, on a mirror and on a broker."""
    manual = (ROOT / "docs" / "operating.md").read_text()
    named = set(re.findall(r"farshore_[a-z0-9]+(?:_[a-z0-9]+)+", manual))
    port = free_port()
    args = [str(BROKER), "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    args += ["--set", f"http.listen=127.0.0.1:{port}"]
    broker = Process(args, tmp_path / "broker.log")
    broker.start()
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        text = wait_for("metrics", lambda: urllib.request.urlopen(url, timeout=5).read().decode())
    finally:
        broker.stop()
    with pair.mirror("nothing") as mirror:
        text += wait_for("metrics", lambda: mirror.get("/metrics")[1])
    assert len(named) > 10
    assert named <= set(re.findall(r"^# TYPE (\S+)", text, re.M))


def test_lag(pair: Pair, topic: Topic) -> None:
    """M11: lag in records and seconds while the target does not take anything."""
    from harness.proxy import Proxy

    name = topic("t")
    pair.source.create_topic(name)
    with Proxy(pair.west.broker(1)) as proxy:
        with pair.mirror(name, listener=("PLAINTEXT", "PROXIED")) as mirror:
            pair.source.produce(name, numbered(10))
            assert_same(pair.source, name, pair.target, f"east.{name}")
            proxy.refuse(True)
            proxy.cut()
            pair.source.produce(name, numbered(1, start=10))
            mirror.wait_state("TARGET_UNAVAILABLE", name)
            # From now on it fetches nothing, and knows all the same.
            pair.source.produce(name, numbered(499, start=11))

            def lagging() -> bool:
                entry = mirror.partition(name)
                return (
                    entry is not None
                    and entry["lag_records"] == 500
                    and 2 <= entry["lag_seconds"] <= 20
                )

            wait_for("a lag of 500 records and some seconds", lagging, 15)
            proxy.refuse(False)
            assert_same(pair.source, name, pair.target, f"east.{name}", 20)


def test_several_links_in_one_process(pair: Pair, topic: Topic) -> None:
    """Two links that share a process; one without its source leaves the other alone."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(1000))
    more = {
        "clusters": "east, west, south",
        "south.bootstrap.servers": f"127.0.0.1:{free_port()}",
        "south->west.enabled": "true",
        "south->west.topics": ".*",
    }
    with pair.mirror(name, more=more) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        states = {link["name"]: link["state"] for link in mirror.links()}
        assert states["east->west"] == "ACTIVE"
        assert states["south->west"] == "SOURCE_UNAVAILABLE"
