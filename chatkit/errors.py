"""Every error that chatkit raises on purpose, and when.

::

    ChatkitError                    root: catch this to catch all of chatkit's own errors
    ├── InputError                  the caller's mistake; trying again will not help
    │   ├── SettingsError           a setting is missing or wrong; names its variable
    │   ├── ChannelNameError        this text can't be the name of a channel
    │   ├── ChannelExistsError      a channel of that name is there already
    │   ├── ChannelNotFoundError    no channel of that name is on this Kafka
    │   ├── InvalidMessageError     not a message that we can send, or a record that is none
    │   ├── NotAllowedError         only the author edits; author or moderator deletes
    │   ├── QueryError              a query can't be parsed; points at the place
    │   ├── ImportFormatError       a file is not in the format that was named
    │   └── NeedsOwnBrokersError    an experiment on brokers that chatkit did not start
    └── ServiceError                the outside world did not do its part; it may later
        ├── BrokerUnavailableError  no Kafka broker answered in time
        │   └── BrokerRefusedError  one answered, but won't have us, or won't do it
        ├── SendError               a message was not acknowledged; carries the message
        ├── StoreUnavailableError   MongoDB did not answer in time
        │   └── StoreRefusedError   it answered, but won't have us, or won't do it
        ├── LocalServiceError       a local server can't start; shows the end of its log
        └── WorkshopTimeoutError    what a lesson waits for did not come about in time

Using an object after ``close()`` or before ``open()`` is a bug in the calling program and raises
RuntimeError. This module knows nothing of Kafka, MongoDB or widgets.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BrokerRefusedError",
    "BrokerUnavailableError",
    "ChannelExistsError",
    "ChannelNameError",
    "ChannelNotFoundError",
    "ChatkitError",
    "ImportFormatError",
    "InputError",
    "InvalidMessageError",
    "LocalServiceError",
    "NeedsOwnBrokersError",
    "NotAllowedError",
    "QueryError",
    "SendError",
    "ServiceError",
    "SettingsError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "WorkshopTimeoutError",
]


class ChatkitError(Exception):
    """Root of chatkit's errors."""


class InputError(ChatkitError, ValueError):
    """Something that the caller passed can't be used as it is."""


class SettingsError(InputError):
    """A setting is missing or wrong; the text names the variable to change."""


class ChannelNameError(InputError):
    """The text is not a channel name: 1-80 of a-z, 0-9, ``-``, ``_``, first a letter or digit."""


class ChannelExistsError(InputError):
    """A channel of that name exists already."""


class ChannelNotFoundError(InputError):
    """There is no channel of that name on this Kafka."""


class InvalidMessageError(InputError):
    """A message breaks a rule of the wire format, or a record is no message at all."""


class NotAllowedError(InputError):
    """The user may not do that to this message."""


class QueryError(InputError):
    """A query can't be parsed; the text is the query with a mark under the place.

    Parameters
    ----------
    reason : str
        What is wrong, and how it would be right.
    query : str
        The query.
    at : int
        The place in the query, from 0.
    """

    def __init__(self, reason: str, query: str, at: int) -> None:
        # Only a space can't move the mark.
        shown = "".join(char if char.isprintable() else " " for char in query)
        super().__init__(f"{shown}\n{' ' * at}^ {reason}")
        self.reason = reason
        self.query = query
        self.at = at


class ImportFormatError(InputError):
    """A file or folder is not in the format that it was said to be in."""


class NeedsOwnBrokersError(InputError):
    """Only brokers that chatkit started can be stopped, killed or paused."""


class ServiceError(ChatkitError):
    """A server, or the network to it, failed; the same call may work later."""


class BrokerUnavailableError(ServiceError):
    """No Kafka broker answered within the time allowed, or it refused the connection."""


class BrokerRefusedError(BrokerUnavailableError):
    """Kafka answers, but does not let us in, or not do this; until a setting or a right changes."""


class SendError(ServiceError):
    """Kafka did not acknowledge a message in time.

    Failed means unknown: the message may still be in Kafka, so sending it again must keep its id.

    Parameters
    ----------
    text : str
        What happened, after how long, and what to do.
    item : Message or Event
        What was to be sent, whole, so that no text is lost.
    """

    def __init__(self, text: str, item: Any) -> None:
        super().__init__(text)
        self.item = item


class StoreUnavailableError(ServiceError):
    """MongoDB did not answer within the time allowed, or it refused the connection."""


class StoreRefusedError(StoreUnavailableError):
    """MongoDB answers, but does not let us in, or not do this; until a setting or role changes."""


class LocalServiceError(ServiceError):
    """A local Kafka or mongod could not be fetched or started; the text ends with its log."""


class WorkshopTimeoutError(ServiceError):
    """What a lesson waits for did not come about in time.

    The text says what was waited for and how long, what was seen last, and what to do.
    """
