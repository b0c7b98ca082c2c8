from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.fold import fold
from chatkit.message import (
    Delete,
    Edit,
    Join,
    Leave,
    Message,
    Pin,
    React,
    Received,
    Unreadable,
)
from chatkit.timeline import UNPLACED_MS, Row, Timeline

any_time = settings(deadline=None)

MODERATORS = ("mod",)
LAST_MS = 253_402_300_799_999


def message(message_id: str = "m1", body: str = "Hello", **more: Any) -> Message:
    return Message.new("general", more.pop("author", "ana"), body, id=message_id, **more)


def put(item: Any, ms: int = 5, *, partition: int = 0, offset: int = 0) -> Received:
    return Received(
        topic="chat.general", partition=partition, offset=offset, appended_ms=ms, item=item
    )


def nonsense(offset: int = 0, ms: int = 5, *, partition: int = 0) -> Unreadable:
    return Unreadable(
        topic="chat.general",
        partition=partition,
        offset=offset,
        appended_ms=ms,
        key=None,
        value=b"?",
        reason="Not a JSON object",
    )


def timeline() -> Timeline:
    made = Timeline("general")
    made.moderators = MODERATORS
    return made


def bodies(view: Timeline) -> list[str]:
    return [row.folded.body if row.folded else row.kind for row in view.rows()]


class Screen:
    """What shows a timeline: it only ever puts rows in, by id, and sorts them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def take(self, changes: list[Row]) -> None:
        assert len({row.id for row in changes}) == len(changes), "a row was given twice"
        assert changes == sorted(changes, key=lambda row: row.order)
        self.rows.update({row.id: row for row in changes})

    def shown(self) -> list[Row]:
        return sorted(self.rows.values(), key=lambda row: row.order)


# What a channel's partitions may hold, with few ids, times and offsets, so that they meet.

message_ids = st.sampled_from(["m1", "m2", "m3"])
people = st.sampled_from(["ana", "ben", "mod"])
sources = st.sampled_from(["chat", "slack"])
items = st.one_of(
    st.builds(
        message,
        message_ids,
        st.sampled_from(["one", "two"]),
        author=people,
        sent_ms=st.integers(1, 6),
        source=sources,
    ),
    st.builds(
        lambda n, actor, target, body: Edit.new("general", actor, target, id=f"e{n}", body=body),
        st.integers(0, 2),
        people,
        message_ids,
        st.sampled_from(["three", "four"]),
    ),
    st.builds(
        lambda n, actor, target: React.new("general", actor, target, id=f"e{n}", emoji="👍"),
        st.integers(0, 2),
        people,
        message_ids,
    ),
    st.builds(
        lambda kind, n, actor, target: kind.new("general", actor, target, id=f"e{n}"),
        st.sampled_from([Delete, Pin]),
        st.integers(0, 2),
        people,
        message_ids,
    ),
    st.builds(lambda actor: Join.new("general", actor, id=f"j-{actor}"), people),
    st.just(None),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Received | Unreadable]:
    """Return what lies in two partitions: each place once, appended in the order of offsets."""
    records: list[Received | Unreadable] = []
    for partition in (0, 1):
        ms = 1
        for offset in range(draw(st.integers(0, 6))):
            ms += draw(st.integers(0, 2))
            item = draw(items)
            records.append(
                nonsense(offset, ms, partition=partition)
                if item is None
                else put(item, ms, partition=partition, offset=offset)
            )
    return records


def add(view: Timeline, record: Received | Unreadable) -> None:
    if isinstance(record, Unreadable):
        view.add_unreadable(record)
    else:
        view.add(record)


def filled(records: list[Received | Unreadable]) -> Timeline:
    view = timeline()
    for record in records:
        add(view, record)
    return view


# Laws.


@any_time
@given(st.data())
def test_any_order_and_any_doubling_gives_the_same_rows(data: st.DataObject) -> None:
    records = data.draw(logs())
    doubled = records + (data.draw(st.lists(st.sampled_from(records))) if records else [])
    shuffled = data.draw(st.permutations(doubled))
    assert filled(shuffled).rows() == filled(records).rows()


@any_time
@given(logs())
def test_there_is_one_row_for_each_message_and_each_unreadable_record(
    records: list[Received | Unreadable],
) -> None:
    sent = {
        record.item.id
        for record in records
        if isinstance(record, Received) and isinstance(record.item, Message)
    }
    joins = {
        record.item.id
        for record in records
        if isinstance(record, Received) and isinstance(record.item, Join)
    }
    unreadable = [record for record in records if isinstance(record, Unreadable)]
    view = filled(records)
    assert {row.id for row in view.rows() if row.kind == "message"} == sent
    assert {row.id for row in view.rows() if row.kind == "join"} == joins
    assert len(view) == len(view.rows()) == len(sent) + len(joins) + len(unreadable)


@any_time
@given(logs())
def test_rows_are_in_the_order_of_time_partition_offset_and_id(
    records: list[Received | Unreadable],
) -> None:
    rows = filled(records).rows()
    assert rows == sorted(rows, key=lambda row: (row.placed_ms, row.partition, row.offset, row.id))


@any_time
@given(logs())
def test_each_row_shows_the_fold_of_its_message_and_all_its_events(
    records: list[Received | Unreadable],
) -> None:
    events = [one for one in records if isinstance(one, Received) and hasattr(one.item, "target")]
    # Of an id that is there twice, only the first is the event.
    first: dict[tuple[str, str | None], Received] = {}
    for event in sorted(events, key=lambda one: (one.appended_ms, one.partition, one.offset)):
        first.setdefault((event.item.id, event.item.target), event)
    for row in filled(records).rows():
        if row.message is not None:
            about = [event for (_, target), event in first.items() if target == row.id]
            assert row.folded == fold(row.message, about, MODERATORS)


def _do(view: Timeline, draw: st.DrawFn, records: list[Received | Unreadable]) -> None:
    """Do one thing that may happen to a timeline."""
    what = draw(st.sampled_from(["add", "add", "add", "send", "fail", "gap", "moderators"]))
    message_id = draw(message_ids)
    if what == "add" and records:
        add(view, draw(st.sampled_from(records)))
    elif what == "send":
        view.add_pending(message(message_id, "sent", sent_ms=draw(st.integers(1, 6))))
    elif what == "fail":
        view.mark_failed(message_id, "no broker")
    elif what == "gap":
        view.add_gap(draw(st.integers(0, 1)), draw(st.integers(0, 3)), 9, draw(st.integers(1, 6)))
    elif what == "moderators":
        view.moderators = draw(st.sampled_from([(), ("mod",), ("mod", "ben")]))
        view.refold()


@any_time
@given(st.data())
def test_who_only_puts_changed_rows_in_by_id_shows_exactly_the_rows(data: st.DataObject) -> None:
    records = data.draw(logs())
    view, screen = timeline(), Screen()
    for _ in range(data.draw(st.integers(0, 15))):
        _do(view, data.draw, records)
        if data.draw(st.booleans()):
            screen.take(view.take_changes())
            assert screen.shown() == view.rows()
    screen.take(view.take_changes())
    assert screen.shown() == view.rows()
    assert view.take_changes() == []


@any_time
@given(st.data())
def test_sending_and_failing_meanwhile_leaves_no_trace_on_what_arrives(
    data: st.DataObject,
) -> None:
    records = data.draw(logs())
    view = timeline()
    left = data.draw(st.permutations(records))
    while left:
        if data.draw(st.booleans()):
            view.add_pending(message(data.draw(message_ids), "sent"))
        if data.draw(st.booleans()):
            view.mark_failed(data.draw(message_ids), "no broker")
        add(view, left.pop())
    sent = [row for row in view.rows() if row.state == "sent"]
    assert sent == filled(records).rows()
    unsent = view.rows()[len(sent) :]
    assert all(row.state in ("pending", "failed") for row in unsent), "not at the end"


# The order of rows.


def test_append_time_orders_before_partition_and_offset() -> None:
    view = timeline()
    view.add(put(message("m1", "third"), 7, partition=0, offset=1))
    view.add(put(message("m2", "second"), 6, partition=2, offset=0))
    view.add(put(message("m3", "first"), 5, partition=1, offset=9))
    assert bodies(view) == ["first", "second", "third"]


def test_partition_then_offset_then_id_decide_within_a_millisecond() -> None:
    view = timeline()
    view.add(put(message("m1", "third"), 5, partition=1, offset=0))
    view.add(put(message("m2", "second"), 5, partition=0, offset=10))
    view.add(put(message("m3", "first"), 5, partition=0, offset=9))
    assert bodies(view) == ["first", "second", "third"]


def test_the_senders_clock_orders_nothing() -> None:
    view = timeline()
    view.add(put(message("m1", "first", sent_ms=9_999), 5))
    view.add(put(message("m2", "second", sent_ms=1), 6, offset=1))
    assert bodies(view) == ["first", "second"]


def test_an_imported_message_lies_at_its_own_time() -> None:
    view = timeline()
    view.add(put(message("m1", "now"), 1_000))
    view.add(put(message("m2", "long ago", sent_ms=10, source="irc"), 2_000, offset=1))
    assert bodies(view) == ["long ago", "now"]
    assert view.newest_ms() == 1_000


def test_the_newest_time_is_that_of_the_last_row_in_kafka() -> None:
    view = timeline()
    assert view.newest_ms() is None
    view.add_pending(message())
    assert view.newest_ms() is None
    view.add(put(message("m2"), 7))
    view.add_unreadable(nonsense(3, 8))
    assert view.newest_ms() == 8


# Events.


@pytest.mark.parametrize("event_first", [True, False])
def test_an_event_may_come_before_its_message(event_first: bool) -> None:
    records = [put(message()), put(Edit.new("general", "ana", "m1", body="Hi"), 6, offset=1)]
    view = filled(records[::-1] if event_first else records)  # type: ignore[arg-type]
    assert bodies(view) == ["Hi"]
    assert [row.id for row in view.take_changes()] == ["m1"]


def test_an_event_about_a_message_alone_makes_no_row_and_no_change() -> None:
    view = timeline()
    view.add(put(Edit.new("general", "ana", "m1", body="Hi")))
    assert view.rows() == view.take_changes() == []


def test_who_joins_and_leaves_has_a_row_of_a_place() -> None:
    view = timeline()
    leave = Leave.new("general", "ana")
    view.add(put(leave, 7, offset=2))
    view.add(put(Join.new("general", "ana"), 6, offset=1))
    view.add(put(leave, 8, offset=3))
    rows = [(row.kind, row.actor, row.placed_ms, row.offset) for row in view.rows()]
    assert rows == [("join", "ana", 6, 1), ("leave", "ana", 7, 2)]


def test_what_is_skipped_has_a_row_until_it_is_filled() -> None:
    view = timeline()
    view.add(put(message(), 5))
    row_id = view.add_skipped(view.rows()[0].order)
    view.add(put(message("m2"), 6, offset=1))
    assert [row.kind for row in view.rows()] == ["message", "skipped", "message"]
    view.take_changes()
    view.remove(row_id)
    assert [row.kind for row in view.rows()] == ["message", "message"]
    assert view.take_changes() == []
    assert view.take_gone() == [row_id]
    assert view.take_gone() == []


def test_an_event_that_changes_nothing_visible_but_the_count_is_a_change() -> None:
    view = filled([put(message())])
    view.take_changes()
    view.add(put(Edit.new("general", "ben", "m1", body="forged"), 6, offset=1))
    (row,) = view.take_changes()
    assert row.folded is not None
    assert (row.folded.body, row.folded.rev) == ("Hello", 1)


def test_new_moderators_have_a_say_after_refolding() -> None:
    view = filled([put(message()), put(Delete.new("general", "eve", "m1"), 6, offset=1)])
    view.take_changes()
    view.moderators = ("eve",)
    view.refold()
    (row,) = view.take_changes()
    assert row.folded is not None
    assert row.folded.deleted_ms == 6
    view.refold()
    assert view.take_changes() == []


# What is on its way.


def test_a_pending_row_is_last_in_the_order_of_sending() -> None:
    view = timeline()
    view.add_pending(message("m2", "second", sent_ms=20))
    view.add_pending(message("m1", "first", sent_ms=10))
    view.add(put(message("m3", "arrived"), LAST_MS))
    assert bodies(view) == ["arrived", "first", "second"]
    assert [row.state for row in view.rows()] == ["sent", "pending", "pending"]


def test_a_pending_row_that_arrives_takes_its_place_and_stays_one_row() -> None:
    view = timeline()
    view.add_pending(message("m1", "mine", sent_ms=1))
    view.add(put(message("m2", "other"), 6, offset=1))
    view.take_changes()
    view.add(put(message("m1", "mine", sent_ms=1), 5))
    assert bodies(view) == ["mine", "other"]
    (row,) = view.take_changes()
    assert (row.id, row.state, row.order) == ("m1", "sent", (5, 0, 0, "m1"))


def test_what_has_arrived_is_never_pending_again() -> None:
    view = filled([put(message())])
    view.take_changes()
    view.add_pending(message())
    view.mark_failed("m1", "no broker")
    assert view.take_changes() == []
    assert [row.state for row in view.rows()] == ["sent"]


def test_a_failed_row_keeps_its_text_and_place_and_says_why() -> None:
    view = timeline()
    view.add_pending(message("m1", "first", sent_ms=10))
    view.add_pending(message("m2", "second", sent_ms=20))
    view.mark_failed("m1", "no broker")
    assert [(row.state, row.reason) for row in view.rows()] == [
        ("failed", "no broker"),
        ("pending", ""),
    ]
    assert bodies(view) == ["first", "second"]


def test_a_failed_row_that_arrives_after_all_was_sent() -> None:
    view = timeline()
    view.add_pending(message())
    view.mark_failed("m1", "no broker")
    view.add(put(message()))
    (row,) = view.rows()
    assert (row.state, row.reason, row.offset) == ("sent", "", 0)


def test_a_retry_is_pending_again_and_may_fail_again() -> None:
    view = timeline()
    view.add_pending(message())
    view.mark_failed("m1", "no broker")
    view.add_pending(message())
    (row,) = view.rows()
    assert (row.state, row.reason) == ("pending", "")
    view.mark_failed("m1", "still none")
    assert view.rows()[0].reason == "still none"


def test_sending_twice_changes_nothing() -> None:
    view = timeline()
    view.add_pending(message(sent_ms=1))
    view.take_changes()
    view.add_pending(message(sent_ms=2))
    assert view.take_changes() == []


def test_what_was_never_sent_can_not_fail() -> None:
    view = timeline()
    view.mark_failed("m1", "no broker")
    view.add_unreadable(nonsense())
    view.mark_failed(view.rows()[0].id, "no broker")
    assert [row.kind for row in view.rows()] == ["unreadable"]
    assert view.rows()[0].reason == "Not a JSON object"


@pytest.mark.parametrize("fails", [True, False])
def test_a_row_that_is_not_sent_yet_can_be_edited(fails: bool) -> None:
    view = timeline()
    view.add_pending(message(sent_ms=1))
    if fails:
        view.mark_failed("m1", "no broker")
    view.take_changes()
    view.add(put(Edit.new("general", "ana", "m1", body="Hi"), 6, offset=1))
    (row,) = view.take_changes()
    assert row.folded is not None
    assert (row.folded.body, row.state) == ("Hi", "failed" if fails else "pending")
    assert row.placed_ms == UNPLACED_MS + 1
    view.add(put(message(sent_ms=1)))
    assert bodies(view) == ["Hi"]
    assert view.rows()[0].state == "sent"


def test_the_order_of_rows_is_exact_in_javascript() -> None:
    view = timeline()
    view.add_pending(message(sent_ms=LAST_MS))
    assert LAST_MS < UNPLACED_MS
    assert view.rows()[0].placed_ms < 2**53


# An id that is in Kafka twice.


@pytest.mark.parametrize("first_added", [0, 1])
def test_a_message_that_was_sent_twice_lies_where_it_came_first(first_added: int) -> None:
    records = [put(message(), 5, offset=0), put(message(), 9, offset=4)]
    view = filled([records[first_added], records[1 - first_added]])
    assert [row.order for row in view.rows()] == [(5, 0, 0, "m1")]


@pytest.mark.parametrize("first_added", [0, 1])
def test_an_event_that_was_sent_twice_counts_where_it_came_first(first_added: int) -> None:
    edit = Edit.new("general", "ana", "m1", body="Hi")
    records = [put(edit, 6, offset=1), put(edit, 9, offset=4)]
    view = filled([put(message()), records[first_added], records[1 - first_added]])
    (row,) = view.rows()
    assert row.folded is not None
    assert (row.folded.edited_ms, row.folded.rev) == (6, 1)


def test_a_stranger_can_not_replace_a_message_by_reusing_its_id() -> None:
    forged = message(body="forged", author="eve", source="irc", sent_ms=1)
    view = filled([put(message(), 5), put(forged, 6, offset=1)])
    assert bodies(view) == ["Hello"]
    assert bodies(filled([put(forged, 6, offset=1), put(message(), 5)])) == ["Hello"]


# Placeholders.


def test_an_unreadable_record_has_one_row_at_its_place() -> None:
    view = filled([put(message("m2", "after"), 6, offset=2), put(message("m1", "before"), 4)])
    for _ in range(2):
        view.add_unreadable(nonsense(1, 5))
    assert bodies(view) == ["before", "unreadable", "after"]
    row = view.rows()[1]
    assert (row.reason, row.message, row.folded) == ("Not a JSON object", None, None)
    view.take_changes()
    view.add_unreadable(nonsense(1, 5))
    assert view.take_changes() == []


def test_unreadable_records_of_two_partitions_are_two_rows() -> None:
    view = timeline()
    view.add_unreadable(nonsense(1, 5))
    view.add_unreadable(nonsense(1, 5, partition=1))
    assert len(view) == 2


def test_a_gap_has_one_row_that_says_which_records_are_gone() -> None:
    view = timeline()
    for _ in range(2):
        view.add_gap(0, 1_000, 2_999, 5)
    (row,) = view.rows()
    assert (row.kind, row.placed_ms, row.offset) == ("gap", 5, 1_000)
    assert "1,000 to 2,999" in row.reason


def test_a_gap_and_an_unreadable_record_of_the_same_place_are_two_rows() -> None:
    view = timeline()
    view.add_gap(0, 1, 2, 5)
    view.add_unreadable(nonsense(1, 5))
    assert len(view) == 2


def test_no_id_of_a_message_can_hide_a_placeholder() -> None:
    for view in (timeline(), filled([put(message("x"))])):
        view.add_unreadable(nonsense(7))
        view.add_gap(0, 7, 8, 5)
        assert not any(row.id.isprintable() for row in view.rows() if row.kind != "message")


# Looking things up.


def test_rows_are_found_by_id() -> None:
    view = filled([put(message())])
    row = view.get("m1")
    assert row is not None
    assert row.message is not None
    assert row.message.body == "Hello"
    assert view.get("m2") is None
    assert "m1" in view
    assert "m2" not in view
    assert len(view) == 1


def test_a_row_that_changed_twice_is_given_once_as_it_is_now() -> None:
    view = timeline()
    view.add_pending(message())
    view.add(put(message()))
    view.add(put(Edit.new("general", "ana", "m1", body="Hi"), 6, offset=1))
    (row,) = view.take_changes()
    assert row == view.get("m1")
    assert row.folded is not None
    assert row.folded.body == "Hi"
    assert view.take_changes() == []
