/** Messages as cards, for what stands beside the transcript. */
import { dayOf, formatClock, formatDay, formatExact, make, makeButton, setText } from "./elements.js";
import { completeRow, UNPLACED_MS } from "./rows.js";

/** Return the kernel's pairs of channel and line as pairs of channel and row. */
export function completeFound(pairs) {
  return pairs.map(([channel, line]) => [channel, completeRow(line)]);
}

/** Return a row as the transcript has it now, if that is there. */
export function latestRow(store, channel, row) {
  const now = store.views.get(channel)?.byId.get(row.id);
  return !now || (now.raw && now.rev === row.rev) ? row : now;
}

/** Return the time that a row stands at. */
export function placedAt(row) {
  return row.place[0] < UNPLACED_MS ? row.place[0] : row.at;
}

/** Show a message in the transcript, which this must not stand in front of then. */
export function jumpFrom(element, store, channel, id) {
  const aside = element.closest(".aside");
  if (aside && getComputedStyle(aside).position === "absolute") store.setAside(null);
  store.jump(channel, id);
}

/** Let words stand out wherever they are in the text of an element. */
export function markWords(element, words) {
  if (!words.length) return;
  const escaped = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  const pattern = new RegExp(`(${escaped.join("|")})`, "giu");
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  for (const node of nodes) {
    const parts = node.data.split(pattern);
    if (parts.length < 2) continue;
    node.replaceWith(...parts.map((text, i) => (i % 2 ? make("mark", { text }) : text)));
  }
}

/** Return the text of a card. */
function makeCardBody(row, words) {
  if (row.deleted) return make("div", { class: "body gone", text: "This message was deleted." });
  const body = make("div", { class: "body", dir: "auto" });
  setText(body, row);
  body.classList.toggle("plain", !row.html);
  markWords(body, words);
  return body;
}

/** Return what stands below the text of a card. */
function makeCardFoot(row) {
  const foot = make("div", { class: "card-foot" });
  if (row.deleted) return foot;
  if (row.file) foot.append(make("bdi", { class: "card-file", text: row.file.name }));
  for (const [emoji, actors] of row.reactions) {
    foot.append(make("span", {
      class: "card-reaction", text: `${emoji} ${actors.length}`, title: actors.join(", "),
    }));
  }
  if (row.edited) foot.append(make("span", { text: "edited" }));
  if (row.state === "pending") foot.append(make("span", { text: "Sending…" }));
  if (row.state === "failed") {
    foot.append(make("span", { class: "bad", text: `Not sent. ${row.reason}` }));
  }
  return foot;
}

/**
 * Return a message as a card.
 * @param {object} store
 * @param {import("./rows.js").Row} row
 * @param {object} options
 * @param {string} [options.channel] where it was written, if that is to be shown
 * @param {string[]} [options.words] what is to stand out
 * @param {boolean} [options.dated] whether the day is told, not only the time
 * @param {() => void} [options.onTime] what a click on the time does
 */
export function makeCard(store, row, { channel = "", words = [], dated = false, onTime } = {}) {
  const at = dated ? `${formatDay(row.at)}, ${formatClock(row.at)}` : formatClock(row.at);
  const about = { class: "card-time", title: formatExact(row.at) };
  const author = make("bdi", { class: "author", text: row.author });
  const head = make("div", { class: "card-head" }, author);
  if (row.author === store.user) head.append(make("span", { class: "tag", text: "(me)" }));
  if (row.bot) head.append(make("span", { class: "tag boxed", text: "bot" }));
  if (channel) {
    const { direct, title } = store.summary(channel);
    head.append(make("bdi", { class: "card-channel", text: `${direct ? "@" : "#"}${title}` }));
  }
  if (onTime) {
    about.title += "\nShow it among the others";
    head.append(makeButton(at, about, onTime));
  } else {
    head.append(make("time", { text: at, ...about }));
  }
  return make("div", { class: "card", "data-id": row.id },
    head, makeCardBody(row, words), makeCardFoot(row));
}

/** Return the line above the first card of a day. */
export function makeCardDay(ms) {
  return make("div", { class: "card-day", role: "presentation", text: formatDay(ms) });
}

/** Return rows with the days that they are of in between: a number of ms before each new day. */
export function withDays(found) {
  let day = null;
  return found.flatMap(([channel, row]) => {
    const at = placedAt(row);
    const before = day;
    day = dayOf(at);
    return day === before ? [[channel, row]] : [["", at], [channel, row]];
  });
}

/**
 * Have exactly these items in a list, in order; elements of unchanged ones stay.
 * @param {HTMLElement} list
 * @param {[string, any, string?][]} items channel, row or ms, and all else that the looks depend on
 * @param {(channel: string, item: any) => HTMLElement} draw
 */
export function drawCards(list, items, draw) {
  const root = list.getRootNode();
  const focused = list.contains(root.activeElement) ? root.activeElement : null;
  const id = focused?.closest("[data-id]")?.dataset.id;
  const known = new Map([...list.children].map((child) => [child.item, child]));
  const children = items.map(([channel, item, looks = ""]) => {
    const child = known.get(item);
    if (child?.looks === looks) return child;
    return Object.assign(draw(channel, item), { item, looks });
  });
  const wanted = new Set(children);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, i) => {
    if (list.children[i] !== child) list.insertBefore(child, list.children[i] ?? null);
  });
  if (!focused || list.contains(root.activeElement)) return;
  const again = children.find((child) => child.dataset.id === id);
  const same = again?.querySelector(`.${focused.classList[0]}`) ?? again;
  same?.focus({ preventScroll: true });
}
