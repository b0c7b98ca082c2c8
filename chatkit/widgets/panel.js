/** The chat panel: one store for each model, any number of views on it. */
import { createAside } from "./aside.js";
import { createChannels } from "./channels.js";
import { createComposer } from "./composer.js";
import { make } from "./elements.js";
import { createHeader } from "./header.js";
import { createNotifier } from "./notify.js";
import { createStore } from "./store.js";
import { createTranscript } from "./transcript.js";

/**
 * Let no key reach the notebook, where letters are commands; saving stays the notebook's.
 *
 * JupyterLab listens where keys have gone up to the document. Notebook 7 listens before they come
 * down from it, and leaves alone what an attribute marks. Returns what ends it.
 */
function keepKeys(host) {
  const saves = (event) => (event.ctrlKey || event.metaKey) && event.key?.toLowerCase() === "s";
  const mark = (event) => {
    if (!event.composedPath().includes(host)) return;
    host.toggleAttribute("data-lm-suppress-shortcuts", !saves(event));
  };
  host.addEventListener("keydown", (event) => {
    if (!saves(event)) event.stopPropagation();
  });
  window.addEventListener("keydown", mark, { capture: true });
  return () => window.removeEventListener("keydown", mark, { capture: true });
}

/** Draw one view of a store into an element; returns what ends it. */
function renderPanel(store, el) {
  const channels = createChannels(store);
  const talk = [createHeader, createTranscript, createComposer].map((create) => create(store));
  const aside = createAside(store);
  const parts = [channels, ...talk, aside];
  const root = make("div", { class: "panel" }, channels.element,
    make("div", { class: "talk" }, ...talk.map((part) => part.element)), aside.element);
  // A shadow root, as JupyterLab acts on data attributes that it finds in a widget's own DOM.
  const host = make("div", { class: "chatkit-panel" });
  host.attachShadow({ mode: "open" }).append(make("style", { text: STYLE }), root);
  const freeKeys = keepKeys(host);
  host.store = store; // for who looks into it: tests, and the curious
  el.append(host);
  const update = () => parts.forEach((part) => part.update());
  const stop = store.subscribe(update);
  update();
  return () => {
    stop();
    freeKeys();
    parts.forEach((part) => part.close?.());
    host.remove();
  };
}

/** Made once for each model: `initialize` comes before the first view. */
export default function createWidget() {
  let store;
  return {
    initialize({ model }) {
      store = createStore(model);
      const notifier = createNotifier(store);
      return () => {
        notifier.close();
        store.close();
      };
    },
    render({ el }) {
      return renderPanel(store, el);
    },
  };
}
