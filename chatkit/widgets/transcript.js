/**
 * The rows of the shown channel, of which only those on screen are in the DOM.
 *
 * Heights are measured as rows come into sight and guessed before. The place of the reader is a row
 * and its distance from the top edge, so that nothing that happens above moves what is being read;
 * or it is the end, which then stays in sight as rows are added.
 */
import { make, makeButton } from "./elements.js";
import { guessHeight, makeRow, rowLayout } from "./row.js";
import { compareRows, findRow } from "./rows.js";

/** Rows are drawn this far outside of what is seen, px. */
const MARGIN = 500;
/** Height kept above the oldest row, px. */
const TOP = 56;
/** Height kept below the newest row, px. */
const BOTTOM = 12;
/** Older rows are fetched when the reader is this near to the oldest, px. */
const NEAR = 800;
/** How near to the end counts as at the end, px. */
const END = 8;

/** Return the transcript of a store: its element, `update()` and `close()`. */
export function createTranscript(store) {
  const top = make("div", { class: "top" });
  const pane = make("div", { class: "pane" });
  const sizer = make("div", { class: "sizer" }, top, pane);
  const scroller = make("div", {
    class: "scroller", role: "log", tabindex: "0", "aria-live": "off", "aria-label": "Messages",
  }, sizer);
  const empty = make("div", { class: "empty" });
  const pill = makeButton("", { class: "pill" }, toEnd);
  const announcer = make("div", { class: "unseen", "aria-live": "polite" });
  const element = make("div", { class: "transcript" }, scroller, empty, pill, announcer);

  let view = null; // what the store keeps of the channel on screen
  let position = null; // where the reader is; a copy, as another view may be elsewhere
  let width = 0;
  let measured = new WeakMap(); // row -> height
  let rows = []; // the rows as of the last paint
  let heights = [];
  let offsets = [0]; // offsets[i]: sum of heights before row i, right up to index `sound`
  let sound = 0;
  let shown = new Map(); // row -> element in the pane
  let placed = 0; // scrollTop that paint chose
  let jumps = 0; // how often the user was taken to the end by sending
  let around = ""; // what stands around the rows, as text

  /** Take the view's rows over, from the first one that differs. */
  function takeRows() {
    const shared = Math.min(rows.length, view.rows.length);
    let first = 0;
    while (first < shared && rows[first] === view.rows[first]) first++;
    for (let i = first; i < view.rows.length; i++) {
      rows[i] = view.rows[i];
      heights[i] = measured.get(rows[i]) ?? guessHeight(rows[i], width);
    }
    rows.length = heights.length = view.rows.length;
    sound = Math.min(sound, first);
  }

  /** Bring `offsets` up to date, and return the height of all that scrolls. */
  function sumHeights() {
    for (let i = sound; i < rows.length; i++) offsets[i + 1] = offsets[i] + heights[i];
    sound = rows.length;
    return TOP + offsets[rows.length] + BOTTOM;
  }

  /** Return the index of the row at a height. */
  function rowAt(y) {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[middle + 1] > y) high = middle;
      else low = middle + 1;
    }
    return Math.max(0, low);
  }

  /** Have exactly the rows first to last in the pane, in order. */
  function show(first, last) {
    const keep = new Map();
    let next = pane.firstChild;
    for (let i = first; i <= last; i++) {
      const row = rows[i];
      const layout = rowLayout(rows[i - 1], row);
      let child = shown.get(row);
      if (!child || child.layout !== layout) {
        child = makeRow(row, layout, store.user, (id) => store.retry(view.channel, id));
        child.layout = layout;
      }
      keep.set(row, child);
      if (child === next) next = next.nextSibling;
      else pane.insertBefore(child, next);
    }
    const wanted = new Set(keep.values());
    for (const child of [...pane.children]) if (!wanted.has(child)) child.remove();
    shown = keep;
  }

  /** Measure the rows first to last; whether one was not as high as thought. */
  function measure(first, last) {
    let wrong = false;
    for (let i = first; i <= last; i++) {
      const height = shown.get(rows[i]).getBoundingClientRect().height;
      measured.set(rows[i], height);
      if (Math.abs(height - heights[i]) < 0.01) continue;
      heights[i] = height;
      sound = Math.min(sound, i);
      wrong = true;
    }
    return wrong;
  }

  /** Return the scrollTop of the reader's position. */
  function wantedTop(total, height) {
    const end = Math.max(0, total - height);
    const anchor = position.pinned ? undefined : view.byId.get(position.id);
    if (!anchor) return end;
    const top = TOP + offsets[findRow(rows, anchor)] - position.offset;
    return Math.min(end, Math.max(0, top));
  }

  /** Draw what is in sight. */
  function paint() {
    const height = scroller.clientHeight;
    if (!height || !view) return;
    if (scroller.clientWidth !== width) {
      width = scroller.clientWidth;
      measured = new WeakMap();
      rows = [];
    }
    takeRows();
    let y = 0;
    // Each round draws more rows in sight, until all of them have the height that was reckoned.
    for (let round = 0; round < 6; round++) {
      const total = sumHeights();
      y = wantedTop(total, height);
      const lift = Math.max(0, height - total); // few rows stand at the bottom
      const first = rows.length ? rowAt(y - TOP - MARGIN) : 0;
      const last = rows.length ? rowAt(y - TOP + height + MARGIN) : -1;
      sizer.style.height = `${total + lift}px`;
      pane.style.top = `${TOP + lift + (offsets[first] ?? 0)}px`;
      show(first, last);
      if (!measure(first, last)) break;
    }
    if (Math.abs(scroller.scrollTop - y) > 0.5) scroller.scrollTop = y;
    placed = scroller.scrollTop;
    if (position.pinned) view.seen = rows.at(-1) ?? null;
    paintAround();
    if (y < NEAR && view.older && view.rows[0] !== view.tried) store.loadOlder(view.channel);
  }

  /** Return how many rows of others came after the last one that was on screen. */
  function countNew() {
    if (!view.seen) return 0;
    let count = 0;
    for (let i = rows.length - 1; i >= 0 && compareRows(rows[i], view.seen) > 0; i--) {
      if (rows[i].author !== store.user) count++;
    }
    return count;
  }

  /** Draw what stands around the rows, if it changed. */
  function paintAround() {
    const count = countNew();
    pill.hidden = position.pinned;
    pill.textContent = count ? `${count.toLocaleString()} new ↓` : "Newest ↓";
    pill.classList.toggle("fresh", count > 0);
    const { channel, loading, older, loadFailed, phase } = view;
    const now = JSON.stringify([
      channel, loading, older, loadFailed, phase, !rows.length, store.ready, store.slow, hasHistory(),
    ]);
    if (now === around) return;
    around = now;
    top.replaceChildren(...makeTop());
    empty.hidden = rows.length > 0;
    empty.replaceChildren(...makeEmpty());
  }

  /** Whether the archive answers; without it, what is not here may be there all the same. */
  function hasHistory() {
    return !store.status.mongo;
  }

  /** Return what stands above the oldest row. */
  function makeTop() {
    if (view.loading) return [make("span", { text: "Loading older messages…" })];
    if (!view.older) {
      const start = hasHistory() ? `The beginning of #${view.channel}` : "Older messages can’t be read now";
      return [make("span", { text: rows.length ? start : "" })];
    }
    const more = () => store.loadOlder(view.channel);
    const button = makeButton("Load older messages", { class: "link" }, more);
    return [make("span", { class: "bad", text: view.loadFailed }), button];
  }

  /** Return what stands in place of rows while there are none. */
  function makeEmpty() {
    const say = (title, text) => [make("strong", { text: title }), make("span", { text })];
    const { channel, phase } = view;
    if (!store.ready) return say("", store.slow ? "Waits for the running cell" : "Connecting…");
    if (phase.missing) {
      const create = () => store.create(channel).then(store.showProblem);
      const button = makeButton("Create it", { class: "primary" }, create);
      return [...say(`There is no channel “${channel}” yet`, ""), button];
    }
    if (phase.name === "failed") {
      const again = makeButton("Try again", { class: "primary" }, () => store.select(channel));
      return [...say(`#${channel} could not be opened`, phase.reason), again];
    }
    if (phase.name === "opening") return say("", `Opening #${channel}…`);
    if (!hasHistory()) return say(`This is #${channel}`, "Its history can’t be read now.");
    return say(`This is #${channel}`, "No messages yet. Write the first one.");
  }

  /** Note where the reader scrolled to. */
  function onScroll() {
    const height = scroller.clientHeight;
    if (!height || !view || Math.abs(scroller.scrollTop - placed) < 1) return;
    const y = scroller.scrollTop;
    const pinned = TOP + offsets[rows.length] + BOTTOM - height - y < END;
    const index = rowAt(y - TOP);
    position = pinned || !rows.length
      ? { pinned: true, id: "", offset: 0 }
      : { pinned: false, id: rows[index].id, offset: TOP + offsets[index] - y };
    view.scroll = position;
    paint();
  }

  /** Go to the newest row. */
  function toEnd() {
    position = view.scroll = { pinned: true, id: "", offset: 0 };
    paint();
    scroller.focus({ preventScroll: true });
  }

  /** Say a new message of somebody else's to a screen reader. */
  function announce(before) {
    const row = view.rows.at(-1);
    if (!before || !row || compareRows(row, before) <= 0) return;
    if (row.kind !== "message" || row.author === store.user || row.deleted) return;
    announcer.textContent = `${row.author}: ${row.body.slice(0, 300)}`;
  }

  /** Bring all up to date with the store. */
  function update() {
    const now = store.view(store.selected);
    if (now !== view) {
      view = now;
      rows = [];
      shown = new Map();
      position = view.scroll;
    } else {
      announce(rows.at(-1));
      if (view.jumps !== jumps) position = view.scroll;
    }
    jumps = view.jumps;
    paint();
  }

  scroller.addEventListener("scroll", onScroll, { passive: true });
  const observer = new ResizeObserver(paint);
  observer.observe(scroller);
  return { element, update, close: () => observer.disconnect() };
}
