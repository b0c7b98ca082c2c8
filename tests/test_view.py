"""What a room knows to be here, and what to be missing: no server needed."""

from __future__ import annotations

from chatkit.channels import PartitionOffsets
from chatkit.consumer import Gap
from chatkit.message import Message, Received
from chatkit.view import CLOSE_ENOUGH, PAGE, ChannelView

TOPIC = "chat.general"


def received(offset: int, *, source: str = "chat", ms: int | None = None) -> Received:
    at = 1_000 + offset if ms is None else ms
    message = Message(
        id=f"m{offset}-{at}",
        channel="general",
        author="ana",
        body=f"number {offset}",
        sent_ms=at,
        source=source,
    )
    return Received(
        topic=TOPIC, partition=0, offset=offset, appended_ms=1_000 + offset, item=message
    )


def log(start: int, end: int) -> dict[int, PartitionOffsets]:
    return {0: PartitionOffsets(start=start, end=end)}


def bodies(view: ChannelView) -> list[str]:
    """Return the text of each row, or "" where there is no message."""
    return [row.folded.body if row.folded else "" for row in view.timeline.rows()]


def test_a_log_is_followed_from_where_its_archive_ends() -> None:
    view = ChannelView("general")
    view.has_archive = True
    assert view.start_after(log(0, 50), {0: 30}) == {0: 30}
    assert not view.has_older


def test_an_archive_that_is_ahead_of_what_was_seen_of_the_log_begins_at_its_end() -> None:
    assert ChannelView("general").start_after(log(0, 50), {0: 60}) == {0: 50}


def test_where_the_archive_is_far_behind_only_the_end_is_read_and_the_rest_is_a_hole() -> None:
    view = ChannelView("general")
    view.has_archive = True
    end = CLOSE_ENOUGH + 11
    assert view.start_after(log(0, end), {0: 10}) == {0: end - PAGE}
    assert view.holes == {0: (10, end - PAGE)}
    assert view.has_older


def test_without_an_archive_one_page_is_read() -> None:
    view = ChannelView("general")
    assert view.start_after(log(0, PAGE + 1), {}) == {0: 1}
    assert view.holes == {0: (0, 1)}


def test_records_that_were_gone_before_they_were_archived_are_a_gap() -> None:
    view = ChannelView("general")
    view.has_archive = True
    assert view.start_after(log(20, 50), {0: 5}) == {0: 20}
    assert bodies(view) == [""]


def test_what_the_archive_has_by_now_is_no_hole_any_more() -> None:
    view = ChannelView("general")
    view.set_hole(0, 10, 100)
    view.shrink_holes({0: 60})
    assert view.holes == {0: (60, 100)}
    view.shrink_holes({0: 100})
    assert not view.has_older


def test_a_full_page_leaves_more_in_the_archive_and_another_does_not() -> None:
    view = ChannelView("general")
    assert view.add_page([received(n) for n in range(PAGE)], [], {}) == PAGE
    assert view.has_older
    assert view.add_page([received(n, ms=n) for n in range(3)], [], {}) == 3
    assert not view.has_older


def test_an_import_below_what_is_here_comes_with_the_older_rows() -> None:
    view = ChannelView("general")
    view.add_page([received(n) for n in range(PAGE)], [], {0: PAGE})
    assert view.add_items([received(PAGE, source="slack", ms=5)]) == 0, "its place is not here yet"
    view.add_page([], [], {0: PAGE})
    assert view.holes == {0: (PAGE, PAGE + 1)}, "the archive had not read it when asked"


def test_a_gap_stands_before_what_came_after_it() -> None:
    view = ChannelView("general")
    view.add_items([received(0), Gap(topic=TOPIC, partition=0, first=1, last=4), received(5)])
    assert bodies(view) == ["number 0", "", "number 5"]


def test_what_was_not_sent_moves_to_the_view_that_follows() -> None:
    view, after = ChannelView("general"), ChannelView("general")
    view.add_items([received(0)])
    pending, failed = (Message.new("general", "ana", text) for text in ("on its way", "not sent"))
    view.timeline.add_pending(pending)
    view.timeline.add_pending(failed)
    view.timeline.mark_failed(failed.id, "no broker")
    after.take_unsent(view)
    assert {row.id: row.state for row in after.timeline.rows()} == {
        pending.id: "pending",
        failed.id: "failed",
    }
