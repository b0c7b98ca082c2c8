/** The Kafka lens: what Kafka and MongoDB hold of a row, and the way that it went. */
import { formatExact, make } from "./elements.js";

/** After how long to look again whether a message has been archived, ms; then doubled. */
const AGAIN_MS = 1000;
/** The longest that becomes, ms. */
const LONGEST_AGAIN_MS = 60_000;

const clockWithMs = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
  hourCycle: "h23",
});

/** Return a duration in few characters. */
export function formatDuration(ms) {
  if (ms < 1000) return `${ms} ms`;
  const short = { maximumFractionDigits: 1 };
  if (ms < 60_000) return `${(ms / 1000).toLocaleString(undefined, short)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000).toLocaleString()} days`;
}

/**
 * Return the steps of a row's way that are known, each with its time and what that says: first sent
 * and appended, then the others as they happened.
 */
export function stepsOf(facts, row) {
  const whose = facts.timestamp_type === "CreateTime" ? "the sender" : "the broker";
  const begin = [["sent", facts.sent_ms, "the sender"], ["appended", facts.appended_ms, whose]];
  const rest = [["received", row.received, "this page"], ["shown", row.shown, "this page"],
    ["archived", facts.archived_ms, "the archiver"]];
  const known = (steps) => steps.filter(([, at]) => at !== undefined && at !== null);
  return [...known(begin), ...known(rest).sort((a, b) => a[1] - b[1])];
}

/** Return the way of a row as a bar: longer pieces took longer, though not in proportion. */
function makeWay(facts, row) {
  const way = make("ol", { class: "way", "aria-label": "The way of this record" });
  let before = null;
  for (const [name, at, whose] of stepsOf(facts, row)) {
    const title = `${formatExact(at)}\n${at} ms by the clock of ${whose}`;
    const step = make("li", { class: `step ${name}`, title });
    if (before !== null) {
      const took = at - before;
      step.style.flexGrow = String(1 + Math.log2(1 + Math.abs(took)));
      step.append(make("span", {
        class: took < 0 ? "took odd" : "took",
        text: took < 0
          ? `−${formatDuration(-took)}: the clocks differ` : `+${formatDuration(took)}`,
      }));
    }
    step.append(make("span", { class: "stop", "aria-hidden": "true" }),
      make("span", { class: "what" }, make("b", { text: name }), " ",
        make("time", { text: clockWithMs.format(at) })));
    way.append(step);
    before = at;
  }
  return way;
}

/** Return a fact: what it is, and its value. */
function makeFact(name, value, more = {}) {
  return make("span", { class: "fact", ...more },
    make("span", { class: "fact-name", text: name }), " ",
    make("bdi", { class: "value", text: value }));
}

/** Return what Kafka holds of a record, in a line. */
function makeFacts(facts) {
  const line = make("div", { class: "record" },
    makeFact("topic", facts.topic),
    makeFact("partition:offset", `${facts.partition}:${facts.offset}`));
  if (facts.reason) return line;
  line.append(
    makeFact("key", facts.key === null ? "none" : JSON.stringify(facts.key), {
      title: "Records with the same key go to the same partition",
    }),
    makeFact("size", `${facts.size.toLocaleString()} bytes`, {
      title: "Key and value, before compression",
    }),
    makeFact("timestamp", facts.timestamp_type || "none", {
      title: facts.timestamp_type === "CreateTime"
        ? "Set by who sent it" : "Set by the broker, when it appended it",
    }),
    ...facts.headers.map(([name, text]) => makeFact(`header ${name}`, text)));
  if (!facts.headers.length) line.append(makeFact("headers", "none"));
  return line;
}

/** Look now and then whether a record has been archived, while that is on the page. */
function lookAgain(element, store, channel, id, delay) {
  setTimeout(() => {
    if (!element.isConnected) return;
    store.lookAgain(channel, id);
    lookAgain(element, store, channel, id, Math.min(2 * delay, LONGEST_AGAIN_MS));
  }, delay);
}

/**
 * Return what Kafka and MongoDB hold of a row as an element; without facts, what keeps its place.
 * @param {import("./rows.js").Row} row
 * @param {object} store
 * @param {string} channel
 * @param {HTMLElement} [former] what stood there before
 */
export function makeLens(row, store, channel, former) {
  const facts = store.view(channel).lens.get(row.id);
  if (!facts) {
    const waiting = row.place[2] < 0 ? "Not in Kafka yet" : "Asking Kafka…";
    return make("section", { class: "kafka-lens waiting" },
      make("div", { class: "record", text: waiting }));
  }
  if (former?.facts === facts && former.shown === row.shown) return former;
  const element = make("section", { class: "kafka-lens", "aria-label": "Kafka lens" },
    makeFacts(facts));
  element.facts = facts;
  element.shown = row.shown;
  if (facts.reason) element.append(make("div", { class: "hint", text: facts.reason }));
  else element.append(makeWay(facts, row));
  if (facts.archived_ms === undefined || facts.archived_ms === null) {
    const text = "Not in the archive yet, as far as is known.";
    element.append(make("div", { class: "hint", text }));
    lookAgain(element, store, channel, row.id, AGAIN_MS);
  }
  if (facts.value !== null && facts.value !== undefined) {
    const value = make("details", { class: "raw" },
      make("summary", { text: "Value, as it is in Kafka" }), make("pre", { text: facts.value }));
    value.open = former?.querySelector?.(".raw")?.open ?? false;
    element.append(value);
  }
  return element;
}
