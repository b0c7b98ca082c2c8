"""Every notebook runs, and is committed as it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from chatkit import sample
from chatkit.archiver import Archiver
from chatkit.documents import message_document
from chatkit.message import Message, Received
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.waiting import wait_until

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
BY_HAND, HISTORY = (
    next(path for path in NOTEBOOKS if path.stem == name)
    for name in ("02-build-your-own", "03-history")
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

GENERATED_ID = re.compile(r"[0-9a-f]{8}|[0-9a-f-]{32,36}")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w:/.<)])/(?:home|Users|tmp|work|root|usr|var|opt|mnt)\b|[A-Z]:\\"
)
FORBIDDEN = re.compile(r"[!%]\s*pip\b|sys\.path|\bsleep\(|!\s*conda\b")


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a kernel find this test's Kafka and MongoDB, as a user's does: by its environment."""
    for name, value in {
        "CHATKIT_USER": settings.user,
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
        "CHATKIT_TOPIC_PREFIX": settings.topic_prefix,
        "CHATKIT_SYSTEM_PREFIX": settings.system_prefix,
    }.items():
        monkeypatch.setenv(name, value)


def run(path: Path, folder: Path, instead: Mapping[str, str] | None = None) -> Any:
    """Return a notebook, run from top to bottom in a kernel of its own; fail with the cell.

    `instead` has other sources for some cells, by id.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = (instead or {}).get(cell.id, cell.source)
    client = NotebookClient(
        notebook,
        timeout=90,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        pytest.fail(f"{path.name} fails in this cell:\n{error}", pytrace=False)
    return notebook


def text_of(notebook: Any) -> str:
    """Return all that the cells of a notebook printed and returned, as text."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found.append(output.get("text", ""))
            found.append(output.get("data", {}).get("text/plain", ""))
    return "\n".join(found)


def solution_of(notebook: Any, cell_id: str = "exercise-solution") -> str:
    """Return the code in a folded solution."""
    text = next(cell.source for cell in notebook.cells if cell.id == cell_id)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(code)


def outputs_of(notebook: Any, cell_id: str) -> list[Any]:
    return next(cell.outputs for cell in notebook.cells if cell.id == cell_id)


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("environment")
@each_notebook
def test_a_notebook_runs_twice_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    run(path, tmp_path)
    run(path, tmp_path)


@pytest.mark.usefixtures("environment")
def test_the_history_notebook_says_what_to_do_about_an_empty_archive(tmp_path: Path) -> None:
    notebook = run(HISTORY, tmp_path)
    assert "0 messages" in text_of(notebook)
    assert "01-chat.ipynb" in text_of(notebook)


@pytest.mark.usefixtures("environment")
def test_the_history_notebook_shows_what_is_in_the_archive(
    store: MessageStore, tmp_path: Path
) -> None:
    day = 86_400_000
    store.messages.insert_many(
        message_document(
            Received(
                topic="t",
                partition=0,
                offset=number,
                appended_ms=1_767_225_600_000 + number % 9 * day,
                item=Message.new(["general", "tools"][number % 2], "ana", f"text {number}"),
            ),
            topic_id="topic",
            archived_ms=1_767_225_600_000,
        )
        for number in range(40)
    )
    notebook = run(HISTORY, tmp_path)
    text = text_of(notebook)
    assert "40 messages" in text
    assert "18 rows, 0 of them with 0 messages" in text
    (figure,) = outputs_of(notebook, "draw-the-days")
    traces = figure["data"]["application/vnd.plotly.v1+json"]["data"]
    assert {trace["name"] for trace in traces} == {"general", "tools"}


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("name", "pictures"), [("03-history", 1), ("04-channel-statistics", 6), ("05-conversations", 5)]
)
def test_statistics_notebooks_draw_the_sample(
    name: str,
    pictures: int,
    settings: Settings,
    archiver_factory: Callable[..., Archiver],
    tmp_path: Path,
) -> None:
    archiver_factory()
    assert sample.add(settings) == len(sample.items())
    assert sample.add(settings) == 0, "what is there is not sent again"
    notebook = run(next(path for path in NOTEBOOKS if path.stem == name), tmp_path)
    assert "68 messages" in text_of(notebook)
    figures = [
        output["data"]["application/vnd.plotly.v1+json"]["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(figures) == pictures
    assert all(figures), "each has something to show"


def test_a_failing_notebook_shows_its_cell(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("apples = 3\napples / 0", id="divide")]
    )
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    with pytest.raises(pytest.fail.Exception, match=r"apples / 0[\s\S]*ZeroDivisionError"):
        run(tmp_path / "wrong.ipynb", tmp_path)


@each_notebook
def test_a_notebook_is_committed_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata, "widget state would hold messages"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", cell.id), f"not a readable id: {cell.id}"
        assert not GENERATED_ID.fullmatch(cell.id), f"give cell {cell.id} an id that says something"
        if cell.cell_type == "code":
            assert cell.outputs == [], f"cell {cell.id} has outputs"
            assert cell.execution_count is None, f"cell {cell.id} has been run"


@each_notebook
def test_a_notebook_installs_nothing_and_knows_no_machine(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not ABSOLUTE_PATH.search(cell.source), f"cell {cell.id} has a path of one machine"
        if cell.cell_type == "code":
            assert not FORBIDDEN.search(cell.source), f"cell {cell.id} does what it must not"


@each_notebook
def test_a_notebook_begins_and_ends_as_all_do(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert "minutes" in cells[0].source
    last = [cell.source for cell in cells if cell.cell_type == "markdown"][-1]
    assert "can now" in last


@pytest.mark.usefixtures("environment")
def test_the_chat_built_by_hand_sends_what_is_typed_and_shows_what_was_sent(
    store: MessageStore, archiver_factory: Callable[..., Archiver], tmp_path: Path
) -> None:
    archiver_factory()
    notebook = run(BY_HAND, tmp_path)
    wait_until(lambda: store.messages.find_one({"body": "Typed by a program"}), 30)
    assert "Not yet: line_of gave None" in text_of(notebook)
    again = run(BY_HAND, tmp_path, instead={"exercise-stub": solution_of(notebook)})
    assert "Right." in text_of(again)
    (lines,) = [
        widget["state"]["outputs"]
        for widget in again.metadata.widgets["application/vnd.jupyter.widget-state+json"][
            "state"
        ].values()
        if widget["model_name"] == "OutputModel"
    ]
    shown = "".join(line["text"] for line in lines)
    assert "ana: Typed by a program\n" in shown
    assert "(not sent: Into the void)\n" in shown
