"""The search beside the transcript, as people use it: a real browser, real Kafka and MongoDB."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from chatkit.archiver import Archiver
from chatkit.channels import Channels
from chatkit.message import Delete, Message
from chatkit.producer import ChatProducer
from chatkit.settings import Settings
from tests.browser import NotebookPage, PanelOnPage
from tests.waiting import wait_until


def say(producer: ChatProducer, author: str, body: str, channel: str = "general") -> Message:
    message = Message.new(channel, author, body)
    producer.send(message).result(10)
    return message


def open_search(panel: PanelOnPage) -> Locator:
    """Open the search, and return its box."""
    panel.root.get_by_role("button", name="Search in all channels").click()
    box = panel.root.get_by_role("combobox", name="Search messages")
    box.wait_for()
    panel.wait(lambda _: has_focus(box))
    return box


def has_focus(place: Locator) -> bool:
    focused: bool = place.evaluate("place => place.getRootNode().activeElement === place")
    return focused


def search(panel: PanelOnPage, box: Locator, query: str, expected: str) -> None:
    """Search, and wait for what is said of it."""
    box.fill(query)
    box.press("Enter")
    panel.root.locator(".aside-told").filter(has_text=expected).wait_for()


def cards(panel: PanelOnPage) -> Locator:
    return panel.root.locator(".aside .card")


def test_what_is_found_is_shown_newest_first_with_its_words_marked(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer, channels: Channels
) -> None:
    channels.create("random")
    panel = open_chat().panel
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.select("random")
    panel.select("general")
    say(producer, "ben", "The first **Broker** is up")
    say(producer, "cleo", "no such thing here")
    say(producer, "ben", "brokers (1+1) are named by an id", "random")
    panel.wait_for("no such thing here")
    box = open_search(panel)
    assert "from:ana" in panel.root.locator(".aside-hint").inner_text()
    search(panel, box, "broker", "2 messages")
    found = cards(panel)
    assert "#random" in found.nth(0).inner_text()
    assert "#general" in found.nth(1).inner_text()
    assert found.locator("mark").all_inner_texts() == ["broker", "Broker"]
    assert panel.root.locator(".card-day").all_inner_texts() == ["Today"]
    assert panel.root.locator(".aside-hint").is_hidden()
    search(panel, box, '"(1+1) are" -first', "1 message")
    assert found.locator("mark").all_inner_texts() == ["(1+1) are"]
    search(panel, box, "broker from:cleo", "Nothing was found for broker from:cleo")
    assert found.count() == 0


def test_a_query_that_is_wrong_shows_the_place(open_chat: Callable[..., NotebookPage]) -> None:
    panel = open_chat().panel
    box = open_search(panel)
    box.fill("word before:2026-13")
    box.press("Enter")
    panel.root.get_by_text("There is no such date as 2026-13").wait_for()
    mark = panel.root.locator(".query-error")
    query, caret = (mark.text_content() or "").split("\n")
    assert query == "word before:2026-13"
    assert query[caret.index("^") :] == "2026-13"
    assert "monospace" in mark.evaluate("mark => getComputedStyle(mark).fontFamily")
    search(panel, box, "word", "Nothing was found")
    assert mark.count() == 0


def test_the_box_completes_keys_and_names_from_the_keyboard(
    open_chat: Callable[..., NotebookPage],
) -> None:
    page = open_chat()
    panel = page.panel
    panel.write("hello world")
    panel.wait_for("hello world")
    box = open_search(panel)
    offers = panel.root.locator(".offer")
    # What is behind a character outside the basic plane is counted otherwise in the kernel.
    box.fill("-🎉 fr")
    offers.filter(has_text="from:").wait_for()
    assert box.get_attribute("aria-expanded") == "true"
    box.press("ArrowDown")
    active = panel.root.locator(f"#{box.get_attribute('aria-activedescendant')}")
    assert active.get_attribute("aria-selected") == "true"
    box.press("Enter")
    assert box.input_value() == "-🎉 from:"
    offers.filter(has_text="ana").wait_for()
    box.press("ArrowDown")
    box.press("ArrowDown")
    box.press("Tab")
    assert box.input_value() == "-🎉 from:ana "
    assert box.get_attribute("aria-expanded") == "false"
    assert has_focus(box), "the key chose, and did not go on"
    box.press("Enter")
    panel.root.locator(".aside-told").filter(has_text="1 message").wait_for()
    box.press_sequentially("is:")
    offers.first.wait_for()
    box.press("Escape")
    assert box.get_attribute("aria-expanded") == "false"
    assert box.is_visible(), "Escape closed only what was offered"


def test_the_last_search_stays_while_it_is_closed(open_chat: Callable[..., NotebookPage]) -> None:
    page = open_chat()
    panel = page.panel
    panel.write("hello world")
    panel.wait_for("hello world")
    box = open_search(panel)
    search(panel, box, "hello", "1 message")
    page.page.keyboard.press("Escape")
    assert panel.root.locator(".aside").is_hidden()
    button = panel.root.get_by_role("button", name="Search in all channels")
    assert has_focus(button), "the focus is back where it came from"
    assert button.get_attribute("aria-pressed") == "false"
    box = open_search(panel)
    assert button.get_attribute("aria-pressed") == "true"
    assert box.input_value() == "hello"
    assert cards(panel).count() == 1
    panel.root.get_by_role("button", name="Close what is beside the messages").click()
    assert panel.root.locator(".aside").is_hidden()


def test_results_are_gone_through_and_gone_to_from_the_keyboard(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer, channels: Channels
) -> None:
    channels.create("random")
    page = open_chat()
    panel = page.panel
    say(producer, "ben", "apple one")
    say(producer, "ben", "apple two")
    panel.wait_for("apple two")
    panel.wait(lambda panel: panel.root.get_by_role("option", name="random").count() == 1)
    panel.select("random")
    panel.wait(lambda panel: panel.channel == "random")
    box = open_search(panel)
    search(panel, box, "apple", "2 messages")
    box.press("ArrowDown")
    first, second = cards(panel).nth(0), cards(panel).nth(1)
    assert has_focus(first)
    page.page.keyboard.press("End")
    assert has_focus(second)
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("ArrowUp")
    assert has_focus(box)
    box.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    panel.wait_for("apple one")
    assert panel.channel == "general"
    assert second.get_attribute("aria-current") == "true"
    assert cards(panel).count() == 2, "the results stay beside the other channel"


def test_a_result_that_is_deleted_shows_its_text_no_longer(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    panel = open_chat().panel
    secret = say(producer, "ben", "my secret")
    panel.wait_for("my secret")
    search(panel, open_search(panel), "secret", "1 message")
    delete = Delete.new("general", "ben", secret.id)
    producer.send(delete, author="ben").result(10)
    cards(panel).filter(has_text="This message was deleted.").wait_for()


def test_texts_of_others_are_no_html_in_results(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    page = open_chat()
    say(
        producer,
        "<b>ben</b>",
        "hostile <img src=x onerror=alert(1)> *text* [x](javascript:alert(2))",
    )
    page.panel.wait_for("hostile")
    search(page.panel, open_search(page.panel), "hostile", "1 message")
    card = cards(page.panel).first
    assert card.locator(".author").inner_text() == "<b>ben</b>"
    assert card.locator("img, a, b, script").count() == 0
    assert "<img src=x onerror=alert(1)>" in card.inner_text()


def test_a_command_shows_what_it_finds_and_does_not_take_the_focus(
    open_chat: Callable[..., NotebookPage], producer: ChatProducer
) -> None:
    panel = open_chat().panel
    say(producer, "ben", "the needle is here")
    panel.wait_for("needle")
    panel.box.focus()
    panel.write("/search needle")
    cards(panel).first.wait_for()
    assert cards(panel).locator("mark").all_inner_texts() == ["needle"]
    box = panel.root.get_by_role("combobox", name="Search messages")
    assert box.input_value() == "needle"
    assert has_focus(panel.box)
    panel.write("/search before:yesterday")
    panel.root.locator(".refusal").filter(has_text="A date is a year").wait_for()


def test_a_jump_far_back_shows_the_message_among_its_neighbours_and_nothing_is_missing_below(
    open_chat: Callable[..., NotebookPage],
    settings: Settings,
    channels: Channels,
    archiver_factory: Callable[..., Archiver],
) -> None:
    archiver = archiver_factory()
    with ChatProducer(settings, bulk=True) as producer:
        receipts = [
            producer.send(Message.new("general", "ben", f"number {n} of many")) for n in range(3000)
        ]
        for receipt in receipts:
            receipt.result(20)
    wait_until(lambda: archiver.status.messages >= 3000, 60)
    panel = open_chat().panel
    panel.wait_for("number 2999")
    search(panel, open_search(panel), '"number 42 of"', "1 message")
    cards(panel).first.click()
    row = panel.row("number 42 of")
    row.wait_for()
    panel.wait(lambda _: "flash" in (row.get_attribute("class") or ""))
    box, view = row.bounding_box(), panel.log.bounding_box()
    assert box is not None
    assert view is not None
    assert view["y"] < box["y"] < view["y"] + view["height"] - 40, "it is in sight"
    assert panel.row("number 41 of").count() == 1
    assert panel.row("number 43 of").count() == 1
    # Down to the end, over what was skipped.
    seen = panel.root.evaluate(
        """async host => {
            const log = host.shadowRoot.querySelector(".scroller");
            const frame = () => new Promise(requestAnimationFrame); // what scrolls is drawn in it
            const seen = new Set();
            let ordered = true;
            const look = () => {
                const texts = [...host.shadowRoot.querySelectorAll(".row .body")];
                const numbers = texts.map((body) => Number(body.textContent.match(/\\d+/)[0]));
                ordered &&= numbers.every((number, i) => !i || numbers[i - 1] < number);
                numbers.forEach((number) => seen.add(number));
            };
            // What is skipped is loaded when it comes into sight.
            const waits = () => {
                const skipped = host.shadowRoot.querySelector(".row.skipped");
                const end = log.getBoundingClientRect().bottom;
                return skipped && skipped.getBoundingClientRect().top < end - 40;
            };
            const atEnd = () => log.scrollHeight - log.clientHeight - log.scrollTop < 2;
            for (const end = performance.now() + 120_000; performance.now() < end;) {
                look();
                if (atEnd() && seen.has(2999)) break;
                if (!waits()) log.scrollTop += 300;
                await frame();
                await frame();
            }
            look();
            return [ordered, [...seen].filter((number) => number >= 42).sort((a, b) => a - b)];
        }"""
    )
    ordered, below = seen
    assert ordered
    assert sorted(set(range(42, 3000)) - set(below)) == []
    assert panel.root.locator(".row.skipped").count() == 0
