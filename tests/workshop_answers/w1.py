from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "diary": "There is no topic",
    "held": "returned None",
    "since": "offsets at which the logs begin",
}

WRONG: Wrong = [
    {
        "diary": ('learner.create("diary", partitions=3)', "has 3 partition(s), not 2"),
        "held": (
            (
                "def held(topic):\n"
                "    numbers = consumer.partitions_for_topic(topic)\n"
                "    ends = consumer.end_offsets([TopicPartition(topic, one) for one in numbers])\n"
                "    return sum(ends.values())"
            ),
            "the sum of the end offsets",
        ),
        "since": (
            (
                "def since(topic, time_ms):\n"
                "    numbers = consumer.partitions_for_topic(topic)\n"
                "    parts = [TopicPartition(topic, one) for one in numbers]\n"
                "    found = consumer.offsets_for_times(dict.fromkeys(parts, time_ms))\n"
                "    return {part.partition: found[part].offset for part in parts}"
            ),
            "Kafka answers None",
        ),
    },
    {
        "diary": (
            (
                'learner.create("diary", partitions=2)\n'
                'with Sender(learner, "diary") as writer:\n'
                '    writer.send(10, keys=[f"key {number}" for number in range(10)])\n'
                "    writer.flush()"
            ),
            "Partition 0 holds",
        ),
        "held": (
            (
                "def held(topic):\n"
                "    part = TopicPartition(topic, 0)\n"
                "    return consumer.end_offsets([part])[part]"
            ),
            "what one partition holds",
        ),
        "since": (
            (
                "def since(topic, time_ms):\n"
                "    numbers = consumer.partitions_for_topic(topic)\n"
                "    ends = consumer.end_offsets([TopicPartition(topic, one) for one in numbers])\n"
                "    return {part.partition: ends[part] for part in ends}"
            ),
            "offsets at which the logs end",
        ),
    },
]
