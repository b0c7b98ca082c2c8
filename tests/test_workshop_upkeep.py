"""How often a Kafka tidies up is what its brokers say."""

from __future__ import annotations

from chatkit.settings import Settings
from chatkit.workshop import LabCluster, Learner
from chatkit.workshop.upkeep import Upkeep


def test_the_workshops_own_brokers_tidy_up_within_a_second(lab_cluster: LabCluster) -> None:
    assert Upkeep.of(lab_cluster.learner("ana")) == Upkeep(retention=1.0, compaction=0.5)


def test_any_other_kafka_does_within_minutes(settings: Settings) -> None:
    assert Upkeep.of(Learner("ana", settings=settings)) == Upkeep(retention=300.0, compaction=15.0)
