/** Where the user writes: Enter sends, Shift+Enter breaks the line, leaving the box never sends. */
import { createCompletion, placeAbove, writeInto } from "./complete.js";
import { make, makeButton, makeIcon } from "./elements.js";
import { makePicker } from "./picker.js";
import { formatSize } from "./shared.js";
import { writtenAs } from "./store.js";

/** Bytes of UTF-8 that a text may have: BODY_LIMIT in chatkit/message.py. */
const TEXT_LIMIT = 16 * 1024;
/** From which on it is said how many are left. */
const TEXT_WARNING = 0.9 * TEXT_LIMIT;
/** Bytes that a file may have: ATTACHMENT_LIMIT in chatkit/message.py. */
const FILE_LIMIT = 4 * 1024 * 1024;
/** How often the others are told that the user is typing, ms. */
const TYPING_EVERY_MS = 3000;
/** Characters of a message that are shown of what is answered. */
const ANSWERED_LENGTH = 200;
const CLOSED = "This channel is closed to new messages.";
const FROZEN = "Re-run the cell to go on writing.";
const COMPOSER_ICONS = {
  clip: "M12.6 7.4 7.7 12.3a3 3 0 0 1-4.3-4.3l5.3-5.3a2 2 0 0 1 2.9 2.9L6.4 10.8a1 1 0 0 1-1.4-1.4l4.6-4.6",
  face: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.4 9.4c1 1.9 4.2 1.9 5.2 0M5.9 6v.6M10.1 6v.6",
  file: "M4 1.8h5l3 3v9.4H4zM9 1.8v3h3",
  send: "M2.6 2.6 13.8 8 2.6 13.4 4.4 8zM4.4 8h4.4",
};
const encoder = new TextEncoder();

/** Return a small drawing that goes with the text's colour. */
function makeComposerIcon(name) {
  return makeIcon(COMPOSER_ICONS[name], { class: "icon" });
}

/** Return a button that is a drawing. */
function makeComposerButton(name, label, onClick) {
  const button = makeButton("", {
    class: "composer-button", "aria-label": label, title: label,
  }, onClick);
  button.append(makeComposerIcon(name));
  return button;
}

/** Return how many bytes a text has, of those near the limit; 0 for all shorter ones. */
function countBytes(text) {
  return 3 * text.length < TEXT_WARNING ? 0 : encoder.encode(text).length;
}

/** Return a list of names as nodes: a, b and c. */
function listNames(names) {
  return names.flatMap((name, i) => {
    const before = i === 0 ? "" : i === names.length - 1 ? " and " : ", ";
    return [before, make("bdi", { text: name })];
  });
}

/** Return the line that says who types in the channel: its element and `update()`. */
function createTyping(store) {
  const element = make("div", { class: "typing", role: "status" });
  let drawn = "";
  function update() {
    const names = store.people
      .filter(({ typing }) => typing && typing === store.selected && !store.frozen)
      .map(({ name }) => name)
      .filter((name) => name !== store.user && !store.muted.has(name));
    const now = JSON.stringify(names);
    if (now === drawn) return;
    drawn = now;
    const who = names.length > 3 ? ["Several people"] : listNames(names);
    const verb = names.length > 1 ? " are typing…" : names.length ? " is typing…" : "";
    element.replaceChildren(...who, verb);
  }
  return { element, update };
}

/** Return the question whether a guessed name is the user's: its element and `update()`. */
function createNameQuestion(store) {
  const about = make("span");
  const name = make("input", {
    type: "text", maxlength: "64", autocomplete: "off", spellcheck: "false",
    "aria-label": "Your name",
  });
  const wrong = make("div", { class: "bad", role: "alert" });
  const use = make("button", { type: "submit", class: "primary", text: "Use this name" });
  const keep = makeButton("Keep", { class: "link" }, async () => {
    store.guessed = false;
    store.changed();
    store.showProblem({ error: await store.rename(store.user) });
  });
  const element = make("form", { class: "asking", "aria-label": "Your name" },
    about, make("div", { class: "asking-row" }, name, use, keep), wrong);
  let asked = ""; // about which name
  element.hidden = true;

  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    use.disabled = true;
    const error = await store.rename(name.value.trim());
    use.disabled = false;
    wrong.textContent = error;
    if (error) return;
    store.guessed = false;
    store.wantsFocus += 1;
    store.changed();
  });

  function update() {
    element.hidden = !store.guessed || store.frozen;
    if (element.hidden || asked === store.user) return;
    asked = store.user;
    const bold = make("bdi", { class: "asking-name", text: asked });
    about.replaceChildren("You write as ", bold, ". Is that your name?");
    name.value = asked;
  }
  return { element, update };
}

/** Return what says which message is edited or answered: its element and `update(draft)`. */
function createStrip(store, cancel) {
  const about = make("span", { class: "strip-text", dir: "auto" });
  const element = make("div", { class: "strip" }, about, makeButton("×", {
    class: "strip-cancel", "aria-label": "Cancel", title: "Cancel (Escape)",
  }, cancel));
  let drawn = null;
  element.hidden = true;

  function update({ editing, reply }) {
    const row = store.view(store.selected).byId.get(reply);
    const now = JSON.stringify([editing, reply, row?.author, row?.body, row?.deleted]);
    if (now === drawn) return;
    drawn = now;
    element.hidden = !editing && !reply;
    if (editing) about.replaceChildren("Editing your message");
    else if (!row) about.replaceChildren("Answering a message");
    else {
      const text = row.body.slice(0, ANSWERED_LENGTH) || row.file?.name || "";
      const name = make("bdi", { class: "strip-name", text: row.author });
      about.replaceChildren("Answering ", name, `: ${row.deleted ? "a deleted message" : text}`);
    }
  }
  return { element, update };
}

/** Return what shows the file of a draft: its element, `update(draft)` and `close()`. */
function createAttached(remove) {
  const picture = make("img", { alt: "" });
  const icon = makeComposerIcon("file");
  const name = make("bdi", { class: "attached-name" });
  const size = make("span", { class: "attached-size" });
  const away = makeButton("×", {
    class: "strip-cancel", "aria-label": "Remove the file", title: "Remove",
  }, remove);
  const element = make("div", {
    class: "attached", role: "group", "aria-label": "Attached file",
  }, picture, icon, name, size, away);
  let shown = null;
  element.hidden = true;

  function update({ file }) {
    if (file === shown) return;
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.removeAttribute("src");
    shown = file;
    element.hidden = !file;
    if (!file) return;
    const isPicture = file.type.startsWith("image/");
    if (isPicture) picture.src = URL.createObjectURL(file);
    picture.hidden = !isPicture;
    icon.toggleAttribute("hidden", isPicture);
    name.textContent = name.title = file.name;
    size.textContent = formatSize(file.size);
  }
  return { element, update, close: () => update({ file: null }) };
}

/** Return a button that opens a picker of emoji, and the picker. */
function createEmojiButton(store, pick) {
  const pop = make("div", {
    class: "emoji-pop", popover: "auto", role: "dialog", "aria-label": "Emoji",
  });
  const button = makeComposerButton("face", "Insert an emoji", () => {});
  button.popoverTargetElement = pop; // the browser opens it, and closes it at a press elsewhere
  button.setAttribute("aria-haspopup", "dialog");
  const place = () => placeAbove(pop, button, true);
  pop.addEventListener("beforetoggle", ({ newState }) => {
    if (newState !== "open") return;
    pop.replaceChildren(makePicker(store, (emoji) => {
      pop.hidePopover();
      pick(emoji);
    }));
  });
  pop.addEventListener("toggle", ({ newState }) => {
    const change = newState === "open" ? "addEventListener" : "removeEventListener";
    window[change]("scroll", place, true);
    window[change]("resize", place);
    if (newState !== "open") return;
    place();
    pop.querySelector("input")?.focus({ preventScroll: true });
  });
  pop.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    pop.hidePopover();
    button.focus({ preventScroll: true });
  });
  return { button, pop };
}

/** Tell the others that the user is typing, now and then; or that it is over. */
function tellTyping(store, channel, isTyping) {
  const told = store.kept.get("typing"); // all views of a store are one user
  if (!isTyping) {
    if (told) store.typing(null);
    store.kept.delete("typing");
    return;
  }
  if (told?.channel === channel && Date.now() - told.at < TYPING_EVERY_MS) return;
  store.kept.set("typing", { channel, at: Date.now() });
  store.typing(channel);
}

/** Take a file into the draft of a channel, in memory: it may change or go before it is sent. */
async function attachFile(store, channel, files) {
  const { draft } = store.view(channel);
  const refuse = (refusal) => store.setDraft(channel, { refusal });
  const [file] = files;
  if (!file) return;
  if (draft.editing) {
    refuse("A message that is edited can’t get a file: save or cancel first.");
    return;
  }
  if (file.size > FILE_LIMIT) {
    const size = formatSize(file.size);
    refuse(`${file.name} has ${size}; the limit is 4 MiB. Share a smaller part of it.`);
    return;
  }
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch {
    refuse(`${file.name} can’t be read: it may be a folder, or not be there any more.`);
    return;
  }
  store.setDraft(channel, {
    file: new File([bytes], file.name, { type: file.type }),
    refusal: files.length > 1 ? `A message carries one file: only ${file.name} is attached.` : "",
  });
}

/** Have what is dropped anywhere on the panel become the file of a draft. */
function acceptDrops(panel, element, isOpen, take) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  panel.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // else the browser would leave the page for the file
    event.stopPropagation();
    event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
    element.classList.toggle("dropping", isOpen());
  });
  panel.addEventListener("dragleave", (event) => {
    if (!panel.contains(event.relatedTarget)) element.classList.remove("dropping");
  });
  panel.addEventListener("drop", (event) => {
    element.classList.remove("dropping");
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (isOpen()) take([...event.dataTransfer.files]);
  });
}

/** Return the composer of a store: its element, `update()` and `close()`. */
export function createComposer(store) {
  const box = make("textarea", {
    rows: "1", "aria-label": "Message", spellcheck: "true", "aria-describedby": "bytes-left",
  });
  const completion = createCompletion(store, box);
  const typing = createTyping(store);
  const question = createNameQuestion(store);
  const strip = createStrip(store, cancel);
  const attached = createAttached(() => {
    store.setDraft(store.selected, { file: null });
    box.focus({ preventScroll: true });
  });
  const left = make("div", { class: "bytes-left", id: "bytes-left" });
  const refusal = make("div", { class: "refusal bad", role: "alert" });
  const reason = make("span");
  const reopen = makeButton("Open it again", { class: "link" }, async () => {
    store.showProblem({ error: await store.alter(store.selected, { archived: false }) });
  });
  const closed = make("div", { class: "closed-note", role: "status" }, reason, " ", reopen);
  const chooser = make("input", { type: "file", "aria-label": "File" });
  const clip = makeComposerButton("clip", "Attach a file (or paste or drop it)", () => {
    chooser.click();
  });
  const emoji = createEmojiButton(store, (text) => {
    writeInto(box, text, box.selectionStart, box.selectionEnd);
  });
  const words = make("span", { class: "send-word" });
  const button = makeButton("", { class: "primary" }, send);
  button.append(makeComposerIcon("send"), words);
  const element = make("div", { class: "composer" },
    make("div", { class: "above-box" }, typing.element, left),
    question.element, refusal, closed, strip.element, attached.element,
    make("div", { class: "entry" }, box, clip, emoji.button, button),
    chooser, completion.element, emoji.pop);
  let isDropped = false; // whether the panel listens for what is dropped
  let focused = store.wantsFocus;
  let channel = "";
  chooser.hidden = true;

  /** Return the draft that is shown. */
  function currentDraft() {
    return store.view(store.selected).draft;
  }

  /** Whether one can write. */
  function isOpen() {
    return Boolean(store.selected) && !store.frozen && !store.summary(store.selected).archived;
  }

  /** Whether there is something that can be sent. */
  function isSendable({ text, file }) {
    return isOpen() && store.ready && Boolean(text.trim() || file);
  }

  /** Make the box as high as its text. */
  function fit() {
    element.style.minHeight = `${element.offsetHeight}px`; // so that the transcript stays meanwhile
    box.style.height = "auto";
    if (box.scrollHeight) box.style.height = `${box.scrollHeight}px`;
    element.style.minHeight = "";
  }

  /** Send what is in the box, or save it as the new text of what is edited. */
  function send() {
    const at = store.selected;
    const draft = currentDraft();
    if (!isSendable(draft)) return;
    const bytes = countBytes(draft.text);
    if (bytes > TEXT_LIMIT) {
      const limit = TEXT_LIMIT.toLocaleString();
      const about = `The text has ${bytes.toLocaleString()} bytes; the limit is ${limit}.`;
      store.setDraft(at, { refusal: `${about} Split it, or attach it as a file.` });
      return;
    }
    const { text, reply, file, editing } = draft;
    const former = store.view(at).byId.get(editing);
    completion.hide();
    store.clearDraft(at);
    if (!editing) store.send(at, text, { reply, file });
    else if (text !== writtenAs(former?.body ?? "")) store.edit(at, editing, text);
    tellTyping(store, at, false); // behind the message, which must not wait for it
    store.changed();
    box.focus({ preventScroll: true });
  }

  /** Leave what is edited as it was, or answer nothing. */
  function cancel() {
    const at = store.selected;
    if (currentDraft().editing) store.clearDraft(at);
    else store.setDraft(at, { reply: "" });
    store.changed();
    box.focus({ preventScroll: true });
  }

  /** Begin to edit the user's last message; whether there is one. */
  function editLast() {
    const { rows, draft } = store.view(store.selected);
    if (box.value || draft.editing || draft.reply || draft.file) return false;
    const last = rows.findLast((row) => row.kind === "message" && row.author === store.user
      && row.state === "sent" && !row.deleted && row.body);
    if (last) store.startEdit(store.selected, last.id);
    return Boolean(last);
  }

  /** Do what a key means in the box. */
  function onKey(event) {
    // 229: a key that an input method composes with, in browsers that end the composition first.
    if (event.isComposing || event.keyCode === 229 || completion.onKey(event)) return;
    const { editing, reply } = currentDraft();
    const isPlain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && !event.shiftKey) send();
    else if (event.key === "Escape" && (editing || reply)) cancel();
    else if (event.key !== "ArrowUp" || !isPlain || !editLast()) return;
    event.preventDefault();
  }

  /** Note what was typed. */
  function onInput() {
    store.setDraft(store.selected, { text: box.value });
    fit();
    completion.refresh();
    const isMessage = Boolean(box.value.trim()) && !/^\/(?!\/)/.test(box.value);
    tellTyping(store, store.selected, isMessage);
  }

  /** Take a file that was pasted; text that comes with it counts more. */
  function onPaste(event) {
    const files = [...event.clipboardData.files];
    if (!files.length || event.clipboardData.getData("text/plain")) return;
    event.preventDefault();
    attachFile(store, store.selected, files);
  }

  /** Show how many bytes are left, near the limit. */
  function updateLeft({ text }) {
    const bytes = countBytes(text);
    const rest = TEXT_LIMIT - bytes;
    const count = `${Math.abs(rest).toLocaleString()} ${Math.abs(rest) === 1 ? "byte" : "bytes"}`;
    left.textContent = bytes < TEXT_WARNING ? "" : `${count} ${rest < 0 ? "too many" : "left"}`;
    left.classList.toggle("bad", rest < 0);
    return rest >= 0;
  }

  /** Bring the box and its buttons up to date with a draft. */
  function updateEntry(draft) {
    const { title, direct, archived, moderators } = store.summary(store.selected);
    const open = isOpen();
    const why = store.frozen ? FROZEN : archived ? CLOSED : "";
    if (box.value !== draft.text) {
      box.value = draft.text;
      fit();
    }
    box.disabled = !open;
    box.placeholder = why || (store.selected ? `Message ${direct ? "" : "#"}${title}` : "");
    box.title = open ? "Markdown, Shift+Enter for a new line" : "";
    reopen.hidden = store.frozen || !archived || !moderators.includes(store.user);
    reason.textContent = why && (draft.text || !reopen.hidden) ? why : "";
    closed.hidden = !reason.textContent;
    clip.disabled = !open || Boolean(draft.editing);
    emoji.button.disabled = !open;
    const fits = updateLeft(draft);
    button.disabled = !fits || !isSendable(draft);
    words.textContent = draft.editing ? "Save" : "Send";
    refusal.textContent = draft.refusal;
  }

  /** Put the focus into the box if something asked for it, and this view is the one in use. */
  function updateFocus() {
    if (focused === store.wantsFocus) return;
    focused = store.wantsFocus;
    const { host } = box.getRootNode();
    const active = document.activeElement;
    const isUsed = host?.matches(":hover, :focus-within") || !active || active === document.body;
    if (!isUsed || box.disabled || !box.checkVisibility()) return;
    box.focus({ preventScroll: true });
    box.setSelectionRange(box.value.length, box.value.length);
  }

  /** Listen for drops, once there is a panel around. */
  function listenForDrops() {
    const panel = element.closest(".panel");
    if (isDropped || !panel) return;
    isDropped = true;
    acceptDrops(panel, element, isOpen, (files) => attachFile(store, store.selected, files));
  }

  /** Bring the composer up to date with the store. */
  function update() {
    const view = store.view(store.selected);
    if (channel !== store.selected || !isOpen()) completion.hide();
    channel = store.selected;
    typing.update();
    question.update();
    strip.update(view.draft);
    attached.update(view.draft);
    updateEntry(view.draft);
    updateFocus();
    listenForDrops();
  }

  box.addEventListener("input", onInput);
  box.addEventListener("keydown", onKey);
  box.addEventListener("paste", onPaste);
  chooser.addEventListener("change", async () => {
    await attachFile(store, store.selected, [...chooser.files]);
    chooser.value = ""; // so that the same file can be chosen again
    box.focus({ preventScroll: true });
  });
  let width = 0;
  const resized = new ResizeObserver(() => {
    if (element.clientWidth !== width) fit();
    width = element.clientWidth;
  });
  resized.observe(element);
  return {
    element,
    update,
    close() {
      resized.disconnect();
      attached.close();
    },
  };
}
