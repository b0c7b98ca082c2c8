from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "adder": "Nobody was answered",
    "broom": "nothing was deleted",
    "tally": "messages that were deleted are still counted",
}

ADDER = (
    "def answer(message):\n"
    "    if {condition}:\n"
    "        return None\n"
    "    total = sum(int(number) for number in message.body.split()[1:])\n"
    "    return Message.new(\n"
    '        message.channel, "adder", str(total), reply_to=message.id, bot=True{more}\n'
    "    )"
)
BROOM = (
    "from chatkit.message import Edit\n"
    "from chatkit.workshop.exercises.w10 import new_annex\n\n"
    "annex = new_annex(learner)\n\n\n"
    "def tidy(handled):\n"
    "    item = item_of(handled, annex)\n"
    "{body}\n\n\n"
    'with Member(learner, f"{{annex}}-moderation", f"chat.{{annex}}", name="broom", handle=tidy):\n'
    '    wait_until("all is read", lambda: unread(f"{{annex}}-moderation") == 0)'
)

WRONG: Wrong = [
    {
        "adder": (
            ADDER.format(condition='message.bot or not message.body.startswith("!sum ")', more=""),
            "each has an id of its own",
        ),
        "broom": (
            BROOM.format(
                body=(
                    "    if not isinstance(item, Message) or item.bot:\n"
                    "        return\n"
                    '    if "https://" in item.body:\n'
                    '        event = Delete.new(annex, "moderation", item.id)\n'
                    "        producer.send(event, author=item.author).result(20)"
                )
            ),
            "got this text by an edit",
        ),
        "tally": (
            (
                "def tally(items):\n"
                "    found = [one.item for one in items if isinstance(one, Received)]\n"
                "    gone = {one.target for one in found if isinstance(one, Delete)}\n"
                "    said = {one.id: one.author for one in found if isinstance(one, Message)}\n"
                "    return Counter(author for name, author in said.items() if name not in gone)"
            ),
            "Somebody has deleted what is not theirs",
        ),
    },
    {
        "adder": (
            ADDER.format(
                condition='not message.body.startswith("!sum ")', more=', id=f"sum-{message.id}"'
            ),
            "A message of a bot was answered",
        ),
        "broom": (
            BROOM.format(
                body=(
                    '    if isinstance(item, Message | Edit) and "https://" in item.body:\n'
                    "        if isinstance(item, Message) and item.bot:\n"
                    "            return\n"
                    "        target = item.id if isinstance(item, Message) else item.target\n"
                    '        producer.send(Delete.new(annex, "moderation", target)).result(20)'
                )
            ),
            "under different ids",
        ),
        "tally": (
            (
                "def tally(items):\n"
                "    found = [one.item for one in items if isinstance(one, Received)]\n"
                "    authors = {one.id: one.author for one in found if isinstance(one, Message)}\n"
                "    gone = {\n"
                "        one.target\n"
                "        for one in found\n"
                "        if isinstance(one, Delete)\n"
                '        and one.actor in (authors.get(one.target), "moderation")\n'
                "    }\n"
                "    return Counter(\n"
                "        one.author\n"
                "        for one in found\n"
                "        if isinstance(one, Message) and one.id not in gone\n"
                "    )"
            ),
            "count each id once",
        ),
    },
]
