"""A real Apache Kafka from before KRaft, with its ZooKeeper, as `chatkit.local` has none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatkit.local import jars
from chatkit.local.brokers import listens
from chatkit.local.folder import free_ports
from chatkit.local.java import find_java
from chatkit.settings import Settings
from tests.waiting import wait_until

JAVA_OPTIONS = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def _jars(version: str) -> list[Path]:
    """Return the jars, some 35 MB, fetched once into the cache."""
    settings = Settings()
    kept = settings.cache_dir / "old-kafka"
    coordinates = (f"org.apache.kafka:kafka_2.13:{version}", jars.COORDINATES[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jars, "COORDINATES", coordinates)
        artifacts = jars._resolve(kept, settings, print)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda artifact: artifact.resolve(), artifacts))


@contextmanager
def old_kafka(version: str, folder: Path) -> Iterator[str]:
    """Run one broker in a folder; give its address."""
    ports = free_ports(["zookeeper", "kafka"], {})
    address = f"127.0.0.1:{ports['kafka']}"
    (folder / "zookeeper.properties").write_text(
        f"dataDir=zookeeper\nclientPort={ports['zookeeper']}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\n"
    )
    (folder / "kafka.properties").write_text(
        f"broker.id=1\nlisteners=PLAINTEXT://{address}\nlog.dirs=kafka\n"
        f"zookeeper.connect=127.0.0.1:{ports['zookeeper']}\n"
        "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
        "group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=4194304\n"
    )
    environment = {**os.environ, "CLASSPATH": os.pathsep.join(map(str, _jars(version)))}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, main in (
            ("zookeeper", "org.apache.zookeeper.server.quorum.QuorumPeerMain"),
            ("kafka", "kafka.Kafka"),
        ):
            with (folder / f"{name}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        [
                            str(find_java(Settings())),
                            *JAVA_OPTIONS,
                            main,
                            f"{name}.properties",
                        ],
                        cwd=folder,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
            wait_until(lambda: listens(ports[name]) or running[-1].poll() is not None, 60)  # noqa: B023
            assert running[-1].poll() is None, (folder / f"{name}.log").read_text()[-4000:]
        yield address
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()
