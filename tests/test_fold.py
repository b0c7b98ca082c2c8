from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.fold import Folded, fold
from chatkit.message import (
    Delete,
    Edit,
    Event,
    Join,
    Message,
    Pin,
    React,
    Received,
    Unpin,
    Unreact,
)

MESSAGE = Message.new("general", "ana", "first", id="m1")
MODERATORS = ("mod",)
PEOPLE = ["ana", "ben", "mod"]

any_time = settings(deadline=None)
_numbers = itertools.count()


def at(ms: int, event: Event, *, offset: int = 0, partition: int = 0) -> Received:
    """Return an event as one that Kafka appended at a time."""
    return Received(
        topic="chat.general", partition=partition, offset=offset, appended_ms=ms, item=event
    )


def by(actor: str, kind: type[Event], **more: Any) -> Event:
    """Return an event about the message, with an id that sorts after all before it."""
    return kind.new("general", actor, "m1", id=f"e{next(_numbers):09}", **more)


@st.composite
def histories(draw: st.DrawFn) -> list[Received]:
    """Return events about the message; some ids are in Kafka at more than one place."""
    kinds = st.one_of(
        st.builds(dict, kind=st.just(Edit), body=st.sampled_from(["second", "third", "fourth"])),
        st.builds(dict, kind=st.sampled_from([React, Unreact]), emoji=st.sampled_from("👍🎉")),
        st.builds(dict, kind=st.sampled_from([Pin, Unpin])),
        st.builds(dict, kind=st.just(Delete)) if draw(st.booleans()) else st.nothing(),
    )
    events: list[Received] = []
    # Few ids and times, so that they meet.
    ids = st.integers(0, 9)
    for offset in range(draw(st.integers(0, 8))):
        fields = dict(draw(kinds))
        kind = fields.pop("kind")
        event = kind.new(
            "general", draw(st.sampled_from(PEOPLE)), "m1", id=f"e{draw(ids)}", **fields
        )
        events.append(at(draw(st.integers(1, 4)), event, offset=offset))
    return events


def folded(*events: Received, message: Message = MESSAGE) -> Folded:
    """Return the fold, having seen that it is the same in every order and with doubles."""
    first = fold(message, events, MODERATORS)
    if len(events) <= 4:
        for some in itertools.permutations(events):
            assert fold(message, [*some, *events], MODERATORS) == first
    return first


# Laws.


@any_time
@given(st.data())
def test_any_order_and_any_doubling_of_events_gives_the_same_fold(data: st.DataObject) -> None:
    events = data.draw(histories())
    doubled = events + (data.draw(st.lists(st.sampled_from(events))) if events else [])
    shuffled = data.draw(st.permutations(doubled))
    assert fold(MESSAGE, shuffled, MODERATORS) == fold(MESSAGE, events, MODERATORS)


@any_time
@given(histories())
def test_folding_leaves_no_trace(events: list[Received]) -> None:
    before = list(events)
    first = fold(MESSAGE, events, MODERATORS)
    assert fold(MESSAGE, iter(events), MODERATORS) == first
    assert events == before
    assert fold(MESSAGE, []) == Folded(body="first")


@any_time
@given(histories())
def test_rev_is_the_number_of_different_events(events: list[Received]) -> None:
    assert fold(MESSAGE, events, MODERATORS).rev == len({event.item.id for event in events})


@any_time
@given(histories(), st.integers(1, 4), st.sampled_from(["ana", "mod"]))
def test_a_deletion_is_final_whatever_comes_before_or_after(
    events: list[Received], ms: int, actor: str
) -> None:
    deletion = at(ms, by(actor, Delete), offset=99)
    after = fold(MESSAGE, [*events, deletion], MODERATORS)
    assert after.deleted_ms is not None
    assert after.deleted_ms <= ms
    nothing_else = Folded(body="", deleted_ms=after.deleted_ms, rev=after.rev)
    assert after == nothing_else


@any_time
@given(histories())
def test_what_others_write_never_changes_the_text(events: list[Received]) -> None:
    theirs = [event for event in events if event.item.actor == "ben"]
    after = fold(MESSAGE, theirs, MODERATORS)
    assert (after.body, after.original, after.edited_ms, after.deleted_ms) == (
        "first",
        None,
        None,
        None,
    )


@any_time
@given(histories())
def test_reactions_and_pins_are_what_one_would_count_by_hand(events: list[Received]) -> None:
    earliest: dict[str, Received] = {}
    for event in sorted(events, key=lambda one: (one.appended_ms, one.offset)):
        earliest.setdefault(event.item.id, event)
    counted = sorted(earliest.values(), key=lambda one: (one.appended_ms, one.item.id))
    if any(isinstance(one.item, Delete) and one.item.actor != "ben" for one in counted):
        return
    under: dict[str, list[str]] = {}
    pinned = None
    for one in counted:
        event = one.item
        if isinstance(event, React | Unreact):
            there = under.setdefault(event.emoji, [])
            if isinstance(event, React) and event.actor not in there:
                there.append(event.actor)
            if isinstance(event, Unreact) and event.actor in there:
                there.remove(event.actor)
        elif isinstance(event, Pin | Unpin):
            pinned = one.appended_ms if isinstance(event, Pin) else None
    after = fold(MESSAGE, events, MODERATORS)
    assert after.reactions == {emoji: tuple(who) for emoji, who in under.items() if who}
    assert after.pinned_ms == pinned


# Cases.


def test_a_message_without_events_is_shown_as_it_was_sent() -> None:
    assert folded() == Folded(body="first")


def test_the_author_edits_and_the_first_text_is_kept() -> None:
    assert folded(at(5, by("ana", Edit, body="second"))) == Folded(
        body="second", original="first", edited_ms=5, rev=1
    )


def test_an_edit_by_anyone_else_counts_and_changes_nothing() -> None:
    assert folded(at(5, by("ben", Edit, body="forged")), at(6, by("mod", Edit, body="forged"))) == (
        Folded(body="first", rev=2)
    )


def test_the_last_edit_wins_by_append_time() -> None:
    early, late = by("ana", Edit, body="early id, late"), by("ana", Edit, body="late id, early")
    after = folded(at(9, early), at(5, late))
    assert (after.body, after.original, after.edited_ms) == ("early id, late", "first", 9)


def test_the_later_id_wins_among_edits_of_the_same_millisecond() -> None:
    early, late = by("ana", Edit, body="early id"), by("ana", Edit, body="late id")
    assert folded(at(5, early, offset=8), at(5, late, offset=7)).body == "late id"


def test_an_actors_clock_decides_nothing() -> None:
    claims_late = by("ana", Edit, body="claims to be late", at_ms=99)
    claims_early = by("ana", Edit, body="claims to be early", at_ms=1)
    assert folded(at(5, claims_late), at(6, claims_early)).body == "claims to be early"


def test_an_edit_back_to_the_first_text_is_still_an_edit() -> None:
    after = folded(at(5, by("ana", Edit, body="second")), at(6, by("ana", Edit, body="first")))
    assert (after.body, after.original, after.edited_ms) == ("first", "first", 6)


def test_an_event_that_was_sent_twice_counts_where_it_came_first() -> None:
    edit, other = by("ana", Edit, body="second"), by("ana", Edit, body="third")
    again = folded(at(5, edit), at(6, other, offset=1), at(7, edit, offset=2))
    assert (again.body, again.edited_ms, again.rev) == ("third", 6, 2)


def test_an_id_that_is_used_for_another_event_counts_where_it_came_first() -> None:
    reaction = by("ana", React, emoji="👍")
    forged = Delete.new("general", "ana", "m1", id=reaction.id)
    after = folded(at(5, reaction), at(5, forged, offset=1))
    assert (after.deleted_ms, after.reactions, after.rev) == (None, {"👍": ("ana",)}, 1)


def test_the_author_deletes() -> None:
    assert folded(at(5, by("ana", Delete))) == Folded(body="", deleted_ms=5, rev=1)


def test_a_moderator_deletes_what_another_wrote() -> None:
    assert folded(at(5, by("mod", Delete))) == Folded(body="", deleted_ms=5, rev=1)


def test_a_deletion_by_anyone_else_counts_and_changes_nothing() -> None:
    assert folded(at(5, by("ben", Delete))) == Folded(body="first", rev=1)


def test_who_no_longer_moderates_deletes_nothing() -> None:
    assert fold(MESSAGE, [at(5, by("mod", Delete))], ()).body == "first"


def test_the_first_deletion_gives_the_time() -> None:
    assert folded(at(7, by("ana", Delete)), at(5, by("mod", Delete))).deleted_ms == 5


def test_a_deletion_takes_text_reactions_and_pin_away() -> None:
    after = folded(
        at(1, by("ana", Edit, body="second")),
        at(2, by("ben", React, emoji="👍")),
        at(3, by("ben", Pin)),
        at(4, by("ana", Delete)),
    )
    assert after == Folded(body="", deleted_ms=4, rev=4)
    after = folded(
        at(4, by("ana", Delete)), at(5, by("ana", Edit, body="back")), at(6, by("ben", Pin))
    )
    assert after == Folded(body="", deleted_ms=4, rev=3)


def test_one_person_has_one_of_each_emoji() -> None:
    after = folded(
        at(1, by("ben", React, emoji="👍")),
        at(2, by("ben", React, emoji="👍")),
        at(3, by("ben", React, emoji="🎉")),
        at(4, by("ana", React, emoji="👍")),
    )
    assert after.reactions == {"👍": ("ben", "ana"), "🎉": ("ben",)}
    assert after.rev == 4


def test_one_takes_back_only_ones_own_reaction() -> None:
    after = folded(
        at(1, by("ben", React, emoji="👍")),
        at(2, by("ana", React, emoji="👍")),
        at(3, by("ben", Unreact, emoji="👍")),
        at(4, by("mod", Unreact, emoji="👍")),
    )
    assert after.reactions == {"👍": ("ana",)}


def test_an_emoji_that_all_took_back_is_gone() -> None:
    after = folded(
        at(1, by("ben", React, emoji="👍")),
        at(2, by("ben", Unreact, emoji="👍")),
        at(3, by("ana", Unreact, emoji="🎉")),
    )
    assert after == Folded(body="first", rev=3)


def test_reacting_again_after_taking_back_goes_to_the_end() -> None:
    after = folded(
        at(1, by("ben", React, emoji="👍")),
        at(2, by("ana", React, emoji="👍")),
        at(3, by("ben", Unreact, emoji="👍")),
        at(4, by("ben", React, emoji="👍")),
    )
    assert after.reactions == {"👍": ("ana", "ben")}


def test_anyone_pins_and_the_last_pin_or_unpin_counts() -> None:
    pin, again, unpin = by("ben", Pin), by("ana", Pin), by("ben", Unpin)
    assert folded(at(1, pin)).pinned_ms == 1
    assert folded(at(1, pin), at(2, again)).pinned_ms == 2
    assert folded(at(1, pin), at(2, unpin)).pinned_ms is None
    assert folded(at(1, pin), at(2, unpin), at(3, again)).pinned_ms == 3
    assert folded(at(2, pin), at(1, unpin)).pinned_ms == 2


def test_what_people_do_elsewhere_in_the_channel_changes_nothing() -> None:
    assert folded(at(1, by("ana", Join))) == Folded(body="first", rev=1)


def test_a_fold_is_of_the_message_as_sent_and_keeps_its_attachment_out() -> None:
    silent = Message.new("general", "ana", "", id="m1", attachment=None)
    assert folded(at(1, by("ana", Edit, body="a caption")), message=silent) == Folded(
        body="a caption", original="", edited_ms=1, rev=1
    )


def test_an_imported_event_happened_when_its_source_says() -> None:
    edit = Edit(
        id="e1",
        channel="general",
        actor=MESSAGE.author,
        at_ms=5,
        target=MESSAGE.id,
        source="discord",
        body="later",
    )
    assert folded(at(1000, edit, offset=1)).edited_ms == 5
