"""Exercises of w4: rebalancing.

=============  ==========================  ======================================================
check          is handed                   looks at
=============  ==========================  ======================================================
``unnoticed``  ``learner``, ``tills``      whether one of the function's two members can be
                                           restarted without a rebalance
``punctual``   ``learner``, ``packer``     whether the function's member keeps its partitions while
                                           its work takes long
=============  ==========================  ======================================================

Both start the members that the functions return, and stop them. The second asks for a member of a
new topic in the learner's own corner, ``w4-quiz-...``, with ten records.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kafka.admin import MemberToRemove

from chatkit.errors import BrokerRefusedError
from chatkit.workshop.asking import ask as ask_kafka
from chatkit.workshop.check import Right, Wrong, ask, exercise, shown
from chatkit.workshop.member import Member
from chatkit.workshop.notes import Handled
from chatkit.workshop.sender import Sender

if TYPE_CHECKING:
    from chatkit.workshop.learner import Learner

__all__ = ["punctual", "unnoticed"]

TILLS = "tills-2"
PACKERS = "slow-packers"
QUIZ = "w4-quiz"
PARCELS = 10
"""As many as one poll of a Member brings, unless it is told otherwise."""
WORK = 0.4
"""Seconds for each parcel."""
PATIENCE = 2.0
"""Seconds between two polls after which the group gives a packer up."""
PACKING_SECONDS = 12.0
COMMIT_SECONDS = 3.0
"""In which a packer that commits now and then must have done so."""
MOST_PATIENCE = 4.5
"""After so many seconds a packer that hangs should be out of its group."""


@exercise(
    "w4",
    "Write a function tills() that returns two members of group 'tills-2' that read topic "
    "'orders', of which the second can be stopped and started again without the first noticing.",
    {
        "untried": "{call} returned {answer}; two members are asked for, such as "
        "[Member(learner, ...), Member(learner, ...)].",
        "elsewhere": "{name} reads {topics} in group {group}; asked for are topic {topic} and "
        "group {wanted}.",
        "fenced": "Both members have the same instance, so Kafka threw one out when the other "
        "came: {error}. Each needs a name of its own.",
        "refused": "These two can't be in one group: {error}.",
        "rebalanced": "{second} was stopped and started again, and the group went from generation "
        "{before} to {after}; {first} noted: {events}. Who is to come back without a rebalance "
        "needs a name that it keeps: Member(..., instance='till-1').",
    },
)
def unnoticed(learner: Learner, answer: object) -> Right | Wrong:
    """Restart the second of the learner's two members, and see what the first notes."""
    given = ask(answer)
    members = list(given) if isinstance(given, list | tuple) else []
    different = len({id(one) for one in members if isinstance(one, Member)})
    if len(members) != 2 or different != 2:
        return Wrong("untried", call="tills()", answer=shown(given))
    first, second = members
    _check_places(members, learner.topic("orders"), learner.group(TILLS))
    learner.create("orders", partitions=4)
    try:
        return _restart(first, second)
    except BrokerRefusedError as error:
        told = str(error).rstrip(".")
        if "as instance" in told:
            return Wrong("fenced", error=told)
        return Wrong("refused", error=told)
    finally:
        for member in members:
            member.stop()
        _clear(learner, TILLS)


def _restart(first: Member, second: Member) -> Right | Wrong:
    for member in (first, second):
        member.start()
    Member.wait_until_stable([first, second])
    before, noted = first.generation, len(first.history)
    second.stop()
    second.start()
    Member.wait_until_stable([first, second])
    events = [event.kind for event in first.history[noted:] if event.kind in ("revoked", "lost")]
    if first.generation != before or events:
        return Wrong(
            "rebalanced",
            first=first.name,
            second=second.name,
            before=before,
            after=first.generation,
            events=", ".join(events) or "nothing",
        )
    return Right(
        f"{second.name} was stopped and started again, the group is still in generation {before}, "
        f"and {first.name} noted nothing."
    )


@exercise(
    "w4",
    "Write a function packer(topic) that returns a member of group 'slow-packers' that takes 0.4 "
    "seconds for each message of the topic, and keeps its partitions, although the group gives up "
    "whoever does not poll for 2 seconds.",
    {
        "untried": "{call} returned {answer}; a member is asked for.",
        "elsewhere": "{name} reads {topics} in group {group}; asked for are topic {topic} and "
        "group {wanted}.",
        "lost": "The packer handled {handled} parcels in {seconds:.1f} s and lost its partitions; "
        "{committed} of the {parcels} parcels are committed, and the rest comes again. The "
        "heartbeats went on all the time, so it is not the session: it is the poll that came too "
        "late. How many parcels does one poll bring?",
        "work": "The packer took {seconds:.2f} s for a parcel. The work is what it is, {work} s: "
        "let it poll more often instead.",
        "patience": "All is packed. But then the packer was made to hang, and the group still "
        "counted on it {seconds:.0f} s later: with such a max_poll_interval nobody would notice. "
        "Leave it at {patience} s, and let the packer poll more often instead.",
        "static": "All is packed. But the packer was made to hang, and the group still counted on "
        "it {seconds:.0f} s later: a static member says no goodbye, so its session has to end "
        "first. Do without the instance.",
        "committed": "All {parcels} parcels are packed, and {committed} are committed: whoever "
        "comes next packs the others once more. Leave commit='after'.",
        "few": "The packer has handled {handled} of {parcels} parcels in {seconds:.0f} s, and is "
        "{state}. They were there before it came: does it read from the beginning?",
    },
)
def punctual(learner: Learner, answer: object) -> Right | Wrong:
    """Let the learner's member handle the quiz, then make it hang."""
    topic = _quiz(learner)
    given = ask(answer, topic)
    if not isinstance(given, Member):
        return Wrong("untried", call=f"packer({topic!r})", answer=shown(given))
    _check_places([given], topic, learner.group(PACKERS))
    try:
        given.start()
        return _pack(learner, given, topic)
    finally:
        given.resume()
        given.stop()
        _clear(learner, PACKERS)


def _pack(learner: Learner, packer: Member, topic: str) -> Right | Wrong:
    begun, noted = time.monotonic(), len(packer.handled)

    def handled() -> Sequence[Handled]:
        return packer.handled[noted:]

    def committed() -> int:
        return packer.committed.get((topic, 0), 0)

    _wait(lambda: _has_lost(packer) or len(handled()) >= PARCELS, PACKING_SECONDS)
    _wait(lambda: _has_lost(packer) or committed() >= PARCELS, COMMIT_SECONDS)
    seen: dict[str, object] = {
        "seconds": time.monotonic() - begun,
        "handled": len(handled()),
        "committed": committed(),
        "parcels": PARCELS,
        "state": packer.state,
        "work": WORK,
        "patience": PATIENCE,
    }
    times = [one.at_ms / 1000 for one in handled()]
    took = min((late - early for early, late in itertools.pairwise(times)), default=WORK)
    if took < 0.9 * WORK:
        return Wrong("work", **{**seen, "seconds": took})
    if _has_lost(packer):
        return Wrong("lost", **seen)
    if len(handled()) < PARCELS:
        return Wrong("few", **seen)
    if committed() < PARCELS:
        return Wrong("committed", **seen)
    packer.pause()
    hung = time.monotonic()
    inspector = learner.inspector
    gone = _wait(
        lambda: packer.name not in set(inspector.members(packer.group)["client"]), MOST_PATIENCE
    )
    seconds = time.monotonic() - hung
    if not gone and inspector.members(packer.group)["instance"].notna().any():
        return Wrong("static", **{**seen, "seconds": seconds})
    if not gone:
        return Wrong("patience", **{**seen, "seconds": seconds})
    return Right(
        f"{PARCELS} parcels are packed and committed, the partitions were never lost, and when "
        f"the packer hung, the group gave it up after {seconds:.1f} s."
    )


def _has_lost(packer: Member) -> bool:
    return any(event.kind in ("lost", "commit refused") for event in packer.history)


def _quiz(learner: Learner) -> str:
    """Return a new topic with all parcels: of an old one the group has committed some."""
    topic = learner.create(f"{QUIZ}-{uuid.uuid4().hex[:6]}", partitions=1)
    with Sender(learner, topic, name="post") as sender:
        sender.send(PARCELS)
        sender.flush()
    return topic


def _clear(learner: Learner, group: str) -> None:
    """Remove static members, which a group keeps after their end and would mix with the next."""
    found = learner.inspector.members(learner.group(group))["instance"].dropna()
    if len(found):
        left = [MemberToRemove(group_instance_id=instance) for instance in found]
        ask_kafka(
            learner.settings, lambda admin: admin.remove_group_members(learner.group(group), left)
        )


def _check_places(members: Iterable[Member], topic: str, group: str) -> None:
    for member in members:
        if member.topics != (topic,) or member.group != group:
            raise Wrong(
                "elsewhere",
                name=member.name,
                topics=", ".join(member.topics),
                group=member.group,
                topic=topic,
                wanted=group,
            )


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    """Return whether something came about in time."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
