/**
 * What tells of news outside the panel: a badge in the page's title, and notices on the desktop;
 * and what tells the kernel whether the page is looked at.
 */

/** After how long one who does not look at the page is away, ms. */
const AWAY_MS = 60_000;
/** How long a page takes to go away, ms: one that is there after that has stayed. */
const LEAVING_MS = 3000;
/** Characters of a message in a notice. */
const NOTICE_LENGTH = 200;
/** What all panels of a page have in common: each widget has this script for itself. */
const PAGE_NEWS = Symbol.for("chatkit.news");

/** Return what the user chose in this browser, or false. */
export function readChoice(name) {
  try {
    return localStorage.getItem(`chatkit:${name}`) === "on";
  } catch {
    return false; // the browser keeps nothing
  }
}

/** Keep what the user chose for all panels in this browser. */
export function keepChoice(name, on) {
  try {
    localStorage.setItem(`chatkit:${name}`, on ? "on" : "off");
  } catch {
    // It holds as long as the browser lets it.
  }
}

/** Whether notices are wanted, and the browser lets us. */
export function hasNotices() {
  return readChoice("notices") && window.Notification?.permission === "granted";
}

/** Switch notices on or off; resolves to what is wrong, or "". */
export async function switchNotices(on) {
  if (!on) {
    keepChoice("notices", false);
    return "";
  }
  if (!window.Notification) {
    return "Browsers show notices only of pages that they trust: over https, or of this machine.";
  }
  if (await Notification.requestPermission() !== "granted") {
    return "The browser does not allow notices of this page; its settings for the page say so.";
  }
  keepChoice("notices", true);
  return "";
}

/** Return how often each channel calls for the user: mentions, and all that is said directly. */
export function countCalls(store) {
  const calls = new Map();
  if (store.frozen) return calls;
  for (const one of store.channels) {
    const count = one.direct ? one.unread : one.mentions;
    if (count && !one.muted) calls.set(one.channel, count);
  }
  return calls;
}

/** Whether somebody looks at the page. */
function isLookedAt() {
  return document.visibilityState === "visible" && document.hasFocus();
}

/** Return what all panels of this page have in common. */
function sharedNews() {
  window[PAGE_NEWS] ??= { told: new Map(), badge: createTitleBadge() };
  return window[PAGE_NEWS];
}

/** Return the badge in the page's title: `set(store, calls)`, `drop(store)`. */
function createTitleBadge() {
  const stores = new Map(); // store -> what calls for its user: channel -> how often
  let plain = null; // the title as it is without the badge; null while there is none
  let written = "";
  const watcher = new MutationObserver(draw);

  /** Return how often the user is called for; two panels with the same channel count once. */
  function total() {
    const most = new Map();
    for (const [store, calls] of stores) {
      for (const [channel, count] of calls) {
        const key = `${store.user}\n${channel}`;
        most.set(key, Math.max(count, most.get(key) ?? 0));
      }
    }
    return [...most.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Bring the title up to date, whoever set another one meanwhile. */
  function draw() {
    const count = total();
    if (plain !== null && document.title !== written) plain = document.title;
    if (count) {
      if (plain === null) {
        plain = document.title;
        watcher.observe(document.head, { childList: true, characterData: true, subtree: true });
      }
      const title = `(${count > 99 ? "99+" : count}) ${plain}`;
      if (document.title !== title) document.title = title;
      written = document.title;
    } else if (plain !== null) {
      watcher.disconnect();
      document.title = plain;
      plain = null;
    }
  }

  return {
    set(store, calls) {
      stores.set(store, calls);
      draw();
    },
    drop(store) {
      stores.delete(store);
      draw();
    },
  };
}

/** Return the newest message that calls for the user and came after a time; or undefined. */
function findCall(store, summary, after) {
  return store.view(summary.channel).rows.findLast((row) => row.kind === "message"
    && row.state === "sent" && !row.deleted && row.author !== store.user && row.place[0] > after
    && (summary.direct || row.me) && !store.muted.has(row.author));
}

/** Show a notice; a click on it leads to the channel. */
function showNotice(store, summary, row) {
  const place = summary.direct ? "" : ` in #${summary.title}`;
  const title = row ? `${row.author}${place}` : summary.title;
  const about = summary.direct ? "Wrote to you" : `You are mentioned${place}`;
  const body = row?.body || row?.file?.name || about;
  try {
    const tag = `chatkit ${summary.channel}`;
    const notice = new Notification(title, { body: body.slice(0, NOTICE_LENGTH), tag });
    notice.onclick = () => {
      window.focus();
      store.select(summary.channel);
      notice.close();
    };
  } catch {
    // Some browsers have the name and show none.
  }
}

/** Return what watches a store; `close()` ends it. */
export function createNotifier(store) {
  const { told, badge } = sharedNews();
  const started = Date.now();
  let before = new Map(); // channel -> how often it called, and when its last message came
  let seen = []; // what was taken note of last
  let away = null; // what the kernel was told
  let timer = 0;
  if (readChoice("folded")) store.folded = true;

  /** Tell of what is new in a channel, unless another panel on the page did. */
  function tell(summary, after) {
    const key = `${store.user}\n${summary.channel}`;
    const row = findCall(store, summary, after);
    const last = told.get(key);
    if (last && (summary.last_ms <= last.ms || (row && row.id === last.id))) return;
    told.set(key, { ms: summary.last_ms, id: row?.id });
    showNotice(store, summary, row);
  }

  /** Take note of what is new in the store. */
  function update() {
    const news = [store.channels, store.frozen, store.ready, store.user];
    if (news.every((one, index) => one === seen[index])) return;
    seen = news;
    const calls = countCalls(store);
    badge.set(store, calls);
    if (!store.ready) return;
    if (away === null) look();
    const now = new Map();
    for (const summary of store.channels) {
      const { channel, last_ms: ms } = summary;
      const count = calls.get(channel) ?? 0;
      const was = before.get(channel) ?? { count: 0, ms: 0 };
      now.set(channel, { count, ms });
      // An edit that mentions somebody, or a channel that is heard of again, is no new message.
      if (count <= was.count || ms <= was.ms || ms <= started) continue;
      if (!isLookedAt() && hasNotices()) tell(summary, was.ms);
    }
    before = now;
  }

  /** Tell the kernel whether the user is away, if that is new. */
  function setAway(on) {
    if (!store.ready || store.frozen || on === away) return;
    away = on;
    store.setAway(on);
  }

  /** See whether the page is looked at: who comes back is here at once, who leaves only later. */
  function look() {
    clearTimeout(timer);
    if (isLookedAt()) setAway(false);
    else timer = setTimeout(setAway, AWAY_MS, true);
  }

  /**
   * Tell the kernel, while the connection is there, that nobody looks at this page any more: the
   * browser may drop that. Who was asked whether to leave, and stays, is here again.
   */
  function leave() {
    clearTimeout(timer);
    setAway(true);
    timer = setTimeout(look, LEAVING_MS);
  }

  const listeners = [
    [document, "visibilitychange", look], [window, "focus", look], [window, "blur", look],
    [window, "pageshow", look], [window, "beforeunload", leave],
  ];
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener);
  const stop = store.subscribe(update);
  update();
  return {
    close() {
      stop();
      clearTimeout(timer);
      for (const [target, name, listener] of listeners) target.removeEventListener(name, listener);
      badge.drop(store);
    },
  };
}
