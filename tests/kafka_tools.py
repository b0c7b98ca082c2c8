"""What Kafka's own tools say, to compare with."""

from __future__ import annotations

import os
import subprocess

from chatkit.local.jars import kafka_jars
from chatkit.local.java import find_java
from chatkit.settings import Settings

__all__ = ["described_topic", "kafka_tool", "table"]


def kafka_tool(settings: Settings, tool: str, *arguments: str) -> list[list[str]]:
    """Return the words in each line of what one of Kafka's own tools says."""
    jars = os.pathsep.join(map(str, kafka_jars(settings, lambda _: None)))
    options = ["--bootstrap-server", settings.bootstrap_servers, *arguments]
    command = [str(find_java(settings)), "-cp", jars, f"org.apache.kafka.tools.{tool}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def table(settings: Settings, group: str, *arguments: str) -> list[dict[str, str]]:
    """Return the rows of what the tool for groups tells of one, by the names of the columns."""
    lines = kafka_tool(
        settings, "consumer.group.ConsumerGroupCommand", "--describe", "--group", group, *arguments
    )
    (names,) = (line for line in lines if line[:1] == ["GROUP"])
    return [dict(zip(names, line, strict=False)) for line in lines if line[:1] == [group]]


def described_topic(settings: Settings, topic: str) -> list[dict[str, str]]:
    """Return what the tool for topics tells of each partition of one, in their order."""
    lines = kafka_tool(settings, "TopicCommand", "--describe", "--topic", topic)
    found = []
    for line in lines:
        if "Partition:" in line:
            names = [place for place, word in enumerate(line) if word.endswith(":")]
            found.append(
                {
                    line[at].removesuffix(":"): " ".join(line[at + 1 : until])
                    for at, until in zip(names, [*names[1:], None], strict=True)
                }
            )
    return sorted(found, key=lambda one: int(one["Partition"]))
