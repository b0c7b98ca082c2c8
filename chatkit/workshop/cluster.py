"""A Kafka to experiment on: brokers of one's own to stop, kill and freeze, or one that is there.

Knows nothing of what is written to it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import psutil
from kafka import KafkaAdminClient

from chatkit.errors import InputError, LocalServiceError, NeedsOwnBrokersError, WorkshopTimeoutError
from chatkit.local import LocalServer, LocalStack
from chatkit.local.brokers import answers, listens
from chatkit.local.logs import log_end
from chatkit.settings import Settings
from chatkit.workshop.asking import PAUSE, WAIT_SECONDS, NotYetError, ask, wait_for
from chatkit.workshop.learner import Learner

__all__ = ["QUICK", "BrokerState", "LabCluster"]

QUICK = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
"""Kafka's properties that let one see within seconds what it else does within minutes."""

STOP_SECONDS = 1.0
"""For a broker to stand still once it is told to."""

BrokerState = Literal["running", "paused", "down"]


class LabCluster:
    """Real brokers with nothing on them, to break, or a Kafka that is there.

    A context manager: nothing runs before `start`, and `close` ends what was started. The servers
    end when this process ends, whatever ends it, and their data with `close`. Methods may be called
    from any thread.

    Parameters
    ----------
    brokers : int, default 3
        1, or 3 with a controller apart.
    settings : Settings, optional
        The learner's name, and where Kafka and Java come from. Default: ``Settings()``.
    progress : callable, optional
        Told in lines of text what takes time. Default: nobody is.

    Raises
    ------
    SettingsError
        There can't be so many brokers.
    """

    _of_notebook: ClassVar[LabCluster | None] = None
    _starting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        brokers: int = 3,
        *,
        settings: Settings | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._lock = threading.RLock()
        self._stack: LocalStack | None = LocalStack(
            self._settings,
            brokers=brokers,
            ephemeral=True,
            kafka_properties=QUICK,
            progress=progress,
        )
        self._running = False

    @classmethod
    def existing(cls, settings: Settings | None = None) -> Self:
        """Return the Kafka that settings name; its brokers can be looked at, not broken.

        Parameters
        ----------
        settings : Settings, optional
            Where it is. Default: ``Settings()``.
        """
        cluster = cls(settings=settings)
        cluster._stack = None
        return cluster

    @classmethod
    def for_notebook(
        cls,
        settings: Settings | None = None,
        *,
        own: bool = False,
        progress: Callable[[str], None] = print,
    ) -> LabCluster:
        """Return a cluster that is started; the same one at each call until it is closed.

        Parameters
        ----------
        settings : Settings, optional
            Whether the class shares a Kafka (``CHATKIT_WORKSHOP=shared``), and which. Default:
            ``Settings()``.
        own : bool, default False
            Start brokers also where the class shares a Kafka: these are to be broken.
        progress : callable, default print
            Told in lines of text what takes time.

        Raises
        ------
        LocalServiceError
            The brokers can't be started; the text says why.
        """
        settings = settings or Settings()
        with cls._starting:
            cluster = cls._of_notebook
            if cluster is None or not cluster._running:
                shared = settings.workshop == "shared" and not own
                made = (
                    cls.existing(settings) if shared else cls(settings=settings, progress=progress)
                )
                cluster = made.start()
                cls._of_notebook = cluster
            return cluster

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LabCluster {self.bootstrap_servers if self._running else 'not running'}>"

    def start(self) -> Self:
        """Start the brokers, some 10 s, and return this; nothing happens if they were started.

        Raises
        ------
        LocalServiceError
            They can't be; the text says why. Nothing is left running.
        """
        with self._lock:
            if self._stack is not None:
                self._stack.start()
            self._running = True
        return self

    def close(self) -> None:
        """End the brokers and remove their data; idempotent. A Kafka that was there stays."""
        with self._lock:
            if self._stack is not None and self._running:
                controller = self._stack.controller
                if controller is not None and self._state_of(controller) != "running":
                    for broker in self._stack.brokers:
                        broker.kill()  # it would wait for its controller before it ends
                self._stack.stop()
            self._running = False

    @property
    def settings(self) -> Settings:
        """Settings that lead to this Kafka."""
        self._check_running()
        return self._settings if self._stack is None else self._stack.settings

    @property
    def bootstrap_servers(self) -> str:
        """Addresses of the brokers, ``host:port`` with commas between."""
        return self.settings.bootstrap_servers

    @property
    def is_own(self) -> bool:
        """Whether the brokers are ours, to break."""
        return self._stack is not None

    def learner(self, name: str | None = None) -> Learner:
        """Return a learner's corner of this Kafka.

        Parameters
        ----------
        name : str, optional
            Who learns. Default: ``settings.user``.

        Raises
        ------
        InputError
            Nobody can be called that.
        """
        return Learner(name, settings=self.settings)

    # Breaking, and mending.

    def stop(self, node: int | str) -> None:
        """End a broker as its administrator would (SIGTERM): it hands its leaderships over first.

        Parameters
        ----------
        node : int or str
            The broker's id, or ``controller``. So for all that follow.

        Raises
        ------
        NeedsOwnBrokersError
            The brokers are not ours. So for all that follow.
        InputError
            There is no such broker. So for all that follow.
        """
        self._server(node, "stop").stop()

    def kill(self, node: int | str) -> None:
        """End a broker at once (SIGKILL), as a power cut does."""
        self._server(node, "kill").kill()

    def pause(self, node: int | str) -> None:
        """Freeze a broker (SIGSTOP): it keeps its connections and answers nothing.

        Returns when it stands still: on a busy machine it goes on for a moment.
        """
        server = self._server(node, "pause")
        server.pause()
        end = time.monotonic() + STOP_SECONDS
        while self._state_of(server) == "running" and time.monotonic() < end:
            time.sleep(PAUSE / 10)

    def resume(self, node: int | str) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        self._server(node, "resume").resume()

    def restart(self, node: int | str, *, timeout: float = WAIT_SECONDS) -> None:
        """Start a broker that is down, or end it and start it, and wait until it serves clients.

        Its replicas may still have to catch up then: `wait_for_replicas` waits for that.

        Parameters
        ----------
        node : int or str
            The broker's id, or ``controller``.
        timeout : float, default 20
            Seconds in which it must serve, once it is started.

        Raises
        ------
        WorkshopTimeoutError
            It does not serve yet; it goes on starting.
        LocalServiceError
            It ended instead of starting; the text ends with its log.
        """
        server = self._server(node, "restart")
        server.stop()
        server.spawn()
        self._wait_until_serving([server], time.monotonic() + timeout, timeout)

    def broker_states(self) -> dict[int, BrokerState]:
        """Return what each broker does; of a Kafka that was there, as far as Kafka tells.

        Raises
        ------
        BrokerUnavailableError
            Of a Kafka that was there no broker answered in time.
        """
        self._check_running()
        if self._stack is not None:
            return {
                number: self._state_of(server)
                for number, server in enumerate(self._stack.brokers, start=1)
            }
        found = ask(self._settings, lambda admin: admin.describe_cluster()["brokers"])
        return {
            broker["broker_id"]: "down" if broker.get("is_fenced") else "running"
            for broker in sorted(found, key=lambda broker: int(broker["broker_id"]))
        }

    def wait_for_leader(
        self,
        topic: str,
        partition: int = 0,
        *,
        other_than: int | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> int:
        """Return the broker that leads a partition, as soon as there is one.

        Parameters
        ----------
        topic : str
            Whole name of the topic.
        partition : int, default 0
            Which.
        other_than : int, optional
            A broker that is not meant: the one that was killed, say.
        timeout : float, default 20
            Seconds to wait.

        Raises
        ------
        WorkshopTimeoutError
            There was none in time.
        """

        def look(admin: KafkaAdminClient) -> int:
            found = {one["partition_index"]: one for one in _partitions(admin, topic)}
            if partition not in found:
                raise NotYetError(f"there is no partition {partition} of {topic}")
            leader = int(found[partition]["leader_id"])
            if leader < 0:
                raise NotYetError("no leader")
            if leader == other_than:
                raise NotYetError(f"broker {leader} leads")
            return leader

        other = "" if other_than is None else f" other than broker {other_than}"
        return wait_for(
            self.settings,
            f"a leader of partition {partition} of {topic}{other}",
            look,
            timeout=timeout,
            advice="Look at broker_states(): one that is in sync must run, and the controller.",
        )

    def wait_for_replicas(self, topic: str, count: int, *, timeout: float = WAIT_SECONDS) -> None:
        """Wait until every partition of a topic has so many replicas in sync, no more and no less.

        Parameters
        ----------
        topic : str
            Whole name of the topic.
        count : int
            How many.
        timeout : float, default 20
            Seconds to wait.

        Raises
        ------
        WorkshopTimeoutError
            It did not come about in time.
        """

        def look(admin: KafkaAdminClient) -> None:
            in_sync = {
                one["partition_index"]: one["isr_nodes"] for one in _partitions(admin, topic)
            }
            if not in_sync or any(len(brokers) != count for brokers in in_sync.values()):
                raise NotYetError(
                    "in sync are "
                    + ", ".join(
                        f"{sorted(brokers)} of partition {partition}"
                        for partition, brokers in sorted(in_sync.items())
                    )
                )

        wait_for(
            self.settings,
            f"{count} replicas in sync in every partition of {topic}",
            look,
            timeout=timeout,
            advice="Look at broker_states(); heal() makes everything run again.",
        )

    def heal(self, *, timeout: float = WAIT_SECONDS) -> None:
        """Make all brokers run, all replicas be in sync, and the preferred replicas lead.

        Parameters
        ----------
        timeout : float, default 20
            Seconds to wait.

        Raises
        ------
        NeedsOwnBrokersError
            The brokers are not ours.
        WorkshopTimeoutError
            Something is missing still; called again, it goes on from there.
        LocalServiceError
            A broker ended instead of starting; the text ends with its log.
        """
        stack = self._own("heal")
        end = time.monotonic() + timeout
        controller = [] if stack.controller is None else [stack.controller]
        servers = [*controller, *stack.brokers]
        for server in servers:
            server.resume()
            if not server.is_running():
                server.spawn()
        self._wait_until_serving(servers, end, timeout)
        wait_for(
            self.settings,
            "all replicas in sync and led by the first of each partition",
            _mend_leaders,
            timeout=max(end - time.monotonic(), 1.0),
            advice="Wait and call heal() again.",
        )

    def _check_running(self) -> None:
        if not self._running:
            raise RuntimeError(
                "The cluster is not running: call start() first, or use it in 'with'."
            )

    def _own(self, what: str) -> LocalStack:
        self._check_running()
        if self._stack is None:
            raise NeedsOwnBrokersError(
                f"{what}() needs brokers of your own: those at {self.bootstrap_servers} were there "
                "before, and others may be using them. LabCluster() has three to break"
            )
        return self._stack

    def _server(self, node: int | str, what: str) -> LocalServer:
        stack = self._own(what)
        servers: dict[int | str, LocalServer] = dict(enumerate(stack.brokers, start=1))
        if stack.controller is not None:
            servers["controller"] = stack.controller
        if node not in servers:
            raise InputError(
                f"There is no broker {node!r}; there are {', '.join(map(repr, servers))}"
            )
        return servers[node]

    def _state_of(self, server: LocalServer) -> BrokerState:
        pid = server.pid
        if pid is None:
            return "down"
        with contextlib.suppress(psutil.Error):
            stopped = psutil.Process(pid).status() == psutil.STATUS_STOPPED
            return "paused" if stopped else "running"
        return "down"

    def _wait_until_serving(
        self, servers: Iterable[LocalServer], end: float, timeout: float
    ) -> None:
        waiting = list(servers)
        while True:
            waiting = [server for server in waiting if not self._is_serving(server)]
            if not waiting:
                return
            if time.monotonic() > end:
                names = " and ".join(server.name for server in waiting)
                raise WorkshopTimeoutError(
                    f"Waited {timeout:g} s for {names} to serve clients. Seen last: no answer. "
                    "Wait, and call heal(): this machine may be very busy, and a broker needs a "
                    "controller that runs."
                )
            time.sleep(PAUSE)

    def _is_serving(self, server: LocalServer) -> bool:
        if not server.is_running():
            raise LocalServiceError(
                f"{server.name} ended instead of starting. Mend what its log says, or begin anew "
                f"with another LabCluster.\n{log_end(server.log)}"
            )
        assert self._stack is not None
        port = int(server.address.rpartition(":")[2])
        if server is self._stack.controller:
            return listens(port)
        return answers(port, self._stack.brokers.index(server) + 1)


def _partitions(admin: KafkaAdminClient, topic: str) -> list[dict[str, Any]]:
    (found,) = admin.describe_topics([topic])
    if found["error_code"] != 0:
        raise NotYetError(f"there is no topic {topic} (whole names are needed: learner.topic(...))")
    return list(found["partitions"])


def _mend_leaders(admin: KafkaAdminClient) -> None:
    """Let the first replica of each partition lead again, once all are in sync."""
    elsewhere: dict[str, list[int]] = {}
    for topic in admin.describe_topics():
        for one in topic["partitions"]:
            name = f"{topic['name']}-{one['partition_index']}"
            missing = set(one["replica_nodes"]) - set(one["isr_nodes"])
            if missing or one["leader_id"] < 0:
                raise NotYetError(f"{name} lacks the replica on broker {sorted(missing)}")
            if one["leader_id"] != one["replica_nodes"][0]:
                elsewhere.setdefault(topic["name"], []).append(one["partition_index"])
    if elsewhere:
        admin.elect_leaders(0, elsewhere, raise_errors=False)
        raise NotYetError(f"another replica leads in {', '.join(sorted(elsewhere))}")
