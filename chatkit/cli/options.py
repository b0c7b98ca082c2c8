"""What several commands share: the option that names a local stack, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chatkit.errors import LocalServiceError
from chatkit.settings import Settings, read_local_state

__all__ = ["DataOption", "settings_for"]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data folder of a local stack: talk to the one that runs there.",
        show_default=False,
    ),
]


def settings_for(data: Path | None) -> Settings:
    """Return the settings of a command that talks to Kafka and MongoDB.

    Parameters
    ----------
    data : Path or None
        What ``--data`` named: the stack that runs there is meant, whatever the environment says.

    Raises
    ------
    LocalServiceError
        ``--data`` was given, and nothing runs there.
    """
    if data is None:
        return Settings()
    state = read_local_state(data.expanduser().absolute())
    if state is None:
        raise LocalServiceError(
            f"No local stack runs in {data}. Start it with 'chatkit up --data {data}'"
        )
    settings = Settings(
        data_dir=data, bootstrap_servers=state.bootstrap_servers, mongo_uri=state.mongo_uri
    )
    chosen = "database" in settings.model_fields_set
    return settings if chosen else settings.replace(database=state.database)
