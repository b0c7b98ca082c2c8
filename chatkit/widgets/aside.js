/** What stands beside the transcript: search, a thread, what is pinned, edits, facts. */
import {
  completeFound, drawCards, jumpFrom, latestRow, makeCard, makeCardDay, withDays,
} from "./cards.js";
import { formatClock, formatDay, formatExact, make, makeButton } from "./elements.js";
import { compareRows } from "./rows.js";
import { createSearchPane } from "./search.js";

/** How near to the end of a thread counts as at the end, px. */
const THREAD_END = 8;
/** Word pairs up to which two texts are compared. */
const DIFF_LIMIT = 1_000_000;
const DIFF_TAGS = { "-": "del", "+": "ins", " ": "span" };

/** Ask for what is shown, unless that is on its way; kept in the aside, which all views share. */
function askAside(store, aside, take) {
  if (aside.asking) {
    aside.again = true;
    return;
  }
  Object.assign(aside, { asking: true, again: false, error: "" });
  const type = { pins: "pinned" }[aside.kind] ?? aside.kind;
  const { channel, id } = aside;
  store.ask(id ? { type, channel, id } : { type, channel }).then(({ error, data }) => {
    aside.asking = false;
    aside.error = error;
    if (!error) aside.data = take(data);
    if (aside.again) askAside(store, aside, take);
    store.changed();
  });
}

/** Whether what is shown was never asked for. */
function isFresh({ data, error, asking }) {
  return !data && !error && !asking;
}

/** Return the line that says that something is on its way, went wrong, or is not there. */
function createState(retry) {
  const text = make("span");
  const again = makeButton("Try again", { class: "link" }, retry);
  const element = make("div", { class: "aside-state", role: "status" }, text, again);

  /** Say how it is; `none` is what to say if there is nothing. */
  function update(aside, none) {
    const said = aside.error || (aside.data ? none : "Loading…");
    if (text.textContent !== said) text.textContent = said;
    text.classList.toggle("bad", Boolean(aside.error));
    again.hidden = !aside.error;
    element.hidden = !said;
  }
  return { element, update };
}

/** Return the rows of a thread: those that were asked for, and what came to the channel since. */
function threadRows(store, aside) {
  const { channel } = aside;
  const rows = new Map(aside.data.map(([, row]) => [row.id, latestRow(store, channel, row)]));
  for (const row of store.views.get(channel)?.rows ?? []) {
    if (row.id === aside.id || rows.has(row.quote?.id)) rows.set(row.id, row);
  }
  return [...rows.values()].sort(compareRows);
}

/** Return a thread: its element, `update()` and `focus()`. */
function createThreadPane(store, aside) {
  const { channel } = aside;
  const draftKey = `thread ${channel} ${aside.id}`;
  const ask = () => askAside(store, aside, completeFound);
  const state = createState(ask);
  const list = make("div", {
    class: "cards", role: "list", "aria-label": "Messages of the thread",
  });
  const scroller = make("div", { class: "aside-scroll" }, state.element, list);
  const box = make("textarea", {
    rows: "2", "aria-label": "Answer in the thread", placeholder: "Answer",
  });
  const button = makeButton("Answer", { class: "primary" }, send);
  const element = make("div", { class: "aside-fill" }, scroller,
    make("div", { class: "aside-answer" }, box, button));
  let shown = []; // the rows of the last update
  let first = true;

  /** Answer what the thread begins with. */
  function send() {
    const text = box.value;
    if (!text.trim() || button.disabled) return;
    store.kept.delete(draftKey);
    store.send(channel, text, { reply: shown[0].id });
    box.focus({ preventScroll: true });
  }

  /** Return one message, or what stands between. */
  function draw(_channel, row) {
    if (typeof row === "number") return makeCardDay(row);
    const card = makeCard(store, row, { onTime: () => jumpFrom(element, store, channel, row.id) });
    card.setAttribute("role", "listitem");
    if (row.id === aside.id) card.classList.add("card-asked");
    return card;
  }

  box.addEventListener("input", () => {
    store.kept.set(draftKey, box.value);
    store.changed();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  });

  /** Draw the messages, and stay at the end if the reader is there. */
  function updateList() {
    const rows = threadRows(store, aside);
    const same = rows.length === shown.length && rows.every((row, i) => row === shown[i]);
    if (same && !first) return;
    const { scrollHeight, clientHeight, scrollTop } = scroller;
    const atEnd = first || scrollHeight - clientHeight - scrollTop < THREAD_END;
    first = false;
    shown = rows;
    drawCards(list, withDays(rows.map((row) => [channel, row])), draw);
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
    const raw = rows.filter((row) => row.raw && store.views.get(channel)?.byId.has(row.id));
    if (raw.length) store.render(channel, raw.map((row) => row.id));
  }

  /** Bring all up to date with the store. */
  function update() {
    if (isFresh(aside)) ask();
    state.update(aside, shown.length || first ? "" : "This message is not there any more.");
    if (aside.data) updateList();
    const draft = store.kept.get(draftKey) ?? "";
    if (box.value !== draft) box.value = draft;
    box.disabled = store.frozen || Boolean(store.summary(channel).archived);
    button.disabled = box.disabled || !shown.length || !draft.trim();
  }
  return { title: "Thread", about: `#${channel}`, element, update, focus: () => box.focus() };
}

/** Return what is pinned in a channel: its element and `update()`. */
function createPinsPane(store, aside) {
  const { channel } = aside;
  const ask = () => askAside(store, aside, completeFound);
  const state = createState(ask);
  const list = make("div", { class: "cards", role: "list", "aria-label": "Pinned messages" });
  const element = make("div", { class: "aside-scroll" }, state.element, list);

  /** Unpin a message; what lies too far back to be here is loaded first. */
  async function unpin(id) {
    if (!store.views.get(channel)?.byId.has(id)) {
      const answer = await store.ask({ type: "around", channel, id });
      if (answer.error) {
        store.showProblem(answer);
        return;
      }
    }
    store.pin(channel, id, false);
  }

  /** Return one message. */
  function draw(_channel, row) {
    const card = makeCard(store, row, {
      dated: true, onTime: () => jumpFrom(element, store, channel, row.id),
    });
    card.setAttribute("role", "listitem");
    card.append(makeButton("Unpin", {
      class: "link card-unpin", "aria-label": `Unpin the message of ${row.author}`,
    }, () => unpin(row.id)));
    return card;
  }

  /** Bring all up to date with the store. */
  function update() {
    // What was pinned or unpinned since: the kernel knows which was last.
    const known = store.views.get(channel)?.rows.filter((row) => row.pinned) ?? [];
    const now = known.map((row) => row.id).join(" ");
    if (aside.pinned !== now) {
      aside.pinned = now;
      ask();
    }
    const rows = (aside.data ?? []).map(([, row]) => latestRow(store, channel, row));
    const pinned = rows.filter((row) => row.pinned && !row.deleted);
    state.update(aside, pinned.length ? "" : `Nothing is pinned in #${channel}.`);
    drawCards(list, pinned.map((row) => [channel, row]), draw);
  }
  return { title: "Pinned messages", about: `#${channel}`, element, update };
}

/** Return the words of a text, with the space before each. */
function splitWords(text) {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

/** Return what became of the words of a text: pairs of "-", "+" or " " and some text. */
export function compareTexts(before, after) {
  const [a, b] = [splitWords(before), splitWords(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  const most = Math.min(a.length, b.length) - start;
  let tail = 0;
  while (tail < most && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const [old, fresh] = [a, b].map((words) => words.slice(start, words.length - tail));
  const parts = [[" ", a.slice(0, start).join("")]];
  parts.push(...compareWords(old, fresh));
  parts.push([" ", a.slice(a.length - tail).join("")]);
  return parts.filter(([, text]) => text);
}

/** Return what became of words, by their longest common subsequence. */
function compareWords(old, fresh) {
  const [rows, columns] = [old.length, fresh.length];
  if (rows * columns > DIFF_LIMIT) return [["-", old.join("")], ["+", fresh.join("")]];
  const width = columns + 1;
  const common = new Uint16Array((rows + 1) * width); // at i * width + j: of the words from there
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = old[i] === fresh[j]
        ? common[at + width + 1] + 1
        : Math.max(common[at + width], common[at + 1]);
    }
  }
  const parts = [];
  const add = (sign, word) => {
    if (parts.at(-1)?.[0] === sign) parts.at(-1)[1] += word;
    else parts.push([sign, word]);
  };
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    const at = i * width + j;
    if (i < rows && j < columns && old[i] === fresh[j]) {
      add(" ", old[i++]);
      j++;
    } else if (i < rows && (j >= columns || common[at + width] >= common[at + 1])) {
      add("-", old[i++]);
    } else {
      add("+", fresh[j++]);
    }
  }
  return parts;
}

/** Return one text that a message had. */
function makeVersion([ms, body], before, label) {
  const when = make("time", {
    text: `${formatDay(ms)}, ${formatClock(ms)}`, title: formatExact(ms),
  });
  const head = make("div", { class: "card-head" }, when);
  if (label) head.append(make("span", { class: "tag boxed", text: label }));
  const text = make("div", { class: "body plain", dir: "auto" });
  const parts = before === undefined ? [[" ", body]] : compareTexts(before, body);
  text.append(...parts.map(([sign, part]) => make(DIFF_TAGS[sign], { text: part })));
  return make("div", { class: "card", role: "listitem" }, head, text);
}

/** Return the texts that a message had, newest first: its element and `update()`. */
function createEditsPane(store, aside) {
  const { channel, id } = aside;
  const ask = () => askAside(store, aside, (data) => data);
  const state = createState(ask);
  const list = make("div", { class: "cards", role: "list", "aria-label": "Texts of the message" });
  const element = make("div", { class: "aside-scroll" }, state.element, list);
  let drawn;

  /** Bring all up to date with the store. */
  function update() {
    const rev = store.views.get(channel)?.byId.get(id)?.rev;
    if (aside.rev !== rev || isFresh(aside)) {
      aside.rev = rev;
      ask();
    }
    const deleted = store.views.get(channel)?.byId.get(id)?.deleted;
    const none = deleted ? "This message was deleted." : "What it said before is not here.";
    state.update(aside, aside.data?.length ? "" : none);
    if (drawn === aside.data || !aside.data) return;
    drawn = aside.data;
    const last = drawn.length - 1;
    list.replaceChildren(...drawn.map((version, i) => makeVersion(
      version, drawn[i - 1]?.[1], i === last ? "now" : i ? "" : "first",
    )).reverse());
  }
  return { title: "Edit history", about: `#${channel}`, element, update };
}

/** Return what the number of partitions means for the order. */
function explainPartitions(count) {
  if (count === 1) return "One partition: Kafka keeps all its records in one order.";
  return "Kafka keeps the order within each partition, not across them. The author is the key of a "
    + "message, so all of one author’s are in one partition and stay in order; between partitions, "
    + "the panel sorts by the time at which Kafka appended them.";
}

/** Return a table of partitions. */
function makePartitions(offsets) {
  const cell = (tag, text) => make(tag, { text });
  const number = (value) => cell("td", value.toLocaleString());
  const rows = Object.entries(offsets).map(([partition, { start, end }]) => make("tr", {},
    make("th", { scope: "row", text: partition }),
    number(start), number(end), number(end - start)));
  const heads = ["Partition", "First offset", "Next offset", "Records"];
  return make("table", { class: "facts-table" },
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", text })))),
    make("tbody", {}, ...rows));
}

/** Return what Kafka knows of a channel's topic: its element and `update()`. */
function createFactsPane(store, aside) {
  const { channel } = aside;
  const ask = () => askAside(store, aside, (data) => data);
  const state = createState(ask);
  const content = make("div", { class: "facts" });
  const refresh = makeButton("Refresh", { class: "link" }, ask);
  const element = make("div", { class: "aside-scroll" }, state.element, content, refresh);
  let drawn = "";

  /** Draw all that is known. */
  function draw({ topic, topic_id: topicId, replicas, offsets }, summary) {
    const { description, moderators, archived } = summary;
    const facts = [
      ["About", description], ["Moderators", moderators.join(", ")], ["Topic", topic],
      ["Topic id", topicId], ["Replicas", `${replicas} of each partition`],
      ["State", archived ? "Closed to new messages" : ""],
    ];
    const lines = facts.filter(([, text]) => text).flatMap(([name, text]) => [
      make("dt", { text: name }), make("dd", {}, make("bdi", { text })),
    ]);
    content.replaceChildren(make("dl", {}, ...lines), makePartitions(offsets),
      make("p", { text: explainPartitions(Object.keys(offsets).length) }),
      make("p", { text: "Records are messages, and events such as edits and reactions." }));
  }

  /** Bring all up to date with the store. */
  function update() {
    if (isFresh(aside)) ask();
    state.update(aside, "");
    refresh.disabled = Boolean(aside.asking);
    refresh.hidden = !aside.data;
    if (!aside.data) return;
    const summary = store.summary(channel);
    const { description, moderators, archived } = summary;
    const now = JSON.stringify([aside.data, description, moderators, archived]);
    if (now === drawn) return;
    drawn = now;
    draw(aside.data, summary);
  }
  return { title: "Topic", about: `#${channel}`, element, update };
}

const PANES = {
  search: createSearchPane,
  thread: createThreadPane,
  pins: createPinsPane,
  edits: createEditsPane,
  facts: createFactsPane,
};

/** Return the aside of a store: its element and `update()`. */
export function createAside(store) {
  const title = make("strong", { class: "aside-title", tabindex: "-1" });
  const about = make("bdi", { class: "aside-about" });
  const close = makeButton("×", {
    class: "aside-close", title: "Close (Escape)",
    "aria-label": "Close what is beside the messages",
  }, () => store.setAside(null));
  const content = make("div", { class: "aside-content" });
  const element = make("aside", { class: "aside" },
    make("div", { class: "aside-head" }, title, about, close), content);
  let shown = ""; // what the pane is of
  let pane = null;
  let opener = null; // what had the focus before
  let message = ""; // id of what it is about
  element.hidden = true;

  /** Return the element that has the focus in this view. */
  function focused() {
    return element.getRootNode().activeElement;
  }

  /** Let the user go on in what was opened. */
  function enter() {
    if (!pane) return;
    if (!element.contains(focused())) opener = focused();
    if (pane.focus) pane.focus();
    else title.focus({ preventScroll: true });
  }

  /** Give the focus back: to the message that this was about, else to where it came from. */
  function giveFocusBack() {
    const root = element.getRootNode();
    const row = message && root.querySelector(`.row[data-id="${CSS.escape(message)}"] .message`);
    const log = root.querySelector("[role=log]");
    (row || (opener?.isConnected ? opener : log))?.focus({ preventScroll: true });
    opener = null;
  }

  /** Show another pane, or none. */
  function show(aside) {
    const inside = element.contains(focused());
    pane = aside ? PANES[aside.kind]?.(store, aside) : null;
    element.hidden = !pane;
    content.replaceChildren(...(pane ? [pane.element] : []));
    if (!pane) {
      if (inside) giveFocusBack();
      return;
    }
    message = aside.id ?? "";
    title.textContent = pane.title;
    about.textContent = pane.about ?? "";
    element.setAttribute("aria-label", pane.title);
    // Who is writing goes on writing: a command's results come when they come. A menu that is just
    // being closed gives the focus back first.
    if (inside || (focused() && !aside.rows)) setTimeout(enter);
  }

  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation();
    store.setAside(null);
  });

  /** Bring all up to date with the store. */
  function update() {
    const { aside } = store;
    const now = aside ? JSON.stringify([aside.kind, aside.channel, aside.id]) : "";
    if (now !== shown) {
      shown = now;
      show(aside);
    }
    pane?.update();
  }
  return { element, update };
}
