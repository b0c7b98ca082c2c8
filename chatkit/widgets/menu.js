/** What the side list opens: menus, and a small dialog over the panel. And its drawings. */
import { make, makeButton, makeIcon } from "./elements.js";

const SIDE_ICONS = {
  find: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3l3.2 3.2",
  settings: "M2.5 4.5h7M12.5 4.5h1M2.5 11.5h1M6.5 11.5h7M11 3v3M5 10v3",
  plus: "M8 3v10M3 8h10",
  more: "M3.4 8h.2M7.9 8h.2M12.4 8h.2",
  closed: "M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0v2.3",
  quiet: "M3 6.3h2L8 3.5v9L5 9.7H3zM10.5 6.5l3 3M13.5 6.5l-3 3",
  pencil: "m3 13 .8-3L10.5 3.3l2.2 2.2L6 12.2z",
  list: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  fold: "m6 4 4 4-4 4",
  check: "m3.5 8.5 3 3 6-7",
};
/** Within which a click on what opened a menu comes after the one that closed it, ms. */
const SAME_CLICK_MS = 250;
/** Least distance of a menu to the edges of the window, px. */
const MENU_RIM = 8;

/** Return a small drawing that goes with the text's colour. */
export function makeSideIcon(name) {
  return makeIcon(SIDE_ICONS[name], { class: `side-icon ${name}` });
}

/** Return a button that is a drawing. */
export function makeIconButton(name, label, onClick, more = {}) {
  const attributes = { class: "side-button", "aria-label": label, title: label, ...more };
  const button = makeButton("", attributes, onClick);
  button.append(makeSideIcon(name));
  return button;
}

/** Return the heading of a group that can be folded away: a button. */
export function makeFold(onClick) {
  const text = make("span");
  const button = makeButton("", { class: "side-fold" }, onClick);
  button.append(makeSideIcon("fold"), text);
  return {
    button,
    set(label, open) {
      text.textContent = label;
      button.setAttribute("aria-expanded", String(open));
    },
  };
}

/** Move the focus among elements with the arrows; whether the key did. */
export function moveFocus(event, elements, from) {
  const at = elements.indexOf(from);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: elements.length - 1 }[event.key];
  if (to === undefined) return false;
  elements[Math.min(elements.length - 1, Math.max(0, to))]?.focus();
  event.preventDefault();
  return true;
}

/** Whether a key asks for the menu of what has the focus. */
export function asksForMenu(event) {
  return event.key === "ContextMenu" || (event.shiftKey && event.key === "F10");
}

/** Have exactly these elements in a parent, in order, moving as few as possible. */
export function placeChildren(parent, elements) {
  const active = parent.getRootNode().activeElement;
  elements.forEach((element, index) => {
    const there = parent.children[index] ?? null;
    if (there !== element) parent.insertBefore(element, there);
  });
  while (parent.children.length > elements.length) parent.lastElementChild.remove();
  if (active && parent.contains(active) && parent.getRootNode().activeElement !== active) {
    active.focus({ preventScroll: true });
  }
}

/**
 * Return a menu, closed: its element, and `open(label, items, spot, back)`. An item is {text, act},
 * with `checked` if it is a switch, `bad` if it takes something away; or null for none. `spot` is
 * the rectangle where it opens; `back` finds what gets the focus afterwards.
 */
export function createSideMenu() {
  const element = make("div", { class: "side-menu", role: "menu", popover: "manual" });
  let back = () => null;
  let label = "";
  let closedAt = 0;

  /** Close the menu, and put the focus where it came from. */
  function goBack() {
    close();
    back()?.focus({ preventScroll: true });
  }

  function makeItem({ text, act, checked, bad }) {
    const kind = checked === undefined ? "menuitem" : "menuitemcheckbox";
    const item = makeButton("", { role: kind, tabindex: "-1", class: bad ? "bad" : "" }, () => {
      goBack();
      act();
    });
    if (checked !== undefined) {
      item.setAttribute("aria-checked", String(checked));
      item.append(makeSideIcon("check"));
    }
    item.append(make("span", { text }));
    return item;
  }

  /** Put the menu below a rectangle, or above it where there is no room. */
  function place({ left, top, bottom }) {
    const { width, height } = element.getBoundingClientRect();
    const below = bottom + 4;
    const y = below + height > window.innerHeight - MENU_RIM ? top - height - 4 : below;
    const x = Math.min(left, window.innerWidth - width - MENU_RIM);
    element.style.left = `${Math.max(MENU_RIM, x)}px`;
    element.style.top = `${Math.max(MENU_RIM, y)}px`;
  }

  function open(name, items, spot, findBack) {
    if (name === label && performance.now() - closedAt < SAME_CLICK_MS) return;
    close();
    label = name;
    back = findBack;
    element.setAttribute("aria-label", name);
    element.replaceChildren(...items.filter(Boolean).map(makeItem));
    element.showPopover();
    place(spot);
    element.firstElementChild?.focus({ preventScroll: true });
  }

  /** Close the menu when something else is clicked at. */
  function onPointer(event) {
    if (event.composedPath().includes(element)) return;
    close();
    closedAt = performance.now();
  }

  element.addEventListener("toggle", ({ newState }) => {
    const change = newState === "open" ? "addEventListener" : "removeEventListener";
    window[change]("pointerdown", onPointer, true);
    // It stands where it was opened, and would not follow what scrolls away under it.
    window[change]("scroll", close, true);
  });
  element.addEventListener("keydown", (event) => {
    if (moveFocus(event, [...element.children], event.target)) return;
    if (event.key !== "Escape" && event.key !== "Tab") return;
    event.preventDefault();
    event.stopPropagation();
    goBack();
  });

  /** Close the menu. */
  function close() {
    if (element.matches(":popover-open")) element.hidePopover();
  }

  return { element, open };
}

/**
 * Let a form do `act`, once at a time: it resolves to what is wrong, which is shown, or "", and then
 * the form closes, as it does on Escape.
 */
export function bindForm(form, wrong, act, close) {
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    wrong.textContent = "";
    const error = await act();
    busy = false;
    if (error) wrong.textContent = error;
    else close();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
}

/**
 * Return a dialog over the panel, closed: its element, and `open(title, fields, name, act, back)`,
 * where `name` is what the button says, `act` resolves to what is wrong or "", and `back` finds
 * what gets the focus afterwards.
 */
export function createSideDialog() {
  const title = make("h2");
  const fields = make("div", { class: "fields" });
  const wrong = make("div", { class: "bad", role: "alert" });
  const submit = make("button", { type: "submit", class: "primary" });
  const cancel = makeButton("Cancel", { class: "link" }, close);
  const form = make("form", { class: "side-dialog", role: "dialog", "aria-modal": "true" },
    title, fields, wrong, make("div", { class: "buttons" }, submit, cancel));
  const element = make("div", { class: "side-cover" }, form);
  let act = async () => "";
  let back = () => null;
  element.hidden = true;

  function open(name, content, verb, doIt, findBack) {
    [act, back] = [doIt, findBack];
    title.textContent = name;
    form.setAttribute("aria-label", name);
    fields.replaceChildren(...content);
    submit.textContent = verb;
    wrong.textContent = "";
    element.hidden = false;
    (fields.querySelector("input, textarea") ?? submit).focus({ preventScroll: true });
  }

  /** Close the dialog, and put the focus where it came from. */
  function close() {
    element.hidden = true;
    fields.replaceChildren();
    back()?.focus({ preventScroll: true });
  }

  /** Keep the focus in the dialog while it is open. */
  function wrapFocus(event) {
    const stops = [...form.querySelectorAll("input, textarea, button:not(:disabled)")];
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (form.getRootNode().activeElement !== edge) return;
    event.preventDefault();
    stops.at(event.shiftKey ? -1 : 0).focus();
  }

  bindForm(form, wrong, () => act(), close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Tab") wrapFocus(event);
  });
  element.addEventListener("pointerdown", (event) => {
    if (event.target !== element) return;
    event.preventDefault();
    close();
  });
  return { element, open };
}
