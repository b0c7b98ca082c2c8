"""Notebook pages for benchmarks: what those that look at a browser share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.admin import KafkaAdminClient

from chatkit.channels import Channels
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.browser import Lab, NotebookPage
from tests.commands import environment
from tests.names import with_own_names


@contextmanager
def own_names(settings: Settings, word: str, *channels: str) -> Iterator[tuple[Settings, Lab]]:
    """Give settings with names of their own, and a JupyterLab to be started that uses them.

    What is made under these names in Kafka and MongoDB is deleted in the end.

    Parameters
    ----------
    settings : Settings
        Where Kafka and MongoDB are.
    word : str
        What the names begin with.
    *channels : str
        Channels to make.
    """
    own = with_own_names(settings, word)
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-bench-") as folder,
        Channels(own) as known,
        MessageStore(own) as store,
    ):
        try:
            for channel in channels:
                known.create(channel)
            yield own, Lab(Path(folder), environment(own))
        finally:
            _delete_all(own, known, store)


def open_cell(lab: Lab, name: str, cell: str) -> NotebookPage:
    """Open a notebook of one cell in a browser context of its own, and run it."""
    lab.write_notebook(name, [cell])
    page = lab.open_notebook(name)
    page.run_all()
    return page


def _delete_all(settings: Settings, channels: Channels, store: MessageStore) -> None:
    for channel in channels.find():
        channels.delete(channel)
    admin = KafkaAdminClient(**settings.kafka_config())
    admin.delete_topics([settings.channels_topic, settings.presence_topic])
    admin.close()
    store.database.client.drop_database(settings.database)
