/** A table of a DataFrame: every text in it is somebody's, and is put in as text only. */
const STYLE = `
.chatkit-table { max-height: 26em; overflow: auto; font-size: var(--jp-widgets-font-size, 13px);
  color: var(--jp-ui-font-color1, #222); }
.chatkit-table table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.chatkit-table th { position: sticky; top: 0; text-align: left; font-weight: 600;
  background: var(--jp-layout-color1, #fff); box-shadow: inset 0 -1px var(--jp-border-color2, #ccc); }
.chatkit-table th, .chatkit-table td { padding: 3px 12px 3px 0; max-width: 32em; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.chatkit-table .number { text-align: right; }
.chatkit-table tbody tr:hover { background: var(--jp-layout-color2, #eee); }
.chatkit-table caption { caption-side: bottom; text-align: left; padding-top: 6px;
  color: var(--jp-ui-font-color2, #666); }
.chatkit-tiles { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 0; }
.chatkit-tiles .name { color: var(--jp-ui-font-color2, #666);
  font-size: var(--jp-ui-font-size0, 11px); }
.chatkit-tiles .value { font-size: 1.25em; font-variant-numeric: tabular-nums;
  color: var(--jp-ui-font-color1, #222); }
`;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Return a table with a head for each column. */
function makeTable({ columns, rows, caption }) {
  const table = make("table");
  if (caption) table.append(make("caption", "", caption));
  const head = make("tr");
  for (const { name, number } of columns) {
    const cell = make("th", number ? "number" : "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((text, n) => {
      const cell = make("td", columns[n].number ? "number" : "", text);
      cell.title = text;
      line.append(cell);
    });
    body.append(line);
  }
  const top = make("thead");
  top.append(head);
  table.append(top, body);
  return table;
}

/** Return what there is of each column of the only row, side by side. */
function makeTiles({ columns, rows }) {
  const list = make("div", "chatkit-tiles");
  list.setAttribute("role", "list");
  columns.forEach(({ name }, n) => {
    const tile = make("div");
    tile.setAttribute("role", "listitem");
    tile.append(make("div", "name", name), make("div", "value", rows[0]?.[n] ?? ""));
    list.append(tile);
  });
  return list;
}

function render({ model, el }) {
  const style = make("style", "", STYLE);
  function draw() {
    const content = model.get("content");
    const box = make("div", "chatkit-table");
    box.tabIndex = 0;
    if (content.columns) box.append(content.tiles ? makeTiles(content) : makeTable(content));
    el.replaceChildren(style, box);
  }
  model.on("change:content", draw);
  draw();
}

export default { render };
