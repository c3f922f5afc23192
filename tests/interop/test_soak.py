# SPDX-License-Identifier: Apache-2.0
"""Hours in short: a mirror under traffic and random faults, for as long as one likes."""

import os
import random
import time
from collections.abc import Callable

import pytest

from conftest import Pair, Topic
from harness.mirror import MEMORY_CAP, Mirror
from harness.proxy import Proxy
from test_network import IMPATIENT
from test_restarts import compare_all, traffic

SECONDS = int(os.environ.get("FARSHORE_SOAK_SECONDS", "900"))


def faults(
    mirror: Mirror, proxies: list[Proxy], chance: random.Random
) -> dict[str, Callable[[], None]]:
    """What may happen, by name; each ends with the mirror running and the ways open."""
    proxy = chance.choice(proxies)

    def for_a_while(begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        time.sleep(chance.uniform(0.1, 6))
        end()

    def refuse() -> None:
        proxy.refuse(True)
        proxy.cut()

    def kill() -> None:
        mirror.kill()
        mirror.start()

    def restart() -> None:
        mirror.stop()
        mirror.start()

    return {
        "cut": proxy.cut,
        "stall": lambda: for_a_while(lambda: proxy.stall(True), lambda: proxy.stall(False)),
        "refuse": lambda: for_a_while(refuse, lambda: proxy.refuse(False)),
        "slow": lambda: for_a_while(lambda: proxy.rate(200_000), lambda: proxy.rate(0)),
        "far": lambda: for_a_while(lambda: proxy.delay(80), lambda: proxy.delay(0)),
        "kill": kill,
        "restart": restart,
    }


@pytest.mark.long
def test_soak(pair: Pair, topic: Topic) -> None:
    """F1, F2, F5, F7, F8, F9, M1, M2, M12, M13: all of it in any order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    end = time.monotonic() + SECONDS
    with Proxy(pair.east.broker(1)) as near, Proxy(pair.west.broker(1)) as far:
        with traffic(pair, topic, scale=2, pause_s=0.5) as topics:
            mirror = pair.mirror(
                ", ".join(topics),
                listener=("PROXIED", "PROXIED"),
                more=IMPATIENT,
            ).start()
            while time.monotonic() < end:
                time.sleep(chance.uniform(0.1, 5))
                name, fault = chance.choice(list(faults(mirror, [near, far], chance).items()))
                print(f"{end - time.monotonic():.0f} s left: {name}")
                assert mirror.process.usage().rss_max <= MEMORY_CAP
                fault()
        compare_all(pair, topics)
        mirror.stop()
