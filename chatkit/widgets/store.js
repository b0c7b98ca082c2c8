/**
 * What one page knows of the chat: one store for each widget model, shared by all its views.
 *
 * It lives as long as the model, not as a view: moving a cell makes new views. The kernel sends
 * numbered batches; the store says hello with the last number it has, and again when one is
 * missing, so first show, reload, a second browser and lost messages are one mechanism.
 */
import { compareKeys, compareRows, completeRow, localRow, mergeRows, removeRow } from "./rows.js";

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
/** How long questions about rows are gathered before they are put, ms. */
const GATHER_MS = 150;
/** How often to tell what was read, ms. */
const READ_MS = 500;
/** Where a row stands that was jumped to, px below the upper edge. */
const JUMP_OFFSET = 120;
const OPENING = { name: "opening" };
/** What a page keeps drafts under whose panel has lost its kernel. */
const LEFT_DRAFTS = Symbol.for("chatkit.drafts");
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

/** Whether a text is a command: a slash, then a letter. */
export function isCommand(text) {
  return /^\/\p{L}/u.test(text);
}

/** Return what is to be written for a message to have a text: see `as_text` in chatkit/commands.py. */
export function writtenAs(body) {
  return body.startsWith("//") ? `/${body}` : body;
}

/** Return a summary with every field: see ChannelSummary in chatkit/changes.py. */
function completeSummary(summary) {
  return {
    description: "", moderators: [], archived: false, direct: false, member: false, muted: false,
    unread: 0, mentions: 0, last_ms: 0, ...summary,
  };
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
    filling: new Set(), // ids of the skipped rows in whose place rows are being loaded
    mark: null, // order key of what the user has read, here or elsewhere
    divider: null, // the mark as it was when the channel was shown: what is new stands below,
    until: null, // and what came after this key came while it was shown
    read: "", // id of the last row that was seen, and is told as read
    reading: 0, // timer that tells it
    draft: newDraft(),
    scroll: { pinned: true, id: "", offset: 0 },
    jumps: 0, // how often the place to read at was set from outside the transcript
    flash: "", // id of the row to point out, once
    seen: null, // newest row that was on screen
    lens: new Map(), // row id -> what Kafka and MongoDB hold, or null while that is asked for
  };
}

/** Return the index of the notebook's cell that holds an element; -1 if it is in none. */
function indexOfCell(element) {
  const cell = element.getRootNode().host?.closest(".jp-Cell");
  if (!cell) return -1;
  // Of a long notebook only the cells in sight are in the DOM, and each has its number.
  const number = Number.parseInt(cell.dataset.windowedListIndex, 10);
  if (number >= 0) return number;
  return [...cell.parentElement.children].filter((one) => one.matches(".jp-Cell")).indexOf(cell);
}

/** Return an empty draft. */
function newDraft() {
  return {
    text: "",
    reply: "", // id of the message that it answers
    editing: "", // id of the own message whose text it is to become
    file: null, // a File that goes with it
    former: null, // the draft that was begun before the editing
    refusal: "", // why what was sent came back
    left: false, // whether another panel may have it
  };
}

/** Whether there is something in a draft that would be missed. */
function isWorthKeeping({ text, reply, file }) {
  return Boolean(text || reply || file);
}

/** Return the drafts that stores of this page left to those that come: user and channel -> draft. */
function leftDrafts() {
  return (window[LEFT_DRAFTS] ??= new Map());
}

/** Leave the drafts of a store that has no kernel any more. */
function leaveDrafts(store) {
  for (const { channel, draft } of store.views.values()) {
    if (draft.left || !isWorthKeeping(draft)) continue;
    draft.left = true;
    leftDrafts().set(`${store.user}\n${channel}`, draft);
  }
}

/** Take the drafts that were left for the channels of a store. */
function takeDrafts(store) {
  for (const view of store.views.values()) {
    const key = `${store.user}\n${view.channel}`;
    const draft = leftDrafts().get(key);
    if (!draft || draft === view.draft || isWorthKeeping(view.draft)) continue;
    view.draft = { ...draft, left: false, refusal: "" };
    leftDrafts().delete(key);
  }
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
  const gathered = new Map(); // what is asked for and where -> ids of rows, to be asked for together
  const asked = new Set(); // what was asked for and is not here yet
  const remembered = new Map(); // what was asked for once -> the answer
  let closed = false;

  const checkTimer = setInterval(check, CHECK_MS);

  const store = {
    client,
    user: "",
    guessed: false, // whether the user's name is a guess
    channels: [], // what there is to say of each channel: see ChannelSummary in chatkit/changes.py
    people: [], // {name, state: "here"|"away"|"left", typing: channel or ""}
    muted: new Set(), // names of whom the user wants to hear nothing
    commands: [], // {name, about}
    status: { kafka: "", mongo: "", connected: false },
    selected: "",
    views: new Map(),
    problems: [],
    note: "", // what a command said, to the user alone
    aside: null, // what is beside the transcript: {kind, channel, ...}; see aside.js
    kept: new Map(), // what stays of that while it is closed, such as the last search
    lens: false, // whether each row shows what Kafka knows of it
    folded: false, // whether who joined and left is folded away
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
    /** Return what there is to say of a channel. */
    summary(channel) {
      return store.channels.find((one) => one.channel === channel)
        ?? { channel, title: channel, moderators: [], unread: 0, mentions: 0 };
    },
    /** Show a channel, and have the kernel open it. */
    select(channel) {
      if (!channel) return;
      const view = store.view(channel);
      if (store.selected !== channel) setDivider(view);
      store.selected = channel;
      store.note = "";
      if (store.aside && store.aside.kind !== "search") store.aside = null;
      if (view.phase.name === "failed") view.phase = OPENING;
      ask({ type: "open", channel });
      store.changed();
    },
    /**
     * Send a text, or do what it says if it is a command; its row is drawn at once, before the
     * kernel answers. `more`: id of the message that it answers as `reply`, a File as `file`.
     */
    async send(channel, body, { reply = "", file = null } = {}) {
      const view = store.view(channel);
      if (!file && isCommand(body)) {
        obey(channel, body);
        return;
      }
      const quoted = view.byId.get(reply);
      const row = localRow(newId(), store.user, body.startsWith("//") ? body.slice(1) : body, {
        quote: reply ? { id: reply, author: quoted?.author ?? "", body: quoted?.body ?? "" } : null,
        file: file && { name: file.name, type: file.type, size: file.size },
      });
      mergeRows(view, [row]);
      store.toEnd(channel);
      const timer = setTimeout(() => {
        if (!view.byId.get(row.id)?.local) return;
        mergeRows(view, [{ ...view.byId.get(row.id), late: true }]);
        store.changed();
      }, PATIENCE_MS);
      store.changed();
      const buffers = file ? [await file.arrayBuffer()] : [];
      const content = { type: "send", channel, id: row.id, body };
      if (reply) content.reply = reply;
      if (file) content.name = file.name;
      const { error } = await ask(content, buffers);
      clearTimeout(timer);
      if (!error || !view.byId.get(row.id)?.local) return;
      removeRow(view, row.id);
      giveBack(view, { text: body, reply, file }, error);
    },
    /** Send a failed row once more. */
    retry(channel, id) {
      ask({ type: "retry", channel, id }).then(showProblem);
    },
    /** Give an own message another text; what can't be is given back. */
    async edit(channel, id, body) {
      const { error } = await ask({ type: "edit", channel, id, body });
      if (error) giveBack(store.view(channel), { text: body, editing: id }, error);
    },
    /** Take a message away. */
    remove(channel, id) {
      ask({ type: "delete", channel, id }).then(showProblem);
    },
    /** Put an emoji under a message, or take one's own back. */
    react(channel, id, emoji) {
      const actors = store.view(channel).byId.get(id)?.reactions.find(([one]) => one === emoji)?.[1];
      const on = !actors?.includes(store.user);
      ask({ type: "react", channel, id, emoji, on }).then(showProblem);
    },
    /** Pin a message, or unpin it. */
    pin(channel, id, on) {
      ask({ type: "pin", channel, id, on }).then(showProblem);
    },
    /** Note that the user has seen all rows of a channel up to one. */
    markRead(channel, row) {
      const view = store.view(channel);
      if (!row || view.read === row.id || row.state !== "sent") return;
      const key = [...row.place, row.id];
      if (view.mark && compareKeys(view.mark, key) >= 0) return;
      view.read = row.id;
      view.reading ||= setTimeout(() => {
        view.reading = 0;
        ask({ type: "read", channel, id: view.read });
      }, READ_MS);
    },
    /** Note that the user has seen all that is in a channel, shown or not. */
    markAllRead(channel) {
      ask({ type: "read", channel }).then(showProblem);
    },
    /** Ask for the rows above the oldest. */
    loadOlder(channel) {
      const view = store.view(channel);
      if (view.loading) return;
      const oldest = view.rows[0];
      view.loading = true;
      view.loadFailed = "";
      ask({ type: "older", channel }).then(({ error }) => {
        view.loading = false;
        view.loadFailed = error;
        view.tried = oldest; // the rows may come after this answer
        store.changed();
      });
      store.changed();
    },
    /** Ask for rows in place of one that stands for what was skipped. */
    loadSkipped(channel, id, upwards) {
      const view = store.view(channel);
      if (view.filling.has(id)) return;
      view.filling.add(id);
      ask({ type: "older", channel, row: id, upwards }).then((answer) => {
        showProblem(answer);
        // There may be more in the same place, and what failed is not asked for again at once.
        setTimeout(() => {
          view.filling.delete(id);
          store.changed();
        }, answer.error ? CHECK_MS : 0);
      });
    },
    /** Show a message of any channel where it stands, and point it out. */
    async jump(channel, id) {
      if (channel !== store.selected) store.select(channel);
      const view = store.view(channel);
      if (!view.byId.has(id)) {
        const { error, data } = await ask({ type: "around", channel, id });
        if (error || !data) {
          showProblem({ error: error || "This message is not there any more." });
          return;
        }
        await arrival(view, id);
      }
      view.scroll = { pinned: false, id, offset: JUMP_OFFSET };
      view.jumps += 1;
      view.flash = id;
      store.changed();
    },
    /** Go to the newest row of a channel. */
    toEnd(channel) {
      const view = store.view(channel);
      view.scroll = { pinned: true, id: "", offset: 0 };
      view.jumps += 1;
      store.changed();
    },
    /** Create a channel and show it; resolves to what is wrong, or "". */
    async create(name, description = "") {
      const { error } = await ask({ type: "create", name, description });
      if (!error) store.select(name);
      return error;
    },
    /** Change what is said of a channel (see Alter in wire.py); resolves to what is wrong, or "". */
    async alter(channel, changes) {
      return (await ask({ type: "alter", channel, ...changes })).error;
    },
    /** Leave a channel. */
    leave(channel) {
      ask({ type: "leave", channel }).then(showProblem);
      store.views.delete(channel);
      if (store.selected === channel) {
        const next = store.channels.find((one) => one.member && one.channel !== channel);
        store.selected = "";
        store.select(next?.channel ?? "general");
      }
    },
    /** Hear nothing more of `{channel}` or `{person}`, or hear of them again. */
    mute(whom, on) {
      ask({ type: "mute", ...whom, on }).then(showProblem);
    },
    /** Open the direct channel with somebody. */
    async direct(name) {
      const answer = await ask({ type: "direct", name });
      showProblem(answer);
      if (!answer.error) store.select(answer.data);
    },
    /** Write under another name from now on; resolves to what is wrong, or "". */
    async rename(name) {
      return (await ask({ type: "rename", name })).error;
    },
    /** Let others see that the user is writing in a channel, or, with null, no longer. */
    typing(channel) {
      ask({ type: "typing", channel });
    },
    /** Let others see whether the user is away. */
    setAway(on) {
      ask({ type: "away", on });
    },
    /** Show something beside the transcript, or, with null, nothing: see aside.js. */
    setAside(aside) {
      store.aside = aside;
      store.changed();
    },
    /** Show, or hide, what Kafka knows of each row. */
    setLens(on) {
      store.lens = on;
      store.changed();
    },
    /** Fold away who joined and left, or show it. */
    setFolded(on) {
      store.folded = on;
      store.changed();
    },
    /** Change the draft of a channel. */
    setDraft(channel, changes) {
      Object.assign(store.view(channel).draft, { refusal: "" }, changes);
      store.changed();
    },
    /** Begin to answer a message. */
    reply(channel, id) {
      if (store.view(channel).draft.editing) store.clearDraft(channel);
      store.setDraft(channel, { reply: id });
      store.wantsFocus += 1;
      store.changed();
    },
    /** Begin to change an own message. */
    startEdit(channel, id) {
      const view = store.view(channel);
      if (view.draft.editing !== id) {
        const text = writtenAs(view.byId.get(id).body);
        view.draft = { ...newDraft(), text, editing: id, former: view.draft };
      }
      store.wantsFocus += 1;
      store.changed();
    },
    wantsFocus: 0, // how often something wanted the box to have the focus
    /** Begin a new draft, or go on with the one from before the editing. */
    clearDraft(channel) {
      const view = store.view(channel);
      view.draft = view.draft.former ?? newDraft();
    },
    /** Render rows that are raw, those in sight: their HTML comes as a change. */
    render(channel, ids) {
      gather("render", channel, ids, (data) => {
        const view = store.view(channel);
        for (const [id, html] of Object.entries(data)) {
          const row = view.byId.get(id);
          if (row?.raw) mergeRows(view, [{ ...row, html, raw: false }]);
        }
      });
    },
    /** Find what rows answer that is not loaded: it comes as a change. */
    quote(channel, ids) {
      gather("quotes", channel, ids, (quotes) => {
        const view = store.view(channel);
        const known = new Map(quotes.map((quote) => [quote.id, quote]));
        const changed = view.rows.filter((row) => row.quote && !row.quote.author && known.has(row.quote.id));
        mergeRows(view, changed.map((row) => ({ ...row, quote: known.get(row.quote.id) })));
      });
    },
    /** Find what Kafka and MongoDB hold of rows: it comes as a change, in `view.lens`. */
    look(channel, ids) {
      const view = store.view(channel);
      const missing = ids.filter((id) => !view.lens.has(id));
      for (const id of missing) view.lens.set(id, null);
      gather("lens", channel, missing, takeLenses);
    },
    /** Look once more what Kafka and MongoDB hold of a row. */
    lookAgain(channel, id) {
      gather("lens", channel, [id], takeLenses);
    },
    /** Put a new code cell below the one that holds an element; whether that is possible here. */
    insertCell(element, source) {
      const notebook = model.widget_manager?.context?.model?.sharedModel; // JupyterLab, Notebook
      if (!notebook?.insertCell) return false;
      const index = indexOfCell(element) + 1 || notebook.cells.length;
      notebook.insertCell(index, { cell_type: "code", source });
      return true;
    },
    /** Return the preview of what was shared with a row, asked for once: {data, file} or {error}. */
    preview(channel, id) {
      return remember(`preview ${channel} ${id}`, { type: "preview", channel, id });
    },
    /** Ask for anything that only shows something; resolves to {error, data, file}. */
    ask,
    /** Return all emoji, short name -> emoji, asked for once. */
    async emoji() {
      return (await remember("emoji", { type: "emoji" })).data ?? {};
    },
    showProblem,
    /** Take the oldest problem off the panel. */
    dismiss() {
      store.problems.shift();
      store.changed();
    },
    /** Take what a command said off the panel. */
    dismissNote() {
      store.note = "";
      store.changed();
    },
    /** Stop listening and waiting. */
    close() {
      closed = true;
      leaveDrafts(store);
      clearTimeout(helloTimer);
      clearInterval(checkTimer);
      document.removeEventListener("visibilitychange", check);
      listeners.clear();
    },
  };

  /** Note where what is unread begins and ends now. */
  function setDivider(view) {
    const newest = view.rows.at(-1);
    view.divider = view.mark;
    view.until = newest ? [...newest.place, newest.id] : [0, 0, 0, ""];
  }

  /** Do what a line says that begins with a slash. */
  async function obey(channel, text) {
    store.note = "";
    const { error, data } = await ask({ type: "command", channel, text });
    if (error) {
      giveBack(store.view(channel), { text }, error);
      return;
    }
    if (data?.text) store.note = data.text;
    if (data?.rows) store.aside = { kind: "search", query: data.query, rows: data.rows };
    if (data?.lens) store.lens = !store.lens;
    if (data?.left) store.leave(channel);
    const { note } = store;
    if (data?.channel) store.select(data.channel);
    store.note = note;
    store.changed();
  }

  /** Put what could not be sent back into the draft, before what was written since. */
  function giveBack(view, { text, reply = "", editing = "", file = null }, error) {
    if (editing && view.draft.editing !== editing) {
      view.draft = { ...newDraft(), editing, former: view.draft };
    }
    let { draft } = view;
    while (!editing && draft.editing) draft = draft.former;
    draft.text = draft.text ? `${text}\n${draft.text}` : text;
    draft.reply ||= reply;
    draft.file ||= file;
    view.draft.refusal = error;
    store.changed();
  }

  /** Ask once for something about rows, all those of the same moment together. */
  function gather(type, channel, ids, take) {
    const fresh = ids.filter((id) => !asked.has(`${type} ${channel} ${id}`));
    if (!fresh.length) return;
    for (const id of fresh) asked.add(`${type} ${channel} ${id}`);
    const key = `${type} ${channel}`;
    if (gathered.has(key)) {
      gathered.get(key).push(...fresh);
      return;
    }
    gathered.set(key, fresh);
    setTimeout(async () => {
      gathered.delete(key);
      const { error, data } = await ask({ type, channel, ids: fresh });
      for (const id of fresh) asked.delete(`${type} ${channel} ${id}`);
      if (error) return;
      take(data, channel, fresh);
      store.changed();
    }, GATHER_MS);
  }

  /** Note what Kafka and MongoDB hold of rows; of a pending one, say, that is asked for again. */
  function takeLenses(data, channel, ids) {
    const { lens } = store.view(channel);
    for (const [id, facts] of Object.entries(data)) lens.set(id, facts);
    for (const id of ids) if (!lens.get(id)) lens.delete(id);
  }

  /** Ask for something once; what failed is asked for again. */
  function remember(key, content) {
    if (!remembered.has(key)) {
      remembered.set(key, ask(content).then((answer) => {
        if (answer.error) remembered.delete(key);
        return answer;
      }));
    }
    return remembered.get(key);
  }

  /** Resolve once a row is in a view, or has not come in time. */
  function arrival(view, id) {
    return new Promise((resolve) => {
      const timer = setTimeout(finish, STATE_MS);
      const stop = store.subscribe(() => { if (view.byId.has(id)) finish(); });
      function finish() {
        clearTimeout(timer);
        stop();
        resolve();
      }
      if (view.byId.has(id)) finish();
    });
  }

  /** Show what went wrong with something that has no place of its own on the panel. */
  function showProblem({ error }) {
    if (!error) return;
    store.problems.push(error);
    store.changed();
  }

  /**
   * Ask the kernel for something, see wire.py; never rejects.
   * @returns {Promise<{error: string, data: any, file: DataView?}>} what is wrong, or "", and
   *   what was asked for
   */
  function ask(content, buffers = []) {
    const ref = ++requests;
    return new Promise((resolve) => {
      waiting.set(ref, resolve);
      deliver({ ...content, client, ref }, buffers, RESEND_MS);
    });
  }

  /** Send a request until it is answered: a connection that is made anew loses some. */
  function deliver(request, buffers, patience) {
    if (closed || !waiting.has(request.ref)) return;
    try {
      model.send(request, undefined, buffers);
    } catch {
      freeze();
      return;
    }
    setTimeout(deliver, patience, request, buffers, Math.min(2 * patience, LONGEST_RESEND_MS));
  }

  /** Note that the kernel is gone, and give back what it did not take. */
  function freeze() {
    store.frozen = true;
    clearTimeout(helloTimer);
    const unanswered = [...waiting.values()];
    waiting.clear();
    for (const resolve of unanswered) resolve({ error: GONE });
    setTimeout(leaveDrafts, 0, store); // once what was not taken is back in them
    store.changed();
  }

  /** Say which batch is the last one here, and have the kernel send what comes after. */
  function hello() {
    clearTimeout(helloTimer);
    helloTimer = setTimeout(() => {
      store.slow = true;
      store.changed();
    }, RESEND_MS);
    ask({ type: "hello", last }).then(({ error }) => {
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

  /** Note when a row came to this page, if it is not one that was there before. */
  function noteArrival(view, row, isPast) {
    const known = view.byId.get(row.id);
    const newest = view.rows.findLast((one) => one.state === "sent");
    const isNew = known ? known.state !== "sent" : !newest || compareRows(row, newest) > 0;
    const isLive = isNew && !isPast;
    if (row.state !== "sent") return;
    row.received = isLive ? Date.now() : known?.received;
    row.shown = known?.shown;
  }

  /** Apply what a batch says of one channel. */
  function applyView(news, isState) {
    const view = store.view(news.channel);
    if (news.reset) {
      const local = view.rows.filter((row) => row.local);
      view.rows = local;
      view.byId = new Map(local.map((row) => [row.id, row]));
    }
    const isPast = isState || news.reset || view.phase.name !== "open";
    view.phase = news.phase;
    view.older = news.older ?? false;
    for (const id of news.gone ?? []) removeRow(view, id);
    const rows = (news.rows ?? []).map(completeRow);
    for (const row of rows) noteArrival(view, row, isPast);
    mergeRows(view, rows);
    view.mark = news.mark ?? view.mark;
    if (news.phase.name === "open" && !view.until) setDivider(view);
  }

  /** Apply a batch, or the whole state, which has the same form. */
  function apply(batch) {
    store.user = batch.user ?? store.user;
    if (batch.user) store.guessed = batch.guessed ?? false;
    store.channels = batch.channels?.map(completeSummary) ?? store.channels;
    store.people = batch.people ?? store.people;
    if (batch.muted) store.muted = new Set(batch.muted);
    store.commands = batch.commands ?? store.commands;
    store.status = batch.status ?? store.status;
    store.problems.push(...(batch.problems ?? []));
    for (const news of batch.views ?? []) applyView(news, Boolean(batch.user));
    takeDrafts(store);
    // The state only proposes a channel; one that the user chose here stays.
    if (batch.select && !(batch.user && store.selected)) store.selected = batch.select;
  }

  /** Take the answer to a request. */
  function takeAnswer({ ref, error }, [json, file]) {
    const data = json && JSON.parse(new TextDecoder().decode(json));
    waiting.get(ref)?.({ error, data, file });
    waiting.delete(ref);
  }

  /** Take a batch, or the whole state. */
  function takeBatch({ kind, n }, [json]) {
    if (kind === "batch") {
      if (asking || n <= last) return;
      if (n > last + 1) {
        asking = true;
        hello();
        return;
      }
    }
    asking = false;
    clearTimeout(helloTimer);
    store.ready = true;
    store.frozen = false;
    last = n;
    apply(JSON.parse(new TextDecoder().decode(json)));
    store.changed();
  }

  /** Take a message of the kernel's: each of its parts has the next so many of the buffers. */
  function onMessage({ parts }, buffers) {
    let first = 0;
    for (const part of parts) {
      const own = buffers.slice(first, first + part.buffers);
      first += part.buffers;
      if (part.to && part.to !== client) continue;
      if (part.kind === "answer") takeAnswer(part, own);
      else takeBatch(part, own);
    }
  }

  model.on("msg:custom", onMessage);
  model.on("comm_live_update", freeze);
  document.addEventListener("visibilitychange", check);
  hello();
  return store;
}
