from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatkit
from chatkit import errors
from chatkit.errors import ChatkitError, InputError, SendError, ServiceError
from chatkit.message import Message

PACKAGE = Path(chatkit.__file__).parent
MODULES = {
    ".".join(("chatkit", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py"
}


def public_definitions(path: Path) -> list[str]:
    """Return the functions and classes of a file whose names begin with no underscore.

    Without those that a decorator hands to the command line, which are reached through that.
    """
    return [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not any(
            ast.unparse(one).startswith(("app.command(", "app.callback("))
            for one in node.decorator_list
        )
    ]


def listed(path: Path) -> list[str] | None:
    """Return a file's ``__all__``, or None."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def sorted_as_ruff_does(names: list[str]) -> list[str]:
    """Return names sorted: constants, then classes, then functions."""

    def kind(name: str) -> int:
        return 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2

    def natural(name: str) -> list[object]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    return sorted(names, key=lambda name: (kind(name), natural(name)))


# What is public: every function and class without an underscore is in the ``__all__`` of the module
# that defines it, so that a private helper has an underscore, and ``__all__`` can be believed.


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_and_class_is_listed_in_its_module(module: str) -> None:
    defined = public_definitions(MODULES[module])
    names = listed(MODULES[module])
    if names is None:
        assert not defined, "the module needs an __all__"
    else:
        assert [name for name in defined if name not in names] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_name_that_is_listed_is_there_once_and_in_order(module: str) -> None:
    names = listed(MODULES[module]) or []
    there = importlib.import_module(module)
    assert [name for name in names if not hasattr(there, name)] == []
    assert names == sorted_as_ruff_does(names)
    assert len(set(names)) == len(names)


# The error tree.


def classes() -> dict[str, type[BaseException]]:
    return {
        name: one
        for name, one in vars(errors).items()
        if inspect.isclass(one) and issubclass(one, BaseException)
    }


def drawn() -> Iterator[tuple[str, str | None, str]]:
    """Yield each name in the drawing, the name that it hangs from, and its sentence."""
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"    ([│├└─ ]*)(\w+Error)  +(\S.*)", line)
        if found:
            depth = len(found[1])
            while above and above[-1][0] >= depth:
                above.pop()
            yield found[2], above[-1][1] if above else None, found[3]
            above.append((depth, found[2]))


def test_every_error_is_drawn_where_it_hangs_in_the_tree() -> None:
    tree = {name: parent for name, parent, _ in drawn()}
    assert set(tree) == set(classes())
    for name, parent in tree.items():
        base = classes()[name].__bases__[0].__name__
        assert base == ("Exception" if parent is None else parent)


def test_every_error_has_a_sentence_in_the_drawing_and_one_of_its_own() -> None:
    for name, _, sentence in drawn():
        assert len(sentence.split()) > 3
        assert classes()[name].__doc__ not in (None, classes()[name].__base__.__doc__)


def test_every_error_is_either_the_callers_mistake_or_the_worlds() -> None:
    for one in classes().values():
        assert issubclass(one, ChatkitError)
        if one not in (ChatkitError, InputError, ServiceError):
            assert issubclass(one, InputError) != issubclass(one, ServiceError)


def test_the_callers_mistakes_are_value_errors_and_the_worlds_are_not() -> None:
    assert issubclass(InputError, ValueError)
    assert not issubclass(ServiceError, ValueError)


SIGNALS = {"NotYetError", "Wrong"}
"""Raised to chatkit's own callers and caught by them: no user ever meets one."""


@pytest.mark.parametrize("module", MODULES)
def test_no_other_module_defines_public_errors(module: str) -> None:
    if module == "chatkit.errors":
        return
    there = importlib.import_module(module)
    own = [
        name
        for name in public_definitions(MODULES[module])
        if inspect.isclass(one := getattr(there, name))
        and issubclass(one, BaseException)
        and not issubclass(one, Warning)
    ]
    assert set(own) <= SIGNALS


def test_a_send_error_gives_the_message_back() -> None:
    message = Message.new("general", "ana", "Hello")
    error = SendError("No broker answered within 5 s", message)
    assert error.item is message
    assert str(error) == "No broker answered within 5 s"


NOT_RAISED_HERE = {"ChatkitError", "InputError", "ServiceError"}
"""Roots, to be caught."""


def test_every_error_is_raised_somewhere() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for name, path in MODULES.items()
        if name != "chatkit.errors"
    )
    unused = {name for name in classes() if f"{name}(" not in text} - NOT_RAISED_HERE
    assert unused == set()
