"""Moved to chatkit.errors; kept for an hour."""

from chatkit.errors import NeedsOwnBrokersError, WorkshopTimeoutError

__all__ = ["NeedsOwnBrokersError", "WorkshopTimeoutError"]
