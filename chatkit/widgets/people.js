/** Who is here, away or just left, below the channels; and what to say of direct messages. */
import { formatClock, make, makeButton } from "./elements.js";
import {
  asksForMenu, makeFold, makeIconButton, makeSideIcon, moveFocus, placeChildren,
} from "./menu.js";

/** How many people are listed at most. */
const MOST_PEOPLE = 200;

/** Return a dot that shows whether somebody is there. */
export function makePresenceDot() {
  return make("span", { class: "person-dot", "aria-hidden": "true" });
}

/** Return what there is to say of whether somebody is there, as a few words. */
export function describePresence(store, person) {
  if (!person) return "not here";
  const { state } = person;
  const words = state === "left" ? `left, last seen at ${formatClock(person.seen_ms)}` : state;
  if (!person.typing) return words;
  const known = store.channels.find((one) => one.channel === person.typing);
  const place = !known ? "" : known.direct ? " to you" : ` in #${known.title}`;
  return `${words}, is writing${place}`;
}

/** Order people: the user, then who is here, then who is away; by name. */
function orderPeople(store) {
  const rank = ({ name, state }) => (name === store.user ? 0 : state === "here" ? 1 : 2);
  return [...store.people].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** Return the list of people of a store: its element and `update()`. */
export function createPeople(store, menu) {
  const there = make("ul", { class: "people", "aria-label": "Who is here" });
  const gone = make("ul", { class: "people gone", "aria-label": "Who left" });
  const more = make("div", { class: "side-hint" });
  const title = make("span");
  const fold = makeFold(() => {
    showsGone = !showsGone;
    update();
  });
  const element = make("section", { class: "side-people", "aria-label": "People" },
    make("div", { class: "side-heading" }, title), there, more, fold.button, gone);
  const lines = new Map(); // name -> its line
  let showsGone = false;
  let drawn = []; // what the list was made of

  /** Return all lines that can be seen, in order. */
  function shown() {
    return [...element.querySelectorAll("ul:not([hidden]) .person")];
  }

  /** Open the menu of somebody. */
  function openMenu(name, spot) {
    if (name === store.user) return;
    const muted = store.muted.has(name);
    menu.open(`Menu of ${name}`, [
      { text: `Write to ${name}`, act: () => store.direct(name) },
      {
        text: muted ? `Hear ${name} again` : `Mute ${name}`,
        act: () => store.mute({ person: name }, !muted),
      },
    ], spot, () => lines.get(name)?.button);
  }

  /** Return a new line of somebody. */
  function makeLine(name) {
    const label = make("bdi", { class: "label", text: name });
    const mine = make("span", { class: "mine", text: "(me)" });
    const button = makeButton("", { class: "person", tabindex: "-1" }, () => {
      if (name !== store.user) store.direct(name);
    });
    const dots = makeIconButton("more", `Menu of ${name}`, () => {
      openMenu(name, dots.getBoundingClientRect());
    }, { tabindex: "-1", "aria-haspopup": "menu" });
    const quiet = makeSideIcon("quiet");
    const pencil = makeSideIcon("pencil");
    button.append(makePresenceDot(), label, mine, quiet, pencil);
    const line = make("li", {}, button, dots);
    line.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation(); // the notebook has a menu too
      openMenu(name, { left: event.clientX, top: event.clientY, bottom: event.clientY });
    });
    return { line, button, mine, dots, quiet, pencil, name, drawn: "" };
  }

  /** Return the line of somebody, up to date. */
  function fillLine(person) {
    if (!lines.has(person.name)) lines.set(person.name, makeLine(person.name));
    const line = lines.get(person.name);
    const muted = store.muted.has(person.name);
    const about = describePresence(store, person) + (muted ? ", muted" : "");
    const me = person.name === store.user;
    const now = `${me} ${person.state} ${about}`;
    if (now === line.drawn) return line.line;
    line.drawn = now;
    line.button.dataset.presence = person.state;
    line.button.classList.toggle("muted", muted);
    line.button.title = `${person.name}: ${about}`;
    line.button.setAttribute("aria-label", me ? `${person.name} (me)` : person.name);
    line.button.setAttribute("aria-description", about);
    line.mine.hidden = !me;
    line.dots.hidden = me;
    line.quiet.toggleAttribute("hidden", !muted);
    line.pencil.toggleAttribute("hidden", !person.typing || muted);
    return line.line;
  }

  /** Let exactly one line be reached with the tabulator: the one that had the focus last. */
  function rove(chosen) {
    const all = shown();
    const before = all.find((button) => button.tabIndex === 0) ?? all[0];
    const one = all.includes(chosen) ? chosen : before;
    for (const button of all) button.tabIndex = button === one ? 0 : -1;
  }

  element.addEventListener("focusin", (event) => {
    if (event.target.matches(".person")) rove(event.target);
  });
  element.addEventListener("keydown", (event) => {
    if (!event.target.matches(".person")) return;
    if (moveFocus(event, shown(), event.target) || !asksForMenu(event)) return;
    event.preventDefault();
    const found = [...lines.values()].find((line) => line.button === event.target);
    openMenu(found.name, event.target.getBoundingClientRect());
  });

  /** Bring the list up to date with the store. */
  function update() {
    // What the kernel tells anew is a new object.
    const now = [store.people, store.channels, store.user, store.muted, showsGone];
    if (now.every((one, index) => one === drawn[index])) return;
    drawn = now;
    const people = orderPeople(store);
    const present = people.filter((one) => one.state !== "left");
    const left = people.filter((one) => one.state === "left");
    title.textContent = present.length ? `People (${present.length.toLocaleString()})` : "People";
    placeChildren(there, present.slice(0, MOST_PEOPLE).map(fillLine));
    placeChildren(gone, showsGone ? left.slice(0, MOST_PEOPLE).map(fillLine) : []);
    const hidden = present.length - MOST_PEOPLE;
    more.textContent = hidden > 0 ? `and ${hidden.toLocaleString()} more` : "";
    more.hidden = hidden <= 0;
    fold.set(`Left (${left.length.toLocaleString()})`, showsGone);
    fold.button.hidden = !left.length;
    gone.hidden = !showsGone;
    const names = new Set(people.map((one) => one.name));
    for (const name of lines.keys()) if (!names.has(name)) lines.delete(name);
    element.hidden = !people.length;
    rove(null);
  }

  return { element, update };
}
