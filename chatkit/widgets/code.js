/** Code in a message: its language, and buttons that copy it or put it into a new cell. */
import { make, makeButton } from "./elements.js";

/** How long a button says what it did, ms. */
const TELL_MS = 1600;

/** Copy a text; resolves to whether that worked. `near`: an element of the panel. */
export async function copyText(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no secure context, or not allowed
    return copyBySelecting(text, near);
  }
}

/** Copy a text the old way, by selecting it. */
function copyBySelecting(text, near) {
  const root = near.getRootNode();
  const focused = root.activeElement;
  const box = make("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
  box.value = text;
  (root.querySelector?.(".panel") ?? near).append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

/** Let a button say for a moment what it did. */
export function tell(button, text) {
  clearTimeout(button.telling);
  button.label ??= button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`; // what stands beside it stays
  button.textContent = text;
  button.telling = setTimeout(() => {
    button.textContent = button.label;
    button.style.minWidth = "";
  }, TELL_MS);
}

/** Return a button that copies what `take` returns or resolves to. */
export function makeCopyButton(label, take) {
  const button = makeButton(label, { class: "small", "aria-live": "polite" }, async () => {
    tell(button, await copyText(await take(), button) ? "Copied" : "Can’t copy here");
  });
  return button;
}

/** Return a button that puts what `take` returns or resolves to into a new cell, or copies it. */
export function makeCellButton(label, store, take) {
  const button = makeButton(label, {
    class: "small", "aria-live": "polite", title: "Put into a new cell below this one",
  }, async () => {
    const source = await take();
    if (store.insertCell(button, source)) tell(button, "Added below");
    else tell(button, await copyText(source, button) ? "Copied: paste it" : "Can’t copy here");
  });
  return button;
}

/**
 * Return a block of code with a bar above it.
 * @param {HTMLElement} pre the code itself
 * @param {string} language
 * @param {object} store
 * @param {() => string | Promise<string>} [take] the whole code, if `pre` shows a part
 */
export function makeCodeBox(pre, language, store, take = () => pre.textContent) {
  const bar = make("div", { class: "codebar" }, make("span", { class: "language", text: language }),
    makeCopyButton("Copy", take),
    makeCellButton("New cell", store, async () => (await take()).replace(/\n$/, "")));
  return make("div", { class: "codebox" }, bar, pre);
}

/** Complete the HTML of a text, which the kernel has made: code, tables, channels. */
export function completeHtml(body, store) {
  for (const pre of body.querySelectorAll("pre.code")) {
    const place = document.createComment("");
    pre.replaceWith(place);
    place.replaceWith(makeCodeBox(pre, pre.lang || "code", store));
  }
  for (const table of body.querySelectorAll("table")) {
    const box = make("div", { class: "tablebox" });
    table.replaceWith(box);
    box.append(table);
  }
  for (const link of body.querySelectorAll(".channel-link")) {
    const go = () => store.select(link.textContent.slice(1));
    link.setAttribute("role", "link");
    link.tabIndex = 0;
    link.addEventListener("click", go);
    link.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
  }
}
