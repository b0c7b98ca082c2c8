/** Small makers of DOM elements and of texts about time. Text only ever goes in as text. */

/**
 * Return a new element.
 * @param {string} tag
 * @param {Record<string, string>} [attributes] `class`, `role`, `aria-...`; `text` is the content
 * @param {Node[]} children
 */
export function make(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** Return a button that calls `onClick`. */
export function makeButton(text, attributes, onClick) {
  const button = make("button", { type: "button", text, ...attributes });
  button.addEventListener("click", onClick);
  return button;
}

/** Return a new element of SVG. */
export function makeSvg(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text) element.textContent = text;
  return element;
}

/** Return a small drawing of 16 by 16 that goes with the text's colour. */
export function makeIcon(lines, attributes = {}) {
  const icon = makeSvg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", ...attributes });
  icon.append(makeSvg("path", { d: lines }));
  return icon;
}

/**
 * Put a text into an element: as HTML if the kernel has made it safe, else as it is. The element
 * must stand in a shadow root, as JupyterLab acts on attributes that it finds elsewhere.
 */
export function setText(element, { html, body }) {
  if (html) element.innerHTML = html;
  else element.textContent = body;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, {
  weekday: "long", day: "numeric", month: "long", year: "numeric",
});
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Return hours and minutes in the browser's zone. */
export function formatClock(ms) {
  return clock.format(ms);
}

/** Return hours and minutes in few characters: without a.m. and p.m. */
export function formatDigits(ms) {
  const parts = clock.formatToParts(ms).filter((part) => part.type !== "dayPeriod");
  return parts.map((part) => part.value).join("").trim();
}

/** Return date, time and zone. */
export function formatExact(ms) {
  return exact.format(ms);
}

/** Return the number of a day in the browser's zone: equal for equal days. */
export function dayOf(ms) {
  const date = new Date(ms);
  return (date.getFullYear() * 12 + date.getMonth()) * 31 + date.getDate() - 1;
}

/** Return the name of a day: today, yesterday, or its date. */
export function formatDay(ms) {
  const now = new Date();
  if (dayOf(ms) === dayOf(now)) return "Today";
  if (dayOf(ms) === dayOf(new Date(now).setDate(now.getDate() - 1))) return "Yesterday";
  return calendar.format(ms);
}
