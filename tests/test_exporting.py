"""Exports: files that hold what the archive holds, whole or not at all, and no name if asked so."""

from __future__ import annotations

import csv
import json
import random
import re
import subprocess
import sys
import uuid
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from chatkit.errors import ChannelNameError, InputError, QueryError, StoreUnavailableError
from chatkit.exporting import export, export_person
from chatkit.history import load
from chatkit.message import (
    Attachment,
    Delete,
    Edit,
    Event,
    Join,
    Message,
    Pin,
    React,
)
from chatkit.pseudonyms import Anonymise
from chatkit.read_marks import ReadMarks
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.archiving import START, Archive
from tests.commands import chatkit, environment
from tests.xss import FILES, NAMES, PAYLOADS

ANONYMISE = Anonymise(key=b"k" * 32)


@pytest.fixture
def archive(store: MessageStore) -> Archive:
    return Archive(store)


def say(channel: str, body: str, author: str = "ana", **more: Any) -> Message:
    return Message.new(channel, author, body, **more)


def about(kind: type[Any], message: Message, actor: str | None = None, **more: Any) -> Any:
    values = {"id": str(uuid.uuid4()), "actor": actor or message.author, "at_ms": START, **more}
    return kind(channel=message.channel, target=message.id, **values)


def many_messages(count: int) -> list[Message | Event]:
    """Return messages of all kinds, over three months, with events among them."""
    chance = random.Random(7)
    bodies = [
        "hello",
        "naïve, café;",
        '"日本語"',
        "👩🏽‍💻 ok",
        "two\r\nlines\rx",
        " NA ",
        "x" * 999,
    ]
    items: list[Message | Event] = []
    messages: list[Message] = []
    for number in range(count):
        message = say(
            chance.choice(["general", "tools", "random"]),
            f"{chance.choice(bodies)} {number}",
            author=chance.choice(["ana", "ben", "Łukasz", "NA"]),
            sent_ms=START + chance.randrange(-(7 * 10**9), 10**9),
            bot=chance.random() < 0.1,
            source=chance.choice(["chat", "irc"]),
            reply_to=chance.choice(messages).id if messages and chance.random() < 0.2 else None,
            attachment=Attachment(name=f"{number},.png", type="image/png", data=b"x" * number)
            if chance.random() < 0.05
            else None,
        )
        messages.append(message)
        items.append(message)
        kind = chance.choice([None] * 12 + [Edit, Delete, React, Pin])
        if kind is not None:
            more = {Edit: {"body": "better"}, React: {"emoji": "👍"}}.get(kind, {})
            items.append(about(kind, chance.choice(messages), **more))
    return items


def as_texts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows with dates in ISO 8601 and None for what is missing, the plain way."""

    def plain(value: Any) -> Any:
        if isinstance(value, pd.Timestamp):
            return value.isoformat(timespec="milliseconds")
        return None if pd.isna(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


# Tables.


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/St_Johns"])
def test_tables_hold_the_frame(
    store: MessageStore, archive: Archive, tmp_path: Path, zone: str
) -> None:
    archive.write(*many_messages(800))
    frame = load(store, zone=zone)
    done = export(store, tmp_path / "all.parquet", zone=zone)
    assert (done.messages, done.format, done.path) == (800, "parquet", tmp_path / "all.parquet")
    assert done.bytes == done.path.stat().st_size
    pd.testing.assert_frame_equal(pd.read_parquet(done.path), frame)

    export(store, tmp_path / "all.jsonl", zone=zone)
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == as_texts(frame)

    export(store, tmp_path / "all.csv", zone=zone)
    words = {True: "true", False: "false", None: ""}
    expected = [
        {name: words.get(value, str(value)) if type(value) is not int else str(value)
         for name, value in row.items()}
        for row in as_texts(frame)
    ]  # fmt: skip
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == expected


def test_a_csv_file_tells_what_is_missing_from_what_is_empty(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    message = say("general", "secret")
    archive.write(message, about(Delete, message))
    export(store, tmp_path / "x.csv")
    line = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith(f'"{message.id}","general","ana","","20')
    assert ",,false," in line


def test_a_query_channels_and_suffixes_choose(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    archive.write(*many_messages(300))
    for more in (
        {"query": "from:ana -has:attachment"},
        {"query": "from:me", "me": "ben"},
        {"channel": "tools"},
        {"query": "channel:tools", "channel": ["tools", "general"]},
        {"query": "channel:nothing"},
    ):
        expected = load(store, **more)
        for number, name in enumerate(("x.ndjson", "x.dat")):
            done = export(
                store, tmp_path / name, format=("jsonl", "parquet")[number], replace=True, **more
            )
            assert done.messages == len(expected)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.dat"), expected)


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl", "x.html"])
def test_an_empty_export_is_a_file_too(store: MessageStore, tmp_path: Path, name: str) -> None:
    assert export(store, tmp_path / name).messages == 0
    assert (tmp_path / name).is_file()
    if name.endswith("parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), load(store))


def test_a_partitioned_export_is_read_as_one_table(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    archive.write(*many_messages(500))
    zone = "Asia/Tokyo"
    done = export(store, tmp_path / "all", partitioned=True, zone=zone)
    assert (done.format, done.messages) == ("parquet", 500)
    frame = load(store, zone=zone)
    months = frame["placed_at"].dt.strftime("%Y-%m")
    expected = {
        f"channel={channel}/month={month}/messages.parquet": len(group)
        for (channel, month), group in frame.groupby(["channel", months])
    }
    found = {
        path.relative_to(done.path).as_posix(): pyarrow.parquet.read_metadata(path).num_rows
        for path in done.path.rglob("*.parquet")
    }
    assert found == expected
    assert len(found) > 6
    again = pd.read_parquet(done.path)
    again = again.sort_values(["placed_at", "partition", "offset", "id"], ignore_index=True)
    assert again["month"].astype(str).tolist() == months.tolist()
    again = again.drop(columns="month").astype({"channel": "str", "attachment_size": "Int64"})
    pd.testing.assert_frame_equal(again[list(frame.columns)], frame)


# Whole or not at all.


def test_what_is_there_is_only_replaced_if_asked(store: MessageStore, tmp_path: Path) -> None:
    for path, more in ((tmp_path / "x.csv", {}), (tmp_path / "x", {"partitioned": True})):
        export(store, path, **more)
        with pytest.raises(InputError, match="is there already"):
            export(store, path, **more)
        export(store, path, replace=True, **more)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.csv"]


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.jsonl", "x.html", "x"])
def test_a_failed_export_leaves_what_was_there(
    store: MessageStore, archive: Archive, tmp_path: Path, name: str
) -> None:
    path, more = tmp_path / name, {"partitioned": True} if name == "x" else {}
    archive.write(*many_messages(50))
    done = export(store, path, **more)

    def fail(count: int) -> None:
        raise StoreUnavailableError("gone")

    with pytest.raises(StoreUnavailableError):
        export(store, path, replace=True, progress=fail, **more)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert done.bytes == sum(
        one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file()
    )


def test_what_cannot_be_is_refused_before_anything_is_made(
    store: MessageStore, tmp_path: Path
) -> None:
    for name, more, error, words in (
        ("x.doc", {}, InputError, "parquet, csv, jsonl, html"),
        ("x", {}, InputError, "tells no format"),
        ("x.csv", {"format": "xml"}, InputError, "'xml' is no format"),
        ("x.csv", {"format": "csv", "partitioned": True}, InputError, "Only Parquet"),
        ("x.csv", {"zone": "Nowhere"}, InputError, "Nowhere"),
        ("x.csv", {"query": "from:"}, QueryError, "from:"),
        ("x.csv", {"channel": "No Such"}, ChannelNameError, "No Such"),
        ("no/x.csv", {}, InputError, "no folder"),
    ):
        with pytest.raises(error, match=words):
            export(store, tmp_path / name, **more)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# A page.


ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "nav", "section",
    "article", "div", "time", "bdi", "small", "b", "h1", "h2", "h3", "h4", "h5", "h6", "p",
    "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "span", "strong", "em", "s", "a",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {
    "class", "id", "href", "title", "datetime", "dir", "lang", "charset", "http-equiv",
    "content", "name", "target", "rel", "start", "aria-label",
}  # fmt: skip
EMPTY = {"meta", "br", "hr"}


class Page(HTMLParser):
    """Refuses what may not be in a page, and keeps texts by the class around them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.articles: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        assert tag in ALLOWED, tag
        assert set(facts) <= ATTRIBUTES, facts
        assert tag == "meta" or "name" not in facts
        if "href" in facts:
            assert re.match(r"(?ai:https?://|mailto:|#[cm]-)", facts["href"] or "")
        if tag == "article":
            self.articles.append("")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "article" in self.open:
            self.articles[-1] += data


def page(store: MessageStore, path: Path, **more: Any) -> tuple[str, Page]:
    export(store, path / "page.html", replace=True, **more)
    text = (path / "page.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_a_page_shows_messages_with_what_happened_to_them(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    first = say("general", "which **way**?\nsecond line")
    answer = say("general", "left", "ben", reply_to=first.id, bot=True)
    gone = say("general", "never mind", "cleo")
    file = say("tools", "", "cleo", attachment=Attachment(name="a.txt", type="t", data=b"1234"))
    archive.write(first, answer, gone, file)
    archive.write(
        about(Edit, answer, body="right"), about(Delete, gone), about(Pin, first),
        about(React, first, "ben", emoji="tada"), about(React, first, "cleo", emoji="tada"),
    )  # fmt: skip
    text, read = page(store, tmp_path, zone="Europe/Vienna")
    assert "<strong>way</strong>?<br>second line" in text
    assert "4 messages" in text
    assert "2 channels" in text
    assert "Thursday, 1 January 2026" in text
    assert read.articles[0].startswith("ana01:00pinnedwhich way?")
    assert read.articles[0].endswith("🎉 2")
    assert 'title="ben, cleo"' in text
    assert read.articles[1] == "ben01:00botedited" + "ana which **way**? second line" + "right"
    assert read.articles[2] == "cleo01:00deleted"
    assert "never mind" not in text
    assert read.articles[3] == "cleo01:00Attachment: a.txt · 4 bytes"
    assert f'href="#m-{first.id}"' in text
    assert re.findall("<script|<img|<link|@import|url\\(", text) == []


def test_hostile_texts_and_names_stay_text(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    bodies = [text for text in PAYLOADS if text.isascii() or _is_unicode(text)]
    items = [say("general", text) for text in bodies]
    items += [say("general", "hello", name) for name in NAMES]
    items += [
        say("tools", "", attachment=Attachment(name=name, type="text/plain", data=b"x"))
        for name in FILES
    ]
    items += [say("odd", text[:200], id=text[:60]) for text in NAMES]
    items += [say("odd", "answer", reply_to=text[:60]) for text in NAMES]
    archive.write(*items)
    archive.write(*(about(React, items[0], name, emoji="👍") for name in NAMES))
    text, read = page(store, tmp_path)
    assert len(read.articles) == len(items)
    assert text.count("Content-Security-Policy") == 1
    _, read = page(store, tmp_path, anonymise=ANONYMISE)
    assert len(read.articles) == len(items)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def test_a_page_tells_of_its_query(store: MessageStore, archive: Archive, tmp_path: Path) -> None:
    archive.write(say("general", "a <b>"), say("general", "other"))
    text, read = page(store, tmp_path, query='"<b>"')
    assert "Only <code>&quot;&lt;b&gt;&quot;</code>" in text
    assert len(read.articles) == 1


# One person.


def lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


def test_a_persons_export_holds_all_that_they_wrote_and_did(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    data = b"bytes of a file"
    first = say("general", "one")
    file = say(
        "tools", "see", attachment=Attachment(name="../../x y.txt", type="text/plain", data=data)
    )
    other = say("general", "of another", "ben")
    gone = say("general", "gone")
    archive.write(first, other, file, gone)
    archive.write(
        about(Edit, first, body="two"), about(Edit, first, body="three"),
        about(Edit, first, "ben", body="not ben's"), about(React, first, "ben", emoji="👍"),
        about(React, other, "ana", emoji="🎉"), about(Delete, gone),
        Join.new("general", "ana"), Join.new("general", "ben"),
    )  # fmt: skip
    ReadMarks(store, "ana").set_member("general", True)
    done = export_person(store, "ana", tmp_path / "ana.zip")
    assert done.messages == 3
    assert done.counts == {"events": 5, "reactions": 1, "read_marks": 1, "attachments": 1}
    with zipfile.ZipFile(done.path) as opened:
        messages = {one["id"]: one for one in lines(opened, "messages")}
        assert messages.keys() == {first.id, file.id, gone.id}
        assert [one["body"] for one in messages[first.id]["versions"]] == ["one", "two", "three"]
        assert messages[first.id]["reactions"] == {"👍": ["ben"]}
        assert messages[gone.id]["versions"] == []
        name = messages[file.id]["attachment"]["file"]
        assert re.fullmatch(r"attachments/[0-9a-f]{16}-x_y\.txt", name)
        assert opened.read(name) == data
        kinds = [one["type"] for one in lines(opened, "events")]
        assert kinds == ["edit", "edit", "react", "delete", "join"]
        (reaction,) = lines(opened, "reactions")
        assert reaction == {"channel": "general", "target": other.id, "emoji": "🎉"}
        readme = opened.read("README.txt").decode()
        assert "3: what ana wrote" in readme
        assert "of another" not in "".join(opened.read(one).decode() for one in opened.namelist())


def test_a_persons_export_of_nobody_is_an_error(store: MessageStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds nothing of 'nobody'"):
        export_person(store, "nobody", tmp_path / "x.zip")
    with pytest.raises(InputError, match=r"name it x\.json\.zip"):
        export_person(store, "ana", tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


# Without names.

PEOPLE = ("ana", "ben", "cleo", "Łukasz Nowak")


def named_messages() -> list[Message | Event]:
    """Return messages in which people are named in all ways."""
    items: list[Message | Event] = []
    texts = ["{}: hi", "@{}, look", "did {} say so?", "[{0}](https://example.org/{0})", "**{}**"]
    first = say("general", "hello from Łukasz")
    items.append(first)
    for number, text in enumerate(texts * 4):
        author, other = PEOPLE[number % 4], PEOPLE[(number + 1) % 4]
        name = other.upper() if number % 3 else other
        message = say(
            "general", text.format(name), author, reply_to=first.id, id=f"{author}-{number}",
            attachment=Attachment(name=f"{other}.png", type="image/png", data=b"x"),
        )  # fmt: skip
        items += [message, about(React, message, other, emoji="👍")]
    items.append(say("ana-and-ben", "x"))
    items.append(about(Edit, first, body="hello from Łukasz, again"))
    return items


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.html"])
def test_an_anonymised_export_holds_no_name(
    store: MessageStore, archive: Archive, tmp_path: Path, name: str
) -> None:
    archive.write(*named_messages())
    done = export(store, tmp_path / name, anonymise=ANONYMISE)
    text = done.path.read_text(encoding="utf-8").casefold()
    body = text.partition("</style>")[2] or text
    for person in ("ana", "ben", "cleo", "łukasz", "nowak"):
        assert person not in body
    assert done.remains is not None
    assert done.remains.links == 4
    assert set(done.remains.small_channels.values()) == {4, 1}


def test_pseudonyms_are_the_same_in_every_place_and_export_with_one_key(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    archive.write(*named_messages())
    frame = load(store)
    made = []
    for number, key in enumerate((b"k" * 32, b"k" * 32, b"o" * 32)):
        path = tmp_path / f"{number}.parquet"
        export(store, path, query="from:ben" if number == 1 else "", anonymise=Anonymise(key=key))
        made.append(pd.read_parquet(path))
    whole, part, other = made
    whole = whole.set_index("id")
    pd.testing.assert_frame_equal(whole.loc[part["id"]], part.set_index("id"))
    assert not set(whole["author"]) & set(other["author"])
    assert not set(whole.index) & set(other["id"])
    assert whole["author"].nunique() == 4
    codes, _ = pd.factorize(frame["author"])
    assert pd.factorize(whole["author"])[0].tolist() == codes.tolist()
    assert set(whole["reply_to"].dropna()) <= set(whole.index)
    addressed = whole["body"].str.extract(r"^(person-\w+): hi")[0].dropna()
    assert set(addressed) == set(whole["author"])


def test_an_anonymised_folder_has_no_name_in_its_paths(
    store: MessageStore, archive: Archive, tmp_path: Path
) -> None:
    archive.write(*named_messages())
    done = export(store, tmp_path / "x", partitioned=True, anonymise=ANONYMISE)
    names = " ".join(path.as_posix() for path in done.path.rglob("*"))
    assert "channel=general" in names
    assert "ben" not in names
    assert len(pd.read_parquet(done.path)) == len(load(store))


# Memory, and the command.

MEASURE = """
import resource, sys
from pathlib import Path
from chatkit.exporting import export
from chatkit.store import MessageStore
with MessageStore() as store:
    for kind in ("parquet", "csv", "jsonl", "html"):
        export(store, Path(sys.argv[1]) / f"x.{kind}", "from:ben", progress=len_ignored)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind in ("parquet", "csv", "jsonl", "html"):
        export(store, Path(sys.argv[1]) / f"y.{kind}", progress=len_ignored)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
""".replace("len_ignored", "lambda count: None")


def test_memory_stays_flat(
    store: MessageStore, archive: Archive, settings: Settings, tmp_path: Path
) -> None:
    for start in range(0, 60_000, 5_000):
        archive.write(
            *(
                say("general", f"{number} " + "word " * 200, "ben" if start == 0 else "ana")
                for number in range(start, start + 5_000)
            )
        )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    size = (tmp_path / "y.jsonl").stat().st_size / 1e6
    assert size > 60
    assert float(done.stdout) < size / 2, "twelve times as much took more memory"


def test_the_command_exports_and_tells_what_is_left(
    store: MessageStore, archive: Archive, settings: Settings, tmp_path: Path
) -> None:
    archive.write(*named_messages())
    env = environment(settings)
    path, key = tmp_path / "x.csv", tmp_path / "key"
    text = chatkit("export", str(path), "from:ana", "channel:general", env=env).stdout
    assert "Exported 6 messages to" in text
    wanted = ["export", str(path), "--anonymise", "--key", str(key), "--replace"]
    text = chatkit(*wanted, env=env).stdout
    assert "channels with fewer than 5 people" in text
    assert key.stat().st_mode & 0o077 == 0
    first = path.read_bytes()
    told = json.loads(chatkit(*wanted, "--json", env=env).stdout)
    assert path.read_bytes() == first
    assert told["remains"]["links"] == 4
    assert told["key"] is None
    other = chatkit("export", str(path), "--anonymise", "--replace", env=env).stdout
    assert re.search("Key of the pseudonyms: [0-9a-f]{64}", other)
    assert path.read_bytes() != first
    done = json.loads(
        chatkit("export", "--person", "ana", str(tmp_path / "a.zip"), "--json", env=env).stdout
    )
    assert done["messages"] == 7
    for arguments in (["--key", str(key)], ["--person", "ana", "--anonymise"]):
        chatkit("export", str(tmp_path / "n.csv"), *arguments, env=env, code=1)
    assert not (tmp_path / "n.csv").exists()
