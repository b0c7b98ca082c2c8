/** How far a group has read: a ruler for each partition, and the lag over time. */
import { make, makeSvg } from "./elements.js";
import { counted, createView, keep, mark, write } from "./drawing.js";

const [WIDTH, HEIGHT] = [600, 110];
const COLUMNS = [
  ["log start", "start"], ["committed", "committed"], ["position", "position"], ["log end", "end"],
  ["lag", "lag"],
];

function makeRow() {
  const row = make("div", { class: "row" });
  row.label = make("div", { class: "name" }, make("b"), make("small", { class: "muted" }));
  row.parts = Object.fromEntries(["deleted", "read", "ahead", "lag"]
    .map((name) => [name, make("div", { class: `part ${name}` })]));
  row.marks = Object.fromEntries(["start", "end", "committed", "position"]
    .map((name) => [name, make("div", { class: `mark ${name}` })]));
  row.append(row.label, make("div", { class: "ruler" }, make("div", { class: "track" },
    ...Object.values(row.parts), ...Object.values(row.marks))));
  row.numbers = Object.fromEntries(COLUMNS.map(([, name]) => [name, make("div", { class: `number ${name}` })]));
  row.append(...Object.values(row.numbers));
  return row;
}

/** Put a part or a mark where it belongs; null: nowhere. */
function place(element, scale, from, to = from) {
  element.hidden = from === null || to === null || to < from;
  if (element.hidden) return;
  element.style.left = `${scale(from)}%`;
  if (to !== from || element.classList.contains("part")) element.style.width = `${scale(to) - scale(from)}%`;
}

function drawRow(row, one, scale, isFirst) {
  write(row.label.firstChild, `partition ${one.partition}`);
  write(row.label.lastChild, one.topic);
  row.label.title = `${one.topic}, partition ${one.partition}`;
  const { start, committed, position, end } = one;
  const read = committed === null ? start : Math.min(Math.max(committed, start), end);
  const at = position === null ? read : Math.min(Math.max(position, read), end);
  const overtaken = committed !== null && committed < start;
  place(row.parts.deleted, scale, overtaken ? Math.min(committed, start) : 0, start);
  row.parts.deleted.classList.toggle("overtaken", overtaken);
  place(row.parts.read, scale, start, read);
  place(row.parts.ahead, scale, read, at);
  place(row.parts.lag, scale, at, end);
  place(row.marks.start, scale, start);
  place(row.marks.end, scale, end);
  place(row.marks.committed, scale, committed);
  place(row.marks.position, scale, position);
  row.marks.committed.title = `committed: ${committed}`;
  row.marks.position.title = `position: ${position}`;
  for (const [, name] of COLUMNS) {
    const changed = write(row.numbers[name], one[name] === null ? "–" : counted(one[name]));
    if (changed && !isFirst && name === "start") mark(row.marks.start);
  }
  row.numbers.committed.classList.toggle("bad", overtaken);
  row.numbers.lag.classList.toggle("warn", one.lag > 0);
  row.title = overtaken
    ? `${counted(start - committed)} records were deleted before this group read them.` : "";
}

const seconds = (value) => value < 90 ? `${Math.round(value)} s`
  : value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
const rate = (value) => value === null ? "…" : `${value.toFixed(value < 100 ? 1 : 0)} /s`;

/** Return what to say of the time that is left. */
function leftOf(lag, pace) {
  if (lag === 0) return ["all is read", "good"];
  if (pace.read === null) return ["…", ""];
  return pace.left === null ? ["does not shrink", "bad"] : [seconds(pace.left), ""];
}

/** Return a round number that is not below another. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
}

export default createView((body) => {
  const empty = make("div", { class: "muted", text: "The group has committed nothing yet. Its partitions show here once it does." });
  const head = make("div", { class: "row head" }, make("div", { text: "" }), make("div", { class: "ruler" }),
    ...COLUMNS.map(([text, name]) => make("div", { class: `number ${name}` },
      make("i", { class: `sign ${name}`, "aria-hidden": "true" }), make("span", { text }))));
  const rows = make("div", { class: "rows" });
  const tiles = make("div", { class: "tiles" });
  const values = Object.fromEntries([["lag", "lag"], ["read", "committed"], ["written", "written"], ["left", "time left"]]
    .map(([name, text]) => {
      const value = make("b");
      tiles.append(make("div", { class: "tile" }, make("small", { class: "muted", text }), value));
      return [name, value];
    }));
  const chart = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" });
  const [area, line] = [makeSvg("path", { class: "area" }), makeSvg("path", { class: "line" })];
  chart.append(...[0, 0.5, 1].map((part) => makeSvg("line", {
    class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part })), area, line);
  const [most, half] = [make("small", { class: "muted" }), make("small", { class: "muted" })];
  const ago = make("small", { class: "muted" });
  const plot = make("div", { class: "plot" },
    make("div", { class: "scale" }, most, half, make("small", { class: "muted", text: "0" })), chart,
    make("div", { class: "times" }, ago, make("small", { class: "muted", text: "lag over time" }),
      make("small", { class: "muted", text: "now" })));
  const source = make("small", { class: "muted source" });
  const all = make("div", { class: "offsets" }, head, rows, make("div", { class: "pace" }, tiles, plot), source);
  body.append(empty, all);

  function drawChart({ lag, window }) {
    const top = roundUp(Math.max(...lag.map(([, value]) => value), 1));
    const points = lag.map(([back, value]) => [
      WIDTH * (1 - back / window), HEIGHT * (1 - value / top)].map((one) => one.toFixed(1)).join(" "));
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M${points[0].split(" ")[0]} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
    write(most, counted(top));
    write(half, top > 1 ? counted(top / 2) : "");
    write(ago, `${seconds(window)} ago`);
  }

  return (content) => {
    const { partitions, pace } = content;
    empty.hidden = partitions.length > 0;
    all.hidden = !empty.hidden;
    all.classList.toggle("positions", content.members);
    if (!partitions.length) return;
    const low = Math.min(...partitions.map((one) => Math.min(one.start, one.committed ?? one.start)));
    const high = Math.max(...partitions.map((one) => one.end));
    const isFirst = !rows.childElementCount;
    const scale = (offset) => 100 * Math.max(0, Math.min(1, (offset - low) / (high - low || 1)));
    const elements = keep(rows, partitions.map((one) => `${one.topic}/${one.partition}`), makeRow);
    partitions.forEach((one, n) => drawRow(elements[n], one, scale, isFirst));
    const lag = content.lag.at(-1)[1];
    const [left, kind] = leftOf(lag, pace);
    write(values.lag, counted(lag));
    write(values.read, rate(pace.read));
    write(values.written, rate(pace.written));
    write(values.left, left);
    values.left.className = kind;
    drawChart(content);
    write(source, `Offsets from ${content.source}${content.members ? "; positions from the members themselves" : ""}.`);
  };
});
