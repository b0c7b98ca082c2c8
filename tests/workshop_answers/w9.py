from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "stock": "There is no topic",
    "table": "a dict of key to value is asked for",
    "ledger": "no 'ana -5' or no 'ben +5' that counts",
}

BANK = (
    'ledger = learner.create("ledger", partitions=1)\n'
    'ledger_id = f"{learner.prefix}ledger"\n'
    'with Sender(learner, "ledger", name="bank", transactional_id=ledger_id) as bank:\n'
)

WRONG: Wrong = [
    {
        "stock": (
            (
                'learner.create("stock", partitions=1)\n'
                'with Sender(learner, "stock", name="shop") as shop:\n'
                '    for fruit, number in [("apples", "2"), ("pears", "5"), ("plums", "7")]:\n'
                "        shop.send(key=fruit, value=number)\n"
                '    shop.send_tombstone("plums")\n'
                "    shop.flush()"
            ),
            "cleanup.policy=delete",
        ),
        "table": (
            (
                "def table(topic):\n"
                "    records = learner.inspector.records(topic)\n"
                '    return dict(zip(records["key"], records["value"]))'
            ),
            "that key was deleted",
        ),
        "ledger": (
            (
                'ledger = learner.create("ledger", partitions=1)\n'
                'with Sender(learner, "ledger", name="bank") as bank:\n'
                '    for text in ("ana -5", "ben +5", "ana -900", "ben +900"):\n'
                "        bank.send(text=text)\n"
                "    bank.flush()"
            ),
            "was not taken back",
        ),
    },
    {
        "stock": (
            (
                'learner.create("stock", partitions=1, config={"cleanup.policy": "compact"})\n'
                'with Sender(learner, "stock", name="shop") as shop:\n'
                '    for fruit, number in [("apples", "3"), ("pears", "5"), ("plums", "7")]:\n'
                "        shop.send(key=fruit, value=number)\n"
                '    shop.send(key="apples", value="2")\n'
                '    shop.send(key="plums", value="")\n'
                "    shop.flush()"
            ),
            "it keeps it for ever",
        ),
        "table": (
            (
                "def table(topic):\n"
                "    found = {}\n"
                "    for record in learner.inspector.records(topic).itertuples():\n"
                "        if record.value:\n"
                "            found[record.key] = record.value\n"
                "        else:\n"
                "            found.pop(record.key, None)\n"
                "    return found"
            ),
            "an empty text, which is a value",
        ),
        "ledger": (
            (
                f"{BANK}"
                "    with bank.transaction():\n"
                '        bank.send(text="ana -5")\n'
                "    with bank.transaction():\n"
                '        bank.send(text="ben +5")\n'
                "    with bank.transaction() as mistake:\n"
                '        bank.send(text="ana -900")\n'
                '        bank.send(text="ben +900")\n'
                "        bank.flush()\n"
                "        mistake.abort()"
            ),
            "they were sent in two transactions",
        ),
    },
]
