/** Above the transcript: channel, connection and user, what can be switched, and what is wrong. */
import { make, makeButton, makeIcon } from "./elements.js";

/** Lines of 16 by 16 px. */
const HEADER_ICONS = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.4 10.4 14 14",
  pins: "M5.5 2h5M6.2 2v4.6L4 9.2h8L9.8 6.6V2M8 9.2V14",
  lens: "M2 5.3 8 2.3l6 3-6 3zM2 8.3l6 3 6-3M2 11.3l6 3 6-3",
  facts: "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9M8 7.3v4M8 4.6v.2",
};
const NOT_PRIVATE = "Direct messages are not private: whoever may read this Kafka can read them.";
const PRESENCES = { here: "is here", away: "is away", left: "is not here" };

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

/** Change an element's text, if it is another: what is marked in it stays marked. */
function putText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a button that is pressed or not, with a picture on it. */
function makeSwitch(icon, onClick) {
  const button = makeButton("", {
    class: `switch switch-${icon}`, "aria-pressed": "false",
  }, onClick);
  button.append(makeIcon(HEADER_ICONS[icon]));
  return button;
}

/** Return the form in which the user takes another name: its element, `open()` and `update()`. */
function createNameForm(store, opener) {
  const name = make("input", {
    type: "text", maxlength: "64", autocomplete: "off", spellcheck: "false",
    "aria-label": "Your name",
  });
  const about = make("div", {
    class: "quiet", text: "Names are claims, not proof: anybody may write under any name.",
  });
  const wrong = make("div", { class: "bad", role: "alert" });
  const submit = make("button", { type: "submit", class: "primary", text: "Change" });
  const element = make("form", {
    class: "naming", role: "dialog", "aria-label": "Change your name",
  }, name, about, wrong,
    make("div", { class: "buttons" }, submit, makeButton("Cancel", { class: "link" }, close)));
  element.hidden = true;

  /** Show the form. */
  function open() {
    name.value = store.user;
    putText(wrong, "");
    element.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    name.select();
    name.focus();
  }

  /** Put the form away, and the focus back. */
  function close() {
    const inside = element.contains(element.getRootNode().activeElement);
    element.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    if (inside) opener.focus();
  }

  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) {
      putText(wrong, "A name has at least one character.");
      return;
    }
    submit.disabled = true;
    const error = wanted === store.user ? "" : await store.rename(wanted);
    submit.disabled = false;
    putText(wrong, error);
    if (!error) close();
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  element.addEventListener("focusout", (event) => {
    const to = event.relatedTarget;
    if (to && !element.contains(to) && to !== opener) close();
  });
  return { element, toggle: () => (element.hidden ? open() : close()), open };
}

/** Let arrows go through the buttons of a toolbar, of which Tab reaches one. */
function roveToolbar(toolbar) {
  const buttons = [...toolbar.querySelectorAll("button")];
  const reach = (one) => {
    for (const button of buttons) button.tabIndex = button === one ? 0 : -1;
  };
  reach(buttons[0]);
  toolbar.addEventListener("focusin", (event) => {
    if (buttons.includes(event.target)) reach(event.target);
  });
  toolbar.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons.at(to % buttons.length).focus();
  });
}

/** Return the header of a store: its element and `update()`. */
export function createHeader(store) {
  const hash = make("span", { class: "hash" });
  const presence = make("span", { class: "presence", role: "img" });
  const channel = make("bdi");
  const closed = make("span", { class: "tag boxed", text: "closed" });
  closed.title = "This channel is closed to new messages.";
  const about = make("span", { class: "about", dir: "auto" });

  const userName = make("bdi");
  const user = makeButton("", {
    class: "user", "aria-haspopup": "dialog", "aria-expanded": "false",
  }, () => form.toggle());
  user.append(userName, " (me)");
  const form = createNameForm(store, user);
  const switches = {
    search: makeSwitch("search", () => toggleAside({ kind: "search" })),
    pins: makeSwitch("pins", () => toggleAside({ kind: "pins", channel: store.selected })),
    facts: makeSwitch("facts", () => toggleAside({ kind: "facts", channel: store.selected })),
    lens: makeSwitch("lens", () => store.setLens(!store.lens)),
  };
  const labels = {
    search: "Search in all channels",
    pins: "Pinned messages",
    facts: "This channel’s topic in Kafka",
    lens: "Kafka lens: what Kafka knows of each message",
  };
  for (const [name, label] of Object.entries(labels)) {
    switches[name].title = label;
    switches[name].setAttribute("aria-label", label);
  }
  const toolbar = make("div", { class: "switches", role: "toolbar", "aria-label": "Channel" },
    user, ...Object.values(switches));
  roveToolbar(toolbar);

  const dot = make("span", { class: "dot" });
  const words = make("span", { class: "words" });
  const status = make("span", { class: "status", role: "status" }, dot, words);
  const banner = make("div", { class: "banner", role: "status" });
  const problem = make("span");
  const problems = make("div", { class: "banner bad", role: "alert" }, problem,
    makeButton("×", { class: "link", "aria-label": "Dismiss" }, () => store.dismiss()));
  const exposed = make("div", { class: "banner quiet", role: "note", text: NOT_PRIVATE });
  const said = make("div", { class: "said", tabindex: "0" });
  const unsay = makeButton("×", {
    class: "link", "aria-label": "Dismiss the note",
  }, () => store.dismissNote());
  const note = make("div", { class: "banner noted", role: "status" }, said, unsay);
  const name = make("strong", { class: "name" }, hash, presence, channel);
  const heading = make("div", { class: "heading" },
    name, closed, about, status, toolbar, form.element);
  const element = make("header", {}, heading, banner, problems, exposed, note);

  /** Show something beside the transcript, or no longer. */
  function toggleAside(aside) {
    store.setAside(store.aside?.kind === aside.kind ? null : aside);
  }

  /** Show which channel it is. */
  function updateChannel() {
    const { title, direct, archived, description = "" } = store.summary(store.selected);
    putText(hash, store.selected && !direct ? "# " : "");
    putText(channel, title);
    name.title = direct ? "" : `Channel ${store.selected}`;
    closed.hidden = !archived;
    putText(about, direct ? "" : description);
    about.title = description;
    presence.hidden = !direct;
    exposed.hidden = !direct;
    if (!direct) return;
    const state = store.people.find((person) => person.name === title)?.state ?? "left";
    presence.dataset.state = state;
    presence.title = `${title} ${PRESENCES[state]}`;
    presence.setAttribute("aria-label", presence.title);
  }

  /** Show how it is connected, and what went wrong. */
  function updateStatus() {
    const [colour, word, sentence] = describeStatus(store);
    dot.dataset.colour = colour;
    putText(words, word);
    putText(banner, sentence);
    banner.dataset.colour = colour;
    banner.hidden = !sentence;
    putText(problem, store.problems[0] ?? "");
    problems.hidden = !store.problems.length;
    putText(said, store.note);
    note.hidden = !store.note;
  }

  /** Show who the user is, and what is switched on. */
  function updateUser() {
    putText(userName, store.user);
    user.title = `You write as ${store.user}. Names are claims, not proof. Click to change it.`;
    user.hidden = !store.user;
    for (const kind of ["search", "pins", "facts"]) {
      switches[kind].setAttribute("aria-pressed", String(store.aside?.kind === kind));
    }
    switches.lens.setAttribute("aria-pressed", String(store.lens));
    for (const button of Object.values(switches)) button.disabled = !store.selected;
  }

  /** Bring the header up to date with the store. */
  function update() {
    updateChannel();
    updateStatus();
    updateUser();
  }
  return { element, update };
}
