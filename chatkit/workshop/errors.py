"""The errors of the workshop, beside those of chatkit.errors, and when.

::

    ChatkitError
    ├── WorkshopTimeoutError        something did not come about in time
    └── InputError
        └── NeedsOwnBrokersError    an experiment on brokers that chatkit did not start
"""

from __future__ import annotations

from chatkit.errors import ChatkitError, InputError

__all__ = ["NeedsOwnBrokersError", "WorkshopTimeoutError"]


class WorkshopTimeoutError(ChatkitError):
    """Something did not come about in time.

    The text says what was waited for and how long, what was seen last, and what to do.
    """


class NeedsOwnBrokersError(InputError):
    """Only brokers that chatkit started can be stopped, killed or paused."""
