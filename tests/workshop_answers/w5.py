from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "unread": "that is the lag, as monitors show it",
    "missed": "a dict such as {0: 0, 2: 4} is asked for",
    "depot": "has no members now",
}

WRONG: Wrong = [
    {
        "unread": (
            (
                "def unread(group, topic):\n"
                "    offsets = learner.inspector.offsets(group)\n"
                '    first = offsets[["committed", "log_start"]].max(axis=1)\n'
                '    return int((offsets["log_end"] - first).sum())'
            ),
            "Partition 1 is missing",
        ),
        "missed": (
            (
                "def missed(group, topic):\n"
                '    offsets = learner.inspector.offsets(group).set_index("partition")\n'
                '    return (offsets["log_start"] - offsets["committed"]).to_dict()'
            ),
            "so nothing was missed: 0",
        ),
        "depot": (
            (
                "depot = [worker(1).start()]\n"
                "Scoreboard(senders=[courier], members=depot).wait_until_seen()"
            ),
            "With more members it goes quicker",
        ),
    },
    {
        "unread": (
            (
                "def unread(group, topic):\n"
                "    offsets = learner.inspector.offsets(group)\n"
                '    read = offsets.set_index("partition")["committed"]\n'
                "    return sum(\n"
                "        part.log_end - read.get(part.partition, 0)\n"
                "        for part in learner.inspector.partitions(topic).itertuples()\n"
                "    )"
            ),
            "reading begins where the log begins",
        ),
        "missed": (
            (
                "def missed(group, topic):\n"
                '    offsets = learner.inspector.offsets(group).set_index("partition")\n'
                '    return offsets["lag"].to_dict()'
            ),
            "that is the lag, what has still to be read",
        ),
        "depot": (
            (
                "depot = [worker(number).start() for number in range(1, 6)]\n"
                "Scoreboard(senders=[courier], members=depot).wait_until_seen()"
            ),
            "More members than partitions are of no use",
        ),
    },
]
