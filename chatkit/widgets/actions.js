/**
 * What one can do with a message: a toolbar over the row that is pointed at, its menu, and a picker
 * of emoji. There is one of each in a view, outside of the rows, which are made anew when they
 * change.
 */
import { copyText } from "./code.js";
import { make, makeButton, makeIcon } from "./elements.js";
import { makePicker } from "./picker.js";

/** How long the menu says that it copied, ms. */
const COPIED_MS = 700;
/** Least distance of what is open to the edges of the transcript, px. */
const RIM = 6;

const ICONS = {
  react: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.4 9.4c1 1.9 4.2 1.9 5.2 0M5.9 6v.6"
    + "M10.1 6v.6",
  reply: "M6.5 3.5 2.5 7l4 3.5M3 7h5.5c3 0 5 1.8 5 5.2",
  thread: "M2.5 3h11v7.5H8L5 13.2v-2.7H2.5zM5 5.7h6M5 8h4",
  more: "M3.4 8h.2M7.9 8h.2M12.4 8h.2",
  pin: "m9.8 2 4.2 4.2-1.4.5-2.3 2.3-.3 3L4 6l3-.3L9.3 3.4zM6.8 9.2 2.5 13.5",
};

/** Return a small drawing that goes with the text's colour. */
export function makeRowIcon(name) {
  return makeIcon(ICONS[name], { class: `icon ${name}` });
}

/** Whether a row is a message that is there for all. */
function isSent(row) {
  return row?.kind === "message" && row.state === "sent";
}

/**
 * Return what acts on the rows of one view.
 * @param {object} store
 * @param {HTMLElement} frame what the elements are placed in
 * @param {(id: string) => HTMLElement | undefined} find the drawn row of an id
 */
export function createActions(store, frame, find) {
  const bar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "Message actions" });
  const pop = make("div", { class: "pop" });
  const unveiled = new Set(); // ids of messages of muted people that are shown all the same
  let channel = "";
  let id = ""; // of the row that the toolbar stands over
  let drawn = ""; // what the toolbar shows, as text
  let open = ""; // what is open: menu, picker, confirm
  let spot = null; // where it was opened, seen from the row; null: at the toolbar
  let back = null; // finds what had the focus before
  bar.hidden = pop.hidden = true;

  /** Return the row that is acted on. */
  function target() {
    return store.view(channel).byId.get(id);
  }

  /** Whether one may write where this is. */
  function isWritable() {
    return !store.frozen && !store.summary(channel).archived;
  }

  /** Whether the user may take a message away. */
  function isDeletable(row) {
    return row.author === store.user || store.summary(channel).moderators.includes(store.user);
  }

  /** Return what the toolbar offers: name -> [what it says, what it does]. */
  function offers(row) {
    if (!isSent(row) || store.frozen) return {};
    if (store.muted.has(row.author) && !unveiled.has(row.id)) return {};
    const thread = ["Thread", () => store.setAside({ kind: "thread", channel, id })];
    if (row.deleted) return { thread };
    const writing = isWritable() && {
      react: ["React", () => openPop("picker")], reply: ["Reply", () => store.reply(channel, id)],
    };
    return { ...writing, thread, more: ["More", () => openPop("menu")] };
  }

  /** Have the toolbar show what can be done with the row. */
  function drawBar() {
    const offered = offers(target());
    const now = JSON.stringify([id, Object.keys(offered)]);
    if (now === drawn) return;
    drawn = now;
    bar.replaceChildren(...Object.entries(offered).map(([name, [label, act]]) => {
      const button = makeButton("", { "aria-label": label, title: label, tabindex: "-1" }, act);
      button.name = name;
      if (name === "react" || name === "more") button.setAttribute("aria-haspopup", "true");
      button.append(makeRowIcon(name));
      return button;
    }));
  }

  /** Have the toolbar stand over a row, unless it is in use; "": over none. */
  function point(row) {
    if (open || bar.contains(bar.getRootNode().activeElement)) return;
    id = row;
    place();
  }

  /** Put the focus onto the message. */
  function focusMessage() {
    (find(id)?.querySelector(".message") ?? frame.querySelector("[role=log]"))
      ?.focus({ preventScroll: true });
  }

  /** Put the focus into the toolbar of a row; whether there is something in it. */
  function enter(row) {
    closePop();
    id = row;
    place();
    bar.firstChild?.focus({ preventScroll: true });
    return bar.childElementCount > 0;
  }

  /** Open something; `anchor`: where, if not at the toolbar. */
  function openPop(kind, anchor = null) {
    if (open === kind) {
      goBack();
      return;
    }
    const message = find(id)?.getBoundingClientRect();
    const box = anchor?.getBoundingClientRect();
    spot = box && message && {
      right: message.right - box.right, top: box.top - message.top,
      width: box.width, height: box.height,
    };
    const { key } = anchor ?? {};
    back = anchor
      ? () => [...(find(id)?.querySelectorAll("button") ?? [])].find((one) => one.key === key)
      : () => [...bar.children].find((one) => one.name === (kind === "picker" ? "react" : "more"));
    open = kind;
    const fill = { menu: fillMenu, picker: fillPicker, confirm: fillConfirm }[kind];
    fill(target());
    pop.hidden = false;
    place();
    pop.querySelector("[autofocus], input, [role=menuitem]")?.focus({ preventScroll: true });
  }

  /** Close what is open, if anything is. */
  function closePop() {
    if (!open) return;
    open = "";
    pop.hidden = true;
    pop.replaceChildren();
  }

  /** Close what is open, and put the focus where it came from. */
  function goBack() {
    const to = back?.();
    closePop();
    if (to?.isConnected) to.focus({ preventScroll: true });
    else focusMessage();
  }

  /** Fill what is open with a picker of emoji. */
  function fillPicker() {
    pop.setAttribute("role", "dialog");
    pop.setAttribute("aria-label", "React");
    pop.replaceChildren(makePicker(store, (emoji) => {
      store.react(channel, id, emoji);
      closePop();
      focusMessage();
    }));
  }

  /** Return the lines of the menu: what each says and does. */
  function menuLines(row) {
    const own = row.author === store.user;
    const leave = (act) => () => {
      closePop();
      focusMessage();
      act();
    };
    const copy = (text) => (event) => copyFrom(event.currentTarget, text);
    const muted = store.muted.has(row.author);
    const pin = () => store.pin(channel, id, !row.pinned);
    const mute = () => store.mute({ person: row.author }, !muted);
    return [
      own && isWritable() && ["Edit", leave(() => store.startEdit(channel, id))],
      isWritable() && [row.pinned ? "Unpin" : "Pin", leave(pin)],
      row.body && ["Copy text", copy(row.body)],
      ["Copy link", copy(`#${channel}/${id}`)],
      ["Copy for Python", copy(`room.message(${JSON.stringify(id)})`)],
      !own && [`${muted ? "Unmute" : "Mute"} ${row.author}`, leave(mute)],
      isDeletable(row) && isWritable() && ["Delete…", () => openPop("confirm"), "bad"],
    ].filter(Boolean);
  }

  /** Copy a text, say so where it was asked for, and close. */
  async function copyFrom(item, text) {
    item.textContent = await copyText(text, item) ? "Copied" : "Can’t copy here";
    setTimeout(() => { if (item.isConnected) goBack(); }, COPIED_MS);
  }

  /** Fill what is open with the menu. */
  function fillMenu(row) {
    pop.setAttribute("role", "menu");
    pop.setAttribute("aria-label", "More actions");
    pop.replaceChildren(...menuLines(row).map(([text, act, kind = ""]) => makeButton(text, {
      class: `item ${kind}`, role: "menuitem", tabindex: "-1",
    }, act)));
  }

  /** Fill what is open with the question whether to delete. */
  function fillConfirm() {
    const yes = () => {
      closePop();
      focusMessage();
      store.remove(channel, id);
    };
    pop.setAttribute("role", "alertdialog");
    pop.setAttribute("aria-label", "Delete this message?");
    pop.replaceChildren(make("div", { class: "confirm" },
      make("strong", { text: "Delete this message?" }),
      make("span", { text: "Its text will be gone for everybody. This can’t be undone." }),
      make("div", { class: "buttons" },
        makeButton("Delete", { class: "danger" }, yes),
        makeButton("Cancel", { class: "link", autofocus: "" }, goBack))));
  }

  /** Put everything where its row is. */
  function place() {
    drawBar();
    const row = find(id);
    const outer = frame.getBoundingClientRect();
    const box = row?.querySelector(".message")?.getBoundingClientRect();
    const inSight = box && box.bottom > outer.top && box.top < outer.bottom;
    for (const lit of frame.querySelectorAll(".row.pointed")) {
      if (lit !== row) lit.classList.remove("pointed");
    }
    row?.classList.add("pointed");
    bar.hidden = !bar.childElementCount || !inSight || (open === "picker" && spot !== null);
    const edge = outer.right - (box?.right ?? outer.right);
    const over = (box?.top ?? outer.top) - outer.top - 16;
    const at = {
      right: edge + 14, top: Math.max(RIM, Math.min(over, outer.height - 40)),
      width: bar.offsetWidth, height: bar.offsetHeight,
    };
    bar.style.right = `${at.right}px`;
    bar.style.top = `${at.top}px`;
    if (!open) return;
    if (!spot || !box) placePop(outer, at);
    else {
      const top = row.getBoundingClientRect().top - outer.top + spot.top;
      placePop(outer, { ...spot, right: edge + spot.right, top });
    }
  }

  /** Put what is open below what opened it if there is room, else above it, else beside it. */
  function placePop(outer, at) {
    pop.style.maxHeight = `${outer.height - 2 * RIM}px`;
    const below = at.top + at.height + 4;
    const above = at.top - pop.offsetHeight - 4;
    const room = outer.height - pop.offsetHeight - RIM;
    const fits = below <= room || above >= RIM;
    const y = below <= room ? below : above >= RIM ? above : Math.min(at.top, room);
    const right = fits ? at.right : at.right + at.width + 6;
    pop.style.top = `${Math.max(RIM, y)}px`;
    pop.style.right = `${Math.max(RIM, Math.min(right, outer.width - pop.offsetWidth - RIM))}px`;
  }

  /** Do what a key on a message means; whether it means something. */
  function onMessageKey(event, row) {
    const message = store.view(channel).byId.get(row);
    if (!isSent(message) || event.ctrlKey || event.metaKey || event.altKey) return false;
    const writable = !message.deleted && isWritable();
    if (event.key === "Enter") return enter(row);
    if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
      if (!enter(row) || message.deleted) return false;
      openPop("menu");
      return true;
    }
    if (event.key === "r" && writable) store.reply(channel, row);
    else if (event.key === "e" && writable && message.author === store.user) {
      store.startEdit(channel, row);
    } else return false;
    return true;
  }

  /** Go through the buttons of a list by keys; whether the key was one of those. */
  function rove(event, buttons, forward, backward) {
    const at = buttons.indexOf(event.target);
    const to = { [forward]: at + 1, [backward]: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons.at(to % buttons.length).focus({ preventScroll: true });
  }

  bar.addEventListener("keydown", (event) => {
    rove(event, [...bar.children], "ArrowRight", "ArrowLeft");
    if (event.key === "Escape") {
      event.stopPropagation();
      focusMessage();
    }
    if (event.key === "ArrowDown" && event.target.hasAttribute("aria-haspopup")) {
      event.preventDefault();
      event.target.click();
    }
  });
  pop.addEventListener("keydown", (event) => {
    if (open === "menu") rove(event, [...pop.children], "ArrowDown", "ArrowUp");
    if (event.key !== "Escape" && !(event.key === "Tab" && open === "menu")) return;
    event.preventDefault();
    event.stopPropagation(); // it closes this alone
    goBack();
  });

  /** Close what is open when something else is clicked. */
  function onPress(event) {
    if (open && !event.composedPath().some((one) => one === pop || one === bar)) closePop();
  }
  document.addEventListener("pointerdown", onPress, true);

  return {
    elements: [bar, pop],
    unveiled,
    point,
    onMessageKey,
    /** Open the picker of emoji for a row, at an element. */
    pickFor(row, anchor) {
      closePop();
      id = row;
      openPop("picker", anchor);
    },
    /** Show a message of somebody muted. */
    unveil(row) {
      unveiled.add(row);
      store.changed();
    },
    /** Bring all up to date with the rows as they are drawn now. */
    update(view) {
      const row = target();
      if (view.channel !== channel || !row || row.deleted || store.frozen) closePop();
      if (view.channel !== channel) id = "";
      channel = view.channel;
      place();
    },
    close() {
      document.removeEventListener("pointerdown", onPress, true);
    },
  };
}
