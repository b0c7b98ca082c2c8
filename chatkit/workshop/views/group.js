/** Who owns which partition: a grid, what moved, and a time line of the rebalances. */
import { make, makeSvg } from "./elements.js";
import { createView, huesOf, ink, keep, mark, write } from "./drawing.js";

const [WIDTH, LANE] = [600, 18];
const NEWS_MS = 15000;

function ago(ms) {
  return ms < 1000 ? "just now" : ms < 90000 ? `${Math.round(ms / 1000)} s ago` : `${Math.round(ms / 60000)} min ago`;
}

function makeGroup() {
  const group = make("div", { class: "group" });
  group.heading = make("div", { class: "heading" }, make("b"), make("span", { class: "muted" }));
  group.grid = make("div", { class: "grid" });
  group.time = make("div", { class: "time" });
  group.axis = make("div", { class: "axis muted" }, make("small"), make("small", { text: "now" }));
  group.pause = make("div", { class: "pause" });
  group.events = make("div", { class: "events muted" });
  group.append(group.heading, group.grid, group.time, group.axis, group.pause, group.events);
  return group;
}

function makeRow(members) {
  const row = make("div", { class: "row" });
  row.label = make("div", { class: "label" }, make("b"), make("small", { class: "muted" }));
  row.cells = make("div", { class: "cells" });
  row.news = make("div", { class: "news" });
  row.append(row.label, row.cells, row.news);
  return row;
}

function drawHead(head, members, rows, hues) {
  write(head.label.firstChild, "");
  const cells = keep(head.cells, members.map(([name], n) => `${n}/${name}`), () =>
    make("div", { class: "member" }, make("b", { dir: "auto" }), make("small")));
  members.forEach(([name, state], n) => {
    const count = rows.filter((row) => row.owners.includes(name)).length;
    ink(cells[n], name, hues.get(name));
    write(cells[n].firstChild, name);
    write(cells[n].lastChild, state === "stable" && !count ? "idle" : state);
    cells[n].className = `member inked ${state} ${count ? "" : "idle"}`;
    cells[n].title = `${name} is ${state} and owns ${count} partitions`;
  });
}

function drawRow(row, one, members, now, hues) {
  write(row.label.firstChild, `partition ${one.partition}`);
  write(row.label.lastChild, one.topic);
  row.title = `${one.topic}, partition ${one.partition}`;
  const cells = keep(row.cells, members.map(([name], n) => `${n}/${name}`), () => make("div", { class: "cell" }));
  members.forEach(([name, state], n) => {
    const owns = one.owners.includes(name);
    const had = cells[n].classList.contains("owned");
    ink(cells[n], name, hues.get(name));
    cells[n].classList.toggle("owned", owns);
    cells[n].classList.toggle("still", owns && state !== "stable");
    cells[n].classList.toggle("was", !owns && one.previous === name && now - one.since < NEWS_MS);
    write(cells[n], owns ? name : cells[n].classList.contains("was") ? "was here" : "");
    if (owns && !had && row.drawn) mark(cells[n]);
  });
  row.drawn = true;
  const isNew = one.since !== null && now - one.since < NEWS_MS;
  const owner = one.owners.join(" and ") || "nobody";
  const changed = one.previous !== null && (isNew || !one.owners.length || one.owners.length > 1);
  write(row.news, changed ? `${one.previous} → ${owner}, ${ago(now - one.since)}` : "");
  row.news.classList.toggle("bad", one.owners.length !== 1);
  row.classList.toggle("nobody", !one.owners.length);
}

function makeLane() {
  const lane = make("div", { class: "lane" });
  lane.label = make("small", { class: "muted" });
  lane.drawing = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${LANE}`, preserveAspectRatio: "none" });
  lane.append(lane.label, lane.drawing);
  return lane;
}

function drawLane(lane, row, group, now, window, hues) {
  write(lane.label, `partition ${row.partition}`);
  const x = (at) => WIDTH * Math.max(0, 1 - (now - at) / window);
  const spans = group.spans.filter(([topic, partition]) => topic === row.topic && partition === row.partition);
  const bars = keep(lane.drawing, spans.map(([, , member, , begin], n) => `${begin}/${member}/${n}`), () => makeSvg("rect"));
  spans.forEach(([, , member, state, begin, end], n) => {
    // Two that own it at one time stand one above the other.
    const rival = spans.find((other) => other[2] !== member && (other[5] ?? now) > begin && other[4] < (end ?? now));
    const second = rival && rival[2] < member;
    ink(bars[n], member, hues.get(member));
    bars[n].classList.toggle("reading", state === "reading");
    const [left, right] = [x(begin), x(end ?? now)];
    for (const [name, value] of Object.entries({ x: left, y: second ? LANE / 2 : 1,
      width: Math.max(0, right - left), height: rival ? LANE / 2 - 1 : LANE - 2 }))
      bars[n].setAttribute(name, String(value));
  });
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function drawGroup(element, group, now, window) {
  const { members, rows } = group;
  const hues = huesOf(members.map(([name]) => name));
  write(element.heading.firstChild, group.name || "no members yet");
  write(element.heading.lastChild, group.assignor);
  element.style.setProperty("--members", members.length || 1);
  const keys = rows.map((row) => `${row.topic}/${row.partition}`);
  const [head, ...grid] = keep(element.grid, ["", ...keys], () => makeRow());
  head.classList.add("head");
  drawHead(head, members, rows, hues);
  rows.forEach((row, n) => drawRow(grid[n], row, members, now, hues));
  const lanes = keep(element.time, keys, makeLane);
  rows.forEach((row, n) => drawLane(lanes[n], row, group, now, window, hues));
  write(element.axis.firstChild, `${Math.round(window / 1000)} s ago`);
  element.axis.hidden = !rows.length;
  const unread = Math.max(0, ...rows.map((row) => row.unread));
  write(element.pause, unread ? `Longest time that a partition was not read: ${(unread / 1000).toFixed(1)} s` : "");
  const events = keep(element.events, group.events.map((event) => event.join("/")), () => make("div"));
  group.events.forEach(([at, name, what], n) => write(events[n], `${timeOfDay.format(at)} ${name} ${what}`));
}

export default createView((body) => {
  const groups = make("div", { class: "groups" });
  body.append(groups, make("div", { class: "legend" },
    make("span", {}, make("i", { class: "sign reading" }), "read, in its owner's colour"),
    make("span", {}, make("i", { class: "sign waiting" }), "owned, but its owner waits or is paused"),
    make("span", {}, make("i", { class: "sign none" }), "owned by nobody")),
  make("small", { class: "muted source", text: "From what the members noted of themselves (Member.history)." }));
  return (content) => {
    const elements = keep(groups, content.groups.map((_, n) => String(n)), makeGroup);
    content.groups.forEach((group, n) => drawGroup(elements[n], group, content.now, content.window));
  };
});
