from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "vault": "There is no topic",
    "careful": "acknowledged while both followers stood still",
    "thin": "it is not the leaders that tell",
}

WRONG: Wrong = [
    {
        "vault": ('learner.create("vault", partitions=1)', "has min.insync.replicas=1"),
        "careful": (
            "def careful(topic):\n    return Sender(learner, topic, idempotent=False, retries=0)",
            "were not sent once more",
        ),
        "thin": (
            (
                "def thin(topic):\n"
                "    rows = view.refresh().frame\n"
                '    return list(rows["partition"][rows["topic"] == topic])'
            ),
            "while all brokers ran",
        ),
    },
    {
        "vault": (
            'learner.create("vault", replicas=3, config={"min.insync.replicas": 3})',
            "nobody can write to it",
        ),
        "careful": (
            "def careful(topic):\n    return Sender(learner, topic, acks=0, idempotent=False)",
            "nobody is asked whether it came",
        ),
        "thin": (
            (
                "def thin(topic):\n"
                "    admin = KafkaAdminClient(**cluster.settings.kafka_config())\n"
                "    (found,) = admin.describe_topics([topic])\n"
                "    admin.close()\n"
                "    return [\n"
                '        one["partition_index"]\n'
                '        for one in found["partitions"]\n'
                '        if one["leader_id"] != one["replica_nodes"][0]\n'
                "    ]"
            ),
            "those that it led",
        ),
    },
]
