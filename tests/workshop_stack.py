"""A cluster of three brokers for the workshop's tests, to break and to mend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatkit.settings import Settings
from chatkit.workshop.cluster import LabCluster

__all__ = ["healed_cluster", "lab_cluster"]


@pytest.fixture(scope="session")
def lab_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """Three real brokers and a controller, shared by all tests; leave them as they were."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("lab"), user="ana")
    with LabCluster(settings=settings, progress=print) as cluster:
        yield cluster


@pytest.fixture
def healed_cluster(lab_cluster: LabCluster) -> Iterator[LabCluster]:
    """The same, to break: afterwards all brokers run and lead as before."""
    yield lab_cluster
    lab_cluster.heal(timeout=60)
