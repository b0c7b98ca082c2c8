from __future__ import annotations

from tests.workshop_answers import Stubs, Wrong

STUBS: Stubs = {
    "unnoticed": "Who is to come back without a rebalance",
    "punctual": "How many parcels does one poll bring?",
}

WRONG: Wrong = [
    {
        "unnoticed": (
            (
                "def tills():\n"
                "    return [\n"
                '        Member(learner, "tills-2", "orders", name=name, instance="till")\n'
                '        for name in ("ana", "ben")\n'
                "    ]"
            ),
            "Each needs a name of its own",
        ),
        "punctual": (
            (
                "def packer(topic):\n"
                "    return Member(\n"
                '        learner, "slow-packers", topic, name="dora", work=0.4,\n'
                "        max_poll_interval=300.0,\n"
                "    )"
            ),
            "with such a max_poll_interval nobody would notice",
        ),
    },
    {
        "unnoticed": (
            (
                "def tills():\n"
                "    return [\n"
                '        Member(learner, "tills-2", "orders", name=name, session_timeout=30.0)\n'
                '        for name in ("ana", "ben")\n'
                "    ]"
            ),
            "Who is to come back without a rebalance",
        ),
        "punctual": (
            (
                "def packer(topic):\n"
                "    return Member(\n"
                '        learner, "slow-packers", topic, name="dora", work=0.1,\n'
                "        max_poll_interval=2.0,\n"
                "    )"
            ),
            "The work is what it is",
        ),
    },
]
