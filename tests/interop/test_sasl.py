# SPDX-License-Identifier: Apache-2.0
"""The mirror logs in at Apache Kafka by each mechanism, at either end; and what a wrong word gives."""

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from conftest import Pair, Topic
from harness.broker import SASL_USERS
from harness.client import numbered
from harness.compare import assert_same

((USER, WORD),) = SASL_USERS.items()
MECHANISMS = {
    "PLAIN": None,
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
}


@pytest.fixture(name="pair")
def _pair(pair: Pair) -> Pair:
    if not (pair.east.transactions and pair.west.transactions):
        pytest.skip("farshore-broker has no SASL")
    for cluster in (pair.east, pair.west):
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap()})
        for kind in MECHANISMS.values():
            if kind is None:
                continue
            user = UserScramCredentialUpsertion(USER, ScramCredentialInfo(kind, 4096), WORD.encode())
            (done,) = admin.alter_user_scram_credentials([user]).values()
            done.result(10)
    return pair


def login(pair: Pair, mechanism: str, word: str = WORD, tls: bool = False) -> dict[str, str]:
    """Both ends of the link by SASL."""
    module = "plain.Plain" if mechanism == "PLAIN" else "scram.Scram"
    props = {}
    for cluster in (pair.east, pair.west):
        name = cluster.name
        props[f"{name}.security.protocol"] = "SASL_SSL" if tls else "SASL_PLAINTEXT"
        props[f"{name}.sasl.mechanism"] = mechanism
        props[f"{name}.sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module}LoginModule required "
            f'username="{USER}" password="{word}";'
        )
        if tls:
            props[f"{name}.ssl.truststore.type"] = "PEM"
            props[f"{name}.ssl.truststore.location"] = str(cluster.authority.cert)
    return props


@pytest.mark.parametrize(
    "mechanism,listener",
    (("PLAIN", "SASLTLS"), ("SCRAM-SHA-256", "SASL"), ("SCRAM-SHA-512", "SASLTLS")),
)
def test_login(pair: Pair, topic: Topic, mechanism: str, listener: str) -> None:
    """Records are copied, and the password is in no log and no answer."""
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    more = login(pair, mechanism, tls=listener == "SASLTLS")
    with pair.mirror(name, listener=(listener, listener), more=more) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        said = "".join(mirror.get(path)[1] for path in ("/", "/v1/links", "/metrics", "/readyz"))
    assert WORD not in said + mirror.process.log_text()


@pytest.mark.parametrize("mechanism", ("PLAIN", "SCRAM-SHA-256"))
def test_wrong_password(pair: Pair, topic: Topic, mechanism: str) -> None:
    """One clear line: which broker refused whom; the password is not in it."""
    more = login(pair, mechanism, word="canary-4711")
    with pair.mirror(topic(), listener=("SASL", "SASL"), more=more) as mirror:
        line = mirror.wait_log("event=broker_unreachable cluster=east .*SASL")
        assert pair.east.broker(1).address("SASL") in line
        assert f"SASL {mechanism} authentication of user" in line and USER in line, line
        assert mirror.link()["state"] in ("STARTING", "SOURCE_UNAVAILABLE")
    assert "canary-4711" not in mirror.process.log_text()


def test_listener_without_sasl(pair: Pair, topic: Topic) -> None:
    """Said to both who log in where nobody asks, and who do not where it is asked."""
    with pair.mirror(topic(), more=login(pair, "PLAIN")) as mirror:
        mirror.wait_log("event=broker_unreachable cluster=east .*listener without SASL")
    with pair.mirror(topic(), listener=("SASL", "SASL")) as mirror:
        mirror.wait_log("event=broker_unreachable cluster=east .*do TLS and SASL settings fit")
