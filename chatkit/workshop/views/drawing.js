/**
 * What all views of the workshop have in common: the frame around a drawing, colours, marks.
 *
 * It is joined with a view's script and with `elements.js` of the chat's panel to one module, so
 * none may use a name of another's for something of its own.
 */
import { make } from "./elements.js";

/** How long what moved stays marked; the same as in the style. */
const MARKED_MS = 1600;
/** How often at most a screen reader is told what changed. */
const TOLD_MS = 4000;

/**
 * Return the hue of a key or a name: the same has the same one in every view. Where the hash
 * begins was chosen so that the names in the workshop's examples lie far apart.
 */
export function hueOf(text) {
  let hash = 223;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  hash = (hash ^ (hash >>> 12)) >>> 0;
  return (hash % 24) * 15;
}

/** Return hues of names, each its own where that is free, so that no two are alike: a map. */
export function huesOf(names) {
  const hues = new Map();
  const isTaken = (hue) => [...hues.values()].some((other) => Math.abs((hue - other + 540) % 360 - 180) < 30);
  for (const name of names) {
    let hue = hueOf(name);
    for (let step = 0; step < 24 && isTaken(hue); step += 1) hue = (hue + 15) % 360;
    hues.set(name, hue);
  }
  return hues;
}

/** Give an element, which has class `inked` too then, the colour of a key; null: no colour. */
export function ink(element, key, hue = key === null ? 0 : hueOf(key)) {
  element.classList.add("inked");
  element.classList.toggle("keyless", key === null);
  if (key !== null) element.style.setProperty("--hue", hue);
  return element;
}

/** Mark an element of HTML or SVG as moved, for a moment. */
export function mark(element) {
  element.classList.remove("moved");
  element.getBoundingClientRect(); // so that the mark begins anew
  element.classList.add("moved");
  clearTimeout(element.unmark);
  element.unmark = setTimeout(() => element.classList.remove("moved"), MARKED_MS);
}

/** Put a text into an element, and return whether it is another than before. */
export function write(element, text) {
  const changed = element.textContent !== text;
  if (changed) element.textContent = text;
  return changed;
}

/** Return a number as people read it. */
export function counted(number) {
  return number.toLocaleString("en-GB");
}

/**
 * Return children by key, made where they are missing and removed where they are no longer wanted,
 * so that what stays is the same element and can be seen to move.
 * @param {Element} parent
 * @param {string[]} keys in their order, each once
 * @param {(key: string) => Element} create
 */
export function keep(parent, keys, create) {
  parent.kept ??= new Map();
  const wanted = new Set(keys);
  for (const [key, element] of parent.kept) {
    if (wanted.has(key)) continue;
    element.remove();
    parent.kept.delete(key);
  }
  return keys.map((key, index) => {
    if (!parent.kept.has(key)) parent.kept.set(key, create(key));
    const element = parent.kept.get(key);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
    return element;
  });
}

/**
 * Return the module of a view: a title, whether it moves, what is wrong, and a drawing that a
 * screen reader is told of in words.
 *
 * @param {(body: HTMLElement) => (content: object) => void} begin puts what stays into the body,
 *   and returns what draws anew whenever there is new content
 */
export function createView(begin) {
  function render({ model, el }) {
    const title = make("h3");
    const state = make("span", { class: "state" });
    const problem = make("div", { class: "problem", role: "alert" });
    const body = make("div", { class: "body", role: "img" });
    const told = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
    const root = make("section", { class: "view" },
      make("header", {}, title, state), problem, body, told);
    // A shadow root, as JupyterLab acts on data attributes that it finds in a widget's own DOM.
    const host = make("div", { class: "chatkit-view" });
    host.attachShadow({ mode: "open" }).append(make("style", { text: STYLE }), root);
    el.append(host);
    const draw = begin(body);
    let [drawn, telling, frame] = [null, null, 0];

    function tell() {
      telling = null;
      if (told.textContent === model.get("text")) return;
      told.textContent = model.get("text");
      telling = setTimeout(tell, TOLD_MS);
    }
    function update() {
      frame = 0;
      const moving = model.get("moving");
      title.textContent = model.get("title");
      state.textContent = moving ? "live" : "stopped";
      root.classList.toggle("stopped", !moving);
      problem.textContent = model.get("problem");
      problem.hidden = !model.get("problem");
      root.setAttribute("aria-label", model.get("title"));
      body.setAttribute("aria-label", model.get("text"));
      if (telling === null) tell();
      const content = model.get("content");
      if (content === drawn || !Object.keys(content).length) return;
      drawn = content;
      draw(content);
    }
    const later = () => { frame ||= requestAnimationFrame(update); };
    model.on("change", later);
    update();
    return () => {
      model.off("change", later);
      cancelAnimationFrame(frame);
      clearTimeout(telling);
      host.remove();
    };
  }
  return { render };
}
