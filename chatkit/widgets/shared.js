/** What was shared with a message: its preview, and what one can do with it. */
import { makeCellButton, makeCodeBox, tell } from "./code.js";
import { make, makeButton } from "./elements.js";
import { makeFigure } from "./figure.js";

/** Pictures that are shown. Others, such as SVG, can hold what runs. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
/** How high a picture may be, em; row.css knows the same. */
const PICTURE_EM = 20;
/** How its content is read in Python. */
const READ = {
  table: ".to_frame()", figure: ".to_figure()", image: ".to_image()", source: ".to_source()",
};

/** How high a preview of a type is likely to be, px; of others there is none. */
const LIKELY = [
  ["image/svg", 0], ["image/", 250], ["application/vnd.apache.arrow.stream", 270],
  ["application/vnd.plotly", 260], ["text/x-", 120],
];

/** Return a guess of how high the preview of a file will be, px. */
export function guessPreview(file) {
  return LIKELY.find(([type]) => file.type.startsWith(type))?.[1] ?? 0;
}

/** Return a number of bytes in words. */
export function formatSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const [value, unit] = bytes < 1_000_000 ? [bytes / 1000, "kB"] : [bytes / 1_000_000, "MB"];
  const digits = { maximumFractionDigits: value < 10 ? 1 : 0 };
  return `${value.toLocaleString(undefined, digits)} ${unit}`;
}

/** Return a small table. */
function makeTable(data) {
  const [rows, width] = data.shape;
  const numeric = data.dtypes.map((dtype) => /^(u?int|float|complex|decimal)/i.test(dtype));
  const indexes = Math.max(0, data.columns.length - width);
  const cell = (tag, text, column, more = {}) => make(tag, {
    class: numeric[column] ? "number" : "", text, ...more,
  });
  const head = make("tr", {}, ...data.columns.map((name, column) => (
    cell("th", name, column, { title: data.dtypes[column], scope: "col" }))));
  const body = data.rows.map((row) => make("tr", {}, ...row.map((text, column) => (
    column < indexes ? cell("th", text, column, { scope: "row" }) : cell("td", text, column)))));
  const more = rows > data.rows.length ? `, the first ${data.rows.length} here` : "";
  const counted = (count, one) => `${count.toLocaleString()} ${one}${count === 1 ? "" : "s"}`;
  const text = `${counted(rows, "row")} × ${counted(width, "column")}${more}`;
  return [
    make("div", { class: "tablebox" }, make("table", {},
      make("thead", {}, head), make("tbody", {}, ...body))),
    make("div", { class: "hint", text }),
  ];
}

/** Return a picture; its place has the right size before it is there. */
function makePicture(data, file, about) {
  if (!file || !PICTURES.has(about.type)) return [];
  const url = URL.createObjectURL(new Blob([file], { type: about.type }));
  const picture = make("img", { class: "picture", alt: about.name });
  picture.style.aspectRatio = `${data.width} / ${data.height}`;
  picture.style.width = `min(${data.width}px, ${PICTURE_EM * data.width / data.height}em)`;
  const forget = () => URL.revokeObjectURL(url);
  for (const end of ["load", "error"]) picture.addEventListener(end, forget);
  picture.src = url;
  return [picture];
}

/** Return source code; `whole` resolves to all of it. */
function makeSource(data, store, whole) {
  const pre = make("pre", { class: "code" }, make("code", { text: data.text }));
  return [makeCodeBox(pre, data.language, store, data.text.endsWith("…") ? whole : undefined)];
}

/** Return the preview of what was shared. */
function makePreview(data, file, about, store, whole) {
  switch (data.kind) {
    case "table": return makeTable(data);
    case "figure": return [makeFigure(data)];
    case "image": return makePicture(data, file, about);
    case "source": return makeSource(data, store, whole);
    case "broken": return [make("div", { class: "hint bad", text: data.reason })];
  }
  return [];
}

/** Save bytes as a file of the user's. */
function saveFile(bytes, name) {
  // The type is not its sender's, so that no browser shows it as a page of this server.
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * Return what was shared with a row as an element.
 * @param {import("./rows.js").Row} row
 * @param {object} store
 * @param {string} channel
 * @param {HTMLElement} [former] what stood there before; stays if it is of the same file
 */
export function makeShared(row, store, channel, former) {
  const { id, file: about } = row;
  const of = `${row.state} ${id}`;
  if (former?.of === of) return former;
  const content = make("div", { class: "content" });
  const tools = make("div", { class: "tools" });
  const element = make("div", { class: "shared" }, content, make("div", { class: "file-line" },
    make("bdi", { class: "file-name", text: about.name, title: about.type }),
    make("span", { class: "size", text: formatSize(about.size) }), tools));
  element.of = of;
  if (row.state === "sent") show();

  /** Ask for the file; resolves to its bytes, or null. */
  async function fetchFile() {
    const answer = await store.ask({ type: "download", channel, id });
    store.showProblem(answer);
    return answer.error ? null : answer.file;
  }

  /** Draw the preview once it is here. */
  async function show() {
    content.textContent = "Loading…";
    content.style.minHeight = `${guessPreview(about)}px`;
    const { error, data, file } = await store.preview(channel, id);
    content.style.minHeight = "";
    if (error) {
      content.replaceChildren(make("span", { class: "bad", text: `${error} ` }),
        makeButton("Try again", { class: "link" }, show));
      return;
    }
    const whole = async () => new TextDecoder().decode(await fetchFile() ?? new Uint8Array());
    content.replaceChildren(...makePreview(data, file, about, store, whole));
    element.dataset.kind = data.kind;
    const message = `room.message(${JSON.stringify(id)})`;
    const read = READ[data.kind] ? `${message}${READ[data.kind]}` : `${message}.shared.save(".")`;
    const download = makeButton("Download", { class: "small" }, async () => {
      const bytes = await fetchFile();
      if (!bytes) return;
      saveFile(bytes, about.name);
      tell(download, "Downloaded");
    });
    const reader = makeCellButton("Read it in Python", store, () => read);
    tools.replaceChildren(...(data.kind === "broken" ? [download] : [reader, download]));
  }
  return element;
}
