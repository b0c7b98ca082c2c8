/** A picker of emoji: a few that are used often, and a search over all. */
import { make, makeButton } from "./elements.js";

const OFTEN = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🚀", "👀"];
/** In a row of the picker. */
const PICKER_COLUMNS = 8;
/** How many are shown of what was found. */
const FOUND = 48;

/** Return those emoji whose names hold all words of a text, the best first, each once. */
export function findEmoji(names, text) {
  const words = text.toLowerCase().split(/[\s:_]+/).filter(Boolean);
  const found = Object.entries(names)
    .filter(([name]) => words.every((word) => name.toLowerCase().includes(word)))
    .sort(([a], [b]) => b.startsWith(words[0]) - a.startsWith(words[0]) || a.length - b.length);
  const once = new Map();
  for (const [name, emoji] of found) if (!once.has(emoji)) once.set(emoji, name);
  return [...once].slice(0, FOUND);
}

/**
 * Return a picker of emoji as an element; `pick` takes what was chosen.
 * @param {object} store
 * @param {(emoji: string) => void} pick
 */
export function makePicker(store, pick) {
  const search = make("input", {
    type: "text", placeholder: "Search emoji", "aria-label": "Search emoji", autocomplete: "off",
    spellcheck: "false",
  });
  const grid = make("div", { class: "grid", role: "group", "aria-label": "Emoji" });
  const nothing = make("div", { class: "hint", role: "status" });
  const element = make("div", { class: "picker" }, search, grid, nothing);
  let names = {};

  /** Show what was found, or what is used often. */
  function fill() {
    const text = search.value.trim();
    const found = text ? findEmoji(names, text) : OFTEN.map((emoji) => [emoji, ""]);
    grid.replaceChildren(...found.map(([emoji, name]) => makeButton(emoji, {
      class: "emoji", title: name, "aria-label": name ? name.replaceAll("_", " ") : emoji,
    }, () => pick(emoji))));
    nothing.textContent = found.length ? "" : "No such emoji";
  }

  /** Go through the emoji by arrows; Enter in the box takes the first. */
  function onKey(event) {
    const buttons = [...grid.children];
    const at = buttons.indexOf(event.target);
    if (event.key === "Enter" && at < 0) {
      event.preventDefault();
      if (search.value.trim()) buttons[0]?.click();
      return;
    }
    if (at < 0 && event.key !== "ArrowDown") return;
    const to = {
      ArrowDown: at < 0 ? 0 : at + PICKER_COLUMNS, ArrowUp: at - PICKER_COLUMNS,
      ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    (to < 0 ? search : buttons[Math.min(to, buttons.length - 1)])?.focus();
  }

  search.addEventListener("input", fill);
  element.addEventListener("keydown", onKey);
  store.emoji().then((all) => {
    names = all;
    if (search.value) fill();
  });
  fill();
  return element;
}
