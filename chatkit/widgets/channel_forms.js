/** What the side list asks: a new channel's name, whom to write to, how a channel is changed. */
import { make, makeButton } from "./elements.js";
import { bindForm } from "./menu.js";

const MOST_KNOWN = 500;
let datalists = 0;

/** Return a labelled field. */
function makeField(label, input) {
  return make("label", { class: "field" }, make("span", { text: label }), input);
}

/** Return a box for a line of text. */
function makeLineInput(attributes) {
  return make("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
}

/**
 * Return a form within the side list, closed: its element and `open()`.
 * `act` resolves to what is wrong, or "".
 */
function makeSideForm(label, inputs, verb, act, back) {
  const wrong = make("div", { class: "bad", role: "alert" });
  const submit = make("button", { type: "submit", class: "primary", text: verb });
  const element = make("form", { class: "creating", "aria-label": label }, ...inputs,
    make("div", { class: "buttons" }, submit, makeButton("Cancel", { class: "link" }, close)),
    wrong);
  element.hidden = true;

  /** Show the form, or put it away if it is shown. */
  function open() {
    if (!element.hidden) {
      close();
      return;
    }
    element.hidden = false;
    inputs[0].focus();
  }

  /** Put the form away. */
  function close() {
    element.hidden = true;
    element.reset();
    wrong.textContent = "";
    back().focus();
  }

  bindForm(element, wrong, act, close);
  return { element, open };
}

/** Return the form that creates a channel; `back` finds what gets the focus afterwards. */
export function makeCreateForm(store, back) {
  const name = makeLineInput({
    placeholder: "new-channel", "aria-label": "Name of the new channel", maxlength: "80",
  });
  const about = makeLineInput({
    placeholder: "What it is for", "aria-label": "What it is for", maxlength: "500",
  });
  const create = () => store.create(name.value.trim(), about.value.trim());
  return makeSideForm("New channel", [name, about], "Create", create, back);
}

/** Return the form that opens the direct channel with somebody. */
export function makeWriteForm(store, back) {
  const id = `chatkit-known-${++datalists}`;
  const known = make("datalist", { id });
  const name = makeLineInput({
    placeholder: "Name", "aria-label": "Whom to write to", maxlength: "64", list: id,
  });
  name.addEventListener("focus", () => {
    const others = store.people.filter((one) => one.name !== store.user).slice(0, MOST_KNOWN);
    known.replaceChildren(...others.map((one) => make("option", { value: one.name })));
  });
  async function write() {
    const { error, data } = await store.ask({ type: "direct", name: name.value.trim() });
    if (!error) store.select(data);
    return error;
  }
  return makeSideForm("Write to somebody", [name, known], "Open", write, back);
}

/** Return an editor of names, of which the first one stays: its element and `names()`. */
function makeNames(given) {
  const names = new Set(given);
  const list = make("ul", { class: "names" });
  const input = makeLineInput({
    placeholder: "Add a name", "aria-label": "Add a moderator", maxlength: "64",
  });

  /** Show the names. */
  function draw() {
    list.replaceChildren(...[...names].map((name) => {
      const label = `Remove ${name}`;
      const remove = makeButton("×", { class: "link", "aria-label": label, title: label }, () => {
        names.delete(name);
        draw();
        input.focus();
      });
      remove.hidden = name === given[0];
      return make("li", {}, make("bdi", { text: name }), remove);
    }));
  }

  /** Take over what is in the box. */
  function add() {
    const name = input.value.trim();
    if (name) names.add(name);
    input.value = "";
    draw();
  }

  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !input.value.trim()) return;
    event.preventDefault();
    add();
  });
  draw();
  return {
    element: make("div", { class: "field" },
      make("span", { text: "Who may delete others’ messages" }), list, input),
    names() {
      add();
      return [...names];
    },
  };
}

/** Open the dialog in which who made a channel changes what is said of it. */
export function editChannel(store, dialog, channel, back) {
  const summary = store.summary(channel);
  const title = summary.title === channel ? "" : summary.title;
  const name = makeLineInput({ value: title, placeholder: channel, maxlength: "80" });
  const about = make("textarea", { rows: "2", maxlength: "500" });
  about.value = summary.description;
  const moderators = makeNames(summary.moderators);
  const save = () => {
    const changes = {};
    const names = moderators.names();
    if (name.value.trim() !== title) changes.display_name = name.value.trim();
    if (about.value.trim() !== summary.description) changes.description = about.value.trim();
    if (names.join("\n") !== summary.moderators.join("\n")) changes.moderators = names;
    return Object.keys(changes).length ? store.alter(channel, changes) : "";
  };
  const fields = [
    makeField("Name to show", name), makeField("What it is for", about), moderators.element,
  ];
  dialog.open(`Change #${channel}`, fields, "Save", async () => save(), back);
}

/** Ask whether a channel is to be left. */
export function leaveChannel(store, dialog, channel, back) {
  const { title } = store.summary(channel);
  const meaning = "The others see that you left. What is new there is no longer counted for you. "
    + "It stays under Other channels: open it to be a member again.";
  const leave = async () => {
    store.leave(channel);
    return "";
  };
  dialog.open(`Leave #${title}?`, [make("p", { text: meaning })], "Leave", leave, back);
}
