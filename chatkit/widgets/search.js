/** The search beside the transcript: a box that completes, and what was found. */
import {
  completeFound, drawCards, jumpFrom, latestRow, makeCard, makeCardDay, withDays,
} from "./cards.js";
import { make, makeButton } from "./elements.js";

/** How many messages the kernel finds at most. */
const FOUND_LIMIT = 50;
/** What shows the language of queries: see chatkit/query. */
const QUERY_EXAMPLES = [
  ["from:ana has:link", "links that ana wrote"],
  ["channel:general before:2026-02", "in #general, before February 2026"],
  ['"exact phrase" -word', "with this phrase, without that word"],
  ["mentions:me after:2026", "what names you, since 2026"],
  ["is:pinned -from:bot", "pinned, and not written by bot"],
];
const QUERY_KEYS = "channel|in|from|mentions|before|after|on|has|is|source";
const QUERY_TERM = new RegExp(`(-?)(?:(${QUERY_KEYS}):)?("(?:[^"]|"")*"?|\\S+)`, "gi");

/** Return the words and phrases that a query asks for. */
export function queryWords(query) {
  const terms = [...query.matchAll(QUERY_TERM)];
  const texts = terms.filter(([, minus, key]) => !minus && !key).map(([, , , text]) => text);
  return texts.map((text) => text.replace(/^"|"$/g, "").replaceAll('""', '"')).filter(Boolean);
}

/** Return where in a text a place is that is counted in characters, as the kernel does. */
function fromCharacters(text, place) {
  return [...text].slice(0, place).join("").length;
}

/** Return what is kept of the search while it is not shown; all views share it. */
function keptSearch(store) {
  if (!store.kept.has("search")) {
    store.kept.set("search", {
      text: "", // in the box
      query: "", // that was looked for
      words: [], // of that, to be marked
      found: null, // pairs of channel and row, newest first
      error: "",
      busy: false,
      number: 0, // of the last search: only its answer counts
      chosen: "", // id of the message that was gone to
      taken: null, // the aside whose rows were taken over
    });
  }
  return store.kept.get("search");
}

/** Search for what a query says. */
async function runSearch(store, kept, query) {
  const number = ++kept.number;
  Object.assign(kept, { text: query, query, error: "", busy: Boolean(query.trim()), chosen: "" });
  if (!kept.busy) kept.found = null;
  store.changed();
  if (!kept.busy) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const { error, data } = await store.ask({ type: "search", text: query, zone });
  if (number !== kept.number) return;
  Object.assign(kept, { busy: false, error, found: error ? null : completeFound(data) });
  kept.words = queryWords(query);
  store.changed();
}

/** Show what a command has found. */
function takeRows(kept, aside) {
  if (!aside?.rows || kept.taken === aside) return;
  kept.number += 1;
  const { query, rows } = aside;
  Object.assign(kept, { text: query, query, error: "", busy: false, chosen: "", taken: aside });
  kept.found = completeFound(rows);
  kept.words = queryWords(query);
}

/** Return the box of the search, which offers how to go on: its element, `box` and `update()`. */
function createQueryBox(store, kept, onDown) {
  const box = make("input", {
    type: "text", role: "combobox", "aria-label": "Search messages", "aria-expanded": "false",
    "aria-autocomplete": "list", "aria-controls": "query-offers",
    placeholder: "Search in all channels",
    maxlength: "500", autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
  });
  const list = make("div", {
    class: "query-offers", id: "query-offers", role: "listbox", "aria-label": "Ways to go on",
  });
  const element = make("div", { class: "query" }, box, list);
  let offers = [];
  let active = -1;
  let asked = 0;
  list.hidden = true;

  /** Offer nothing. */
  function closeOffers() {
    asked += 1;
    offers = [];
    drawOffers();
  }

  /** Ask how the text may go on at the cursor, and offer that. */
  async function offer() {
    const number = ++asked;
    const text = box.value;
    const cursor = [...text.slice(0, box.selectionStart)].length;
    const { data } = await store.ask({ type: "complete", text, cursor });
    if (number !== asked || !data) return;
    offers = data.filter((one) => [...text].slice(one.start, one.end).join("") !== one.text);
    drawOffers();
  }

  /** Draw what is offered. */
  function drawOffers() {
    active = -1;
    list.replaceChildren(...offers.map((one, i) => {
      const option = make("div", {
        class: "offer", role: "option", id: `query-offer-${i}`, "aria-selected": "false",
      }, make("bdi", { text: one.text }),
      make("span", { class: "offer-about", text: one.about ?? "" }));
      option.addEventListener("click", () => take(one));
      return option;
    }));
    list.hidden = !offers.length;
    box.setAttribute("aria-expanded", String(offers.length > 0));
    box.removeAttribute("aria-activedescendant");
  }

  /** Point at one of what is offered. */
  function activate(to) {
    active = (to + offers.length) % offers.length;
    [...list.children].forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === active));
    });
    box.setAttribute("aria-activedescendant", `query-offer-${active}`);
    list.children[active].scrollIntoView({ block: "nearest" });
  }

  /** Write what is offered into the box. */
  function take({ text, start, end }) {
    const [from, to] = [start, end].map((place) => fromCharacters(box.value, place));
    const rest = box.value.slice(to);
    const more = text.endsWith(":") || rest.startsWith(" ") ? text : `${text} `;
    box.setRangeText(more, from, to, "end");
    kept.text = box.value;
    closeOffers();
    box.focus({ preventScroll: true });
    if (text.endsWith(":")) offer();
  }

  /** Do what a key means while something is offered; whether it means anything. */
  function onOfferKey(key) {
    if (key === "ArrowDown") activate(active + 1);
    else if (key === "ArrowUp") activate(active < 0 ? -1 : active - 1);
    else if (key === "Escape") closeOffers();
    else if ((key === "Enter" || key === "Tab") && active >= 0) take(offers[active]);
    else return false;
    return true;
  }

  box.addEventListener("keydown", (event) => {
    const { key } = event;
    if (event.isComposing || event.keyCode === 229) return;
    if (offers.length && onOfferKey(key)) {
      event.stopPropagation();
    } else if (key === "Enter") {
      closeOffers();
      runSearch(store, kept, box.value);
    } else if (key === "ArrowDown") {
      if (!onDown()) offer();
    } else {
      return;
    }
    event.preventDefault();
  });
  box.addEventListener("input", () => {
    kept.text = box.value;
    if (box.value.trim()) offer();
    else closeOffers();
    store.changed();
  });
  box.addEventListener("blur", closeOffers);
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps the focus

  /** Bring the box up to date with what another view wrote. */
  function update() {
    if (box.value === kept.text) return;
    box.value = kept.text;
    closeOffers();
  }
  return { element, box, update };
}

/** Return what is said in place of results. */
function makeHint(fill) {
  const examples = QUERY_EXAMPLES.map(([query, about]) => make("li", {},
    makeButton(query, { class: "link example" }, () => fill(query)),
    make("span", { text: about })));
  return make("div", { class: "aside-hint" }, make("p", {
    text: "Messages that have all the words, wherever they are. Narrow it down, for example:",
  }), make("ul", {}, ...examples));
}

/** Return what is wrong with a query, with the mark under the place. */
function makeQueryError(error) {
  const [, query, spaces, reason] = /^(.*)\n( *)\^ (.*)$/s.exec(error) ?? [];
  if (reason === undefined) return [make("div", { class: "bad", text: error })];
  return [
    make("pre", { class: "query-error", text: `${query}\n${spaces}^` }),
    make("div", { class: "bad", text: reason }),
  ];
}

/** Return a sentence on how many were found. */
function tellFound({ found, query }) {
  if (!found.length) return `Nothing was found for ${query}`;
  if (found.length === 1) return "1 message";
  if (found.length < FOUND_LIMIT) return `${found.length} messages, newest first`;
  return `The newest ${FOUND_LIMIT} messages; narrow the search to find older ones`;
}

/** Return the search of a store: its element, `update()` and `focus()`. */
export function createSearchPane(store) {
  const kept = keptSearch(store);
  const { element: query, box, update: updateBox } = createQueryBox(store, kept, enterList);
  const problem = make("div", { class: "aside-problem", role: "alert" });
  const told = make("div", { class: "aside-told", role: "status" });
  const hint = makeHint(fill);
  const list = make("div", {
    class: "cards", role: "listbox", "aria-label": "Messages that were found",
  });
  const element = make("div", { class: "aside-fill" }, query,
    make("div", { class: "aside-scroll" }, problem, told, hint, list));
  let wrong = "";

  /** Write an example into the box. */
  function fill(text) {
    kept.text = text;
    store.changed();
    box.focus();
  }

  /** Return the cards, without the days. */
  function cards() {
    return [...list.querySelectorAll("[role=option]")];
  }

  /** Go from the box into the results; whether there are any. */
  function enterList() {
    const [first] = cards();
    first?.focus();
    return Boolean(first);
  }

  /** Go to what was found. */
  function choose(card) {
    kept.chosen = card.dataset.id;
    jumpFrom(element, store, card.channel, card.dataset.id);
  }

  /** Return one result. */
  function drawResult(channel, row) {
    if (typeof row === "number") return makeCardDay(row);
    const card = makeCard(store, row, { channel, words: kept.words });
    card.setAttribute("role", "option");
    card.setAttribute("aria-selected", "false");
    card.tabIndex = -1;
    if (row.id === kept.chosen) card.setAttribute("aria-current", "true");
    return Object.assign(card, { channel });
  }

  list.addEventListener("click", (event) => {
    const card = event.target.closest("[role=option]");
    if (card && !event.target.closest("a")) choose(card);
  });
  list.addEventListener("keydown", (event) => {
    const all = cards();
    const at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === -1) box.focus();
    else if (to !== undefined) all[Math.min(to, all.length - 1)]?.focus();
    else if (event.key === "Enter" && at >= 0) choose(all[at]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("focusin", (event) => reachResult(event.target));

  /** Let Tab reach one of the results. */
  function reachResult(card) {
    const all = cards();
    const one = all.includes(card) ? card : all.find((each) => each.tabIndex === 0) ?? all[0];
    for (const each of all) each.tabIndex = each === one ? 0 : -1;
  }

  /** Bring all up to date with the store. */
  function update() {
    takeRows(kept, store.aside);
    updateBox();
    element.setAttribute("aria-busy", String(kept.busy));
    if (wrong !== kept.error) {
      wrong = kept.error;
      problem.replaceChildren(...(wrong ? makeQueryError(wrong) : []));
    }
    hint.hidden = kept.busy || Boolean(kept.error || kept.found?.length);
    const text = kept.busy ? "Searching…" : kept.found ? tellFound(kept) : "";
    if (told.textContent !== text) told.textContent = text;
    told.hidden = !text;
    const found = (kept.found ?? []).map(([channel, row]) => (
      [channel, latestRow(store, channel, row)]));
    const looks = JSON.stringify(kept.words);
    const items = withDays(found).map(([channel, row]) => (
      [channel, row, row.id === kept.chosen ? `chosen ${looks}` : looks]));
    drawCards(list, items, drawResult);
    list.hidden = !found.length;
    reachResult();
  }

  return {
    title: "Search",
    element,
    update,
    focus() {
      box.focus();
      box.select();
    },
  };
}
