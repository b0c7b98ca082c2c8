/**
 * The rows of one channel in the browser: how they sort, and how news is merged in. No DOM.
 *
 * @typedef {object} Row
 * @property {string} id message id; for placeholders an id made of the place
 * @property {"message"|"unreadable"|"gap"|"join"|"leave"|"skipped"} kind
 * @property {string} author who wrote it, joined or left; untrusted
 * @property {string} body the text as it was written, untrusted
 * @property {string} html the text as HTML that the kernel has made safe; "" if it is plain
 * @property {boolean} raw not rendered yet: ask `store.render`
 * @property {boolean} me whether it names the user
 * @property {number} at the sender's clock, ms since 1970
 * @property {number[]} place [ms, partition, offset]: what rows sort by
 * @property {"pending"|"sent"|"failed"} state
 * @property {string} reason why it failed, can't be read or is missing
 * @property {boolean} edited
 * @property {boolean} deleted
 * @property {boolean} pinned
 * @property {number} rev number of events that are applied
 * @property {boolean} bot
 * @property {string} source where it was written
 * @property {{id: string, author: string, body: string}|null} quote what it answers; without an
 *   author it is not loaded: ask `store.quote`
 * @property {[string, string[]][]} reactions emoji, and who reacted
 * @property {{name: string, type: string, size: number}|null} file what was shared with it
 * @property {boolean} [local] drawn by this page; the kernel has not answered yet
 * @property {boolean} [late] local, and the kernel is taking long
 * @property {number} [received] when it came to this page, if it came live, ms since 1970
 * @property {number} [shown] when it was drawn then, ms since 1970
 */

/** What the kernel leaves out of a row. */
const ROW_DEFAULTS = {
  kind: "message", author: "", body: "", html: "", raw: false, me: false, at: 0, state: "sent",
  reason: "", edited: false, deleted: false, pinned: false, rev: 0, bot: false, source: "chat",
  quote: null, reactions: [], file: null,
};

/** Sorts what has no place yet behind all that has one. */
export const UNPLACED_MS = 2 ** 52;

/** Return a row of the kernel's with every field. @returns {Row} */
export function completeRow(row) {
  return { ...ROW_DEFAULTS, ...row };
}

/** Return the row that a page draws for what its user just wrote. @returns {Row} */
export function localRow(id, author, body, more) {
  const at = Date.now();
  const place = [UNPLACED_MS + at, -1, -1];
  return { ...ROW_DEFAULTS, id, author, body, at, place, state: "pending", local: true, ...more };
}

/** Compare two order keys: ms, partition, offset, id. */
export function compareKeys(a, b) {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a[3] < b[3] ? -1 : a[3] > b[3] ? 1 : 0;
}

/** Compare two rows by place, then id. @param {Row} a @param {Row} b */
export function compareRows(a, b) {
  return a.place[0] - b.place[0] || a.place[1] - b.place[1] || a.place[2] - b.place[2]
    || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** Return the index of the first row that does not sort before `row`. @param {Row[]} rows */
export function findRow(rows, row) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareRows(rows[middle], row) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether what arrived late is older than what is shown: news may overtake each other. */
function isStale(known, row) {
  return row.rev < known.rev || (known.state === "sent" && row.state !== "sent");
}

/**
 * Merge new and changed rows into a view; a changed row is a new object at its new place.
 * @param {{rows: Row[], byId: Map<string, Row>}} view
 * @param {Row[]} incoming each id once
 */
export function mergeRows(view, incoming) {
  const { rows, byId } = view;
  const fresh = [];
  for (const row of incoming) {
    const known = byId.get(row.id);
    if (known && isStale(known, row)) continue;
    byId.set(row.id, row);
    if (!known) {
      fresh.push(row);
      continue;
    }
    const index = findRow(rows, known);
    if (compareRows(known, row) === 0) {
      rows[index] = row;
    } else {
      rows.splice(index, 1);
      fresh.push(row);
    }
  }
  if (!fresh.length) return;
  fresh.sort(compareRows);
  const inOrder = !rows.length || compareRows(rows[rows.length - 1], fresh[0]) < 0;
  for (const row of fresh) rows.push(row);
  if (!inOrder) rows.sort(compareRows);
}

/** Take one row out of a view. */
export function removeRow(view, id) {
  const row = view.byId.get(id);
  view.byId.delete(id);
  if (row) view.rows.splice(findRow(view.rows, row), 1);
}
