/**
 * What one page knows of the chat: one store for each widget model, shared by all its views.
 *
 * It lives as long as the model, not as a view: moving a cell makes new views. The kernel sends
 * numbered batches; the store says hello with the last number it has, and again when one is
 * missing, so first show, reload, a second browser and lost messages are one mechanism.
 */
import { completeRow, localRow, mergeRows, removeRow } from "./rows.js";

/** How long the kernel may take before a row says that it waits, ms. */
const PATIENCE_MS = 1000;
/** How long to wait for the answer to a request before it is sent again, ms; then doubled. */
const RESEND_MS = 2000;
/** The longest that becomes, ms. */
const LONGEST_RESEND_MS = 30_000;
/** How often to look whether the newest batch has come, ms. */
const CHECK_MS = 5000;
/** How long the state may take after that, ms. */
const STATE_MS = 30_000;
const OPENING = { name: "opening" };
const GONE = "The kernel is gone: re-run the cell to reconnect.";

/** Return a UUID of version 7, like `chatkit.message.new_id`. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Date.now()) << 16n | BigInt(bytes[6] << 8 | bytes[7]));
  bytes[6] = bytes[6] & 0x0f | 0x70;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Return what is kept of one channel. */
function newView(channel) {
  return {
    channel,
    rows: [],
    byId: new Map(),
    phase: OPENING, // how far it is opened: name, reason, whether the channel is missing
    older: false, // whether there is more above
    loading: false, // whether that is on its way
    loadFailed: "", // why it did not come
    tried: null, // the oldest row when more was last asked for: ask again unasked only above another
    draft: "",
    refusal: "", // why what was sent came back
    scroll: { pinned: true, id: "", offset: 0 },
    jumps: 0, // how often sending went to the end
    seen: null, // newest row that was on screen
  };
}

/** Return the store of a model; `close()` ends it. */
export function createStore(model) {
  const client = newId();
  const listeners = new Set();
  const waiting = new Map(); // number of a request -> what to do with the answer
  let requests = 0;
  let last = 0; // number of the newest batch that was applied
  let asking = true; // for the state; batches are dropped until it is here
  let helloTimer = 0;
  let checking = false;
  let closed = false;

  const checkTimer = setInterval(check, CHECK_MS);

  const store = {
    user: "",
    channels: [],
    status: { kafka: "", mongo: "", connected: false },
    selected: "",
    views: new Map(),
    problems: [],
    ready: false, // whether the kernel has told its state
    slow: false, // not ready, and taking long
    frozen: false, // whether the kernel is gone

    /** Call `listener` after each change; returns what stops it. */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /** Tell all views that something changed. */
    changed() {
      for (const listener of listeners) listener();
    },
    /** Return what is kept of a channel, made when needed. */
    view(channel) {
      if (!store.views.has(channel)) store.views.set(channel, newView(channel));
      return store.views.get(channel);
    },
    /** Show a channel, and have the kernel open it. */
    select(channel) {
      store.selected = channel;
      const view = store.view(channel);
      if (view.phase.name === "failed") view.phase = OPENING;
      ask({ type: "open", channel });
      store.changed();
    },
    /** Send a text; its row is drawn at once, before the kernel answers. */
    send(channel, body) {
      const view = store.view(channel);
      const row = localRow(newId(), store.user, body);
      mergeRows(view, [row]);
      view.scroll = { pinned: true, id: "", offset: 0 };
      view.jumps += 1;
      view.refusal = "";
      const timer = setTimeout(() => {
        if (!view.byId.get(row.id)?.local) return;
        mergeRows(view, [{ ...view.byId.get(row.id), late: true }]);
        store.changed();
      }, PATIENCE_MS);
      ask({ type: "send", channel, id: row.id, body }).then((error) => {
        clearTimeout(timer);
        if (!error || !view.byId.get(row.id)?.local) return;
        removeRow(view, row.id);
        view.draft = view.draft ? `${body}\n${view.draft}` : body;
        view.refusal = error;
        store.changed();
      });
      store.changed();
    },
    /** Send a failed row once more. */
    retry(channel, id) {
      ask({ type: "retry", channel, id }).then(showProblem);
    },
    /** Ask for the rows above the oldest. */
    loadOlder(channel) {
      const view = store.view(channel);
      if (view.loading) return;
      const oldest = view.rows[0];
      view.loading = true;
      view.loadFailed = "";
      ask({ type: "older", channel }).then((error) => {
        view.loading = false;
        view.loadFailed = error;
        view.tried = oldest; // the rows may come after this answer
        store.changed();
      });
      store.changed();
    },
    /** Create a channel and show it; resolves to what is wrong, or "". */
    async create(name) {
      const error = await ask({ type: "create", name });
      if (!error) store.select(name);
      return error;
    },
    showProblem,
    /** Take the oldest problem off the panel. */
    dismiss() {
      store.problems.shift();
      store.changed();
    },
    /** Stop listening and waiting. */
    close() {
      closed = true;
      clearTimeout(helloTimer);
      clearInterval(checkTimer);
      document.removeEventListener("visibilitychange", check);
      listeners.clear();
    },
  };

  /** Show what went wrong with something that has no place of its own on the panel. */
  function showProblem(error) {
    if (!error) return;
    store.problems.push(error);
    store.changed();
  }

  /** Ask the kernel for something; resolves to what is wrong, or "". */
  function ask(content) {
    const ref = ++requests;
    return new Promise((resolve) => {
      waiting.set(ref, resolve);
      deliver({ ...content, client, ref }, RESEND_MS);
    });
  }

  /** Send a request until it is answered: a connection that is made anew loses some. */
  function deliver(request, patience) {
    if (closed || !waiting.has(request.ref)) return;
    try {
      model.send(request);
    } catch {
      freeze();
      return;
    }
    setTimeout(deliver, patience, request, Math.min(2 * patience, LONGEST_RESEND_MS));
  }

  /** Note that the kernel is gone, and give back what it did not take. */
  function freeze() {
    store.frozen = true;
    clearTimeout(helloTimer);
    const unanswered = [...waiting.values()];
    waiting.clear();
    for (const resolve of unanswered) resolve(GONE);
    store.changed();
  }

  /** Say which batch is the last one here, and have the kernel send what comes after. */
  function hello() {
    clearTimeout(helloTimer);
    helloTimer = setTimeout(() => {
      store.slow = true;
      store.changed();
    }, RESEND_MS);
    ask({ type: "hello", last }).then((error) => {
      if (error) return;
      clearTimeout(helloTimer); // the state is on its way, and may be large
      if (asking) helloTimer = setTimeout(hello, STATE_MS);
    });
  }

  /** Look for missed batches, now and then and when the page comes back to the front. */
  function check() {
    if (document.visibilityState !== "visible" || asking || checking || store.frozen) return;
    checking = true;
    ask({ type: "hello", last }).then(() => { checking = false; });
  }

  /** Apply what a batch says of one channel. */
  function applyView(news) {
    const view = store.view(news.channel);
    if (news.reset) {
      const local = view.rows.filter((row) => row.local);
      view.rows = local;
      view.byId = new Map(local.map((row) => [row.id, row]));
    }
    view.phase = news.phase;
    view.older = news.older ?? false;
    mergeRows(view, (news.rows ?? []).map(completeRow));
  }

  /** Apply a batch, or the whole state, which has the same form. */
  function apply(batch) {
    store.user = batch.user ?? store.user;
    store.channels = batch.channels ?? store.channels;
    store.status = batch.status ?? store.status;
    store.problems.push(...(batch.problems ?? []));
    for (const news of batch.views ?? []) applyView(news);
    // The state only proposes a channel; one that the user chose here stays.
    if (batch.select && !(batch.user && store.selected)) store.selected = batch.select;
  }

  /** Take a message of the kernel's. */
  function onMessage(content, buffers) {
    if (content.to && content.to !== client) return;
    if (content.kind === "answer") {
      waiting.get(content.ref)?.(content.error);
      waiting.delete(content.ref);
      return;
    }
    if (content.kind === "batch") {
      if (asking || content.n <= last) return;
      if (content.n > last + 1) {
        asking = true;
        hello();
        return;
      }
    }
    asking = false;
    clearTimeout(helloTimer);
    store.ready = true;
    store.frozen = false;
    last = content.n;
    apply(JSON.parse(new TextDecoder().decode(buffers[0])));
    store.changed();
  }

  model.on("msg:custom", onMessage);
  model.on("comm_live_update", freeze);
  document.addEventListener("visibilitychange", check);
  hello();
  return store;
}
