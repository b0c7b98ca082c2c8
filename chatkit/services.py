"""Which Kafka and MongoDB are meant: somebody's, a local stack that runs, or one to start.

Looks at settings and at the local stack's state file only; nothing is started or asked here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from chatkit.errors import SettingsError
from chatkit.settings import Settings, read_local_state

__all__ = ["Services", "find_services"]


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Which Kafka and MongoDB are meant."""

    settings: Settings
    """Where they are, or, if they are to be started, in which folder."""
    local: bool
    """Whether they are this machine's local stack."""
    running: bool
    """Whether they need not be started: the local stack runs, or they are somebody else's."""


def find_services(data: Path | None = None) -> Services:
    """Return which Kafka and MongoDB to use: a local stack, unless an address is set.

    Parameters
    ----------
    data : Path, optional
        Data folder of a local stack that is meant whatever the environment says.

    Raises
    ------
    SettingsError
        A setting is wrong.
    """
    given = Settings() if data is None else Settings(data_dir=data)
    if data is not None:
        state = read_local_state(given.data_dir)
        if state is None:
            return Services(settings=given, local=True, running=False)
        settings = given.replace(
            bootstrap_servers=state.bootstrap_servers,
            mongo_uri=state.mongo_uri,
            database=state.database,
        )
        return Services(settings=settings, local=True, running=True)
    if not given.model_fields_set & {"bootstrap_servers", "mongo_uri"}:
        return Services(settings=given, local=True, running=False)
    state = None
    with suppress(SettingsError):  # with an address set, nobody needs to look into that folder
        state = read_local_state(given.data_dir)
    local = state is not None and (
        given.bootstrap_servers == state.bootstrap_servers
        and given.mongo_uri.get_secret_value() == state.mongo_uri
    )
    return Services(settings=given, local=local, running=True)
