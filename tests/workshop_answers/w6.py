from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "receive": "offset(s) 14 to 19 were never handled",
    "book": "what came twice was added twice",
}

WRONG: Wrong = [
    {
        "receive": (
            (
                "def receive(consumer, handle):\n"
                "    for records in consumer.poll(timeout_ms=500).values():\n"
                "        for record in records:\n"
                "            handle(record)"
            ),
            "Where is the commit?",
        ),
        "book": (
            (
                "def book(books, payment):\n"
                '    books[payment.partition, payment.offset] = payment.value["amount"]'
            ),
            "each lies at two offsets",
        ),
    },
    {
        "receive": (
            (
                "def receive(consumer, handle):\n"
                "    for records in consumer.poll(timeout_ms=500).values():\n"
                "        for record in records:\n"
                "            try:\n"
                "                handle(record)\n"
                "            except Exception:\n"
                "                pass\n"
                "    consumer.commit()"
            ),
            "went on as if nothing had been",
        ),
        "book": (
            (
                "known = set()\n\n\n"
                "def book(books, payment):\n"
                "    if payment.id not in known:\n"
                "        known.add(payment.id)\n"
                '        books["sum"] = books.get("sum", 0) + payment.value["amount"]'
            ),
            "a function's own memory",
        ),
    },
]
