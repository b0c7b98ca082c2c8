"""Searching the archive: newest first, page by page, by the index."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.documents import fold_update, message_document
from chatkit.errors import InputError, StoreUnavailableError
from chatkit.fold import Folded
from chatkit.message import Message, Received
from chatkit.query import parse
from chatkit.settings import Settings
from chatkit.store import ORDER, MessageStore

NOON = 1_767_268_800_000  # 2026-01-01 12:00 UTC


@pytest.fixture
def archive(store: MessageStore) -> MessageStore:
    """Return an archive of 2,000 messages in four channels, some at the same time."""
    store.prepare()
    documents = []
    for number in range(2000):
        message = Message(
            id=f"{number:04}",
            channel=f"c{number % 4}",
            author=("ana", "ben", "cleo")[number % 3],
            body=f"message {number}" + (" rare" if number % 100 == 0 else ""),
            sent_ms=NOON,
            reply_to="0000" if number % 50 == 0 else None,
        )
        received = Received(
            topic=f"chat.{message.channel}",
            partition=number % 2,
            offset=number,
            appended_ms=NOON + number // 5 * 1000,
            item=message,
        )
        documents.append(message_document(received, f"id of {message.channel}", NOON))
    store.messages.insert_many(documents)
    return store


def search(store: MessageStore, text: str, **more: Any) -> list[str]:
    return [one["_id"] for one in store.search(parse(text), me="ana", **more)]


def key(document: dict[str, Any]) -> tuple[int, int, int, str]:
    placed_at, partition, offset, name = (document[field] for field in ORDER)
    return round(placed_at.timestamp() * 1000), partition, offset, name


def plan(store: MessageStore, text: str, **more: Any) -> dict[str, Any]:
    """Return how MongoDB did what a search asked it."""
    asked: list[dict[str, Any]] = []
    plain = type(store.messages).find

    def spy(self: Any, where: dict[str, Any], *args: Any, **options: Any) -> Any:
        asked.append(where)
        return plain(self, where, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.messages), "find", spy)
        store.search(parse(text), me="ana", **more)
    (where,) = asked
    question = {
        "find": "messages",
        "filter": where,
        "sort": dict.fromkeys(ORDER, -1),
        "limit": more.get("limit", 50),
    }
    return dict(store.database.command("explain", question, verbosity="executionStats"))


def test_the_newest_come_first_and_no_more_than_asked_for(archive: MessageStore) -> None:
    found = archive.search(parse("in:c1 in:c3 -from:ana message"), me="ana", limit=70)
    assert len(found) == 70
    assert [key(one) for one in found] == sorted((key(one) for one in found), reverse=True)
    assert {one["channel"] for one in found} == {"c1", "c3"}
    assert {one["author"] for one in found} == {"ben", "cleo"}
    assert len(search(archive, "message")) == 50


@pytest.mark.parametrize("text", ["rare", "in:c0 rare", "in:c0 in:c1", "-in:c2 from:me", ""])
def test_a_search_goes_on_page_by_page_without_a_gap(archive: MessageStore, text: str) -> None:
    whole = search(archive, text, limit=5000)
    assert len(whole) == archive.messages.count_documents(parse(text).to_filter(me="ana")) > 0
    pages: list[str] = []
    before = None
    while page := archive.search(parse(text), me="ana", limit=37, before=before):
        pages += [one["_id"] for one in page]
        before = key(page[-1])
    assert pages == whole


def test_me_and_the_zone_are_whose_and_where_the_search_is(archive: MessageStore) -> None:
    assert len(search(archive, "from:me", limit=2000)) == 667
    assert len(search(archive, "on:2026-01-01", limit=3000)) == 2000
    assert search(archive, "on:2026-01-01", zone="Pacific/Kiritimati") == []
    with pytest.raises(InputError, match="no time zone"):
        search(archive, "rare", zone="Nowhere")


def test_what_people_see_now_is_searched(archive: MessageStore) -> None:
    edited = Folded(body="now ＳＥＬＤＯＭ", original="message 100 rare", edited_ms=NOON, rev=1)
    archive.messages.update_one({"_id": "0100"}, fold_update(edited))
    gone = Folded(body="", deleted_ms=NOON, rev=1)
    archive.messages.update_one({"_id": "0200"}, fold_update(gone))
    assert search(archive, "seldom") == ["0100"]
    assert not {"0100", "0200"} & set(search(archive, "rare"))
    assert "0200" not in search(archive, "", limit=5000)


@pytest.mark.parametrize(
    ("text", "more", "examined"),
    [
        ("in:c1", {}, 60),
        ("in:c1 in:c2", {}, 70),
        ("in:c1 message", {}, 60),
        ("message", {}, 70),
        ("in:c1 -from:ana", {"limit": 10}, 30),
        ("in:c1", {"limit": 10, "before": (NOON + 200_000, 0, 0, "")}, 20),
        ("", {"limit": 10, "before": (NOON + 200_000, 0, 0, "")}, 30),
        ("in:c1 before:2026-01-01", {}, 0),
        ("in:c1 on:2026-01-01 on:2025", {"limit": 10}, 20),
    ],
)
def test_the_index_bounds_what_is_read_and_gives_the_order(
    archive: MessageStore, text: str, more: dict[str, Any], examined: int
) -> None:
    explained = plan(archive, text, **more)
    winning = str(explained["queryPlanner"]["winningPlan"])
    assert "'IXSCAN'" in winning
    assert "'SORT'" not in winning
    assert "'COLLSCAN'" not in winning
    assert explained["executionStats"]["totalDocsExamined"] <= examined


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(store: MessageStore, limit: int) -> None:
    with pytest.raises(InputError, match="limit must be at least 1"):
        search(store, "", limit=limit)


@pytest.mark.parametrize("text", ["$where", '{"$gt":1}', 'from:"$ne"', ".*", '"a\0b"', "(((", "\\"])
def test_a_text_is_a_text_and_never_asks_mongodb_for_more(archive: MessageStore, text: str) -> None:
    assert search(archive, text) == []


def test_an_empty_archive_has_nothing(store: MessageStore) -> None:
    assert search(store, "word") == search(store, "in:general") == []


def test_a_mongodb_that_is_not_there_is_told(settings: Settings) -> None:
    nowhere = settings.replace(mongo_uri="mongodb://127.0.0.1:9", mongo_timeout=0.5)
    with MessageStore(nowhere) as store, pytest.raises(StoreUnavailableError, match="chatkit up"):
        search(store, "word")
