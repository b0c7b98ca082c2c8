"""Checks of exercises: they look at the real Kafka, and tell the usual wrong answers apart.

``check.diary(learner)`` is the check of the exercise of that name; the exercises themselves are in
`chatkit.workshop.exercises`, one module a notebook. A check never raises for what somebody
answered, nor for a Kafka that is away: it returns a `Result`, which shows itself in a notebook.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from chatkit.errors import ChatkitError

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["ANSWER_SECONDS", "Exercise", "Result", "Right", "Wrong", "ask", "exercise", "shown"]

ANSWER_SECONDS = 20.0
"""How long somebody's function may take."""
SHOWN = 200
"""Characters of an answer that are shown."""

State = Literal["right", "not yet", "not checked"]

ALL_HINTS = {
    "not a function": "Hand over the function itself, by its name alone: without brackets after "
    "it. This check was given {given}.",
    "raises": "{call} raised {error}. Call it yourself in a cell of its own: Python then shows "
    "the line.",
    "too long": "{call} was not done after {seconds:g} s. A loop such as "
    "'for record in consumer' never ends by itself: read while the position is below the end.",
}
"""Hints that any exercise may give."""


class Right(msgspec.Struct, frozen=True):
    """A check found the answer right."""

    seen: str
    """What was looked at, and found, in Kafka: a sentence."""


class Wrong(Exception):
    """A check found the answer wrong. Raised, or returned, by the function that looks.

    Parameters
    ----------
    hint : str
        Which hint of the exercise is the one to give.
    **values
        What to put into its text.
    """

    def __init__(self, hint: str, **values: object) -> None:
        super().__init__(hint)
        self.hint = hint
        self.values = values


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found; true if the answer is right."""

    exercise: str
    """Name of the exercise."""
    notebook: str
    """Which notebook it is in, such as ``w1``."""
    state: State
    """``right``; ``not yet``; ``not checked``: Kafka could not be asked."""
    hint: str = ""
    """Which hint it is; empty unless the state is ``not yet``."""
    text: str = ""
    """The hint, or what was found, or why there was no check."""
    note: str = ""
    """Why the result could not be noted for `chatkit.workshop.progress`; empty if it was."""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{self._mark} {self._word} {self.text}"]
        if self.note:
            lines.append(f"(Not noted in your progress: {self.note})")
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def _mark(self) -> str:
        return {"right": "✓", "not yet": "✗", "not checked": "?"}[self.state]

    @property
    def _word(self) -> str:
        return {"right": "Right.", "not yet": "Not yet.", "not checked": "Not checked."}[self.state]

    def _repr_html_(self) -> str:
        kind = {"right": "success", "not yet": "warn", "not checked": "error"}[self.state]
        note = (
            f'<div style="color: var(--jp-ui-font-color2, #666)">Not noted in your progress: '
            f"{escape(self.note)}</div>"
            if self.note
            else ""
        )
        return (
            f'<div role="status" style="border-left: 4px solid var(--jp-{kind}-color1, #888); '
            "padding: 0.4em 0.8em; white-space: pre-line; "
            'color: var(--jp-ui-font-color1, inherit)">'
            f"<b>{self._mark} {self._word}</b> {escape(self.text)}{note}</div>"
        )


Look = Callable[..., Right | Wrong]


class Exercise(msgspec.Struct, frozen=True, kw_only=True):
    """An exercise: what is asked, and how the answer is checked. Call it to check one."""

    name: str
    """Its name, and that of its check."""
    notebook: str
    """Which notebook it is in, such as ``w1``."""
    task: str
    """What is asked, in a sentence or two."""
    hints: Mapping[str, str]
    """The usual wrong answers, each with its hint; values to come in braces."""
    look: Look
    """Looks at the answer and at Kafka."""

    def __call__(self, learner: Learner, *answer: Any) -> Result:
        """Check an answer, and note the result in the learner's progress.

        Parameters
        ----------
        learner : Learner
            Whose answer, and on which Kafka.
        *answer
            What the exercise asks to be handed over.

        Returns
        -------
        Result
            Shows itself; true if the answer is right. Takes half a minute at most.
        """
        from chatkit.workshop.progress import note

        result = self._result(learner, answer)
        return result if result.state == "not checked" else note(learner, result)

    def _result(self, learner: Learner, answer: tuple[Any, ...]) -> Result:
        try:
            found = self.look(learner, *answer)
        except Wrong as wrong:
            found = wrong
        except ChatkitError as error:
            return self._make("not checked", text=str(error))
        if isinstance(found, Right):
            return self._make("right", text=found.seen)
        hints = {**ALL_HINTS, **self.hints}
        return self._make(
            "not yet", hint=found.hint, text=hints[found.hint].format_map(found.values)
        )

    def _make(self, state: State, *, hint: str = "", text: str) -> Result:
        return Result(exercise=self.name, notebook=self.notebook, state=state, hint=hint, text=text)

    def __repr__(self) -> str:
        return f"<Exercise {self.notebook} {self.name}: {self.task}>"


def exercise(notebook: str, task: str, hints: Mapping[str, str]) -> Callable[[Look], Exercise]:
    """Make an exercise of the function that looks at its answers, under the function's name.

    The function gets the learner and the answer, and returns `Right`, or returns or raises `Wrong`.

    Parameters
    ----------
    notebook : str
        Which notebook it is in, such as ``w1``.
    task : str
        What is asked, in a sentence or two.
    hints : mapping of str to str
        The usual wrong answers, each with its hint.
    """

    def make(look: Look) -> Exercise:
        return Exercise(
            name=getattr(look, "__name__", ""), notebook=notebook, task=task, hints=hints, look=look
        )

    return make


def ask(function: Any, *arguments: Any, seconds: float = ANSWER_SECONDS) -> Any:
    """Return what a learner's function answers, called on a thread of its own.

    Parameters
    ----------
    function : callable
        The learner's.
    *arguments
        What to call it with.
    seconds : float, default 20
        How long it may take; one that takes longer is left alone.

    Raises
    ------
    Wrong
        It is no function, raises something, or takes too long.
    """
    if not callable(function):
        raise Wrong("not a function", given=shown(function))
    call = f"{getattr(function, '__name__', 'It')}({', '.join(map(shown, arguments))})"
    answers: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="chatkit-answer", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        error = errors[0]
        raise Wrong("raises", call=call, error=f"{type(error).__name__}: {error}") from error
    if not answers:
        raise Wrong("too long", call=call, seconds=seconds)
    return answers[0]


def shown(value: object) -> str:
    """Return a value as Python writes it, cut off where it gets long."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):  # Python asks for some while the exercises are loading
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chatkit.workshop.exercises import catalogue

    known = catalogue()
    if name not in known:
        raise AttributeError(
            f"There is no exercise {name!r}; there are: " + ", ".join(sorted(known))
        )
    return known[name]


def __dir__() -> list[str]:
    from chatkit.workshop.exercises import catalogue

    return sorted([*__all__, *catalogue()])
