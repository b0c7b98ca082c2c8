"""What the stubs of the workshop's notebooks are told, and two wrong answers to each exercise.

A module a notebook. ``STUBS`` has a part of the hint that the stub gets, by exercise and in the
order of the notebook; ``WRONG`` has two dictionaries of exercise to a wrong answer and a part of
the hint that it gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Stubs", "Wrong"]

Stubs = Mapping[str, str]
Wrong = Sequence[Mapping[str, tuple[str, str]]]
