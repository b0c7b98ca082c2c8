/** What became of the messages: big counts, and the same by partition. */
import { make } from "./elements.js";
import { counted, createView, keep, mark, write } from "./drawing.js";

const COUNTS = [
  ["sent", "sent", ""], ["acknowledged", "acknowledged", ""], ["seen", "seen", ""],
  ["lost", "lost", "bad"], ["doubled", "doubled", "warn"], ["out_of_order", "out of order", "warn"],
  ["unacknowledged_seen", "seen without acknowledgement", "warn"], ["foreign", "records of others", ""],
];
const EXPLAINED = {
  sent: "Messages that were sent.",
  acknowledged: "Of these, those that Kafka promised to keep.",
  seen: "Of those sent, those that a reader got, however often.",
  lost: "Acknowledged, but not seen (so far).",
  doubled: "Seen more than once.",
  out_of_order: "Seen after a later message of the same sender in the same partition.",
  unacknowledged_seen: "Seen, although Kafka has not told the sender that it keeps them.",
  foreign: "Records that none of these senders has sent.",
};

function makeRow() {
  const row = make("div", { class: "row" }, make("div", { class: "label" }, make("b"), make("small", { class: "muted" })));
  row.numbers = COUNTS.map(([, , kind]) => make("div", { class: `number ${kind}` }));
  row.append(...row.numbers);
  return row;
}

export default createView((body) => {
  const tiles = COUNTS.map(([name, label, kind]) =>
    make("div", { class: `tile ${kind}`, title: EXPLAINED[name] }, make("b"), make("span", { text: label })));
  const head = makeRow();
  head.classList.add("head");
  COUNTS.forEach(([, label], n) => { head.numbers[n].textContent = label; });
  const rows = make("div", { class: "rows" });
  const ids = make("div", { class: "ids" });
  body.append(make("div", { class: "tiles" }, ...tiles), head, rows, ids,
    make("small", { class: "muted source", text: "Counted by the messages' ids (Scoreboard.count): Sender.sent against what members handled, or what is in the topic." }));
  let drawn = false;
  return ({ total, partitions, lost, doubled }) => {
    COUNTS.forEach(([name, , kind], n) => {
      const changed = write(tiles[n].firstChild, counted(total[name]));
      tiles[n].classList.toggle("some", total[name] > 0);
      tiles[n].hidden = n > 5 && !total[name];
      if (changed && drawn && kind && total[name]) mark(tiles[n]);
    });
    head.hidden = !partitions.length;
    const elements = keep(rows, partitions.map((one) => `${one.topic}/${one.partition}`), makeRow);
    partitions.forEach((one, m) => {
      write(elements[m].firstChild.firstChild, `partition ${one.partition}`);
      write(elements[m].firstChild.lastChild, one.topic);
      COUNTS.forEach(([name], n) => {
        write(elements[m].numbers[n], counted(one[name]));
        elements[m].numbers[n].classList.toggle("some", one[name] > 0);
      });
    });
    const told = [["lost", lost, total.lost], ["doubled", doubled, total.doubled]].filter(([, some]) => some.length);
    const lines = keep(ids, told.map(([name]) => name), (name) => make("div", { class: name }));
    told.forEach(([name, some, count], n) => write(lines[n],
      `${name}: ${some.join(", ")}${count > some.length ? `, and ${counted(count - some.length)} more` : ""}`));
    drawn = true;
  };
});
