"""What libraries raise for bad data, made into one error that says what is wrong with them."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from chatkit.errors import InputError

__all__ = ["telling"]


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn what Arrow, pandas and plotly raise for bad data within the block into InputError."""
    try:
        yield
    except InputError:
        raise
    except _BAD_DATA as error:
        # Arrow's have more arguments, for itself.
        words = error.args[0] if error.args and not isinstance(error, UnicodeError) else error
        reason = str(words) or type(error).__name__
        line = " ".join(reason.split())
        raise InputError(f"{what}: {line[:200]}") from error


# Where metadata lie, it ends in nearly any of Python's own errors.
_BAD_DATA = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # also Arrow's "not implemented", and too deep a recursion
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # where warnings are errors
    struct.error,
)
