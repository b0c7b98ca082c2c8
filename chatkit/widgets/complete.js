/** Completion of people, channels, commands and emoji where the user writes. */
import { make } from "./elements.js";

/** How many people, channels or emoji are offered at most. */
const MOST_OFFERED = 8;
/** Characters before the caret in which what is to be completed begins. */
const LONGEST_TOKEN = 100;
/** Least distance of the offers to the edges of the window, px. */
const OFFERS_RIM = 8;
/** With less room above the box the offers open below it, px. */
const LEAST_ABOVE = 120;
/** What can be completed; people and channels as in chatkit/query and markup.py. */
const TOKENS = {
  person: /(?<![\p{L}\p{N}_@.])@([\p{L}\p{N}_.-]*)$/u,
  channel: /(?<![\p{L}\p{N}_#&/])#([\p{L}\p{N}_-]*)$/u,
  emoji: /(?<![\p{L}\p{N}_:]):([\p{L}\p{N}_+-]{2,})$/u,
};
const COMMAND_TOKEN = /^\/([\p{L}\p{N}_-]*)$/u;
/** Names that can be mentioned whole. */
const MENTIONABLE = /^[\p{L}\p{N}_]([\p{L}\p{N}_.-]*[\p{L}\p{N}_])?$/u;
const PRESENCE_ORDER = ["here", "away", "left"];

/** Return how well a name fits what was written of it: 0 is best; -1: not at all. */
export function rankName(name, written) {
  const [whole, part] = [name.toLowerCase(), written.toLowerCase()];
  if (whole === part) return 0;
  if (whole.startsWith(part)) return 1;
  for (let at = whole.indexOf(part); at > 0; at = whole.indexOf(part, at + 1)) {
    if (/[\s_.-]/.test(whole[at - 1])) return 2;
  }
  return whole.includes(part) ? 3 : -1;
}

/** Return the best of what could be offered, each once; equally good ones stay in their order. */
function bestOffers(offers, written, most) {
  const ranked = [];
  for (const offer of offers) {
    const ranks = offer.names.map((name) => rankName(name, written)).filter((rank) => rank >= 0);
    if (ranks.length) ranked.push([Math.min(...ranks), offer]);
  }
  ranked.sort((a, b) => a[0] - b[0]);
  const once = new Map();
  for (const [, offer] of ranked) if (!once.has(offer.text)) once.set(offer.text, offer);
  return [...once.values()].slice(0, most);
}

/** Whether a text ends within code, where signs have another meaning. */
function endsInCode(text) {
  const fences = text.match(/^ {0,3}```/gm) ?? [];
  const ticks = text.slice(text.lastIndexOf("\n") + 1).match(/`/g) ?? [];
  return fences.length % 2 === 1 || ticks.length % 2 === 1;
}

/** Return what a text ends with that can be completed: {kind, start, written}, or null. */
export function findToken(text) {
  const command = text.length < LONGEST_TOKEN && COMMAND_TOKEN.exec(text);
  if (command) return { kind: "command", start: 0, written: command[1] };
  const tail = text.slice(-LONGEST_TOKEN);
  for (const [kind, pattern] of Object.entries(TOKENS)) {
    const found = pattern.exec(tail);
    if (!found || endsInCode(text)) continue;
    return { kind, start: text.length - found[0].length, written: found[1] };
  }
  return null;
}

/** Return all who can be mentioned: those who are here first, then who wrote here. */
function offerPeople(store) {
  const about = new Map();
  for (const state of PRESENCE_ORDER) {
    for (const person of store.people) if (person.state === state) about.set(person.name, state);
  }
  for (const { author } of store.view(store.selected).rows.toReversed()) {
    if (author && !about.has(author)) about.set(author, "");
  }
  about.delete(store.user);
  return [...about].filter(([name]) => MENTIONABLE.test(name))
    .map(([name, state]) => ({ text: `@${name}`, names: [name], name: `@${name}`, about: state }));
}

/** Return all channels that can be named. */
function offerChannels(store) {
  return store.channels.filter((one) => !one.direct).map((one) => {
    const { channel, title, archived, description } = one;
    const about = [title === channel ? "" : title, archived ? "closed" : description];
    return {
      text: `#${channel}`, names: [channel, title], name: `#${channel}`,
      about: about.filter(Boolean).join(" · "),
    };
  });
}

/** Return all commands. */
function offerCommands(store) {
  return store.commands.map(({ name, about }) => (
    { text: `/${name}`, names: [name], name: `/${name}`, about }));
}

/** Return all emoji; of equally good names the shorter ones come first. */
function offerEmoji(names) {
  const all = Object.entries(names).sort(([a], [b]) => a.length - b.length);
  return all.map(([name, emoji]) => (
    { text: emoji, names: [name], mark: emoji, name: `:${name}:`, about: "" }));
}

/** Write into a box in place of a part of its text, as if typed: the browser can undo it. */
export function writeInto(box, text, start, end) {
  box.focus({ preventScroll: true });
  box.setSelectionRange(start, end);
  if (document.execCommand("insertText", false, text)) return;
  box.setRangeText(text, start, end, "end");
  box.dispatchEvent(new Event("input"));
}

/** Place something that floats above an element, within the window. */
export function placeAbove(floating, anchor, alignEnd = false) {
  const { left, right, top, bottom } = anchor.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  const below = top < LEAST_ABOVE && clientHeight - bottom > top;
  const room = (below ? clientHeight - bottom : top) - 2 * OFFERS_RIM;
  const begin = alignEnd ? right - floating.offsetWidth : left;
  const x = Math.max(OFFERS_RIM, Math.min(begin, clientWidth - floating.offsetWidth - OFFERS_RIM));
  floating.style.left = `${x}px`;
  floating.style.top = below ? `${bottom + OFFERS_RIM / 2}px` : "auto";
  floating.style.bottom = below ? "auto" : `${clientHeight - top + OFFERS_RIM / 2}px`;
  floating.style.setProperty("--room", `${room}px`);
}

/**
 * Return the completion of a box: the element of its offers, `refresh()` after input,
 * `onKey(event)`, which says whether the key was its own, and `hide()`.
 *
 * The box stays a textbox of several lines, which a combobox can't be; the offers are a listbox.
 */
export function createCompletion(store, box) {
  const list = make("div", {
    class: "completions", id: "completions", role: "listbox", popover: "manual",
  });
  let emoji = null; // all that can be offered, once they are here
  let offers = [];
  let active = 0;
  let token = null;
  let dismissed = -1; // where what is not to be completed begins
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-haspopup", "listbox");

  /** Return what can be offered for what is written. */
  function findOffers({ kind, written }) {
    if (kind === "command") return bestOffers(offerCommands(store), written, store.commands.length);
    if (kind === "person") return bestOffers(offerPeople(store), written, MOST_OFFERED);
    if (kind === "channel") return bestOffers(offerChannels(store), written, MOST_OFFERED);
    if (!emoji) {
      loadEmoji();
      return [];
    }
    return bestOffers(emoji, written, MOST_OFFERED);
  }

  /** Have the emoji at hand, and offer them if they are still wanted then. */
  async function loadEmoji() {
    const names = await store.emoji();
    if (emoji || !Object.keys(names).length) return;
    emoji = offerEmoji(names);
    if (box.getRootNode().activeElement === box) refresh();
  }

  /** Offer what fits before the caret. */
  function refresh() {
    const { selectionStart: caret, selectionEnd: end } = box;
    token = caret === end ? findToken(box.value.slice(0, caret)) : null;
    if (token?.start !== dismissed) dismissed = -1;
    offers = token && dismissed < 0 ? findOffers(token) : [];
    if (offers.length === 1 && isWritten(offers[0])) offers = [];
    draw();
  }

  /** Whether an offer is what stands there already. */
  function isWritten(offer) {
    return box.value.slice(token.start, box.selectionStart) === offer.text;
  }

  /** Draw what is offered. */
  function draw() {
    list.replaceChildren(...offers.map((offer, i) => {
      const option = make("div", { class: "completion", role: "option", id: `completion-${i}` },
        make("bdi", { class: "completion-name", text: offer.name }),
        make("span", { class: "completion-about", dir: "auto", text: offer.about }));
      if (offer.mark) option.prepend(make("span", { class: "completion-mark", text: offer.mark }));
      option.addEventListener("click", () => take(offer));
      option.addEventListener("pointermove", () => { if (active !== i) activate(i); });
      return option;
    }));
    const isShown = list.matches(":popover-open");
    if (offers.length) {
      list.setAttribute("aria-label", {
        person: "People", channel: "Channels", command: "Commands", emoji: "Emoji",
      }[token.kind]);
      if (!isShown) list.showPopover();
      place();
      box.setAttribute("aria-controls", "completions");
      activate(0);
    } else {
      if (isShown) list.hidePopover();
      box.removeAttribute("aria-controls");
      box.removeAttribute("aria-activedescendant");
    }
  }

  /** Put the offers where the box is now. */
  function place() {
    placeAbove(list, box.closest(".entry"));
  }

  /** Point at one of the offers. */
  function activate(to) {
    active = (to + offers.length) % offers.length;
    [...list.children].forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === active));
    });
    box.setAttribute("aria-activedescendant", `completion-${active}`);
    const { offsetTop, offsetHeight } = list.children[active];
    const least = offsetTop + offsetHeight - list.clientHeight;
    // Unlike scrollIntoView, this moves nothing but the list.
    list.scrollTop = Math.min(offsetTop, Math.max(list.scrollTop, least));
  }

  /** Write an offer into the box. */
  function take(offer) {
    const { start } = token;
    const end = box.selectionStart;
    const isApart = /^\s/.test(box.value.slice(end));
    dismissed = start;
    writeInto(box, isApart ? offer.text : `${offer.text} `, start, end);
    hide();
  }

  /** Offer nothing more for what is written now. */
  function close() {
    if (token) dismissed = token.start;
    hide();
  }

  /** Offer nothing until something is written. */
  function hide() {
    if (!offers.length) return;
    offers = [];
    draw();
  }

  /** Do what a key means for the offers; whether it means something. */
  function onKey(event) {
    if (!offers.length || event.altKey || event.ctrlKey || event.metaKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) activate(active + step);
    else if (event.key === "Escape") close();
    else if (event.shiftKey || (event.key !== "Enter" && event.key !== "Tab")) return false;
    else if (event.key === "Enter" && isWritten(offers[active])) {
      close();
      return false;
    } else take(offers[active]);
    event.preventDefault();
    return true;
  }

  /** Look again where the caret stands, if something is offered. */
  function onMove() {
    if (offers.length) refresh();
  }

  // A press on an offer must not take the focus from the box.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("toggle", ({ newState }) => {
    const change = newState === "open" ? "addEventListener" : "removeEventListener";
    window[change]("scroll", place, true);
    window[change]("resize", place);
  });
  box.addEventListener("click", onMove);
  box.addEventListener("keyup", ({ key }) => {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) onMove();
  });
  box.addEventListener("blur", hide);
  return { element: list, refresh, onKey, hide };
}
