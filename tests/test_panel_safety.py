"""Hostile texts in the panel: each is typed or sent, shown on two pages, and does nothing.

The pages fail on any dialog, script run and request to another machine (`tests.browser`); here is
also looked for elements and attributes that nobody but a text could have made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.errors import InvalidMessageError
from chatkit.message import Attachment, Message, React, encode
from chatkit.producer import ChatProducer
from chatkit.room import ChatRoom
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until
from tests.xss import FILES, NAMES, PAYLOADS

Open = Callable[..., NotebookPage]

TRAP = """() => {
    // What payloads try to call, or to set.
    window.caught = [];
    for (const name of ["alert", "confirm", "prompt", "print", "open"]) {
        window[name] = (...args) => { window.caught.push([name, String(args[0])]); };
    }
    window.before = document.querySelectorAll("script, iframe, object, embed, base, meta").length;
    const run = window.jupyterapp.commands.execute.bind(window.jupyterapp.commands);
    window.jupyterapp.commands.execute = (id, args) => {
        if (window.watching) window.caught.push(["command", id]);
        return run(id, args);
    };
}"""

LOOK = """host => {
    const found = [];
    const tags = "p br hr h1 h2 h3 h4 h5 h6 blockquote ul ol li strong em s a span code pre "
        + "table thead tbody tr th td div button label mark";
    const names = "class href target rel start lang dir title type tabindex role hidden";
    const text = new Set(tags.split(" "));
    const harmless = new Set(names.split(" "));
    for (const body of host.shadowRoot.querySelectorAll(".body")) {
        for (const element of body.querySelectorAll("*")) {
            const tag = element.localName;
            // Icons of the panel's own buttons.
            if (element.closest("svg") && element.closest("button")) continue;
            if (!text.has(tag)) found.push(`<${tag}>`);
            for (const { name, value } of element.attributes) {
                const fine = harmless.has(name) || name.startsWith("aria-");
                if (!fine) found.push(`${tag} ${name}=${value}`);
                if (name === "href" && !/^(https?|mailto):/i.test(value)) found.push(value);
            }
        }
    }
    for (const element of host.shadowRoot.querySelectorAll("*")) {
        for (const { name } of element.attributes) {
            if (/^(on|data-commandlinker)/.test(name)) found.push(name);
        }
        if (/^(script|iframe|object|embed|base|meta|link|form-|math)$/.test(element.localName)) {
            found.push(`<${element.localName}>`);
        }
    }
    const now = document.querySelectorAll("script, iframe, object, embed, base, meta").length;
    if (now !== window.before) found.push(`${now - window.before} elements in the page`);
    return [...found, ...window.caught.map(String)];
}"""


TYPE = """(host, texts) => {
    const box = host.shadowRoot.querySelector("textarea");
    for (const text of texts) {
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        // Escape closes what is offered to complete it.
        for (const key of ["Escape", "Enter"]) {
            box.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        }
    }
}"""


def can_be_sent(text: str) -> bool:
    """Return whether a text is a message: no command, not blank, and Unicode."""
    with contextlib.suppress(InvalidMessageError):
        return bool(encode(Message.new("general", "ana", text))) and not text.startswith("/")
    return False


def look_through(panel: PanelOnPage) -> list[str]:
    """Show every row once, from the newest to the oldest, and return what should not be there."""
    found: set[str] = set()
    panel.page.evaluate("() => { window.watching = true; }")
    height = panel.log.evaluate("log => log.clientHeight")
    panel.log.evaluate("log => { log.scrollTop = log.scrollHeight; }")
    while True:
        panel.page.wait_for_timeout(20)
        found.update(panel.root.evaluate(LOOK))
        top = panel.log.evaluate("log => log.scrollTop")
        if top <= 0:
            break
        panel.log.evaluate("(log, to) => { log.scrollTop = to; }", max(0, top - height))
    panel.page.evaluate("() => { window.watching = false; }")
    return sorted(found)


def test_no_text_that_somebody_types_does_anything(open_chat: Open) -> None:
    ana, ben = open_chat("ana"), open_chat("ben")
    for page in (ana, ben):
        page.page.evaluate(TRAP)
    texts = [payload for payload in PAYLOADS if can_be_sent(payload)]
    ana.panel.root.evaluate(TYPE, texts)
    ana.panel.write("the last one")
    for page in (ana, ben):
        page.panel.wait_for("the last one", timeout=60)
        count = "host => host.store.view('general').rows.filter(r => r.kind === 'message').length"
        page.panel.wait(lambda panel: panel.root.evaluate(count) == len(texts) + 1, 60)  # noqa: B023
        assert look_through(page.panel) == []


def test_no_name_of_anything_does_anything(
    open_chat: Open,
    channels: Channels,
    producer: ChatProducer,
    room_factory: Callable[..., ChatRoom],
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver_factory()
    channels.create("named", description=PAYLOADS[0], display_name=PAYLOADS[1], creator="ana")
    for name in NAMES:
        message = Message.new("general", name, f"by @{name}")
        producer.send(message)
        emoji = "".join(name.split()).replace(".", "").replace("$", "")[:64]
        if emoji:
            producer.send(React.new("general", name, message.id, emoji=emoji), author=name)
    for name in FILES:
        file = Attachment(name=name, type="text/html", data=b"<script>alert(1)</script>")
        producer.send(Message.new("general", "ben", "", attachment=file))
        picture = Attachment(name=name, type="image/png", data=b"<svg onload=alert(1)>")
        producer.send(Message.new("general", "ben", "", attachment=picture))
    producer.send(Message.new("general", "ben", "the last one"))
    for name in NAMES[:3]:
        room = room_factory(name)
        room.join("general", member=True).result(20)
        room.typing("general")
    page = open_chat("ana")
    page.page.evaluate(TRAP)
    page.panel.wait_for("the last one", timeout=30)
    wait_until(lambda: page.evaluate("len(panel.room.people())") >= "4", 20)
    assert look_through(page.panel) == []
    page.panel.write("/search by")
    page.panel.root.get_by_role("complementary").wait_for()
    page.page.wait_for_timeout(500)
    assert page.panel.root.evaluate(LOOK) == []
