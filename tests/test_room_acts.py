"""What a user does in a room beside sending: on real Kafka and MongoDB, between two rooms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chatkit.archiver import Archiver
from chatkit.changes import Change, ChannelSummary, ProblemRaised
from chatkit.channels import Channels
from chatkit.commands import Outcome, as_text, is_command, run
from chatkit.errors import InputError, InvalidMessageError, NotAllowedError
from chatkit.local import LocalStack
from chatkit.message import Attachment, Message, React
from chatkit.overview import direct_channel
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from chatkit.settings import Settings
from chatkit.store import MessageStore
from chatkit.timeline import UNPLACED_MS, Row
from tests.rooms import load_all, texts
from tests.waiting import wait_until

Rooms = Callable[..., ChatRoom]
Archivers = Callable[..., Archiver]


def row(room: ChatRoom, body: str, channel: str = "general") -> Row:
    """Return the row of a text, once it is sent."""

    def find() -> Row | None:
        for one in reversed(room.rows(channel)):
            if one.folded is not None and one.folded.body == body and one.state == "sent":
                return one
        return None

    found = wait_until(find)
    assert isinstance(found, Row)
    return found


def summary(room: ChatRoom, channel: str = "general") -> ChannelSummary:
    def find() -> ChannelSummary | None:
        return next((one for one in room.overview() if one.channel == channel), None)

    found = wait_until(find)
    assert isinstance(found, ChannelSummary)
    return found


def joined(factory: Rooms, user: str, channel: str = "general") -> ChatRoom:
    room = factory(user)
    room.join(channel, member=True).result(10)
    wait_until(lambda: any(one.member for one in room.overview() if one.channel == channel), 10)
    return room


def test_reactions_are_put_and_taken_back_and_come_once(room_factory: Rooms) -> None:
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    message = ana.send("general", "cake?")
    row(ben, "cake?")
    ben.react("general", message.id, "🎂").result(10)
    ben.react("general", message.id, "🎂").result(10)
    wait_until(lambda: (r := row(ana, "cake?")).folded and r.folded.reactions == {"🎂": ("ben",)})
    ben.unreact("general", message.id, "🎂").result(10)
    wait_until(lambda: (r := row(ana, "cake?")).folded and r.folded.reactions == {})


def test_a_message_is_pinned_for_everybody_and_found(
    room_factory: Rooms, archiver_factory: Archivers
) -> None:
    archiver_factory()
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    first, second = ana.send("general", "one"), ana.send("general", "two")
    row(ben, "two")
    ben.pin("general", first.id).result(10)
    ben.pin("general", second.id).result(10)
    wait_until(lambda: (r := row(ana, "two")).folded and r.folded.pinned_ms)
    assert [one.id for one in ana.pinned("general").result(10)] == [second.id, first.id]
    ben.pin("general", second.id, False).result(10)
    wait_until(lambda: [one.id for one in ana.pinned("general").result(10)] == [first.id])


def test_every_text_that_a_message_had_is_kept_until_it_is_deleted(room_factory: Rooms) -> None:
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    message = ana.send("general", "helo")
    row(ana, "helo")
    ana.edit("general", message.id, "hello").result(10)
    ana.edit("general", message.id, "hello!").result(10)
    row(ben, "hello!")
    assert [body for _, body in ben.edits("general", message.id)] == ["helo", "hello", "hello!"]
    ana.delete("general", message.id).result(10)
    wait_until(lambda: ben.edits("general", message.id) == [])


def test_a_thread_holds_what_is_answered_and_all_answers(
    room_factory: Rooms, archiver_factory: Archivers, store: MessageStore, producer: ChatProducer
) -> None:
    archiver_factory()
    root = Message.new("general", "ana", "root")
    reply = Message.new("general", "ben", "reply", reply_to=root.id)
    for message in (root, reply, *(Message.new("general", "ana", f"n{n}") for n in range(300))):
        producer.send(message)
    wait_until(lambda: store.messages.count_documents({}) == 302, 20)
    room = room_factory("cleo")
    room.join("general").result(10)
    assert room.row("general", root.id) is None, "it is further back than what was loaded"
    answer = room.send("general", "answer", reply_to=reply.id)
    row(room, "answer")
    for start in (root.id, reply.id, answer.id):
        thread = room.thread("general", start).result(10)
        assert [one.id for one in thread] == [root.id, reply.id, answer.id]


def test_unread_counts_others_messages_only_and_the_same_in_every_room(
    room_factory: Rooms,
    archiver_factory: Archivers,
    channels: Channels,
    producer: ChatProducer,
) -> None:
    archiver_factory()
    channels.create("random")
    ana = joined(room_factory, "ana", "random")
    ana.leave("general")
    ben = joined(room_factory, "ben", "random")
    other = room_factory("ana")  # another browser of hers, that shows nothing
    first = ben.send("random", "hi @ana")
    ben.send("random", "how are you?")
    ben.edit("random", first.id, "hi, @ana").result(10)
    ben.react("random", first.id, "👋").result(10)
    ana.send("random", "her own")
    imported = Message.new("random", "ben", "old", source="slack", sent_ms=1_000_000)
    producer.send(imported).result(10)
    for room in (ana, other):
        wait_until(
            lambda: (
                (
                    summary(room, "random").unread,  # noqa: B023
                    summary(room, "random").mentions,  # noqa: B023
                )
                == (2, 1)
            ),
            20,
        )
    ana.mark_read("random")
    wait_until(lambda: summary(ana, "random").unread == 0)
    wait_until(lambda: summary(other, "random").unread == 0, 20)
    ben.send("random", "one more")
    for room in (ana, other):
        wait_until(lambda: summary(room, "random").unread == 1, 20)  # noqa: B023


def test_a_read_mark_moves_forward_only(
    room_factory: Rooms, archiver_factory: Archivers, store: MessageStore
) -> None:
    archiver_factory()
    ana = joined(room_factory, "ana")
    ben = joined(room_factory, "ben")
    messages = [ben.send("general", f"n{n}") for n in range(3)]
    row(ana, "n2")
    ana.mark_read("general", messages[2].id)
    ana.mark_read("general", messages[0].id)
    mark = ana.read_mark("general")
    assert mark is not None
    assert mark[3] == messages[2].id

    def kept() -> object:
        found = store.database["read_marks"].find_one({"_id": "general/ana"})
        return found and found.get("key") and found["key"][3]

    wait_until(lambda: kept() == messages[2].id)


def test_who_becomes_a_member_and_who_leaves_is_told_once(
    room_factory: Rooms, archiver_factory: Archivers
) -> None:
    archiver_factory()
    ben = room_factory("ben")
    ben.join("general").result(10)
    ana = joined(room_factory, "ana")
    again = joined(room_factory, "ana")
    ana.leave("general")

    def comings() -> list[tuple[str, str]]:
        return [(one.kind, one.actor) for one in ben.rows("general") if one.actor]

    wait_until(lambda: comings() == [("join", "ana"), ("leave", "ana")])
    again.send("general", "still here")
    row(ben, "still here")
    assert comings() == [("join", "ana"), ("leave", "ana")]
    late = room_factory("cleo")
    wait_until(lambda: [one.kind for one in rows_of(late)] == ["join", "leave", "message"], 10)


def rows_of(room: ChatRoom) -> list[Row]:
    room.join("general").result(10)
    return room.rows("general")


def test_only_who_made_a_channel_changes_it_and_a_closed_one_takes_no_message(
    room_factory: Rooms, archiver_factory: Archivers, channels: Channels
) -> None:
    archiver_factory()
    channels.create("plans", creator="ana")
    ana, ben = room_factory("ana"), room_factory("ben")
    ben.join("plans").result(10)
    wait_until(lambda: summary(ben, "plans").moderators == ("ana",), 10)
    with pytest.raises(NotAllowedError, match="Only ana, who made"):
        ben.change_channel("plans", archived=True).result(10)
    ana.change_channel(
        "plans", display_name="Plans", description="what next", moderators=["ben"], archived=True
    ).result(10)
    wait_until(lambda: summary(ben, "plans").archived, 10)
    found = summary(ben, "plans")
    assert (found.title, found.description, found.moderators) == (
        "Plans",
        "what next",
        ("ana", "ben"),
    )
    with pytest.raises(NotAllowedError, match="closed to new messages; ana can open it again"):
        ben.send("plans", "too late")
    ana.change_channel("plans", archived=False).result(10)
    wait_until(lambda: not summary(ben, "plans").archived, 10)
    ben.send("plans", "in time")
    row(ben, "in time", "plans")


def test_a_direct_channel_is_for_two_and_strangers_don_t_see_it(
    room_factory: Rooms, archiver_factory: Archivers
) -> None:
    archiver_factory()
    ana, ben, cleo = (room_factory(name) for name in ("ana", "ben", "cleo"))
    channel = ana.direct("ben").result(10)
    assert channel == direct_channel("ben", "ana")
    assert ben.direct("ana").result(10) == channel
    ana.join(channel).result(10)
    ana.send(channel, "psst")
    found = wait_until(lambda: next((one for one in ben.overview() if one.direct), None), 10)
    assert isinstance(found, ChannelSummary)
    assert found.title == "ana"
    wait_until(lambda: summary(ben, channel).unread == 1, 10)
    wait_until(lambda: channel in cleo.channels(), 10)
    assert channel not in {one.channel for one in cleo.overview()}
    with pytest.raises(InvalidMessageError, match="your own name"):
        ana.direct("ana")


def test_a_muted_person_and_a_muted_channel_are_remembered(
    room_factory: Rooms, archiver_factory: Archivers
) -> None:
    archiver_factory()
    ana = joined(room_factory, "ana")
    ana.mute_person("ben").result(10)
    ana.mute("general").result(10)
    other = room_factory("ana")
    wait_until(lambda: other.muted_people() == {"ben"}, 10)
    wait_until(lambda: summary(other).muted, 10)
    ana.mute_person("ben", False).result(10)
    wait_until(lambda: not other.muted_people(), 10)


def test_an_old_message_is_loaded_with_its_neighbours_and_the_rest_when_wanted(
    room_factory: Rooms,
    archiver_factory: Archivers,
    store: MessageStore,
    producer: ChatProducer,
) -> None:
    archiver_factory()
    sent = [Message.new("general", "ana", f"n{n}") for n in range(2000)]
    for message in sent:
        producer.send(message)
    wait_until(lambda: store.messages.count_documents({}) == 2000, 30)
    room = room_factory("ben")
    room.join("general").result(10)
    assert room.load_around("general", sent[500].id).result(10)
    assert room.load_around("general", sent[1200].id).result(10)
    assert not room.load_around("general", "nothing").result(10)
    shown = texts(room)
    assert {"n301", "n500", "n700", "n1200", "n1999"} <= set(shown)
    assert "n900" not in shown
    skipped = [one for one in room.rows("general") if one.kind == "skipped"]
    assert len(skipped) == 2
    news = room.send("general", "live meanwhile")
    row(room, "live meanwhile")
    while skipped := [one for one in room.rows("general") if one.kind == "skipped"]:
        room.load_skipped("general", skipped[-1].id, upwards=len(skipped) == 2).result(10)
    load_all(room)
    assert texts(room) == [*(f"n{n}" for n in range(2000)), "live meanwhile"]
    assert room.row("general", news.id) is not None


def test_search_finds_what_is_archived_and_what_is_only_here(
    room_factory: Rooms, archiver_factory: Archivers, store: MessageStore
) -> None:
    archiver = archiver_factory()
    ana = room_factory("ana")
    ana.join("general").result(10)
    ana.send("general", "the Red fox")
    wait_until(lambda: store.messages.count_documents({}) == 1, 10)
    archiver.stop()
    ana.send("general", "a red wolf, and a fox")
    ana.send("general", "a dog")
    row(ana, "a dog")
    found = ana.search("fox RED")
    assert [one.folded and one.folded.body for one in found] == [
        "a red wolf, and a fox",
        "the Red fox",
    ]
    assert ana.search("from:ben fox") == []


def test_what_is_shared_comes_back_in_another_room(
    room_factory: Rooms, archiver_factory: Archivers, store: MessageStore
) -> None:
    import pandas as pd

    archiver_factory()
    frame = pd.DataFrame({"n": [1, 2, 3], "name": ["a", "b", "c"]})
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    message = ana.share(frame, body="look")
    row(ben, "look")
    pd.testing.assert_frame_equal(ben.message(message.id).to_frame(), frame)
    wait_until(lambda: store.messages.count_documents({}) == 1, 10)
    late = room_factory("cleo")
    pd.testing.assert_frame_equal(late.message(message.id).to_frame(), frame)
    with pytest.raises(InputError):
        late.message(message.id).to_figure()
    text = ana.send("general", "text only")
    row(ana, "text only")
    with pytest.raises(InputError, match="Nothing was shared"):
        _ = ana.message(text.id).shared
    with pytest.raises(InvalidMessageError, match="There is no message 'nothing'"):
        ana.message("nothing")


def test_shared_bytes_come_from_kafka_while_mongodb_has_none(room_factory: Rooms) -> None:
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    file = Attachment(name="a.bin", type="application/octet-stream", data=b"\x00\x01" * 100)
    message = ana.send("general", "file", attachment=file)
    assert row(ben, "file").message == message.__class__(
        **{
            name: getattr(message, name)
            for name in message.__struct_fields__
            if name != "attachment"
        },
        attachment=file.summary(),
    ), "the rows hold no bytes"
    assert ben.attachment("general", message.id).result(10).data == file.data


def test_a_bot_answers_others_and_never_bots_and_its_errors_stop_nothing(
    room_factory: Rooms,
) -> None:
    ana, bot = room_factory("ana"), room_factory("bot")
    problems: list[Change] = []
    bot.observe(problems.append)

    @bot.on_message(r"^double (\d+)$")
    def double(message: Message, match: object) -> str:
        return str(2 * int(match[1]))  # type: ignore[index]

    @bot.on_message(channel="general")
    def fail(message: Message) -> None:
        if "boom" in message.body:
            raise ValueError("it went boom")

    ana.send("general", "double 1")
    ana.join("general").result(10)
    row(ana, "double 1")
    bot.join("general").result(10)
    ana.send("general", "boom")
    question = ana.send("general", "double 21")
    answer = row(ana, "42")
    assert answer.message is not None
    assert (answer.message.bot, answer.message.author) == (True, "bot")
    assert answer.message.reply_to == question.id
    wait_until(lambda: [one.text for one in problems if isinstance(one, ProblemRaised)])
    (problem,) = (one.text for one in problems if isinstance(one, ProblemRaised))
    assert problem == "The bot fail failed: ValueError: it went boom"
    bot.say("double 4")
    ana.send("general", "double 5")
    row(ana, "10")
    assert "8" not in texts(ana), "bots don't answer bots"
    assert "2" not in texts(ana), "nor what was said before they were there"
    bot.forget(double)
    ana.send("general", "double 6")
    ana.send("general", "boom again")
    wait_until(lambda: len([one for one in problems if isinstance(one, ProblemRaised)]) == 2)
    assert "12" not in texts(ana)


def test_a_command_of_one_s_own_says_what_it_returns(room_factory: Rooms) -> None:
    ana = room_factory("ana")
    ana.join("general").result(10)

    @ana.command("shout")
    def shout(text: str) -> str:
        """Say it louder."""
        return text.upper()

    @ana.command("fail")
    def fail(text: str) -> None:
        raise RuntimeError("no")

    assert [(one.name, one.about) for one in ana.commands()][1] == ("shout", "Say it louder.")
    run(ana, "general", "/shout hello").result(10)  # type: ignore[union-attr]
    found = row(ana, "HELLO")
    assert found.message is not None
    assert found.message.bot
    with pytest.raises(RuntimeError, match="no"):
        run(ana, "general", "/fail").result(10)  # type: ignore[union-attr]
    with pytest.raises(InputError, match="can't be a command"):
        ana.command("Not This")


def outcome(room: ChatRoom, line: str) -> Outcome:
    done = run(room, "general", line)
    done = done if isinstance(done, Outcome) else done.result(10)
    return done if isinstance(done, Outcome) else Outcome()


def test_commands_do_what_they_say(
    room_factory: Rooms, archiver_factory: Archivers, settings: Settings
) -> None:
    archiver_factory()
    ana, ben = room_factory("ana"), room_factory("ben")
    ana.join("general").result(10)
    ben.join("general").result(10)
    ana.send("general", "first")
    row(ben, "first")
    outcome(ben, "/reply @ana second")
    reply = row(ana, "second")
    assert reply.message is not None
    assert reply.message.reply_to == row(ana, "first").id
    outcome(ben, "/edit second, edited")
    row(ana, "second, edited")
    outcome(ana, "/react :tada:")
    for room in (ana, ben):
        wait_until(
            lambda room=room: (
                (r := row(room, "second, edited")).folded and r.folded.reactions == {"🎉": ("ana",)}
            )
        )
    outcome(ana, "/react @ben :tada:")
    wait_until(lambda: (r := row(ben, "second, edited")).folded and not r.folded.reactions)
    wait_until(lambda: len(outcome(ana, "/search edited").rows or ()) == 1, 10)
    assert outcome(ana, "/search nothing-like-it").text == "Nothing was found for nothing-like-it"
    wait_until(lambda: "ana (me)" in outcome(ana, "/who").text, 10)
    assert outcome(ana, "/dm ben hello you").channel == direct_channel("ana", "ben")
    assert outcome(ana, "/join #random").channel == "random"
    assert outcome(ana, "/lens").lens
    outcome(ana, "/create plans what comes next")
    wait_until(lambda: "#plans - what comes next" in outcome(ana, "/channels").text, 10)
    outcome(ben, "/delete")
    wait_until(lambda: texts(ana)[-1] == "")
    assert "/search QUERY" in outcome(ana, "/help").text
    assert outcome(ana, "/leave").left
    with pytest.raises(InputError, match="There is no command /nonsense; /help lists them"):
        run(ana, "general", "/nonsense")
    with pytest.raises(InputError, match="There is no file"):
        run(ana, "general", "/share nowhere.csv")
    with pytest.raises(InputError, match=r"Write /edit NEW TEXT: change your last message"):
        run(ana, "general", "/edit")


@pytest.mark.parametrize(
    ("text", "expected"), [("/who", True), ("/", False), ("//who", False), ("/ x", False)]
)
def test_a_command_begins_with_one_slash_and_a_letter(text: str, expected: bool) -> None:
    assert is_command(text) == expected
    assert as_text("//who") == "/who"


def test_an_event_that_comes_before_its_message_and_twice_counts_once(
    room_factory: Rooms, producer: ChatProducer
) -> None:
    room = room_factory("ana")
    room.join("general").result(10)
    message = Message.new("general", "ben", "late")
    reaction = React.new("general", "cleo", message.id, emoji="👀")
    producer.send(reaction, author="ben").result(10)
    producer.send(reaction, author="ben").result(10)
    producer.send(message).result(10)
    found = row(room, "late")
    assert found.folded is not None
    assert found.folded.reactions == {"👀": ("cleo",)}
    assert found.folded.rev == 1


def test_a_user_s_read_marks_are_found_by_an_index(store: MessageStore) -> None:
    store.prepare()
    plan = store.database["read_marks"].find({"user": "ana"}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


def test_what_is_on_its_way_is_not_taken_for_read(
    room_factory: Rooms, archiver_factory: Archivers, local_stack: LocalStack
) -> None:
    archiver_factory()
    ana, ben = room_factory("ana"), joined(room_factory, "ben")
    ana.join("general").result(10)
    local_stack.kafka.pause()
    try:
        ana.send("general", "on its way")
        wait_until(lambda: [one.state for one in ana.rows("general")][-1:] == ["pending"])
        ana.join("general", member=True)
        wait_until(lambda: summary(ana).member, 10)
        mark = ana.read_mark("general")
        assert mark is None or mark[0] < UNPLACED_MS
    finally:
        local_stack.kafka.resume()
    row(ben, "on its way")
    ben.send("general", "an answer")
    wait_until(lambda: summary(ana).unread == 1, 20)
