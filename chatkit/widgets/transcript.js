/**
 * The rows of the shown channel, of which only those on screen are in the DOM.
 *
 * Heights are measured as rows come into sight and guessed before. The place of the reader is a row
 * and its distance from the top edge, so that nothing that happens above moves what is being read;
 * or it is the end, which then stays in sight as rows are added.
 */
import { createActions } from "./actions.js";
import { make, makeButton } from "./elements.js";
import { guessHeight, isHidden, makeRow, rowLayout } from "./row.js";
import { compareKeys, compareRows, findRow } from "./rows.js";

/** Rows are drawn this far outside of what is seen, px. */
const MARGIN = 500;
/** Height kept above the oldest row, px. */
const TOP = 56;
/** Height kept below the newest row, px. */
const BOTTOM = 12;
/** Older rows are fetched when the reader is this near to the oldest, px. */
const NEAR = 800;
/** Least distance to the edges of a row that is brought into sight, px. */
const ROW_RIM = 12;
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
  const above = makeButton("", { class: "pill above" }, toDivider);
  const announcer = make("div", { class: "unseen", "aria-live": "polite" });
  const element = make("div", { class: "transcript" }, scroller, empty, above, pill, announcer);

  const actions = createActions(store, element, (id) => shown.get(view?.byId.get(id)));
  scroller.after(...actions.elements);

  let view = null; // what the store keeps of the channel on screen
  let position = null; // where the reader is; a copy, as another view may be elsewhere
  let width = 0;
  let measured = new WeakMap(); // row -> height
  let rows = []; // the rows as of the last paint
  let divider = -1; // index of the first that is new to the user; -1 if none is
  let heights = [];
  let offsets = [0]; // offsets[i]: sum of heights before row i, right up to index `sound`
  let sound = 0;
  let shown = new Map(); // row -> element in the pane
  let placed = 0; // scrollTop that paint chose
  let jumps = 0; // how often the user was taken to the end by sending
  let around = ""; // what stands around the rows, as text
  let inSight = false; // whether the transcript is on the screen
  let upwards = true; // which way the reader scrolled last
  let paneHeight = 0; // as of the last paint

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

  /** Return the row above one, without those that are not drawn. */
  function drawnAbove(index) {
    let at = index - 1;
    while (at >= 0 && isHidden(rows[at], store)) at--;
    return rows[at];
  }

  /** Return the index of the first row that is new to the user; -1 if none is. */
  function findDivider() {
    if (!view.divider) return -1;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareKeys([...rows[middle].place, rows[middle].id], view.divider) <= 0) low = middle + 1;
      else high = middle;
    }
    while (low < rows.length && !isNews(rows[low])) low++;
    const found = rows[low];
    return found && compareKeys([...found.place, found.id], view.until) <= 0 ? low : -1;
  }

  /** Whether a row can be unread: somebody else's message, not imported. */
  function isNews(row) {
    return row.kind === "message" && row.author !== store.user && row.source === "chat"
      && !row.deleted && !store.muted.has(row.author);
  }

  /** Whether nobody can write here now. */
  function isClosed() {
    return store.frozen || store.summary(view.channel).archived;
  }

  /** Return all that a row's looks depend on, as text. */
  function looksOf(index) {
    const row = rows[index];
    const marks = [rowLayout(drawnAbove(index), row)];
    if (index === divider) marks.push("new");
    if (isHidden(row, store)) marks.push("hidden");
    if (store.muted.has(row.author) && !actions.unveiled.has(row.id)) marks.push("muted");
    if (store.lens) marks.push(lensMark(row));
    if (row.quote && store.muted.has(row.quote.author)) marks.push("hush");
    if (row.reactions.length && isClosed()) marks.push("closed");
    return marks.join(" ");
  }

  /** Return how much of what Kafka knows of a row is here. */
  function lensMark(row) {
    const facts = view.lens.get(row.id);
    if (!facts) return row.place[2] < 0 ? "lens?" : "lens? there";
    return facts.archived_ms ? "lens archived" : "lens";
  }

  /** Have exactly the rows first to last in the pane, in order. */
  function show(first, last) {
    const keep = new Map();
    const focused = pane.getRootNode().activeElement;
    const isInside = pane.contains(focused);
    let next = pane.firstChild;
    for (let i = first; i <= last; i++) {
      const row = rows[i];
      const looks = looksOf(i);
      let child = shown.get(row);
      if (!child || child.looks !== looks) {
        const former = [...shown.values()].find((one) => one.dataset.id === row.id);
        child = makeRow(row, looks, store, view.channel, actions, former);
        child.looks = looks;
      }
      keep.set(row, child);
      if (child === next) next = next.nextSibling;
      else pane.insertBefore(child, next);
    }
    const wanted = new Set(keep.values());
    for (const child of [...pane.children]) if (!wanted.has(child)) child.remove();
    shown = keep;
    if (isInside && pane.getRootNode().activeElement !== focused) keepFocus(focused);
  }

  /** Give the focus to what now stands where it was. */
  function keepFocus(focused) {
    const child = shown.get(view.byId.get(focused.closest(".row")?.dataset.id));
    const buttons = [...child?.querySelectorAll("button") ?? []];
    const same = focused.key && buttons.find((one) => one.key === focused.key);
    const now = pane.contains(focused) ? focused : same || child?.querySelector(".message");
    (now ?? scroller).focus({ preventScroll: true });
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
    divider = findDivider();
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
    paneHeight = pane.offsetHeight;
    if (Math.abs(scroller.scrollTop - y) > 0.5) scroller.scrollTop = y;
    placed = scroller.scrollTop;
    actions.update(view);
    if (position.pinned) view.seen = rows.at(-1) ?? null;
    if (view.flash) pointOut();
    paintAround();
    if (rows.length) askForMore(y, height);
    if (y < NEAR && view.older && view.rows[0] !== view.tried) store.loadOlder(view.channel);
  }

  /** Let the row that was jumped to stand out for a moment. */
  function pointOut() {
    const child = shown.get(view.byId.get(view.flash));
    if (!child) return;
    child.classList.add("flash");
    child.querySelector(".message")?.focus?.({ preventScroll: true });
    view.flash = "";
  }

  /** Ask for what the rows in sight lack, and note that they have been seen. */
  function askForMore(y, height) {
    const [first, last] = [rowAt(y - TOP), rowAt(y - TOP + height - BOTTOM)];
    const drawn = [...shown.keys()];
    const { channel } = view;
    store.render(channel, drawn.filter((row) => row.raw).map((row) => row.id));
    const asking = drawn.filter((row) => row.quote && !row.quote.author && !row.quote.asked);
    for (const row of asking) row.quote.asked = true;
    if (asking.length) store.quote(channel, asking.map((row) => row.quote.id));
    if (store.lens) store.look(channel, drawn.filter((row) => row.place[2] >= 0).map((row) => row.id));
    for (let i = first; i <= last; i++) {
      if (rows[i].kind === "skipped") store.loadSkipped(channel, rows[i].id, upwards);
    }
    if (inSight && document.visibilityState === "visible" && document.hasFocus()) {
      let seen = last;
      while (seen > 0 && rows[seen].state !== "sent") seen--;
      store.markRead(channel, rows[seen]);
    }
  }

  /** Return how many messages of others came after the last row that was on screen. */
  function countNew() {
    if (!view.seen) return 0;
    let count = 0;
    for (let i = rows.length - 1; i >= 0 && compareRows(rows[i], view.seen) > 0; i--) {
      if (rows[i].kind === "message" && rows[i].author !== store.user) count++;
    }
    return count;
  }

  /** Draw what stands around the rows, if it changed. */
  function paintAround() {
    const count = countNew();
    pill.hidden = position.pinned;
    pill.textContent = count ? `${count.toLocaleString()} new ↓` : "Newest ↓";
    pill.classList.toggle("fresh", count > 0);
    above.hidden = divider < 0 || TOP + offsets[divider] >= scroller.scrollTop;
    above.textContent = "↑ First unread";
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
      const create = () => store.create(channel).then((error) => store.showProblem({ error }));
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

  /**
   * Return the index of the row that is to stay where it is: the first one that begins in the upper
   * half of what is seen, as one that begins above may still grow; else the one at the edge.
   */
  function anchorAt(y, height) {
    const edge = rowAt(y);
    const begins = offsets[edge] >= y || edge + 1 >= rows.length;
    const index = begins || offsets[edge + 1] > y + height / 2 ? edge : edge + 1;
    // What stands for others goes away once they are here.
    return rows[index]?.kind === "skipped" && index + 1 < rows.length ? index + 1 : index;
  }

  /** Note where the reader scrolled to. */
  function onScroll() {
    const height = scroller.clientHeight;
    if (!height || !view || Math.abs(scroller.scrollTop - placed) < 1) return;
    const y = scroller.scrollTop;
    upwards = y < placed;
    const pinned = TOP + offsets[rows.length] + BOTTOM - height - y < END;
    const index = anchorAt(y - TOP, height);
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

  /** Go to the first row that is new to the user. */
  function toDivider() {
    if (divider < 0) return;
    position = view.scroll = { pinned: false, id: rows[divider].id, offset: 60 };
    paint();
    view.divider = null; // it has been seen
    scroller.focus({ preventScroll: true });
  }

  /** Go to the message above or below the one with the focus; whether there was a way to go. */
  function step(from, direction) {
    const row = view.byId.get(from);
    const height = scroller.clientHeight;
    const y = scroller.scrollTop - TOP;
    let index = row ? findRow(rows, row) : rowAt(y + height - BOTTOM);
    if (row && heights[index] > height && isCut(index, direction, y, y + height)) return false;
    if (row) index += direction;
    while (rows[index] && rows[index].kind !== "message") index += direction;
    if (!rows[index]) return false;
    bring(index, y, height);
    shown.get(rows[index])?.querySelector(".message")?.focus({ preventScroll: true });
    return true;
  }

  /** Whether a row goes on beyond what is seen from y to end. */
  function isCut(index, direction, y, end) {
    return direction > 0 ? offsets[index + 1] > end + 1 : offsets[index] < y - 1;
  }

  /** Scroll no further than it takes to have a row in sight. */
  function bring(index, y, height) {
    const [over, under] = [offsets[index] < y, offsets[index + 1] > y + height];
    if (!over && !under) return;
    const offset = over ? ROW_RIM : Math.max(ROW_RIM, height - heights[index] - ROW_RIM);
    position = view.scroll = index === rows.length - 1
      ? { pinned: true, id: "", offset: 0 } : { pinned: false, id: rows[index].id, offset };
    paint();
  }

  /** Go through the messages by arrows, and do with them what their keys mean. */
  function onKey(event) {
    const message = event.target.matches(".message") && event.target;
    if (!message && event.target !== scroller) return;
    const id = message ? message.closest(".row").dataset.id : "";
    const direction = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const done = direction ? step(id, direction) : message && actions.onMessageKey(event, id);
    if (done) event.preventDefault();
  }

  /** Note which row is pointed at, or has the focus. */
  function onPoint(event) {
    actions.point(event.target.closest?.(".row")?.dataset.id ?? "");
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
  scroller.addEventListener("keydown", onKey);
  pane.addEventListener("pointerover", onPoint);
  pane.addEventListener("focusin", onPoint);
  element.addEventListener("pointerleave", () => actions.point(""));
  const resized = new ResizeObserver(paint);
  resized.observe(scroller);
  // A picture, a preview or a fold in a row comes, opens or closes without news of the store.
  const grown = new ResizeObserver(() => {
    if (Math.abs(pane.offsetHeight - paneHeight) > 0.5) paint();
  });
  grown.observe(pane);
  const sighted = new IntersectionObserver((entries) => {
    inSight = entries.at(-1).isIntersecting;
    paint();
  }, { threshold: 0.5 });
  sighted.observe(scroller);
  window.addEventListener("focus", paint);
  document.addEventListener("visibilitychange", paint);
  return {
    element,
    update,
    close() {
      resized.disconnect();
      grown.disconnect();
      actions.close();
      sighted.disconnect();
      window.removeEventListener("focus", paint);
      document.removeEventListener("visibilitychange", paint);
    },
  };
}
