/** One row of the transcript as an element. */
import {
  dayOf, formatClock, formatDay, formatDigits, formatExact, make, makeButton,
} from "./elements.js";
import { UNPLACED_MS } from "./rows.js";

/** Messages of one author within this time stand under one name, ms. */
const STACK_MS = 5 * 60 * 1000;

/** Return the time that a row stands at: its place, or the sender's time while it has none. */
function timeOf(row) {
  return row.place[0] < UNPLACED_MS ? row.place[0] : row.at;
}

/** Return how a row is drawn after the one above it: with a day above, and under whose name. */
export function rowLayout(above, row) {
  const day = !above || dayOf(timeOf(above)) !== dayOf(timeOf(row));
  const stacked = !day && row.kind === "message" && above.kind === "message"
    && above.author === row.author && above.bot === row.bot
    && Math.abs(timeOf(row) - timeOf(above)) < STACK_MS;
  return (day ? "day " : "") + (stacked ? "stacked" : "");
}

/** Return a guess of a row's height before it was ever drawn, px. */
export function guessHeight(row, width) {
  const perLine = Math.max(20, (width - 80) / 7);
  let lines = Math.ceil(row.body.length / perLine) || 1;
  for (let at = row.body.indexOf("\n"); at >= 0; at = row.body.indexOf("\n", at + 1)) lines += 1;
  return 24 + 20 * lines;
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

/** Return the text of a row, or what stands for it. */
function makeBody(row) {
  if (row.deleted) return make("div", { class: "body gone", text: "This message was deleted." });
  const body = make("div", { class: "body", dir: "auto", text: row.body });
  if (row.edited) body.append(make("span", { class: "edited", text: " (edited)" }));
  return body;
}

/** Return what is said about a row that Kafka has not acknowledged. */
function makeState(row, retry) {
  if (row.state === "failed") {
    const line = make("div", { class: "state bad" }, make("span", { text: `Not sent. ${row.reason} ` }));
    line.append(makeButton("Try again", { class: "link" }, () => retry(row.id)));
    return line;
  }
  return make("div", { class: "state", text: row.late ? "Waits for the running cell" : "Sending…" });
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

/** Return a message as an element. */
function makeMessage(row, stacked, user, retry) {
  const gutter = make("div", { class: "gutter" });
  const main = make("div", { class: "main" });
  if (stacked) {
    gutter.append(make("time", { text: formatDigits(row.at), title: describe(row) }));
  } else {
    const mark = make("div", {
      class: "mark", "aria-hidden": "true", text: [...row.author][0]?.toUpperCase() ?? "?",
    });
    mark.style.setProperty("--hue", hueOf(row.author));
    gutter.append(mark);
    main.append(makeHead(row, user));
  }
  main.append(makeBody(row));
  if (row.state !== "sent") main.append(makeState(row, retry));
  return make("div", { class: `message ${stacked ? "stacked" : ""}` }, gutter, main);
}

/**
 * Return a row as an element.
 * @param {import("./rows.js").Row} row
 * @param {string} layout of `rowLayout`
 * @param {string} user whose panel it is
 * @param {(id: string) => void} retry
 */
export function makeRow(row, layout, user, retry) {
  const element = make("div", { class: "row", "data-id": row.id, "data-state": row.state });
  if (row.late) element.dataset.late = "";
  if (layout.includes("day")) {
    const label = make("span", { text: formatDay(timeOf(row)), title: formatExact(timeOf(row)) });
    element.append(make("div", { class: "day" }, label));
  }
  if (row.kind === "message") {
    element.append(makeMessage(row, layout.includes("stacked"), user, retry));
  } else {
    const where = `Partition ${row.place[1]}, offset ${row.place[2]}`;
    const text = row.kind === "gap" ? row.reason : `A record that can’t be read. ${row.reason}`;
    element.append(make("div", { class: "note", text, title: where }));
  }
  return element;
}
