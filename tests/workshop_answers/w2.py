from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "shop": "No record has a key",
    "place": "Python's hash()",
    "story": "one partition after the other",
}

AGAIN = 'learner.reset()\nlearner.create("shop", partitions=3)\n'
WRITE = (
    'with Sender(learner, "shop") as writer:\n'
    '    for step in ("placed", "paid", "packed", "sent"):\n'
    "        for order in range(1, 13):\n"
    '            writer.send(key=KEY, text=f"{order} {step}")\n'
    "    writer.flush()"
)

WRONG: Wrong = [
    {
        "shop": (AGAIN + WRITE.replace("KEY", "step"), "The key is the step"),
        "place": (
            "def place(key, partitions):\n    return murmur2(key.encode()) % partitions",
            "whose highest bit is the sign",
        ),
        "story": (
            (
                "def story(topic, key):\n"
                "    now = (murmur2(key.encode()) & 0x7FFFFFFF) % 4\n"
                "    records = [one for one in read(topic, [now]) if one.key == key.encode()]\n"
                '    return [json.loads(record.value)["text"] for record in records]'
            ),
            "the partition to which the key goes now",
        ),
    },
    {
        "shop": (AGAIN + WRITE.replace("KEY", '"shop"'), "nobody can share the work"),
        "place": (
            "def place(key, partitions):\n    return (murmur2(key.encode()) & 0x7FFFFFFF) % 3",
            "does the function use partitions?",
        ),
        "story": (
            (
                "def story(topic, key):\n"
                "    records = [one for one in read(topic) if one.key == key]\n"
                '    return [json.loads(record.value)["text"] for record in records]'
            ),
            "compare with key.encode()",
        ),
    },
]
