/** Which broker leads which partition, and which replicas are in sync. */
import { make } from "./elements.js";
import { counted, createView, keep, mark, write } from "./drawing.js";

const STATES = { running: "running", paused: "paused", down: "down", unknown: "" };
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function makeRow() {
  const row = make("div", { class: "row" }, make("div", { class: "label" }, make("b"), make("small", { class: "muted" })),
    make("div", { class: "cells" }));
  return row;
}

export default createView((body) => {
  const grid = make("div", { class: "grid" });
  const more = make("div", { class: "muted" });
  const changes = make("div", { class: "changes" });
  const source = make("small", { class: "muted source" });
  body.append(grid, more, make("div", { class: "legend" },
    make("span", {}, make("i", { class: "sign leader" }), "leader: reads and writes go here"),
    make("span", {}, make("i", { class: "sign sync" }), "in sync: has all, may lead next"),
    make("span", {}, make("i", { class: "sign late" }), "out of sync: lacks something")), changes, source);
  return (content) => {
    const { brokers, partitions } = content;
    body.style.setProperty("--brokers", brokers.length || 1);
    const keys = partitions.map((one) => `${one.topic}/${one.partition}`);
    const [head, ...rows] = keep(grid, ["", ...keys], makeRow);
    head.classList.add("head");
    const ids = brokers.map(([broker]) => String(broker));
    const tops = keep(head.lastChild, ids, () => make("div", {}, make("b"), make("small")));
    brokers.forEach(([broker, state], n) => {
      tops[n].className = `broker ${state}`;
      write(tops[n].firstChild, `broker ${broker}`);
      if (write(tops[n].lastChild, STATES[state] ?? state) && tops[n].drawn) mark(tops[n]);
      tops[n].drawn = true;
    });
    partitions.forEach((one, m) => {
      const row = rows[m];
      write(row.firstChild.firstChild, `partition ${one.partition}`);
      write(row.firstChild.lastChild, one.leader < 0 ? `no leader: ${one.topic}` : one.topic);
      row.classList.toggle("leaderless", one.leader < 0);
      row.title = `${one.topic}, partition ${one.partition}`;
      const cells = keep(row.lastChild, ids, () => make("div"));
      brokers.forEach(([broker, state], n) => {
        const role = broker === one.leader ? "leader" : one.in_sync.includes(broker) ? "sync"
          : one.replicas.includes(broker) ? "late" : "none";
        cells[n].className = `cell ${role} ${state}`;
        const text = { leader: "★ leader", sync: "in sync", late: "out of sync", none: "" }[role];
        if (write(cells[n], text) && row.drawn) mark(cells[n]);
      });
      row.drawn = true;
    });
    write(more, content.hidden ? `and ${counted(content.hidden)} more partitions`
      : partitions.length ? "" : `There are no topics ${content.prefix}* yet.`);
    const lines = keep(changes, content.changes.map(([at, text], n) => `${at}/${text}`), () => make("div"));
    content.changes.forEach(([at, text], n) => write(lines[n] ?? make("div"), `${timeOfDay.format(at)} ${text}`));
    write(source, `From ${content.source}; what a broker's process does, from the cluster that started it.`);
  };
});
