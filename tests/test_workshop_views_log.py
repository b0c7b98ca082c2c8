"""The log and the offsets as views: what they say, what they show, and what all views share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from chatkit.errors import InputError, ServiceError, WorkshopTimeoutError
from chatkit.local import LocalStack
from chatkit.settings import Settings
from chatkit.workshop.learner import Learner
from chatkit.workshop.views import LogView, OffsetView
from chatkit.workshop.views.offsets import Moment, pace
from chatkit.workshop.views.ticking import Seen, View
from tests.browser import Lab, NotebookPage
from tests.kafka_tools import kafka_tool
from tests.names import with_own_names
from tests.waiting import wait_until
from tests.xss import PAYLOADS


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    yield client
    client.close()


@pytest.fixture
def topic(settings: Settings, admin: KafkaAdminClient) -> Iterator[str]:
    """A topic of three partitions."""
    name = f"{settings.topic_prefix}orders"
    make_topic(admin, name)
    yield name
    if name in admin.list_topics():
        admin.delete_topics([name])


@pytest.fixture
def sender(settings: Settings) -> Iterator[KafkaProducer]:
    client = KafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    yield client
    client.close()


@pytest.fixture
def reader(settings: Settings) -> Iterator[KafkaConsumer]:
    """A consumer that commits for a group, and is no member of it."""
    client = KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=f"{settings.topic_prefix}readers",
        enable_auto_commit=False,
    )
    yield client
    client.close()


def make_topic(admin: KafkaAdminClient, name: str) -> None:
    admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}})


def send(
    sender: KafkaProducer, topic: str, *keys: str | None, partition: int | None = None
) -> None:
    """Send one record for each key."""
    for number, key in enumerate(keys):
        sender.send(
            topic,
            key=None if key is None else key.encode(),
            value=f"hello {number}".encode(),
            partition=partition,
        )
    sender.flush()


def commit(reader: KafkaConsumer, topic: str, *offsets: int) -> None:
    """Commit an offset for each of the first partitions."""
    reader.assign([TopicPartition(topic, n) for n in range(3)])
    reader.commit(
        {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in enumerate(offsets)
        }
    )


# The log.


def test_the_log_shows_where_each_record_went(
    settings: Settings, topic: str, sender: KafkaProducer
) -> None:
    send(sender, topic, "ana", "ben", None, partition=0)
    send(sender, topic, "cleo", partition=2)
    with LogView(settings, topic) as view:
        frame = view.refresh().frame
        assert list(zip(frame["partition"], frame["offset"], frame["key"], strict=True)) == [
            (0, 0, "ana"),
            (0, 1, "ben"),
            (0, 2, None),
            (2, 0, "cleo"),
        ]
        assert list(frame["value"]) == ["hello 0", "hello 1", "hello 2", "hello 0"]
        assert list(frame["bytes"]) == [10, 10, 7, 11]
        assert set(frame["timestamp_type"]) == {"CreateTime"}
        assert str(frame["timestamp"].dtype) == "datetime64[ms, UTC]"
        assert view.text == (
            f"Topic {topic}. "
            "Partition 0 holds offsets 0 to 2, the newest record at 2 with no key. "
            "Partition 1 is empty; its next offset is 0. "
            "Partition 2 holds offsets 0 to 0, the newest record at 0 with key cleo."
        )
        assert view.text in repr(view)
        assert view.problem == ""


def test_the_log_moves_by_itself(settings: Settings, topic: str, sender: KafkaProducer) -> None:
    with LogView(settings, topic) as view:
        wait_until(lambda: len(view.partitions) == 3)
        send(sender, topic, "ana", partition=1)
        wait_until(lambda: "with key ana" in view.text, 3)


def test_a_refreshed_log_is_no_older_than_the_call(
    settings: Settings, topic: str, sender: KafkaProducer
) -> None:
    with LogView(settings, topic) as view:
        for count in range(1, 21):
            send(sender, topic, "ana", partition=0)
            assert len(view.refresh().frame) == count


def test_of_a_long_log_the_newest_records_are_shown(
    settings: Settings, topic: str, sender: KafkaProducer
) -> None:
    send(sender, topic, *["ana"] * 500, partition=0)
    with LogView(settings, topic, shown=7) as view:
        view.refresh()
        assert list(view.frame["offset"]) == list(range(493, 500))
        assert view.content["lanes"][0]["first"] == 493
        assert list(view.partitions["log_end"]) == [500, 0, 0]


def test_the_log_starts_later_when_records_were_deleted(
    settings: Settings, topic: str, sender: KafkaProducer, admin: KafkaAdminClient
) -> None:
    send(sender, topic, *["ana"] * 9, partition=0)
    with LogView(settings, topic) as view:
        assert len(view.refresh().frame) == 9
        admin.delete_records({TopicPartition(topic, 0): 6})
        view.refresh()
        assert list(view.frame["offset"]) == [6, 7, 8]
        assert list(view.partitions["log_start"]) == [6, 0, 0]
        assert "Partition 0 holds offsets 6 to 8" in view.text
        admin.delete_records({TopicPartition(topic, 0): 9})
        view.refresh()
        assert "Partition 0 is empty; its next offset is 9" in view.text
        assert view.frame.empty


def test_an_offset_that_holds_no_record_is_a_gap(settings: Settings, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id=topic)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, key=b"ana", value=b"hello", partition=0)
        producer.commit_transaction()
        with LogView(settings, topic) as view:
            wait_until(lambda: view.refresh().partitions["log_end"].iloc[0] == 2)
            assert list(view.frame["offset"]) == [0]
            assert "holds offsets 0 to 1, the newest record at 0" in view.text
    finally:
        producer.close()


def test_bytes_that_are_no_text_are_shown_as_bytes(
    settings: Settings, topic: str, sender: KafkaProducer
) -> None:
    sender.send(topic, key=b"\xff", value=b"\xc3", partition=0)
    sender.send(topic, key=b"", value=None, partition=0)
    sender.send(topic, key=None, value="é".encode() * 1000, partition=0)
    sender.flush()
    with LogView(settings, topic) as view:
        frame = view.refresh().frame
        assert list(frame["key"]) == ["\\xff", "", None]
        assert list(frame["value"]) == ["\\xc3", None, "é" * 159 + "…"]
        assert list(frame["bytes"]) == [2, 0, 2000]


def test_a_topic_may_come_later_and_go_and_come_again(
    settings: Settings, sender: KafkaProducer, admin: KafkaAdminClient
) -> None:
    topic = f"{settings.topic_prefix}later"
    with LogView(settings, topic) as view:
        assert view.refresh().text == f"There is no topic {topic} on this Kafka yet."
        assert view.frame.empty
        assert view.problem == ""
        make_topic(admin, topic)
        send(sender, topic, "ana", partition=0)
        wait_until(lambda: len(view.refresh().frame) == 1)
        admin.delete_topics([topic])
        wait_until(lambda: "There is no topic" in view.refresh().text)
        make_topic(admin, topic)
        with KafkaProducer(bootstrap_servers=settings.bootstrap_servers) as other:
            send(other, topic, "ben", partition=0)
        wait_until(lambda: list(view.refresh().frame["key"]) == ["ben"])
        admin.delete_topics([topic])


def test_partitions_that_are_added_show_up(
    settings: Settings, topic: str, sender: KafkaProducer, admin: KafkaAdminClient
) -> None:
    with LogView(settings, topic) as view:
        assert len(view.refresh().partitions) == 3
        admin.create_partitions({topic: 4})
        wait_until(lambda: len(view.refresh().partitions) == 4)
        wait_until(lambda: 3 in sender.partitions_for(topic))
        send(sender, topic, "dora", partition=3)
        assert list(view.refresh().frame["partition"]) == [3]


def test_a_learner_names_topics_and_groups_shortly(settings: Settings) -> None:
    learner = Learner("ana", settings=settings)
    with (
        LogView(learner, "orders") as log,
        OffsetView(learner, "readers") as offsets,
    ):
        assert log.title == f"Log of {learner.topic('orders')}"
        assert log.refresh().problem == ""
        # A Kafka that never had a group makes the topic of their offsets first.
        wait_until(lambda: learner.group("readers") in offsets.refresh().text)


def test_the_log_of_a_wrong_size_is_refused(settings: Settings) -> None:
    for shown in (0, 201):
        with pytest.raises(InputError, match="1 to 200"):
            LogView(settings, "orders", shown=shown)


def test_the_log_agrees_with_kafkas_own_tool(
    settings: Settings, topic: str, sender: KafkaProducer, admin: KafkaAdminClient
) -> None:
    send(sender, topic, *["ana", "ben", "cleo", "dora", None] * 20)
    send(sender, topic, *["ana"] * 10, partition=0)
    admin.delete_records({TopicPartition(topic, 0): 4})
    with LogView(settings, topic) as view:
        partitions = view.refresh().partitions
    for column, moment in (("log_start", "earliest"), ("log_end", "latest")):
        lines = kafka_tool(settings, "GetOffsetShell", "--topic", topic, "--time", moment)
        told = [":".join([topic, str(n), str(o)]) for n, o in partitions[column].items()]
        assert sorted(told) == sorted(line[0] for line in lines)
    assert set(partitions["source"]) == {"KafkaConsumer.beginning_offsets, end_offsets"}


# The offsets of a group.


class Reading:
    """Someone in this process who reads."""

    def __init__(self, positions: dict[tuple[str, int], int]) -> None:
        self.positions = positions


def test_the_ruler_has_start_committed_position_and_end(
    settings: Settings,
    topic: str,
    sender: KafkaProducer,
    reader: KafkaConsumer,
    admin: KafkaAdminClient,
) -> None:
    send(sender, topic, *["ana"] * 10, partition=0)
    send(sender, topic, *["ana"] * 5, partition=1)
    admin.delete_records({TopicPartition(topic, 0): 2})
    commit(reader, topic, 4, 5)
    member = Reading({(topic, 0): 6, (topic, 2): 0})
    with OffsetView(settings, reader.config["group_id"], members=[member]) as view:
        frame = view.refresh().frame.set_index("partition")
        assert list(frame.loc[0, ["log_start", "committed", "position", "log_end", "lag"]]) == [
            *(2, 4, 6, 10, 6)
        ]
        assert list(frame.loc[1, ["log_start", "committed", "log_end", "lag"]]) == [0, 5, 5, 0]
        assert frame["position"].isna().loc[1]
        assert frame["committed"].isna().loc[2], "a member reads it and has committed nothing"
        assert all(frame["source"].str.len() > 0)
        assert f"Group {reader.config['group_id']}: lag 6," in view.text
        assert f"{topic} 0: log 2 to 10, committed 4, lag 6, position 6." in view.text
        commit(reader, topic, 10, 5)
        assert "lag 0, all is read" in view.refresh().text


def test_a_group_may_come_later(
    settings: Settings, topic: str, sender: KafkaProducer, reader: KafkaConsumer
) -> None:
    group = reader.config["group_id"]
    with OffsetView(settings, group) as view:
        assert view.refresh().text == f"Group {group} has committed nothing yet."
        assert view.frame.empty
        send(sender, topic, "ana", partition=0)
        commit(reader, topic, 0)
        wait_until(lambda: "lag 1" in view.refresh().text)


def test_it_is_said_how_many_records_retention_took_from_a_reader(
    settings: Settings,
    topic: str,
    sender: KafkaProducer,
    reader: KafkaConsumer,
    admin: KafkaAdminClient,
) -> None:
    send(sender, topic, *["ana"] * 10, partition=0)
    commit(reader, topic, 3)
    admin.delete_records({TopicPartition(topic, 0): 8})
    with OffsetView(settings, reader.config["group_id"]) as view:
        assert "5 were deleted before they were read" in view.refresh().text


def test_lag_over_time_has_a_rate_and_a_time_left(
    settings: Settings, topic: str, sender: KafkaProducer, reader: KafkaConsumer
) -> None:
    send(sender, topic, *["ana"] * 1000, partition=0)
    commit(reader, topic, 0)
    with OffsetView(settings, reader.config["group_id"]) as view:
        view.refresh()
        read = iter(range(10, 1000, 10))

        def reads_on() -> bool:
            commit(reader, topic, next(read))
            return view.refresh().pace.left is not None

        wait_until(reads_on)
        history = view.history
        assert history["lag"].iloc[0] > history["lag"].iloc[-1] > 0
        assert history["seconds_ago"].iloc[-1] == 0
        assert history["lag"].equals(history["log_end"] - history["committed"])
        assert "records a second read, 0.0 written, time left" in view.text
        commit(reader, topic, 0)  # set back: what was committed before tells nothing now
        assert view.refresh().pace.read is None


def test_the_offsets_agree_with_kafkas_own_tool(
    settings: Settings, topic: str, sender: KafkaProducer, reader: KafkaConsumer
) -> None:
    send(sender, topic, *["ana", "ben", "cleo", "dora", None] * 20)
    commit(reader, topic, 1, 2, 3)
    group = reader.config["group_id"]
    with OffsetView(settings, group) as view:
        frame = view.refresh().frame
    lines = kafka_tool(
        settings, "consumer.group.ConsumerGroupCommand", "--describe", "--group", group
    )
    told = {tuple(line[1:6]) for line in lines if line[:1] == [group]}
    columns = ["topic", "partition", "committed", "log_end", "lag"]
    assert {tuple(map(str, row)) for row in frame[columns].itertuples(index=False)} == told


moments = st.builds(
    Moment,
    at=st.floats(0, 1e6),
    read=st.integers(0, 10**9),
    written=st.integers(0, 10**9),
    lag=st.integers(0, 10**9),
)


@given(st.lists(moments, max_size=5).map(lambda some: sorted(some, key=lambda one: one.at)))
def test_time_left_is_none_or_what_the_rates_make_of_the_lag(some: list[Moment]) -> None:
    paced = pace(some)
    if not some:
        assert paced.left is None
    elif some[-1].lag == 0:
        assert paced.left == 0
    elif paced.read is None or paced.written is None or paced.read <= paced.written:
        assert paced.left is None
    elif paced.left is not None:
        assert paced.left * (paced.read - paced.written) == pytest.approx(some[-1].lag)


def test_the_pace_is_that_of_the_time_between() -> None:
    paced = pace([Moment(10.0, 0, 100, 100), Moment(14.0, 80, 120, 40)])
    assert (paced.read, paced.written) == (20.0, 5.0)
    assert paced.left == pytest.approx(40 / 15)


# What all views share.


class Counting(View):
    """A view of a number, that fails or waits if told to."""

    _esm = "export default { render() {} };"

    def __init__(self, **options: float) -> None:
        self.number = 0
        self.ends = 0
        self.error: Exception | None = None
        self.may_look = threading.Event()
        self.may_look.set()
        super().__init__("Numbers", **options)

    def _look(self) -> Seen:
        self.may_look.wait(10)
        if self.error is not None:
            raise self.error
        self.number += 1
        return Seen({"number": self.number}, f"Number {self.number}.")

    def _end(self) -> None:
        self.ends += 1


def test_a_view_looks_some_five_times_a_second() -> None:
    with Counting() as view:
        view.refresh()
        begun, number = time.monotonic(), view.number
        wait_until(lambda: view.number >= number + 10)
        assert 1.7 < time.monotonic() - begun < 4


def test_refresh_looks_anew_each_time() -> None:
    with Counting(seconds=60) as view:
        for _ in range(20):
            before = view.number
            assert view.refresh().number > before
            assert view.text == f"Number {view.number}."


def test_a_look_that_fails_is_told_and_the_picture_stays() -> None:
    with Counting(seconds=60) as view:
        view.refresh()
        number = view.number
        view.error = ServiceError("No Kafka; start one")
        view.refresh()
        assert view.problem == "No Kafka; start one"
        assert view.content == {"number": number}
        assert "No Kafka; start one" in repr(view)
        view.error = ZeroDivisionError("of ours")
        view.refresh()
        assert "of ours" in view.problem
        view.error = None
        view.refresh()
        assert view.problem == ""


def test_refresh_says_when_nothing_came_in_time() -> None:
    with Counting(seconds=60) as view:
        view.refresh()
        view.may_look.clear()
        with pytest.raises(WorkshopTimeoutError, match=r"within 0\.2 s\. Last seen: Number"):
            view.refresh(0.2)
        view.may_look.set()


def test_a_closed_view_keeps_its_picture_and_ends_once() -> None:
    view = Counting()
    view.refresh()
    view.close()
    view.close()
    assert (view.ends, view.moving) == (1, False)
    assert view.content["number"] == view.number
    with pytest.raises(RuntimeError, match="closed"):
        view.refresh()


def test_a_view_may_be_closed_while_someone_waits_for_it() -> None:
    view = Counting()
    view.may_look.clear()
    waiting = threading.Thread(target=view.refresh)
    waiting.start()
    closing = threading.Thread(target=view.close)
    closing.start()
    waiting.join(5)
    assert not waiting.is_alive()
    view.may_look.set()
    closing.join(5)
    assert not view.moving


def test_without_kafka_a_view_says_so_and_closes() -> None:
    nowhere = Settings(bootstrap_servers="127.0.0.1:9", kafka_timeout=2.0)
    for view in (LogView(nowhere, "orders"), OffsetView(nowhere, "readers")):
        with view:
            assert "127.0.0.1:9" in view.refresh().problem
            assert view.frame.empty
        assert not view.moving


def test_views_go_on_once_a_broker_is_back(breakable: LocalStack) -> None:
    settings = with_own_names(breakable.settings)
    topic, group = f"{settings.topic_prefix}orders", f"{settings.topic_prefix}readers"
    with KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers) as admin:
        make_topic(admin, topic)
    with KafkaProducer(bootstrap_servers=settings.bootstrap_servers) as sender:
        send(sender, topic, "ana", partition=0)
    with KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as reader:
        commit(reader, topic, 1)
    with LogView(settings, topic) as log, OffsetView(settings, group) as offsets:
        assert len(log.refresh().frame) == len(offsets.refresh().frame) == 1
        breakable.kafka.kill()
        for view in (log, offsets):
            assert settings.bootstrap_servers in view.refresh().problem
            assert len(view.frame) == 1, "what was seen stays"
        breakable.kafka.start()
        wait_until(lambda: not log.problem and not offsets.problem, 30)
        with KafkaProducer(bootstrap_servers=settings.bootstrap_servers) as sender:
            send(sender, topic, "ben", partition=0)
        assert list(log.refresh().frame["key"]) == ["ana", "ben"]
        assert list(offsets.refresh().frame["lag"]) == [1]


# In the browser.


@pytest.fixture
def open_view(lab: Lab, settings: Settings) -> Iterator[Callable[[str], NotebookPage]]:
    pages: list[NotebookPage] = []

    def open_one(code: str) -> NotebookPage:
        name = f"view{len(list(lab.notebooks.iterdir()))}.ipynb"
        setup = (
            "from chatkit.settings import Settings\n"
            "from chatkit.workshop.views import LogView, OffsetView\n"
            f"settings = Settings(bootstrap_servers={settings.bootstrap_servers!r})"
        )
        lab.write_notebook(name, [setup, f"view = {code}\nview"])
        pages.append(lab.open_notebook(name))
        pages[-1].run_all()
        return pages[-1]

    yield open_one
    errors = [error for page in pages for error in page.errors]
    for page in pages:
        page.evaluate("view.close()")
        page.close()
    assert errors == []


def test_records_of_one_key_have_one_colour_and_new_ones_are_marked(
    open_view: Callable[[str], NotebookPage], topic: str, sender: KafkaProducer
) -> None:
    send(sender, topic, "ana", "ben", "ana", None, partition=0)
    page = open_view(f"LogView(settings, {topic!r})")
    cells = page.page.locator(".chatkit-view .lane").first.locator(".cells .cell")
    cells.nth(3).wait_for()
    colours = [
        cells.nth(n).evaluate("(cell) => getComputedStyle(cell).borderColor") for n in range(4)
    ]
    assert colours[0] == colours[2]
    assert len(set(colours)) == 3
    assert page.page.locator(".chatkit-view .moved").count() == 0
    send(sender, topic, "cleo", partition=0)
    page.page.locator(".chatkit-view .cell.moved", has_text="cleo").wait_for()
    assert cells.count() == 5
    cells.nth(4).hover()
    page.page.locator(".detail", has_text="offset 4 · key cleo · CreateTime").wait_for()
    page.page.locator(".chatkit-view .moved").first.wait_for(state="detached")


def test_the_log_begins_where_its_start_is(
    open_view: Callable[[str], NotebookPage],
    topic: str,
    sender: KafkaProducer,
    admin: KafkaAdminClient,
) -> None:
    send(sender, topic, *["ana"] * 8, partition=0)
    page = open_view(f"LogView(settings, {topic!r})")
    begins = page.page.locator(".chatkit-view .lane").first.locator(".begins")
    begins.get_by_text("log start").wait_for()
    admin.delete_records({TopicPartition(topic, 0): 5})
    page.page.locator(".chatkit-view .begins.late.moved", has_text="5").wait_for()
    assert page.page.locator(".chatkit-view .lane").first.locator(".cells .cell").count() == 3


def test_of_a_long_log_as_much_is_shown_as_there_is_room_for(
    open_view: Callable[[str], NotebookPage], topic: str, sender: KafkaProducer
) -> None:
    send(sender, topic, *["ana"] * 100, partition=0)
    page = open_view(f"LogView(settings, {topic!r})")
    lane = page.page.locator(".chatkit-view .lane").first
    lane.locator(".cells .cell").last.wait_for()
    count = lane.locator(".cells .cell").count()
    assert lane.locator(".begins").inner_text().split() == ["earlier", "‹", str(100 - count)]
    assert lane.locator(".cells .cell small").last.inner_text() == "99"
    fits = "(lane) => lane.querySelector('.next').getBoundingClientRect().right"
    assert lane.evaluate(f"(lane) => ({fits})(lane) <= lane.getBoundingClientRect().right")
    page.page.set_viewport_size({"width": 1000, "height": 800})
    wait_until(lambda: lane.locator(".cells .cell").count() < count)


def test_the_view_is_told_to_screen_readers(
    open_view: Callable[[str], NotebookPage], topic: str, sender: KafkaProducer
) -> None:
    send(sender, topic, "ana", partition=0)
    page = open_view(f"LogView(settings, {topic!r})")
    words = "the newest record at 0 with key ana"
    page.page.get_by_role("img", name=words).wait_for()
    page.page.get_by_role("status").filter(has_text=words).wait_for(state="attached")
    page.evaluate("view.close()")
    page.page.locator(".chatkit-view .state", has_text="stopped").wait_for()
    assert page.page.locator(".chatkit-view .cells .cell").count() == 1, "the picture stays"


def test_keys_and_values_are_shown_as_text(
    open_view: Callable[[str], NotebookPage], topic: str, sender: KafkaProducer
) -> None:
    for payload in PAYLOADS[:30]:
        sender.send(topic, key=payload.encode(), value=payload.encode(), partition=0)
    sender.flush()
    page = open_view(f"LogView(settings, {topic!r})")
    cells = page.page.locator(".chatkit-view .lane").first.locator(".cells .cell")
    cells.last.wait_for()
    for cell in cells.all():
        cell.hover()
    assert page.page.locator(".chatkit-view").locator("img, script, iframe, a").count() == 0


def test_the_rulers_show_what_the_frame_says(
    open_view: Callable[[str], NotebookPage],
    topic: str,
    sender: KafkaProducer,
    reader: KafkaConsumer,
) -> None:
    send(sender, topic, *["ana"] * 100, partition=0)
    commit(reader, topic, 25)
    page = open_view(f"OffsetView(settings, {reader.config['group_id']!r})")
    row = page.page.locator(".chatkit-view .rows .row").first
    row.locator(".number.lag", has_text="75").wait_for()
    left = "(mark) => mark.style.left"
    assert row.locator(".mark.committed").evaluate(left) == "25%"
    commit(reader, topic, 50)
    row.locator(".number.lag", has_text="50").wait_for()
    wait_until(lambda: row.locator(".mark.committed").evaluate(left) == "50%")
    page.page.get_by_role("img", name="committed 50, lag 50").wait_for()
