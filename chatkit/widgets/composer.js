/** Where the user writes: Enter sends, Shift+Enter breaks the line, leaving the box never sends. */
import { make, makeButton } from "./elements.js";

/** Return the composer of a store: its element, `update()` and `focus()`. */
export function createComposer(store) {
  const box = make("textarea", { rows: "1", "aria-label": "Message", spellcheck: "true" });
  const button = makeButton("Send", { class: "primary", "aria-label": "Send" }, send);
  const refusal = make("div", { class: "refusal bad", role: "alert" });
  const element = make("div", { class: "composer" }, refusal,
    make("div", { class: "entry" }, box, button));

  /** Make the box as high as its text. */
  function fit() {
    box.style.height = "auto";
    if (box.scrollHeight) box.style.height = `${box.scrollHeight + 2}px`;
  }

  /** Send what is in the box. */
  function send() {
    const view = store.view(store.selected);
    const text = box.value;
    if (!text.trim() || store.frozen || !store.ready) return;
    view.draft = "";
    store.send(store.selected, text);
    box.focus({ preventScroll: true });
  }

  /** Bring the box up to date with the store. */
  function update() {
    const view = store.view(store.selected);
    if (box.value !== view.draft) {
      box.value = view.draft;
      fit();
    }
    box.disabled = store.frozen;
    box.placeholder = store.selected ? `Message #${store.selected}` : "";
    button.disabled = store.frozen || !store.ready || !view.draft.trim();
    refusal.textContent = view.refusal;
    refusal.hidden = !view.refusal;
  }

  box.addEventListener("input", () => {
    const view = store.view(store.selected);
    view.draft = box.value;
    view.refusal = "";
    fit();
    store.changed();
  });
  box.addEventListener("keydown", (event) => {
    // 229: a key that an input method is composing with, in browsers that end the composition first.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  });
  return { element, update };
}
