"""Exercises of w8: brokers fail.

=============  =====================================  ===========================================
check          is handed                              looks at
=============  =====================================  ===========================================
``vault``      ``learner``                            the learner's topic ``vault``
``careful``    ``learner``, ``cluster``, ``careful``  what is left of what the function's Sender
                                                      sent, once the leader is killed
``thin``       ``learner``, ``cluster``, ``thin``     what the function says with all brokers
                                                      running, and with one of them killed
=============  =====================================  ===========================================

The last two break brokers, and make them whole again. They do so to topics ``w8-careful`` and
``w8-thin`` in the learner's own corner.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from numbers import Integral
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from chatkit.errors import ChatkitError, WorkshopTimeoutError
from chatkit.wording import counted
from chatkit.workshop.asking import NotYetError, wait_for
from chatkit.workshop.asking import ask as ask_kafka
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.cluster import LabCluster
from chatkit.workshop.scoreboard import Scoreboard
from chatkit.workshop.sender import Sender

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["careful", "thin", "vault"]

SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
FEW, MANY = 20, 100
"""Messages before, and while, the followers stand still."""
STILL_SECONDS = 0.6
"""Half of how long they do: less than a broker's session, or they would count as dead."""
HEAL_SECONDS = 60.0


@exercise(
    "w8",
    "Make a topic 'vault' that loses no acknowledged message when one broker fails, whichever it "
    "is, and that can still be written to then.",
    {
        "no topic": "There is no topic {topic} on this Kafka. learner.create('vault', ...) makes "
        "it.",
        "copies": "Partition {partition} of {topic} has {counted}, on {brokers}. When one broker "
        "fails, two copies must be left: one to go on with, and one more so that what is then "
        "written is not on a single disk. A topic keeps the replicas it was made with: "
        "learner.reset() removes it.",
        "one is enough": "{topic} has min.insync.replicas={value}: acks='all' asks all replicas "
        "that are in sync, and that may be the leader alone. What only it has is lost with it. "
        "learner.reset() removes the topic, then make it with another config.",
        "no room": "{topic} has min.insync.replicas={value} and {counted}: with one broker down "
        "there are {left} left, and nobody can write to it. learner.reset() removes the topic, "
        "then make it with another config.",
        "unclean": "{topic} has unclean.leader.election.enable=true: Kafka may make a replica the "
        "leader that lacks acknowledged messages, and they are gone. Leave it at false.",
    },
)
def vault(learner: Learner) -> Right | Wrong:
    """Look at the learner's topic ``vault``."""
    topic = learner.topic("vault")
    replicas, config = ask_kafka(learner.settings, lambda admin: _shape(admin, topic))
    if not replicas:
        return Wrong("no topic", topic=topic)
    thinnest = min(replicas, key=lambda partition: len(replicas[partition]))
    copies = len(replicas[thinnest])
    told = {"topic": topic, "counted": counted(copies, "replica")}
    if copies < 3:
        brokers = " and ".join(f"broker {broker}" for broker in replicas[thinnest])
        return Wrong("copies", partition=thinnest, brokers=brokers, **told)
    needed = int(config["min.insync.replicas"])
    if needed < 2:
        return Wrong("one is enough", value=needed, **told)
    if needed > copies - 1:
        return Wrong("no room", value=needed, left=copies - 1, **told)
    if config["unclean.leader.election.enable"] != "false":
        return Wrong("unclean", **told)
    return Right(
        f"{topic} has {counted(copies, 'replica')}, of which {needed} must have a message before "
        "it is acknowledged. One broker may fail, and it is written to all the same."
    )


def _shape(admin: KafkaAdminClient, topic: str) -> tuple[dict[int, list[int]], dict[str, str]]:
    """Return on which brokers each partition is, and how the topic is configured."""
    (found,) = admin.describe_topics([topic])
    if found["error_code"] != 0 or not found["partitions"]:
        return {}, {}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, list(SAFE))
    values = admin.describe_configs([resource], config_filter="all")["topic"][topic]
    return (
        {one["partition_index"]: list(one["replica_nodes"]) for one in found["partitions"]},
        {name: str(values[name]["value"]) for name in SAFE},
    )


@exercise(
    "w8",
    "Write a function careful(topic) that returns a Sender to that topic which loses no message, "
    "even if the leader dies while it sends.",
    {
        "no sender": "careful({topic!r}) returned {answer}; a Sender is asked for.",
        "elsewhere": "The Sender that careful returned writes to {other}, not to {topic}, which it "
        "was given.",
        "useless": "The Sender that careful returned could not be used: {error} Return one that is "
        "open: without 'with', and without closing it.",
        "nobody": "{lost} of {sent} messages are lost, and the sender does not know: with acks=0 "
        "a message counts as acknowledged when it has left, and nobody is asked whether it came.",
        "leader alone": "{early} messages were acknowledged while both followers stood still, so "
        "nobody but the leader had them. Then the leader was killed, and {lost} are lost in all. "
        "Who must have a message before it is acknowledged?",
        "gave up": "{failed} of {sent} messages failed ({error}), and were not sent once more. "
        "Nothing was acknowledged and lost, but they are not in the topic either. A sender must "
        "try again until the new leader is there, some seconds: look at retries and "
        "delivery_timeout.",
        "lost": "{lost} of {sent} messages were acknowledged and are lost.",
    },
)
def careful(learner: Learner, cluster: LabCluster, answer: object) -> Right | Wrong:
    """Kill the leader under the learner's Sender, in the way that surely loses with ``acks=1``."""
    cluster.heal(timeout=HEAL_SECONDS)
    topic = learner.create("w8-careful", partitions=1, replicas=3, config=SAFE)
    sender = ask(answer, topic)
    if not isinstance(sender, Sender):
        return Wrong("no sender", topic=topic, answer=shown(sender))
    try:
        if sender.topic != topic:
            return Wrong("elsewhere", topic=topic, other=sender.topic)
        return _try_out(cluster, topic, sender)
    finally:
        for broker in cluster.broker_states():
            cluster.resume(broker)
        sender.close(timeout=1.0)
        cluster.heal(timeout=HEAL_SECONDS)


def _try_out(cluster: LabCluster, topic: str, sender: Sender) -> Right | Wrong:
    try:
        sender.send(FEW)
    except (ChatkitError, RuntimeError) as error:
        return Wrong("useless", error=error)
    with contextlib.suppress(WorkshopTimeoutError):
        sender.flush(timeout=10.0)
    leader = cluster.wait_for_leader(topic)
    followers = cluster.broker_states().keys() - {leader}
    for broker in followers:
        cluster.pause(broker)
    # One message answers the fetches that wait at the leader: what comes next goes to nobody.
    for count in (1, MANY):
        sender.send(count)
        with contextlib.suppress(WorkshopTimeoutError):
            sender.flush(timeout=STILL_SECONDS)
    early = sum(one.acknowledged for one in sender.sent[FEW + 1 :])
    cluster.kill(leader)
    for broker in followers:
        cluster.resume(broker)
    cluster.wait_for_leader(topic, other_than=leader)
    with contextlib.suppress(WorkshopTimeoutError):
        sender.flush()
    # Whatever was not acknowledged by now will not be.
    score = Scoreboard.of_topic(cluster.settings, topic, sender).count()
    failed = [one for one in sender.sent if not one.acknowledged]
    told: dict[str, Any] = {"sent": score.sent, "lost": score.lost, "early": early}
    if any(one.acknowledged and one.offset is None for one in sender.sent):
        return Wrong("nobody", **told)
    if early > MANY / 2:
        return Wrong("leader alone", **told)
    if failed:
        return Wrong("gave up", failed=len(failed), error=failed[0].error or "no answer", **told)
    if score.lost:
        return Wrong("lost", **told)
    twice = f" {score.doubled} are there twice: idempotent=True avoids it." if score.doubled else ""
    return Right(
        f"Broker {leader} was killed while it led, {score.sent} messages were acknowledged, and "
        f"all of them are there.{twice}"
    )


@exercise(
    "w8",
    "Write a function thin(topic) that returns the numbers of the partitions of a topic which have "
    "fewer replicas in sync than they should have.",
    {
        "untried": "thin({topic!r}) returned {answer}; a list of partitions' numbers is asked for, "
        "such as [0, 2], empty if all is well.",
        "always": "thin({topic!r}) returned {answer} while all brokers ran, and no partition "
        "lacked a replica: each has 2, and is to have 2. Compare what is in sync with the replicas "
        "of the partition itself.",
        "never": "thin({topic!r}) returned {answer} with broker {broker} down. Partitions {right} "
        "have a replica on it. All have a leader, for another one took over: it is not the "
        "leaders that tell, but who is in sync.",
        "led": "thin({topic!r}) returned {answer} with broker {broker} down: those that it led. "
        "Others have a copy there too, and have lost that: {right}.",
        "other": "thin({topic!r}) returned {answer} with broker {broker} down. The partitions with "
        "a replica on it are {right}.",
    },
)
def thin(learner: Learner, cluster: LabCluster, answer: object) -> Right | Wrong:
    """Ask the learner's function with all brokers running, and with one of them killed."""
    cluster.heal(timeout=HEAL_SECONDS)
    topic = learner.create("w8-thin", partitions=3, replicas=2)
    cluster.wait_for_replicas(topic, 2)
    replicas, _ = ask_kafka(learner.settings, lambda admin: _shape(admin, topic))
    given = _numbers(topic, ask(answer, topic))
    if given:
        return Wrong("always", topic=topic, answer=sorted(given))
    broker = cluster.wait_for_leader(topic)
    right = {partition for partition, brokers in replicas.items() if broker in brokers}
    led = {partition for partition, brokers in replicas.items() if brokers[0] == broker}
    try:
        cluster.kill(broker)
        _wait_without(cluster, topic, broker)
        given = _numbers(topic, ask(answer, topic))
    finally:
        cluster.heal(timeout=HEAL_SECONDS)
    told = {"topic": topic, "answer": sorted(given), "broker": broker, "right": sorted(right)}
    if given == right:
        return Right(
            f"With all brokers running there were none; with broker {broker} down, partitions "
            f"{sorted(right)} of {topic}."
        )
    if not given:
        return Wrong("never", **told)
    if given == led:
        return Wrong("led", **told)
    return Wrong("other", **told)


def _numbers(topic: str, given: object) -> set[int]:
    """Return a learner's answer as a set, or raise what is wrong with it."""
    if hasattr(given, "tolist"):  # a column of a frame
        given = given.tolist()
    if isinstance(given, Collection) and all(
        isinstance(one, Integral) and not isinstance(one, bool) for one in given
    ):
        return {int(one) for one in given}
    raise Wrong("untried", topic=topic, answer=shown(given))


def _wait_without(cluster: LabCluster, topic: str, broker: int) -> None:
    """Wait until a broker that is down counts as out of sync, and all partitions have a leader."""

    def look(admin: KafkaAdminClient) -> None:
        (found,) = admin.describe_topics([topic])
        if any(broker in one["isr_nodes"] or one["leader_id"] < 0 for one in found["partitions"]):
            raise NotYetError(f"broker {broker} counts as in sync")

    wait_for(
        cluster.settings,
        f"broker {broker} to be out of sync",
        look,
        advice="Look at broker_states(), and call heal().",
    )
