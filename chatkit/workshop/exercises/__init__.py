"""The exercises of the workshop, one module a notebook.

A module holds its notebook's exercises in the order of the notebook: what is asked, what is handed
to the check, and the usual wrong answers with their hints.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from chatkit.workshop.check import Exercise

__all__ = ["catalogue", "in_notebook"]


def catalogue() -> dict[str, Exercise]:
    """Return every exercise by name, in the order of the notebooks."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {
        one.name: one
        for name in sorted(names, key=lambda name: (len(name), name))
        for one in in_notebook(name)
    }


def in_notebook(name: str) -> tuple[Exercise, ...]:
    """Return the exercises of a notebook, such as ``w1``, in its order."""
    module = import_module(f"{__name__}.{name}")
    return tuple(one for one in vars(module).values() if isinstance(one, Exercise))
