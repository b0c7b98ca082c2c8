"""Notebook pages for benchmarks: what those that look at a browser share."""

from __future__ import annotations

import uuid

from kafka.admin import KafkaAdminClient

from chatkit.channels import Channels
from chatkit.settings import Settings
from chatkit.store import MessageStore
from tests.browser import Lab, NotebookPage


def environment(settings: Settings) -> dict[str, str]:
    """Return what tells a kernel where Kafka and MongoDB are."""
    return {
        "CHATKIT_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHATKIT_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "CHATKIT_DATABASE": settings.database,
        "CHATKIT_TOPIC_PREFIX": settings.topic_prefix,
        "CHATKIT_SYSTEM_PREFIX": settings.system_prefix,
    }


def open_cell(lab: Lab, name: str, cell: str) -> NotebookPage:
    """Open a notebook of one cell in a browser context of its own, and run it."""
    lab.write_notebook(name, [cell])
    page = lab.open_notebook(name)
    page.run_all()
    return page


def delete_all(settings: Settings, channels: Channels, store: MessageStore) -> None:
    """Delete all that the benchmark made in Kafka and MongoDB."""
    for channel in channels.find():
        channels.delete(channel)
    admin = KafkaAdminClient(**settings.kafka_config())
    admin.delete_topics([settings.channels_topic, settings.presence_topic])
    admin.close()
    store.database.client.drop_database(settings.database)


def with_own_names(settings: Settings, word: str) -> Settings:
    """Return settings with topics and a database that nobody else has."""
    name = f"{word}{uuid.uuid4().hex[:8]}"
    return settings.replace(
        topic_prefix=f"{name}.chat.", system_prefix=f"{name}.chatkit.", database=name
    )
