"""The workshop's notebooks run, twice, on one cluster; their exercises tell right from wrong."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from chatkit.workshop import LabCluster
from tests.test_notebooks import (
    ABSOLUTE_PATH,
    FORBIDDEN,
    GENERATED_ID,
    outputs_of,
    run,
    solution_of,
)

NOTEBOOKS = sorted(
    (Path(__file__).parents[1] / "notebooks" / "workshop").glob("w*.ipynb"),
    key=lambda path: int(path.stem.split("-")[0][1:]),
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
ALWAYS = {"w1", "w6"}
"""Which run with all other tests; ``make workshop-test`` runs all."""
each_run = pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=() if path.stem.split("-")[0] in ALWAYS else pytest.mark.workshop,
        )
        for path in NOTEBOOKS
    ],
)
BEGIN = """\
from chatkit.workshop import LabCluster

cluster = LabCluster.for_notebook()
learner = cluster.learner()
learner.reset()"""
BEGIN_OWN = BEGIN.replace("for_notebook()", "for_notebook(own=True)")


@pytest.fixture
def environment(lab_cluster: LabCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a kernel find the cluster that is there, as in a class that shares one."""
    monkeypatch.setenv("CHATKIT_BOOTSTRAP_SERVERS", lab_cluster.bootstrap_servers)
    monkeypatch.setenv("CHATKIT_WORKSHOP", "shared")
    monkeypatch.setenv("CHATKIT_USER", "ana")
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(tmp_path / "data"))


def answers_of(path: Path) -> Any:
    """Return what is known of the answers to a notebook's exercises."""
    return importlib.import_module(f"tests.workshop_answers.{path.stem.split('-')[0]}")


def solutions_of(path: Path) -> dict[str, str]:
    """Return the folded solution of each stub of a notebook, by the stub's id."""
    notebook = nbformat.read(path, as_version=4)
    return {
        cell.id: solution_of(notebook, cell.id.replace("-stub", "-solution"))
        for cell in notebook.cells
        if cell.id.endswith("-stub")
    }


def found_by(notebook: Any) -> dict[str, str]:
    """Return what each check of a notebook that was run said, by the exercise's name."""
    return {
        cell.id.removesuffix("-check"): outputs_of(notebook, cell.id)[0]["data"]["text/plain"]
        for cell in notebook.cells
        if cell.id.endswith("-check")
    }


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("environment")
@each_run
def test_a_notebook_runs_twice_its_stubs_fail_and_its_solutions_pass(
    path: Path, tmp_path: Path
) -> None:
    stubs = found_by(run(path, tmp_path))
    expected = answers_of(path).STUBS
    assert list(stubs) == list(expected)
    for name, hint in expected.items():
        assert stubs[name].startswith("✗ Not yet."), stubs[name]
        assert hint in stubs[name]
    solved = found_by(run(path, tmp_path, instead=solutions_of(path)))
    for text in solved.values():
        assert text.startswith("✓ Right."), text


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
@each_run
def test_wrong_answers_get_their_hint(path: Path, which: int, tmp_path: Path) -> None:
    answers = answers_of(path)
    planted = answers.WRONG[which]
    assert list(planted) == list(answers.STUBS)
    instead = {f"{name}-stub": source for name, (source, _) in planted.items()}
    found = found_by(run(path, tmp_path, instead=instead))
    for name, (_, hint) in planted.items():
        assert found[name].startswith("✗ Not yet."), found[name]
        assert hint in found[name], found[name]


@each_notebook
def test_a_notebook_is_committed_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", cell.id), f"not a readable id: {cell.id}"
        assert not GENERATED_ID.fullmatch(cell.id), f"give cell {cell.id} an id that says something"
        assert not ABSOLUTE_PATH.search(cell.source), f"cell {cell.id} has a path of one machine"
        if cell.cell_type == "code":
            assert cell.outputs == [], f"cell {cell.id} has outputs"
            assert cell.execution_count is None, f"cell {cell.id} has been run"
            assert not FORBIDDEN.search(cell.source), f"cell {cell.id} does what it must not"


@each_notebook
def test_a_notebook_begins_and_ends_as_all_of_the_workshop_do(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith(f"# {path.stem.split('-')[0]} · ")
    assert "minutes" in cells[0].source
    assert [cell.id for cell in cells[1:2]] == ["begin"]
    last = [cell.source for cell in cells if cell.cell_type == "markdown"][-1]
    assert "can now" in last
    assert "What we learned" in last
    assert cells[-1].source.endswith("cluster.close()")


@each_notebook
def test_each_exercise_of_a_notebook_has_stub_check_and_solution(path: Path) -> None:
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    exercises = [one.removeprefix("exercise-") for one in ids if one.startswith("exercise-")]
    assert len(exercises) >= 2
    for name in exercises:
        at = ids.index(f"exercise-{name}")
        assert ids[at : at + 4] == [
            f"exercise-{name}",
            *(f"{name}-{part}" for part in ("stub", "check", "solution")),
        ]


def test_all_notebooks_begin_with_the_same_cell() -> None:
    for path in NOTEBOOKS:
        source = nbformat.read(path, as_version=4).cells[1].source
        assert source == (BEGIN_OWN if path.stem.startswith("w8") else BEGIN)
