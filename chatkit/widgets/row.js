/** One row of the transcript as an element. */
import { makeRowIcon } from "./actions.js";
import { completeHtml } from "./code.js";
import {
  dayOf, formatClock, formatDay, formatDigits, formatExact, make, makeButton, setText,
} from "./elements.js";
import { makeLens } from "./lens.js";
import { UNPLACED_MS } from "./rows.js";
import { guessPreview, makeShared } from "./shared.js";

/** Messages of one author within this time stand under one name, ms. */
const STACK_MS = 5 * 60 * 1000;
/** How many are named of those who reacted. */
const NAMED = 30;
/** What in a row can have the focus. */
const FOCUSABLE = "a[href], button, summary, [role=link]";

/** Return the time that a row stands at: its place, or the sender's time while it has none. */
function timeOf(row) {
  return row.place[0] < UNPLACED_MS ? row.place[0] : row.at;
}

/** Whether a row is not drawn: of who joined and left, if that is folded away. */
export function isHidden(row, store) {
  return store.folded && (row.kind === "join" || row.kind === "leave");
}

/** Return how a row is drawn after the one above it: with a day above, and under whose name. */
export function rowLayout(above, row) {
  const day = !above || dayOf(timeOf(above)) !== dayOf(timeOf(row));
  const stacked = !day && row.kind === "message" && above.kind === "message"
    && above.author === row.author && above.bot === row.bot && !row.quote
    && Math.abs(timeOf(row) - timeOf(above)) < STACK_MS;
  return (day ? "day " : "") + (stacked ? "stacked" : "");
}

/** Return a guess of a row's height before it was ever drawn, px. */
export function guessHeight(row, width) {
  const perLine = Math.max(20, (width - 80) / 7);
  let lines = Math.ceil(row.body.length / perLine) || 1;
  for (let at = row.body.indexOf("\n"); at >= 0; at = row.body.indexOf("\n", at + 1)) lines += 1;
  const more = (row.quote ? 24 : 0) + (row.reactions.length ? 32 : 0)
    + (row.file ? 32 + guessPreview(row.file) : 0);
  return 24 + 20 * lines + more;
}

/** Return the hue of an author's mark: the same name has the same one everywhere. */
function hueOf(author) {
  let hash = 7;
  for (const char of author) hash = (hash * 31 + char.codePointAt(0)) % 360_007;
  return hash % 360;
}

/** Return the full time and the place in Kafka, for hovering. */
function describe(row) {
  const parts = [formatExact(row.at)];
  if (row.source !== "chat") parts.push(`imported from ${row.source}`);
  if (row.place[2] >= 0) parts.push(`partition ${row.place[1]}, offset ${row.place[2]}`);
  return parts.join("\n");
}

/** Return the button that shows what a text was before. */
function makeEdited(row, store, channel) {
  const button = makeButton("(edited)", { class: "edited", title: "Show what it was before" },
    () => store.setAside({ kind: "edits", channel, id: row.id }));
  button.key = "edited";
  return button;
}

/** Return the text of a row, or what stands for it. */
function makeBody(row, store, channel) {
  if (row.deleted) return make("div", { class: "body gone", text: "This message was deleted." });
  const body = make("div", { class: "body", dir: "auto" });
  setText(body, row);
  body.classList.toggle("plain", !row.html);
  if (row.html) completeHtml(body, store);
  const last = body.lastElementChild;
  const end = last?.tagName === "P" ? last : body;
  if (row.edited) end.append(" ", makeEdited(row, store, channel));
  return body;
}

/** Return what is said about a row that Kafka has not acknowledged. */
function makeState(row, store, channel) {
  if (row.state === "failed") {
    return make("div", { class: "state bad" }, make("span", { text: `Not sent. ${row.reason} ` }),
      makeButton("Try again", { class: "link" }, () => store.retry(channel, row.id)));
  }
  const text = row.late ? "Waits for the running cell" : "Sending…";
  return make("div", { class: "state", text });
}

/** Return the line above the first of an author's stacked messages. */
function makeHead(row, user) {
  const head = make("div", { class: "head" }, make("bdi", { class: "author", text: row.author }));
  if (row.author === user) head.append(make("span", { class: "tag", text: "(me)" }));
  if (row.bot) head.append(make("span", { class: "tag boxed", text: "bot" }));
  if (row.source !== "chat") head.append(make("span", { class: "tag boxed", text: row.source }));
  head.append(make("time", { text: formatClock(row.at), title: describe(row) }));
  return head;
}

/** Return what a message answers, in a line; a click goes there. */
function makeQuote({ id, author = "", body = "" }, store, channel) {
  const text = store.muted.has(author) ? "(muted)" : body.replace(/\s+/g, " ");
  const button = makeButton("", {
    class: "quote", title: "Show it where it stands",
    "aria-label": author ? `Answers ${author}: ${text}` : "Answers a message",
  }, () => store.jump(channel, id));
  button.append(makeRowIcon("reply"));
  if (author) button.append(make("bdi", { class: "author", text: author }));
  button.append(make("bdi", { class: "line", text: author ? text : "…" }));
  button.key = "quote";
  return button;
}

/** Return the names of those who reacted, in words. */
function nameActors(actors, user) {
  const names = actors.slice(0, NAMED).map((name) => name === user ? `${name} (me)` : name);
  const rest = actors.length - names.length;
  return names.join(", ") + (rest ? ` and ${rest.toLocaleString()} more` : "");
}

/** Return the reactions to a message, each a button that joins in or takes back. */
function makeReactions(row, store, channel, actions) {
  const line = make("div", { class: "reactions", role: "group", "aria-label": "Reactions" });
  const named = (emoji) => /^[\w+-]+$/.test(emoji) ? `:${emoji}:` : emoji; // of what has no sign
  const closed = store.summary(channel).archived || store.frozen;
  for (const [emoji, actors] of row.reactions) {
    const names = nameActors(actors, store.user);
    const chip = makeButton("", {
      class: "chip", "aria-pressed": String(actors.includes(store.user)), title: names,
      "aria-label": `${named(emoji)} ${actors.length}: ${names}`,
    }, () => store.react(channel, row.id, emoji));
    chip.append(make("span", { class: "emoji", text: named(emoji) }),
      make("span", { class: "count", text: actors.length.toLocaleString() }));
    chip.key = `react ${emoji}`;
    chip.disabled = closed;
    line.append(chip);
  }
  if (actions && !closed) {
    const more = makeButton("+", {
      class: "chip more", "aria-label": "React", title: "React", "aria-haspopup": "dialog",
    }, () => actions.pickFor(row.id, more));
    more.key = "react";
    line.append(more);
  }
  return line;
}

/** Return what stands for a message of somebody muted. */
function makeMuted(row, actions) {
  return make("div", { class: "message quiet", role: "article", tabindex: "-1" },
    make("span", {}, "A message of ", make("bdi", { text: row.author }), "’s (muted)"),
    makeButton("show", { class: "link" }, () => actions?.unveil(row.id)));
}

/** Return a message as an element. */
function makeMessage(row, layout, store, channel, actions, former) {
  const stacked = layout.includes("stacked");
  const gutter = make("div", { class: "gutter" });
  const main = make("div", { class: "main" });
  if (row.pinned) main.append(make("div", { class: "pinned" }, makeRowIcon("pin"), "Pinned"));
  if (stacked) {
    gutter.append(make("time", { text: formatDigits(row.at), title: describe(row) }));
  } else {
    const mark = make("div", {
      class: "mark", "aria-hidden": "true", text: [...row.author][0]?.toUpperCase() ?? "?",
    });
    mark.style.setProperty("--hue", hueOf(row.author));
    gutter.append(mark);
    main.append(makeHead(row, store.user));
  }
  if (row.quote) main.append(makeQuote(row.quote, store, channel));
  if (row.body || row.deleted || !row.file) main.append(makeBody(row, store, channel));
  if (row.file && !row.deleted) {
    main.append(makeShared(row, store, channel, former?.querySelector(".shared")));
  }
  if (row.reactions.length && !row.deleted) {
    main.append(makeReactions(row, store, channel, actions));
  }
  if (row.state !== "sent") main.append(makeState(row, store, channel));
  const marks = [stacked && "stacked", row.me && !row.deleted && "me", row.pinned && "is-pinned"];
  return make("div", {
    class: `message ${marks.filter(Boolean).join(" ")}`, role: "article", tabindex: "-1",
    "aria-label": `${row.author}, ${formatClock(row.at)}`,
  }, gutter, main);
}

/** Return what stands for a row that is no message. */
function makeNote(row) {
  const where = `Partition ${row.place[1]}, offset ${row.place[2]}`;
  const texts = {
    gap: row.reason,
    unreadable: `A record that can’t be read. ${row.reason}`,
    join: "joined",
    leave: "left",
    skipped: "More messages in between…",
  };
  const note = make("div", { class: `note ${row.kind}`, title: where });
  if (row.author) note.append(make("bdi", { class: "author", text: row.author }), " ");
  note.append(texts[row.kind]);
  return note;
}

/** Have the tab key reach what is in a row only while the row has the focus: there are many. */
function tabWithin(element) {
  const set = (index) => {
    for (const one of element.querySelectorAll(FOCUSABLE)) one.tabIndex = index;
  };
  set(-1);
  element.addEventListener("focusin", () => set(0));
  element.addEventListener("focusout", () => set(-1));
}

/**
 * Return a row as an element.
 * @param {import("./rows.js").Row} row
 * @param {string} layout of `rowLayout`; `new` where what is unread begins; `muted` if it is of
 *   somebody muted; `lens` if it shows what Kafka knows of it
 * @param {object} store
 * @param {string} channel
 * @param {object} [actions] of actions.js: what one can do with rows of this view
 * @param {HTMLElement} [former] the element of the row as it was
 */
export function makeRow(row, layout, store, channel, actions, former) {
  const element = make("div", {
    class: row.kind === "message" ? "row" : `row ${row.kind}`,
    "data-id": row.id, "data-state": row.state,
  });
  if (row.late) element.dataset.late = "";
  if (isHidden(row, store)) return element;
  if (row.received) row.shown ??= Date.now();
  if (layout.includes("day")) {
    const label = make("span", { text: formatDay(timeOf(row)), title: formatExact(timeOf(row)) });
    element.append(make("div", { class: "day" }, label));
  }
  if (layout.includes("new")) {
    element.append(make("div", { class: "day unread" }, make("span", { text: "New" })));
  }
  if (row.kind === "message") {
    element.append(layout.includes("muted")
      ? makeMuted(row, actions) : makeMessage(row, layout, store, channel, actions, former));
  } else {
    element.append(makeNote(row));
  }
  if (layout.includes("lens") && !layout.includes("muted")) {
    element.append(makeLens(row, store, channel, former?.querySelector(".kafka-lens")));
  }
  tabWithin(element);
  return element;
}
