"""What became of messages: sent, acknowledged, seen, lost, doubled, out of order.

Counting is pure and goes by the messages' ids: what senders noted is compared with what readers
saw. Only `Scoreboard.of_topic` reads anything from Kafka.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
from kafka import KafkaAdminClient, TopicPartition

from chatkit.errors import InputError, WorkshopTimeoutError
from chatkit.settings import Settings
from chatkit.workshop.asking import ask
from chatkit.workshop.offsets import Isolation, edges, partitions_of
from chatkit.workshop.records import read_between

if TYPE_CHECKING:
    import pandas as pd

    from chatkit.workshop.learner import Learner
    from chatkit.workshop.member import Member
    from chatkit.workshop.notes import Handled
    from chatkit.workshop.sender import Sender, Sent

__all__ = ["Score", "Scoreboard", "Seen", "Tally"]

Part = tuple[str, int]
"""A topic and the number of one of its partitions."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A record that was seen in a topic."""

    topic: str
    """Kafka topic."""
    partition: int
    """Partition of the topic."""
    offset: int
    """Offset in the partition."""
    id: str | None
    """``id`` of the JSON object that its value is; None if it is none, or has none."""
    at_ms: float = 0
    """When it was seen, ms since 1970 UTC."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one partition, or of all."""

    sent: int = 0
    """Messages with an id that were sent."""
    acknowledged: int = 0
    """Of these: on which the sender may rely, for they were acknowledged and committed."""
    seen: int = 0
    """Of those sent: seen, however often."""
    lost: int = 0
    """Acknowledged, but not seen (so far)."""
    unacknowledged_seen: int = 0
    """Seen, though not acknowledged (so far), or though their transaction was not committed."""
    doubled: int = 0
    """Of those seen: seen more than once."""
    out_of_order: int = 0
    """Of those seen: first seen in their partition after a later one of the same sender."""
    foreign: int = 0
    """Records seen that no sender has sent, or that have no id; they count nowhere else."""


class Score(Tally, frozen=True, kw_only=True):
    """The counts of all partitions, and of each."""

    partitions: dict[Part, Tally] = {}
    """Topic and partition -> its counts, which sum up to the total. A message counts where it was
    sent to, as to ``sent``, ``acknowledged`` and ``lost``; else where it was seen first."""

    def __str__(self) -> str:
        lines = [_sentence(self)]
        if len(self.partitions) > 1:
            lines += [
                f"{topic}-{partition}: {_sentence(tally)}"
                for (topic, partition), tally in self.partitions.items()
            ]
        return "\n".join(lines)


COUNTS = Tally.__struct_fields__


class _Reader(Protocol):
    """Something that has seen messages, such as a Member."""

    @property
    def handled(self) -> Sequence[Handled | Seen]: ...


class _TopicReader(msgspec.Struct, frozen=True):
    """What was in a topic."""

    handled: list[Seen]


class Scoreboard:
    """Compares what senders sent with what the members of one group saw.

    It keeps nothing, and looks at senders and members anew each time. Any thread may use it; there
    is nothing to close.

    Parameters
    ----------
    senders : iterable of Sender
        Who sends.
    members : iterable of Member
        Who reads, all in one group: two groups see everything twice, and rightly.

    Raises
    ------
    InputError
        The members are in several groups.
    """

    def __init__(self, *, senders: Iterable[Sender] = (), members: Iterable[Member] = ()) -> None:
        self._senders = tuple(senders)
        readers = tuple(members)
        if len(groups := {member.group for member in readers}) > 1:
            raise InputError(
                f"These members are in several groups ({', '.join(sorted(groups))}), of which each "
                "sees every message: make a Scoreboard for each group"
            )
        self._readers: tuple[_Reader, ...] = readers

    @classmethod
    def of_topic(
        cls,
        learner: Learner | Settings,
        topic: str,
        sender: Sender | Iterable[Sender] = (),
        *,
        isolation: Isolation = "read_uncommitted",
        timeout: float = 20.0,
    ) -> Self:
        """Return the score of what is in a topic now, read whole, in no group.

        Parameters
        ----------
        learner : Learner or Settings
            A learner, whose prefix ``topic`` gets unless it has it, or where Kafka is, and it is
            the full name.
        topic : str
            What to read.
        sender : Sender or iterable of Sender, optional
            Who sent.
        isolation : {"read_uncommitted", "read_committed"}
            Whether what belongs to open and aborted transactions is seen, or not.
        timeout : float, default 20
            Seconds that it may take.

        Raises
        ------
        InputError
            There is no such topic.
        BrokerUnavailableError
            No broker answered in time.
        WorkshopTimeoutError
            It was not read to its end in time.
        """
        if isinstance(learner, Settings):
            settings = learner
        else:
            settings = learner.settings
            if not topic.startswith(learner.topic("x").removesuffix("x")):
                topic = learner.topic(topic)
        board = cls(senders=sender if isinstance(sender, Iterable) else [sender])
        board._readers = (_TopicReader(_read_topic(settings, topic, isolation, timeout)),)
        return board

    def count(
        self,
        sent: Iterable[Sent] | None = None,
        seen: Iterable[Handled | Seen] | None = None,
    ) -> Score:
        """Return how it stands.

        Parameters
        ----------
        sent : iterable of Sent, optional
            What was sent, by each sender in that order. Default: all that the senders have.
        seen : iterable of Handled or Seen, optional
            What was seen, in that order. Default: all that the members have, by time.
        """
        # Looked at first: what is sent and seen meanwhile would else be foreign.
        seen = self._seen() if seen is None else list(seen)
        return _Count(self._sent() if sent is None else sent, seen).score()

    @property
    def lost_ids(self) -> list[str]:
        """Ids of the messages that were acknowledged but not seen (so far), as sent."""
        seen = self._seen()
        return _Count(self._sent(), seen).lost()

    @property
    def doubled_ids(self) -> list[str]:
        """Ids of the messages that were seen more than once, as first seen."""
        seen = self._seen()
        return _Count(self._sent(), seen).doubled()

    def frame(self) -> pd.DataFrame:
        """Return one row per partition.

        Returns
        -------
        pandas.DataFrame
            ``topic`` (str), ``partition`` and the fields of `Tally` (int64), by topic and
            partition; also without rows.
        """
        import pandas as pd

        rows = [
            (*part, *(getattr(tally, name) for name in COUNTS))
            for part, tally in self.count().partitions.items()
        ]
        frame = pd.DataFrame(rows, columns=["topic", "partition", *COUNTS])
        return frame.astype({"topic": "str", **dict.fromkeys(["partition", *COUNTS], "int64")})

    def wait_until_seen(self, timeout: float = 20.0) -> Score:
        """Wait until every message is acknowledged or has failed, and all acknowledged are seen.

        Raises
        ------
        WorkshopTimeoutError
            They were not within ``timeout`` seconds; those still missing may be lost.
        """
        end = time.monotonic() + timeout
        for sender in self._senders:
            sender.flush(max(0.0, end - time.monotonic()))
        while (score := self.count()).lost:
            if time.monotonic() > end:
                raise WorkshopTimeoutError(
                    f"Waited {timeout:g} s until all acknowledged messages were seen. Last seen: "
                    f"{_sentence(score)}. Look whether members own all partitions and go on "
                    "reading; if so, what is missing is lost"
                )
            time.sleep(0.05)
        return score

    def __str__(self) -> str:
        return str(self.count())

    def __repr__(self) -> str:
        return f"<Scoreboard: {_sentence(self.count())}>"

    def _sent(self) -> list[Sent]:
        return [one for sender in self._senders for one in sender.sent]

    def _seen(self) -> list[Handled | Seen]:
        seen = [one for reader in self._readers for one in reader.handled]
        return sorted(seen, key=lambda one: one.at_ms)


class _Count:
    """One comparison of what was sent with what was seen."""

    def __init__(self, sent: Iterable[Sent], seen: Iterable[Handled | Seen]) -> None:
        self._sent: dict[str, Sent] = {}
        for one in sent:
            if one.id is None:
                continue
            # An id that was sent once more counts as one message, relied on if either time was.
            before = self._sent.get(one.id)
            if before is None or (one.acknowledged and not before.acknowledged):
                self._sent[one.id] = one
        self._seen: list[Handled | Seen] = []
        self._foreign: list[Handled | Seen] = []
        self._first: dict[str, Part] = {}
        self._times: Counter[str] = Counter()
        for record in seen:
            if record.id is None or record.id not in self._sent:
                self._foreign.append(record)
                continue
            self._seen.append(record)
            self._first.setdefault(record.id, (record.topic, record.partition))
            self._times[record.id] += 1

    def lost(self) -> list[str]:
        return [
            name for name, one in self._sent.items() if one.acknowledged and not self._times[name]
        ]

    def doubled(self) -> list[str]:
        return [name for name, times in self._times.items() if times > 1]

    def score(self) -> Score:
        parts: dict[str, Counter[Part]] = {
            "sent": Counter(_place(one) for one in self._sent.values()),
            "acknowledged": Counter(_place(o) for o in self._sent.values() if o.acknowledged),
            "seen": Counter(self._first.values()),
            "lost": Counter(_place(self._sent[name]) for name in self.lost()),
            "unacknowledged_seen": Counter(
                part for name, part in self._first.items() if not self._sent[name].acknowledged
            ),
            "doubled": Counter(self._first[name] for name in self.doubled()),
            "out_of_order": Counter(self._late()),
            "foreign": Counter(_place(record) for record in self._foreign),
        }
        every = sorted({part for counter in parts.values() for part in counter})
        tallies = {part: Tally(**{name: parts[name][part] for name in COUNTS}) for part in every}
        total = {name: parts[name].total() for name in COUNTS}
        return Score(partitions=tallies, **total)

    def _late(self) -> Iterator[Part]:
        """Yield the partition of each message that was first seen after a later one."""
        latest: dict[tuple[str, Part], int] = {}
        met: set[str] = set()
        for record in self._seen:
            assert record.id is not None
            if record.id in met:
                continue
            met.add(record.id)
            part = _place(record)
            stream = (_stream(record.id), part)
            n = self._sent[record.id].n
            if n < latest.get(stream, -1):
                yield part
            latest[stream] = max(n, latest.get(stream, -1))


def _stream(name: str) -> str:
    """Return what the ids of one sender have in common."""
    return name.rpartition("-")[0]


def _place(one: Sent | Handled | Seen) -> Part:
    return one.topic, one.partition


def _sentence(tally: Tally) -> str:
    text = (
        f"{tally.sent:,} sent, {tally.acknowledged:,} acknowledged, {tally.seen:,} seen: "
        f"{tally.lost:,} lost, {tally.doubled:,} doubled, {tally.out_of_order:,} out of order"
    )
    if tally.unacknowledged_seen:
        text += f"; {tally.unacknowledged_seen:,} seen without acknowledgement"
    if tally.foreign:
        text += f"; {tally.foreign:,} records of others"
    return text


def _read_topic(settings: Settings, topic: str, isolation: Isolation, timeout: float) -> list[Seen]:
    """Return a topic's records from its start to where it ends now, each partition in order."""
    until = time.monotonic() + timeout

    def look(admin: KafkaAdminClient) -> dict[TopicPartition, tuple[int, int]]:
        # Also those without a leader: to pass over them would count as lost what is in them.
        numbers = [part["partition_index"] for part in partitions_of(admin, topic)]
        return edges(admin, [TopicPartition(topic, number) for number in numbers], isolation)

    bounds = ask(settings, look, timeout=timeout)
    left = max(until - time.monotonic(), 0.1)
    found = read_between(settings, bounds, isolation=isolation, timeout=left)
    return [_seen(record) for records in found.values() for record in records]


def _seen(record: Any) -> Seen:
    return Seen(record.topic, record.partition, record.offset, _id_of(record.value))


class _Named(msgspec.Struct):
    """As much of a value as is counted by."""

    id: str


_decode: Callable[[bytes], _Named] = msgspec.json.Decoder(_Named).decode


def _id_of(raw: bytes | None) -> str | None:
    try:
        return _decode(raw or b"").id
    except (ValueError, RecursionError):
        return None
