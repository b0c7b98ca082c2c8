"""From where a widget speaks to its pages."""

from __future__ import annotations

import contextvars

__all__ = ["outside_of_cells"]


def outside_of_cells() -> contextvars.Context:
    """Return a context in which what a widget sends belongs to no cell.

    Else ipykernel 7.4 sends what a page answers to whoever sent last: to the main thread, where it
    would wait for the running cell, while the page has a thread of its own (a subshell).
    """
    context = contextvars.copy_context()
    for variable in context:
        if variable.name == "shell_parent":
            context.run(variable.set, {})
    return context
