/** The log of a topic: a lane for each partition, a cell for each record, the newest at the end. */
import { make } from "./elements.js";
import { counted, createView, ink, keep, mark, write } from "./drawing.js";

/** Width of a cell and the space behind it, as in the style. */
const CELL = 46;
/** What stands beside the cells: where the log begins, and where it ends. */
const ENDS = 2 * 58;
const MOST_KEYS = 14;

const when = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});

/** Return an offset in few characters: of a long one, how it ends. */
function short(offset) {
  return offset < 100_000 ? counted(offset) : `…${String(offset).slice(-4)}`;
}

/** Return what stands in a lane: records, and runs of offsets that hold none. */
function itemsOf(lane) {
  const items = [];
  let next = lane.first;
  const pass = (to) => {
    if (to > next) items.push({ gap: true, offset: next, last: to - 1 });
  };
  for (const [offset, key, at, kind, size, value] of lane.records) {
    if (offset < lane.first) continue;
    pass(offset);
    items.push({ offset, key, at, kind, size, value });
    next = offset + 1;
  }
  pass(lane.end);
  return items;
}

/** Return all that a record holds, in a line. */
function describe(partition, item) {
  if (item.gap) {
    const which = item.last > item.offset
      ? `Offsets ${counted(item.offset)} to ${counted(item.last)} hold` : `Offset ${counted(item.offset)} holds`;
    return `${which} no record: compacted away, or the end of a transaction.`;
  }
  const key = item.key === null ? "no key" : `key ${item.key}`;
  const value = item.value === null ? "no value: a tombstone" : item.value;
  return `Partition ${partition}, offset ${counted(item.offset)} · ${key} · `
    + `${item.kind} ${when.format(item.at)} · ${counted(item.size)} bytes · ${value}`;
}

function makeCell(item) {
  if (item.gap) {
    const count = item.last - item.offset + 1;
    return make("div", { class: "cell gap" }, make("b", { text: count > 1 ? `${counted(count)}×` : "–" }),
      make("small", { text: "gone" }));
  }
  const cell = make("div", { class: "cell" },
    make("b", { text: item.key === null ? "·" : item.key || "''", dir: "auto" }),
    make("small", { text: short(item.offset) }));
  cell.classList.toggle("tombstone", item.value === null);
  return ink(cell, item.key);
}

function makeLane(partition) {
  const lane = make("div", { class: "lane" });
  lane.name = make("b", { text: `partition ${partition}` });
  lane.range = make("small", { class: "muted" });
  lane.begins = make("div", { class: "begins" }, make("small"), make("b"));
  lane.cells = make("div", { class: "cells" });
  lane.next = make("div", { class: "cell next" }, make("b", { text: "next" }), make("small"));
  lane.append(make("div", { class: "label" }, lane.name, lane.range), lane.begins, lane.cells, lane.next);
  return lane;
}

export default createView((body) => {
  const lanes = make("div", { class: "lanes" });
  const legend = make("div", { class: "legend" });
  const detail = make("div", { class: "detail muted" });
  const source = make("small", { class: "muted source" });
  const empty = make("div", { class: "muted", text: "There is no such topic on this Kafka yet. Records show here once it is made." });
  body.append(empty, lanes, legend, detail, source);
  const HINT = "Point at a record to read it.";
  detail.textContent = HINT;
  let content = null;
  let room = 0;

  function drawLane(element, lane, id) {
    write(element.range, lane.leader < 0 ? "no leader"
      : lane.end === lane.start ? "empty"
        : `offsets ${counted(lane.start)} – ${counted(lane.end - 1)}`);
    element.classList.toggle("leaderless", lane.leader < 0);
    const all = itemsOf(lane);
    const items = all.slice(Math.max(0, all.length - room));
    const from = items.length ? items[0].offset : lane.end;
    const earlier = from - lane.start;
    const [above, below] = element.begins.children;
    write(above, earlier > 0 ? "earlier" : "log start");
    const moved = write(below, earlier > 0 ? `‹ ${counted(earlier)}` : counted(lane.start));
    element.begins.classList.toggle("more", earlier > 0);
    element.begins.classList.toggle("late", earlier <= 0 && lane.start > 0);
    if (moved && earlier <= 0 && lane.start > 0 && element.end !== undefined) mark(element.begins);
    const byKey = new Map(items.map((item) => [`${id}/${item.offset}/${item.last ?? ""}`, item]));
    const cells = keep(element.cells, [...byKey.keys()], (key) => {
      const item = byKey.get(key);
      const cell = makeCell(item);
      if (!item.gap && item.offset >= element.end) mark(cell);
      return cell;
    });
    element.end = lane.end;
    [...byKey.entries()].forEach(([key, item], n) => {
      cells[n].told = describe(lane.partition, item);
      cells[n].title = cells[n].told;
    });
    write(element.next.lastChild, short(lane.end));
    element.next.title = `The next record of partition ${lane.partition} will get offset ${counted(lane.end)}.`;
    return items;
  }

  function drawLegend(items) {
    const keys = [...new Set(items.filter((item) => !item.gap).map((item) => item.key))];
    keys.sort((a, b) => (a === null) - (b === null) || (a < b ? -1 : 1));
    const shown = keys.slice(0, MOST_KEYS).map((key) => JSON.stringify(key));
    keep(legend, shown, (json) => {
      const key = JSON.parse(json);
      const swatch = ink(make("span", { class: "swatch" }), key);
      return make("span", {}, swatch, make("bdi", { text: key === null ? "no key" : key || "''" }));
    });
    legend.hidden = !keys.length;
  }

  function draw() {
    if (content === null || room < 1) return;
    empty.hidden = content.lanes.length > 0;
    detail.hidden = source.hidden = !empty.hidden;
    source.textContent = "Offsets from KafkaConsumer.beginning_offsets and end_offsets, records from KafkaConsumer.poll.";
    const ids = content.lanes.map((lane) => `${content.topic_id}/${lane.partition}`);
    const elements = keep(lanes, ids, (id) => makeLane(id.split("/")[1]));
    drawLegend(content.lanes.flatMap((lane, n) => drawLane(elements[n], lane, ids[n])));
  }

  lanes.addEventListener("pointerover", (event) => {
    const cell = event.target.closest(".cell");
    if (cell?.told) detail.textContent = cell.told;
  });
  lanes.addEventListener("pointerleave", () => { detail.textContent = HINT; });
  const sizes = new ResizeObserver(() => {
    const width = body.clientWidth - 128 - ENDS;
    const fits = Math.max(2, Math.floor(width / CELL));
    if (fits !== room && body.clientWidth) {
      room = fits;
      draw();
    }
  });
  sizes.observe(body);
  return (next) => {
    content = next;
    draw();
  };
});
