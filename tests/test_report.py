"""The report page: all statistics of a frame, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from chatkit import history, report
from chatkit.blocks import BLOCKS
from chatkit.fold import Folded
from chatkit.message import Message
from chatkit.timeline import Row
from tests.xss import PAYLOADS

DAY_MS = 86_400_000


def frame(texts: list[tuple[str, str]]) -> pd.DataFrame:
    """Return messages of authors and texts, a day apart."""
    rows = []
    for number, (author, body) in enumerate(texts):
        message = Message(
            id=f"id-{number}", channel="general", author=author, body=body, sent_ms=number * DAY_MS
        )
        rows.append(
            Row(
                id=message.id,
                kind="message",
                channel="general",
                message=message,
                folded=Folded(body=body),
                placed_ms=number * DAY_MS,
                partition=0,
                offset=number,
            )
        )
    return history.frame(rows)


def reactions(messages: pd.DataFrame) -> pd.DataFrame:
    """Return an own reaction to each message."""
    of = messages[["id", "channel", "author", "placed_at"]]
    return of.assign(emoji="🎉", actor=messages["author"])


@pytest.mark.parametrize("length", [0, 1, 40])
def test_a_page_has_every_statistic(length: int, tmp_path: Path) -> None:
    messages = frame([(("ana", "ben")[n % 2], f"text {n}, isn't it?") for n in range(length)])
    report.write(tmp_path / "page.html", messages, reactions(messages), title="Our <chat>")
    page = (tmp_path / "page.html").read_text()
    assert all(f"<h2>{block.title}</h2>" in page for block in BLOCKS)
    assert "<h1>Our &lt;chat&gt;</h1>" in page
    assert page.endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_texts_and_names_on_a_page_are_no_markup(tmp_path: Path) -> None:
    texts = [payload for payload in PAYLOADS if payload.isprintable()]
    assert len(texts) > 50
    messages = frame([(text[:60], text) for text in texts])
    report.write(tmp_path / "page.html", messages, reactions(messages))
    page = (tmp_path / "page.html").read_text()
    outside_of_plotly = page.split("</script>")
    assert len(outside_of_plotly) > len(BLOCKS)
    for text in texts:
        if "<" in text:
            assert text not in page


def test_a_page_that_fails_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("the one before")
    with pytest.raises(Exception, match="column"):
        report.write(tmp_path / "page.html", frame([("ana", "hi")]), pd.DataFrame())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the one before"]
