from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "crew": "has no members now",
    "audit": "has committed nothing",
    "window": "A group shares what there is",
}

CREW = (
    'learner.create("crates", partitions=PARTITIONS)\n'
    "crew = [\n"
    '    Member(learner, GROUP, "crates", name=f"packer-{number}").start()\n'
    "    for number in range(4)\n"
    "]"
)
WINDOW = "from kafka import KafkaConsumer\n\n\ndef open_window(topic):\n"

WRONG: Wrong = [
    {
        "crew": (
            CREW.replace("PARTITIONS", "3").replace("GROUP", '"crew"'),
            "packer-3 of group",
        ),
        "audit": (
            (
                'one = Member(learner, "audit", "bills", name="one")\n'
                "one.crash_after(5, crash_before_commit=False)\n"
                "one.start(timeout=0)\n"
                "one.wait_until_ended()"
            ),
            "has read 5 of 20 records",
        ),
        "window": (
            (
                "import uuid\n"
                + WINDOW
                + '    group = learner.group(f"window-{uuid.uuid4().hex}")\n'
                "    return KafkaConsumer(topic, group_id=group, **cluster.settings.kafka_config())"
            ),
            "Both groups stay in Kafka",
        ),
    },
    {
        "crew": (
            CREW.replace("PARTITIONS", "4").replace("GROUP", 'f"crew-{number}"'),
            "Members share only what is read by the same group",
        ),
        "audit": (
            (
                'with Member(learner, "audit", "bills", name="one", commit="none") as one:\n'
                "    one.wait_until_handled(20)"
            ),
            "has committed nothing",
        ),
        "window": (
            (
                WINDOW + "    consumer = KafkaConsumer(**cluster.settings.kafka_config())\n"
                "    consumer.assign([TopicPartition(topic, 0)])\n"
                "    consumer.seek_to_end()\n"
                "    return consumer"
            ),
            "those of partition(s) 0",
        ),
    },
]
