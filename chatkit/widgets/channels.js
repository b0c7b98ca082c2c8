/** The list of channels, and the form that makes one. */
import { make, makeButton } from "./elements.js";

/** Return the channel list of a store: its element and `update()`. */
export function createChannels(store) {
  const list = make("div", { class: "channels", role: "listbox", "aria-label": "Channels" });
  const name = make("input", {
    type: "text", placeholder: "new-channel", "aria-label": "Name of the new channel",
    maxlength: "80", autocomplete: "off", spellcheck: "false",
  });
  const wrong = make("div", { class: "bad", role: "alert" });
  const submit = make("button", { type: "submit", class: "primary", text: "Create" });
  const form = make("form", { class: "creating" }, name,
    make("div", { class: "buttons" }, submit, makeButton("Cancel", { class: "link" }, close)), wrong);
  const plus = makeButton("+", {
    class: "plus", "aria-label": "Create a channel", title: "Create a channel",
  }, open);
  const element = make("nav", { class: "side", "aria-label": "Channels" },
    make("div", { class: "title" }, make("span", { text: "Channels" }), plus), form, list);
  let drawn = ""; // what the list shows, as text
  form.hidden = true;

  /** Show the form. */
  function open() {
    form.hidden = false;
    name.focus();
  }

  /** Put the form away. */
  function close() {
    form.hidden = true;
    form.reset();
    wrong.textContent = "";
    plus.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    wrong.textContent = "";
    const error = await store.create(name.value.trim());
    submit.disabled = false;
    if (error) wrong.textContent = error;
    else close();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });

  /** Return the line of a channel. */
  function makeOption(channel) {
    const chosen = channel === store.selected;
    const option = make("div", {
      class: "channel", role: "option", "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1",
      "data-channel": channel, title: channel,
    }, make("span", { class: "hash", text: "#", "aria-hidden": "true" }), make("span", { text: channel }));
    option.addEventListener("click", () => store.select(channel));
    return option;
  }

  // Arrows go through the list, Enter or space chooses.
  list.addEventListener("keydown", (event) => {
    const options = [...list.children];
    const at = options.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: options.length - 1 }[event.key];
    if (to !== undefined) options[Math.min(options.length - 1, Math.max(0, to))]?.focus();
    else if (event.key === "Enter" || event.key === " ") event.target.click();
    else return;
    event.preventDefault();
  });

  /** Bring the list up to date with the store. */
  function update() {
    const now = JSON.stringify([store.channels, store.selected]);
    if (now === drawn) return;
    drawn = now;
    const root = list.getRootNode();
    const focused = list.contains(root.activeElement) && root.activeElement.dataset.channel;
    const names = store.channels.includes(store.selected) || !store.selected
      ? store.channels : [...store.channels, store.selected].sort();
    list.replaceChildren(...names.map(makeOption));
    for (const option of list.children) if (option.dataset.channel === focused) option.focus();
    list.querySelector("[aria-selected=true]")?.scrollIntoView?.({ block: "nearest" });
  }

  return { element, update };
}
