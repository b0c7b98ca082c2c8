"""Counting what became of messages: pure, but for the reading of a topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from chatkit.connection import make_client
from chatkit.errors import InputError, WorkshopTimeoutError
from chatkit.settings import Settings
from chatkit.workshop.member import Member
from chatkit.workshop.scoreboard import COUNTS, Score, Scoreboard, Seen, Tally
from chatkit.workshop.sender import Sender, Sent, TransactionState

ORDERS = "lab.ana.orders"


def sent(
    n: int,
    partition: int = 0,
    *,
    name: str = "ana",
    acknowledged: bool = True,
    transaction: TransactionState | None = None,
) -> Sent:
    return Sent(
        id=f"{name}-{n:06}",
        n=n,
        topic=ORDERS,
        partition=partition,
        key=None,
        at_ms=1000.0 + n,
        acknowledged_ms=1002.0 + n if acknowledged else None,
        transaction=transaction,
    )


def seen(n: int, partition: int = 0, *, name: str = "ana", at_ms: float = 0) -> Seen:
    return Seen(ORDERS, partition, n, f"{name}-{n:06}", at_ms)


def count(sent: Sequence[Sent], seen: Sequence[Seen]) -> Score:
    return Scoreboard().count(sent, seen)


def test_nothing_sent_and_nothing_seen_is_nothing() -> None:
    assert count([], []) == Score()


def test_what_was_acknowledged_but_not_seen_is_lost() -> None:
    score = count([sent(0), sent(1), sent(2, acknowledged=False)], [seen(0)])
    assert (score.sent, score.acknowledged, score.seen, score.lost) == (3, 2, 1, 1)


def test_what_was_seen_without_acknowledgement_is_neither_lost_nor_foreign() -> None:
    score = count([sent(0, acknowledged=False)], [seen(0)])
    assert (score.unacknowledged_seen, score.lost, score.foreign) == (1, 0, 0)


def test_a_message_seen_three_times_is_one_doubled_message() -> None:
    score = count([sent(0), sent(1)], [seen(0), seen(0), seen(1), seen(0)])
    assert (score.seen, score.doubled, score.out_of_order) == (2, 1, 0)


def test_a_message_first_seen_after_a_later_one_is_out_of_order() -> None:
    score = count([sent(n) for n in range(4)], [seen(0), seen(3), seen(1), seen(2)])
    assert score.out_of_order == 2


def test_order_is_a_matter_of_one_sender_in_one_partition() -> None:
    messages = [sent(0, 0), sent(1, 1), sent(0, 0, name="ben"), sent(1, 0, name="ben")]
    score = count(messages, [seen(1, 1), seen(1, name="ben"), seen(0), seen(0, name="ben")])
    assert score.out_of_order == 1


def test_reading_again_from_an_earlier_offset_doubles_and_keeps_order() -> None:
    again = [seen(n) for n in (0, 1, 2, 3, 1, 2, 3, 4)]
    score = count([sent(n) for n in range(5)], again)
    assert (score.doubled, score.out_of_order) == (3, 0)


def test_records_of_others_and_garbage_are_foreign_only() -> None:
    score = count([sent(0)], [seen(0), seen(7, name="cleo"), Seen(ORDERS, 0, 8, None)])
    assert (score.seen, score.foreign, score.doubled) == (1, 2, 0)


@pytest.mark.parametrize(("state", "lost"), [("committed", 1), ("aborted", 0), ("open", 0)])
def test_a_message_counts_once_its_transaction_is_committed(
    state: TransactionState, lost: int
) -> None:
    assert count([sent(0, transaction=state)], []).lost == lost


def test_a_message_of_an_aborted_transaction_that_is_seen_stands_out() -> None:
    assert count([sent(0, transaction="aborted")], [seen(0)]).unacknowledged_seen == 1


def test_an_id_sent_once_more_is_one_message_relied_on_if_either_time_was() -> None:
    for messages in (
        [sent(0), sent(0, acknowledged=False)],
        [sent(0, acknowledged=False), sent(0)],
    ):
        assert (count(messages, []).sent, count(messages, []).lost) == (1, 1)


def test_partitions_are_counted_each() -> None:
    score = count([sent(0, 0), sent(1, 1), sent(2, 1)], [seen(0, 0), seen(2, 1), seen(2, 1)])
    assert score.partitions == {
        (ORDERS, 0): Tally(sent=1, acknowledged=1, seen=1),
        (ORDERS, 1): Tally(sent=2, acknowledged=2, seen=1, lost=1, doubled=1),
    }


def test_the_score_as_text_names_every_count_and_partition() -> None:
    score = count([sent(0, 0), sent(1, 1)], [seen(0, 0), seen(0, 0)])
    first, *rest = str(score).splitlines()
    assert first == "2 sent, 2 acknowledged, 1 seen: 1 lost, 1 doubled, 0 out of order"
    assert [line.split(":")[0] for line in rest] == [f"{ORDERS}-0", f"{ORDERS}-1"]


MESSAGES = st.lists(
    st.builds(
        sent,
        st.integers(0, 8),
        st.integers(0, 2),
        name=st.sampled_from(["ana", "ben"]),
        acknowledged=st.booleans(),
        transaction=st.sampled_from([None, "open", "committed", "aborted", "unknown"]),
    ),
    max_size=20,
)
RECORDS = st.lists(
    st.one_of(
        st.builds(
            seen,
            st.integers(0, 9),
            st.integers(0, 2),
            name=st.sampled_from(["ana", "ben", "cleo"]),
        ),
        st.just(Seen(ORDERS, 0, 3, None)),
    ),
    max_size=30,
)


@given(MESSAGES, RECORDS)
def test_partitions_sum_up_to_the_total(messages: list[Sent], records: list[Seen]) -> None:
    score = count(messages, records)
    for name in COUNTS:
        parts = score.partitions.values()
        assert sum(getattr(tally, name) for tally in parts) == getattr(score, name)


@given(MESSAGES, RECORDS)
def test_every_message_and_every_record_is_counted(
    messages: list[Sent], records: list[Seen]
) -> None:
    score = count(messages, records)
    ids = {one.id for one in messages}
    times = Counter(record.id for record in records if record.id in ids)
    relied = {one.id for one in messages if one.acknowledged}
    assert score.sent == len(ids)
    assert score.seen == len(times)
    assert score.doubled == sum(number > 1 for number in times.values())
    assert score.lost == len(relied - times.keys())
    assert score.seen == len(relied & times.keys()) + score.unacknowledged_seen
    assert score.foreign == len(records) - times.total()


@given(st.permutations(range(7)))
def test_out_of_order_are_those_with_a_later_one_before_them(order: list[int]) -> None:
    late = sum(any(before > n for before in order[:place]) for place, n in enumerate(order))
    score = count([sent(n) for n in range(7)], [seen(n) for n in order])
    assert score.out_of_order == late


def test_members_of_two_groups_are_refused() -> None:
    settings = Settings()
    members = [Member(settings, group, ORDERS, name="ana") for group in ("one", "two")]
    with pytest.raises(InputError, match="a Scoreboard for each group"):
        Scoreboard(members=members)


def test_the_frame_has_its_columns_without_rows() -> None:
    frame = Scoreboard().frame()
    assert list(frame.columns) == ["topic", "partition", *COUNTS]
    assert frame.empty
    assert {str(frame[name].dtype) for name in COUNTS} == {"int64"}


# On a real Kafka.


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic with three partitions."""
    name = settings.topic_prefix + "orders"
    admin = make_client(KafkaAdminClient, settings)
    try:
        admin.create_topics([NewTopic(name, 3, 1)])
        admin.wait_for_topics([name])
    finally:
        admin.close()
    return name


def test_a_topic_is_read_to_its_end(settings: Settings, topic: str) -> None:
    with Sender(settings, topic) as sender:
        sender.send(300, keys=["ana", "ben", "cleo", None])
        sender.flush()
        board = Scoreboard.of_topic(settings, topic, sender)
        score = board.count()
        assert (score.seen, score.lost, score.doubled, score.out_of_order) == (300, 0, 0, 0)
        frame = board.frame()
        offsets = Counter(one.partition for one in sender.sent)
        assert dict(zip(frame["partition"], frame["seen"], strict=True)) == offsets
        sender.send(5)
        sender.flush()
        assert board.count().lost == len(board.lost_ids) == 5
        assert board.lost_ids == [one.id for one in sender.sent[300:]]


def test_garbage_in_a_topic_is_foreign(settings: Settings, topic: str) -> None:
    producer = make_client(KafkaProducer, settings)
    for value in (b"\xff\xfe", b"", b"[1", b'"id"', b'{"id": 3}', b"[" * 100_000, None):
        producer.send(topic, value, key=b"key").get(20)
    producer.close()
    with Sender(settings, topic) as sender:
        names = sender.send(2)
        sender.flush()
        score = Scoreboard.of_topic(settings, topic, [sender]).count()
    assert (score.seen, score.foreign) == (len(names), 7)


def test_a_doubled_message_is_named(settings: Settings, topic: str) -> None:
    with Sender(settings, topic) as sender:
        (name,) = sender.send()
        sender.send(value={"id": name, "text": "the same once more"})
        sender.flush()
        assert Scoreboard.of_topic(settings, topic, sender).doubled_ids == [name]


def test_a_topic_that_is_not_there_is_told(settings: Settings) -> None:
    with pytest.raises(InputError, match="There is no topic"):
        Scoreboard.of_topic(settings, settings.topic_prefix + "nowhere")


def test_the_scoreboard_counts_what_members_see(settings: Settings, topic: str) -> None:
    group = settings.topic_prefix + "readers"
    with (
        Member(settings, group, topic, name="ana") as ana,
        Member(settings, group, topic, name="ben") as ben,
        Sender(settings, topic) as sender,
    ):
        board = Scoreboard(senders=[sender], members=[ana, ben])
        sender.send(60)
        score = board.wait_until_seen()
        assert (score.acknowledged, score.seen, score.lost) == (60, 60, 0)
        assert str(board) == str(score)


def test_waiting_for_what_nobody_reads_ends_and_says_so(settings: Settings, topic: str) -> None:
    with Sender(settings, topic) as sender:
        sender.send(3)
        sender.flush()
        with pytest.raises(WorkshopTimeoutError, match=r"Last seen: 3 sent.*3 lost"):
            Scoreboard(senders=[sender]).wait_until_seen(0.2)
