from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "swift": "messages were in a request, not 150",
    "deliver": "its future does",
}

WRONG: Wrong = [
    {
        "swift": (
            (
                "settings = {\n"
                '    "acks": 0,\n'
                '    "enable_idempotence": False,\n'
                '    "batch_size": 131_072,\n'
                '    "linger_ms": 20,\n'
                '    "compression_type": "lz4",\n'
                "}"
            ),
            "With acks=0",
        ),
        "deliver": (
            (
                "def deliver(producer, topic, texts):\n"
                "    refused = []\n"
                "    for text in texts:\n"
                "        future = producer.send(topic, text.encode())\n"
                "        producer.flush()\n"
                "        if future.failed():\n"
                "            refused.append(text)\n"
                "    return refused"
            ),
            "It takes a request for each text",
        ),
    },
    {
        "swift": (
            (
                "settings = {\n"
                '    "acks": "all",\n'
                '    "batch_size": 131_072,\n'
                '    "linger_ms": 5000,\n'
                '    "compression_type": "lz4",\n'
                "}"
            ),
            "linger_ms=5000",
        ),
        "deliver": (
            (
                "def deliver(producer, topic, texts):\n"
                "    futures = [producer.send(topic, text.encode()) for text in texts]\n"
                "    for future in futures:\n"
                "        future.get(timeout=20)\n"
                "    return []"
            ),
            "the refusal of one text ended it",
        ),
    },
]
