# SPDX-License-Identifier: Apache-2.0
"""Java programs, run one after another in one JVM: Kafka's tools, and java/Clients.java."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import java

MAIN = {
    "clients": "Clients",
    "api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
}


@dataclass
class Done:
    code: int
    out: str
    err: str


class Tools:
    """The JVM of java/Tools.java."""

    def __init__(self, address: str, log: Path):
        self.address = address
        with open(log, "wb") as err:
            self.child = subprocess.Popen(
                java.own_command("Tools"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
            )

    def raw(self, tool: str, *args: str, stdin: str = "") -> Done:
        """Run the tool as it is called."""
        assert self.child.stdin is not None and self.child.stdout is not None
        words = [stdin, MAIN[tool], *args]
        line = b" ".join(base64.b64encode(word.encode()) for word in words)
        self.child.stdin.write(line + b"\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split(b" ")
        out, err = (base64.b64decode(word).decode() for word in answer[1:])
        return Done(int(answer[0]), out, err)

    def __call__(self, tool: str, *args: str, stdin: str = "") -> str:
        """Run it against the broker; it must end with 0. Its output."""
        done = self.raw(tool, "--bootstrap-server", self.address, *args, stdin=stdin)
        assert done.code == 0, f"{tool} ended with {done.code}: {done.out}{done.err}"
        return done.out

    def fails(self, tool: str, *args: str) -> str:
        """It must not end with 0. All that it says."""
        done = self.raw(tool, "--bootstrap-server", self.address, *args)
        assert done.code != 0, f"{tool} ended with 0: {done.out}{done.err}"
        return done.out + done.err

    def scenario(self, name: str, *args: str) -> Any:
        """Run one of java/Clients.java; what it found."""
        done = self.raw("clients", name, self.address, *args)
        assert done.code == 0, f"{name} ended with {done.code}: {done.out}{done.err}"
        return json.loads(done.out)

    def close(self) -> None:
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait(20)
        self.child.stdout.close()
