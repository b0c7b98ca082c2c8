/** The side list: channels, direct messages and people, and what can be done with a channel. */
import { editChannel, leaveChannel, makeCreateForm, makeWriteForm } from "./channel_forms.js";
import { formatExact, make } from "./elements.js";
import {
  asksForMenu, createSideDialog, createSideMenu, makeFold, makeIconButton, makeSideIcon, moveFocus,
  placeChildren,
} from "./menu.js";
import { countCalls, hasNotices, keepChoice, readChoice, switchNotices } from "./notify.js";
import { createPeople, describePresence, makePresenceDot } from "./people.js";

/** So many channels that one has not joined are shown unasked. */
const FEW = 6;
const DIRECT_NAME = /^dm-[0-9a-f]{24}$/;

/** Return a number that says no more than it has to. */
function formatCount(count) {
  return count > 99 ? "99+" : String(count);
}

/** Return what a screen reader says of a channel besides its name. */
function describeChannel(one, person, store) {
  const words = [];
  if (one.direct) words.push(describePresence(store, person));
  if (one.muted) words.push("muted");
  else if (one.unread) words.push(`${formatCount(one.unread)} unread`);
  const calls = one.muted || one.direct ? 0 : one.mentions;
  if (calls) words.push(`${formatCount(calls)} mention you`);
  if (one.archived) words.push("closed to new messages");
  return words.join(", ");
}

/** Return all channels, also the shown one if the kernel has not told of it yet. */
function allChannels(store) {
  const { selected } = store;
  if (!selected || store.channels.some((one) => one.channel === selected)) return store.channels;
  return [...store.channels, {
    ...store.summary(selected),
    direct: DIRECT_NAME.test(selected), member: true, description: "", last_ms: 0,
  }];
}

/** Return the channels that fit a text, by group and in order. */
function groupChannels(store, wanted, recent) {
  const found = allChannels(store).filter((one) => (
    !wanted || `${one.title}\n${one.channel}`.toLowerCase().includes(wanted)
  ));
  const byName = (a, b) => a.title.localeCompare(b.title);
  found.sort(recent ? (a, b) => b.last_ms - a.last_ms || byName(a, b) : byName);
  const talks = found.filter((one) => !one.direct);
  // Nobody is a member of anything where MongoDB has never answered.
  const none = !store.channels.some((one) => one.member && !one.direct);
  const isJoined = (one) => one.member || one.channel === store.selected || none;
  return {
    joined: talks.filter(isJoined),
    direct: found.filter((one) => one.direct),
    others: talks.filter((one) => !isJoined(one)),
  };
}

/** Return a new line of a channel; `fillOption` says what is on it. */
function makeOption(channel) {
  const parts = {
    dot: makePresenceDot(),
    hash: make("span", { class: "hash", text: "#", "aria-hidden": "true" }),
    label: make("bdi", { class: "label" }),
    closed: makeSideIcon("closed"),
    quiet: makeSideIcon("quiet"),
    pencil: makeSideIcon("pencil"),
    mentions: make("span", { class: "badge calls" }),
    unread: make("span", { class: "badge" }),
  };
  const element = make("div", {
    class: "channel", role: "option", tabindex: "-1", "data-channel": channel,
  }, ...Object.values(parts));
  element.parts = parts;
  return element;
}

/** Have a line show what there is to say of its channel. */
function fillOption(option, one, store) {
  const { parts } = option;
  const person = one.direct && store.people.find(({ name }) => name === one.title);
  const chosen = one.channel === store.selected;
  const about = describeChannel(one, person, store);
  const now = JSON.stringify([one, chosen, about]);
  if (now === option.drawn) return;
  option.drawn = now;
  const [calls, unread] = one.muted ? [0, 0] : [one.direct ? 0 : one.mentions, one.unread];
  option.setAttribute("aria-selected", String(chosen));
  option.setAttribute("aria-label", one.title);
  option.setAttribute("aria-description", about);
  option.title = [
    one.direct ? `${one.title}: ${describePresence(store, person)}` : `#${one.channel}`,
    one.description,
    one.last_ms ? `Last message: ${formatExact(one.last_ms)}` : "",
  ].filter(Boolean).join("\n");
  for (const name of ["unread", "muted", "archived", "direct"]) {
    option.classList.toggle(name, Boolean(one[name]) && !(name === "unread" && one.muted));
  }
  option.dataset.presence = person?.state ?? "";
  parts.dot.hidden = !one.direct;
  parts.hash.hidden = one.direct;
  parts.label.textContent = one.title;
  parts.closed.toggleAttribute("hidden", !one.archived);
  parts.quiet.toggleAttribute("hidden", !one.muted);
  const isTyping = one.direct && !one.muted && person?.typing === one.channel;
  parts.pencil.toggleAttribute("hidden", !isTyping);
  parts.mentions.textContent = calls ? `@${formatCount(calls)}` : "";
  parts.unread.textContent = unread ? formatCount(unread) : "";
}

/** Return a group of the list: its element, and the list in it. */
function makeGroup(name, label, heading) {
  const list = make("div", { role: "listbox", "aria-label": label });
  const element = make("section", { class: `side-group ${name}` }, ...heading, list);
  return { element, list };
}

/** Return the list of a store: its element and `update()`. */
export function createChannels(store) {
  const menu = createSideMenu();
  const dialog = createSideDialog();
  const people = createPeople(store, menu);
  const options = new Map(); // channel -> its line
  let showsOthers = null; // whether those not joined are shown; null: if they are few
  let drawn = []; // what the list was made of
  let shown = ""; // the chosen channel as of the last update
  let pointed = ""; // the channel on whose line the button of the menu stands

  // The head, and what opens below it.
  const find = makeIconButton("find", "Find a channel", toggleFinder, { "aria-expanded": "false" });
  const settings = makeIconButton("settings", "Settings of the list", openSettings, {
    "aria-haspopup": "menu",
  });
  const plus = makeIconButton("plus", "Create a channel", () => create.open());
  const create = makeCreateForm(store, () => plus);
  const finder = make("input", {
    type: "text", placeholder: "Find a channel", "aria-label": "Part of a channel’s name",
    autocomplete: "off", spellcheck: "false",
  });
  const finding = make("div", { class: "finding" }, finder);
  const head = make("div", { class: "title" },
    make("span", { text: "Channels" }), find, settings, plus);
  finding.hidden = true;

  // The groups.
  const write = makeIconButton("plus", "Write to somebody", () => writing.open());
  const writing = makeWriteForm(store, () => write);
  const fold = makeFold(() => {
    showsOthers = others.list.hidden;
    update();
  });
  const joined = makeGroup("joined", "Channels", []);
  const direct = makeGroup("direct", "Direct messages", [
    make("div", { class: "side-heading" }, make("span", { text: "Direct messages" }), write),
    writing.element,
  ]);
  const others = makeGroup("others", "Other channels", [fold.button]);
  const groups = [joined, direct, others];
  const nothing = make("div", { class: "side-hint", role: "status" });
  const dots = makeIconButton("more", "", () => openMenu(pointed, dots.getBoundingClientRect()), {
    class: "side-button dots", "aria-haspopup": "menu",
  });
  const scroller = make("div", { class: "channels" },
    ...groups.map((group) => group.element), nothing, dots);

  const toggle = makeIconButton("list", "Channels and people", () => setOpen(!isOpen()), {
    class: "side-button side-toggle", "aria-expanded": "false",
  });
  const called = make("span", { class: "badge calls" });
  const drawer = make("div", { class: "drawer" },
    head, create.element, finding, scroller, people.element);
  toggle.append(called);
  const element = make("nav", { class: "side", "aria-label": "Channels" }, toggle,
    make("div", { class: "side-shade" }), drawer, menu.element, dialog.element);

  /** Whether the list is shown over the talk. */
  function isOpen() {
    return element.classList.contains("open");
  }

  /** Where there is little room, show the list over the talk, or put it away. */
  function setOpen(on) {
    element.classList.toggle("open", on);
    toggle.setAttribute("aria-expanded", String(on));
  }

  /** Show the box that finds channels, or put it away. */
  function toggleFinder() {
    finding.hidden = !finding.hidden;
    find.setAttribute("aria-expanded", String(!finding.hidden));
    if (finding.hidden) {
      finder.value = "";
      update();
      find.focus();
    } else {
      finder.focus();
    }
  }

  /** Open the menu of what holds for the whole list. */
  function openSettings() {
    const recent = readChoice("recent");
    const keep = (name, on) => {
      keepChoice(name, on);
      store.changed();
    };
    menu.open("Settings of the list", [
      { text: "Recent first", checked: recent, act: () => keep("recent", !recent) },
      {
        text: "Hide who joined and left", checked: store.folded,
        act: () => {
          keepChoice("folded", !store.folded);
          store.setFolded(!store.folded);
        },
      },
      {
        text: "Desktop notices", checked: hasNotices(),
        act: () => switchNotices(!hasNotices()).then((error) => store.showProblem({ error })),
      },
    ], settings.getBoundingClientRect(), () => settings);
  }

  /** Open the menu of a channel. */
  function openMenu(channel, spot) {
    const one = allChannels(store).find((summary) => summary.channel === channel);
    if (!one) return;
    const back = () => options.get(channel) ?? finder;
    const mine = one.moderators[0] === store.user && !one.direct;
    const isOnly = !store.channels.some((other) => (
      other.member && !other.direct && other.channel !== channel
    ));
    const setArchived = (archived) => (
      store.alter(channel, { archived }).then((error) => store.showProblem({ error }))
    );
    const showFacts = () => {
      if (channel !== store.selected) store.select(channel);
      store.setAside({ kind: "facts", channel });
    };
    menu.open(`Menu of ${one.title}`, [
      one.unread > 0 && { text: "Mark as read", act: () => store.markAllRead(channel) },
      { text: one.muted ? "Unmute" : "Mute", act: () => store.mute({ channel }, !one.muted) },
      { text: "Topic facts", act: showFacts },
      mine && { text: "Change…", act: () => editChannel(store, dialog, channel, back) },
      mine && !one.archived && { text: "Close to new messages", act: () => setArchived(true) },
      mine && one.archived && { text: "Open again", act: () => setArchived(false) },
      one.member && !one.direct && !isOnly
        && { text: "Leave…", bad: true, act: () => leaveChannel(store, dialog, channel, back) },
    ], spot, back);
  }

  /** Choose a channel. */
  function choose(channel) {
    setOpen(false);
    store.select(channel);
  }

  /** Return all lines that can be seen, in order. */
  function lines() {
    return groups.filter((group) => !group.element.hidden && !group.list.hidden)
      .flatMap((group) => [...group.list.children]);
  }

  /** Let exactly one line be reached with the tabulator. */
  function rove(chosen) {
    const all = lines();
    const one = all.includes(chosen) ? chosen : options.get(store.selected);
    const target = all.includes(one) ? one : all[0];
    for (const option of options.values()) option.tabIndex = option === target ? 0 : -1;
    point(target?.dataset.channel ?? "");
  }

  /** Let the button of the menu stand on a channel's line. */
  function point(channel) {
    const option = options.get(channel);
    pointed = option?.isConnected ? channel : "";
    dots.hidden = !pointed;
    if (!pointed) return;
    const label = `Menu of ${option.getAttribute("aria-label")}`;
    dots.setAttribute("aria-label", label);
    dots.title = label;
    dots.style.top = `${option.offsetTop}px`;
    for (const one of scroller.querySelectorAll(".pointed")) one.classList.remove("pointed");
    option.classList.add("pointed");
  }

  /** Scroll the list, and nothing else, so that a line is seen. */
  function reveal(option) {
    if (!option || !scroller.clientHeight) return;
    const end = option.offsetTop + option.offsetHeight - scroller.clientHeight;
    scroller.scrollTop = Math.min(option.offsetTop, Math.max(scroller.scrollTop, end));
  }

  scroller.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option.dataset.channel);
  });
  scroller.addEventListener("pointerover", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) point(option.dataset.channel);
  });
  scroller.addEventListener("pointerleave", () => rove(lines().find((one) => one.tabIndex === 0)));
  scroller.addEventListener("focusin", (event) => {
    if (event.target.matches("[role=option]")) rove(event.target);
  });
  scroller.addEventListener("contextmenu", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has a menu too
    const { clientX: left, clientY: top } = event;
    openMenu(option.dataset.channel, { left, top, bottom: top });
  });
  // Arrows go through the list, Enter or space chooses.
  scroller.addEventListener("keydown", (event) => {
    if (!event.target.matches("[role=option]")) return;
    const { channel } = event.target.dataset;
    if (moveFocus(event, lines(), event.target)) return;
    if (asksForMenu(event)) openMenu(channel, event.target.getBoundingClientRect());
    else if (event.key === "Enter" || event.key === " ") choose(channel);
    else return;
    event.preventDefault();
  });
  finder.addEventListener("input", update);
  finder.addEventListener("keydown", (event) => {
    if (event.key === "Escape") toggleFinder();
    else if (event.key === "ArrowDown") lines()[0]?.focus();
    else if (event.key === "Enter" && !event.isComposing && lines().length) {
      choose(lines()[0].dataset.channel);
      toggleFinder();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  drawer.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen()) return;
    setOpen(false);
    toggle.focus();
  });
  element.querySelector(".side-shade").addEventListener("click", () => setOpen(false));

  /** Have a group show channels. */
  function fill(group, channels) {
    placeChildren(group.list, channels.map((one) => {
      if (!options.has(one.channel)) options.set(one.channel, makeOption(one.channel));
      const option = options.get(one.channel);
      fillOption(option, one, store);
      return option;
    }));
  }

  /** Return how often the user is called for, or "•" if something else is unread, or "". */
  function summarize() {
    const calls = [...countCalls(store).values()].reduce((sum, count) => sum + count, 0);
    if (calls) return formatCount(calls);
    return store.channels.some((one) => one.unread && !one.muted) ? "•" : "";
  }

  /** Bring the list up to date with the store. */
  function update() {
    people.update();
    const wanted = finder.value.trim().toLowerCase();
    const recent = readChoice("recent");
    // What the kernel tells anew is a new object.
    const now = [
      store.channels, store.selected, store.people, store.user, store.frozen,
      wanted, recent, showsOthers,
    ];
    if (now.every((one, index) => one === drawn[index])) return;
    drawn = now;
    const root = element.getRootNode();
    const focused = [...options.values()].find((one) => one === root.activeElement);
    const found = groupChannels(store, wanted, recent);
    const open = Boolean(wanted) || (showsOthers ?? found.others.length <= FEW);
    fill(joined, found.joined);
    fill(direct, found.direct);
    fill(others, open ? found.others : []);
    others.list.hidden = !open;
    others.element.hidden = !found.others.length;
    fold.set(`Other channels (${found.others.length.toLocaleString()})`, open);
    const count = found.joined.length + found.direct.length + found.others.length;
    nothing.textContent = wanted && !count ? "No channel has this in its name." : "";
    nothing.hidden = !nothing.textContent;
    called.textContent = summarize();
    const known = new Set(allChannels(store).map((one) => one.channel));
    for (const channel of options.keys()) if (!known.has(channel)) options.delete(channel);
    rove(lines().find((one) => one.tabIndex === 0));
    if (shown !== store.selected) {
      shown = store.selected;
      rove(options.get(shown));
      reveal(options.get(shown));
    }
    // A line that went to another group lost the focus, and the keys would be the notebook's.
    if (focused && root.activeElement !== focused) {
      const seen = lines();
      const one = seen.includes(focused) ? focused : seen.find(({ tabIndex }) => tabIndex === 0);
      one?.focus({ preventScroll: true });
    }
  }

  return { element, update };
}
