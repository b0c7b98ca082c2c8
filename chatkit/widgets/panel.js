/** The chat panel: one store for each model, any number of views on it. */
import { createChannels } from "./channels.js";
import { createComposer } from "./composer.js";
import { make, makeButton } from "./elements.js";
import { createStore } from "./store.js";
import { createTranscript } from "./transcript.js";

/** Return the connection's colour, and how it is in a word and in sentences. */
function describeStatus(store) {
  const { kafka, mongo, connected } = store.status;
  const more = [kafka, mongo].filter(Boolean).join(" ");
  if (store.frozen) {
    return ["red", "No kernel", "This panel has no kernel any more: re-run the cell to reconnect."];
  }
  if (!store.ready) return ["grey", store.slow ? "Waits for the running cell" : "Connecting", ""];
  if (kafka) return ["red", "Not connected", more];
  if (!connected) return ["amber", "Connecting", more];
  if (mongo) return ["amber", "Connected, no history", more];
  return ["green", "Connected", ""];
}

/** Return the line above the transcript: channel, user and connection, and what is wrong. */
function createHeader(store) {
  const channel = make("strong", { class: "name" });
  const user = make("bdi", { class: "user" });
  const dot = make("span", { class: "dot" });
  const words = make("span", { class: "words" });
  const status = make("span", { class: "status", role: "status" }, dot, words);
  const banner = make("div", { class: "banner", role: "status" });
  const problem = make("span");
  const problems = make("div", { class: "banner bad", role: "alert" }, problem,
    makeButton("×", { class: "link", "aria-label": "Dismiss" }, () => store.dismiss()));
  const element = make("header", {},
    make("div", { class: "heading" }, channel, status, user), banner, problems);

  /** Bring the line up to date with the store. */
  function update() {
    const [colour, word, sentence] = describeStatus(store);
    channel.textContent = store.selected ? `# ${store.selected}` : "";
    user.textContent = store.user && `${store.user} (me)`;
    user.title = `You write as ${store.user}. Names are claims, not proof.`;
    dot.dataset.colour = colour;
    words.textContent = word;
    banner.textContent = sentence;
    banner.dataset.colour = colour;
    banner.hidden = !sentence;
    problem.textContent = store.problems[0] ?? "";
    problems.hidden = !store.problems.length;
  }
  return { element, update };
}

/** Let no key reach the notebook, where letters are commands; saving stays the notebook's. */
function keepKeys(event) {
  const saves = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  if (!saves) event.stopPropagation();
}

/** Draw one view of a store into an element; returns what ends it. */
function renderPanel(store, el) {
  const makers = [createChannels, createHeader, createTranscript, createComposer];
  const parts = makers.map((create) => create(store));
  const [channels, ...talk] = parts;
  const root = make("div", { class: "panel" }, channels.element,
    make("div", { class: "talk" }, ...talk.map((part) => part.element)));
  // A shadow root, as JupyterLab acts on data attributes that it finds in a widget's own DOM.
  const host = make("div", { class: "chatkit-panel" });
  host.attachShadow({ mode: "open" }).append(make("style", { text: STYLE }), root);
  host.addEventListener("keydown", keepKeys);
  el.append(host);
  const update = () => parts.forEach((part) => part.update());
  const stop = store.subscribe(update);
  update();
  return () => {
    stop();
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
      return () => store.close();
    },
    render({ el }) {
      return renderPanel(store, el);
    },
  };
}
