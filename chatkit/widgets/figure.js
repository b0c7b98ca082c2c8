/** A small drawing of a shared figure, in the colours of the theme. */
import { make, makeSvg } from "./elements.js";

const [WIDTH, HEIGHT] = [480, 220];
const EDGE = { left: 46, right: 12, top: 10, bottom: 24 };
const BINS = 20;
/** Types of traces that can be drawn here. */
const DRAWN = new Set(["scatter", "scattergl", "bar", "histogram", "pie"]);

/** Return round numbers between two numbers, some five of them. */
export function roundTicks(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  const end = high + step / 1e6;
  for (let at = Math.ceil(low / step) * step; at <= end && ticks.length < 12; at += step) {
    ticks.push(Math.abs(at) < step / 1e6 ? 0 : at);
  }
  return ticks;
}

/** Return a number in few characters. */
function formatNumber(value) {
  const size = Math.abs(value);
  if (size && size < 0.001) return value.toExponential(1);
  return size < 10_000 ? value.toLocaleString(undefined, { maximumSignificantDigits: 4 })
    : value.toLocaleString(undefined, { notation: "compact", maximumSignificantDigits: 3 });
}

/** Return a time in few characters, as fine as its distance to the next needs. */
function formatTime(ms, span) {
  const style = span > 3 * 365 * 86_400_000 ? { year: "numeric" }
    : span > 4 * 86_400_000 ? { day: "numeric", month: "short" }
      : { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(undefined, { ...style, timeZone: "UTC" }).format(ms);
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isDate = (value) => /^\d{4}-\d\d/.test(value) && Number.isFinite(Date.parse(value));

/** Return a trace as it is drawn: a histogram as bars; bars that lie, upright. */
function toDrawn(trace) {
  if (trace.type === "histogram") return binned(trace);
  const lies = trace.type === "bar" && trace.x.some(isNumber)
    && trace.y.some((y) => typeof y === "string");
  return lies ? { ...trace, x: trace.y, y: trace.x } : trace;
}

/** Return a histogram as bars. */
function binned(trace) {
  const values = trace.x.length ? trace.x : trace.y;
  const numbers = values.filter(isNumber);
  if (numbers.length < values.length / 2) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return { ...trace, type: "bar", x: [...counts.keys()], y: [...counts.values()] };
  }
  const low = Math.min(...numbers);
  const width = (Math.max(...numbers) - low) / BINS || 1;
  const y = Array(BINS).fill(0);
  for (const value of numbers) y[Math.min(BINS - 1, Math.floor((value - low) / width))] += 1;
  return { ...trace, type: "bar", x: y.map((_, bin) => low + (bin + 0.5) * width), y };
}

/** Return how the x of all traces map to 0..1, and what to write at which. */
function scaleX(traces) {
  const all = traces.flatMap((trace) => trace.x).filter((x) => x !== null);
  const isTime = all.length > 0 && all.every(isDate);
  const isCount = all.length > 0 && all.every(isNumber);
  if (!isTime && !isCount) return scaleNames([...new Set(all.map(String))]);
  const toNumber = (x) => x === null ? NaN : isTime ? Date.parse(x) : x;
  const numbers = all.map(toNumber);
  const different = new Set(numbers).size;
  let [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (traces.some((trace) => trace.type === "bar")) {
    const half = (high - low) / Math.max(1, different - 1) / 2; // of the first and the last bar
    [low, high] = [low - half, high + half];
  }
  if (!(high > low)) [low, high] = [low - 1, high + 1];
  const span = high - low;
  const ticks = isTime
    ? [0.1, 0.37, 0.63, 0.9].map((part) => low + part * span) : roundTicks(low, high);
  const format = isTime ? (tick) => formatTime(tick, span) : formatNumber;
  return {
    place: (x) => (toNumber(x) - low) / span,
    width: 1 / different,
    ticks: ticks.map((tick) => [(tick - low) / span, format(tick)]),
  };
}

/** The same for names, which stand one beside the other. */
function scaleNames(names) {
  const at = new Map(names.map((name, index) => [name, (index + 0.5) / names.length]));
  const every = Math.ceil(names.length / 7);
  const most = Math.max(4, Math.floor(62 / Math.min(7, names.length)));
  const short = (name) => name.length > most ? `${name.slice(0, most - 1)}…` : name;
  return {
    place: (x) => at.get(String(x)) ?? NaN,
    width: 1 / names.length,
    ticks: names.filter((_, index) => index % every === 0)
      .map((name) => [at.get(name), short(name)]),
  };
}

/** Return how the y of all traces map to 0..1, from below, and what to write at which. */
function scaleY(traces) {
  const all = traces.flatMap((trace) => trace.y).filter(isNumber);
  if (traces.some((trace) => trace.type === "bar")) all.push(0);
  let [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  if (!(high > low)) [low, high] = [low - 1, high + 1];
  const ticks = roundTicks(low, high);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  if (step && high > ticks.at(-1)) high = Math.min(ticks.at(-1) + step, high + step * 0.2);
  const place = (y) => isNumber(y) ? (y - low) / (high - low) : NaN;
  return { place, ticks: ticks.map((tick) => [place(tick), formatNumber(tick)]) };
}

const left = (part) => (EDGE.left + part * (WIDTH - EDGE.left - EDGE.right)).toFixed(1);
const down = (part) => (HEIGHT - EDGE.bottom - part * (HEIGHT - EDGE.top - EDGE.bottom)).toFixed(1);

/** Draw the axes. */
function drawAxes(drawing, xs, ys) {
  for (const [part, text] of ys.ticks) {
    const y = down(part);
    drawing.append(makeSvg("line", { class: "grid", x1: left(0), x2: left(1), y1: y, y2: y }),
      makeSvg("text", { x: EDGE.left - 6, y: Number(y) + 4, "text-anchor": "end" }, text));
  }
  for (const [part, text] of xs.ticks) {
    drawing.append(makeSvg("text", { x: left(part), y: HEIGHT - 8, "text-anchor": "middle" }, text));
  }
}

/** Draw one trace; `bars`: how many traces of bars there are, and the number of this one. */
function drawTrace(drawing, trace, index, xs, ys, bars) {
  const points = trace.x.map((x, i) => [xs.place(x), ys.place(trace.y[i])]);
  const group = makeSvg("g", { class: `trace hue${index}` });
  if (trace.type === "bar") {
    const width = xs.width * 0.8 / bars.count;
    const zero = ys.place(0);
    for (const [x, y] of points.filter((point) => point.every(isNumber))) {
      const begin = x + (bars.number - bars.count / 2) * width;
      group.append(makeSvg("rect", {
        x: left(begin), y: down(Math.max(y, zero)), rx: 1,
        width: Math.max(1, (left(begin + width) - left(begin))).toFixed(1),
        height: Math.max(0.5, Math.abs(down(y) - down(zero))).toFixed(1),
      }));
    }
  } else {
    if (!trace.mode || trace.mode.includes("lines")) {
      let path = "";
      let on = false;
      for (const [x, y] of points) {
        if (isNumber(x) && isNumber(y)) path += `${on ? "L" : "M"}${left(x)} ${down(y)}`;
        on = isNumber(x) && isNumber(y);
      }
      group.append(makeSvg("path", { class: "line", d: path }));
    }
    if (trace.mode.includes("markers") || (!trace.mode && points.length < 20)) {
      for (const [x, y] of points.filter((point) => point.every(isNumber))) {
        group.append(makeSvg("circle", { cx: left(x), cy: down(y), r: 2.6 }));
      }
    }
  }
  drawing.append(group);
}

/** Draw a pie. */
function drawPie(drawing, trace) {
  const valueOf = (y) => isNumber(y) ? Math.max(0, y) : 0;
  const parts = trace.x.map((x, i) => [String(x), valueOf(trace.y[i])]);
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  const [cx, cy, radius] = [120, HEIGHT / 2, HEIGHT / 2 - 14];
  let turned = 0;
  parts.sort((a, b) => b[1] - a[1]).forEach(([name, value], index) => {
    const hue = `hue${index % 6}`;
    const at = (turn) => [cx + radius * Math.sin(turn), cy - radius * Math.cos(turn)]
      .map((one) => one.toFixed(2)).join(" ");
    // A whole circle has no end that differs from its beginning.
    const share = Math.min(value / total, 0.9999);
    const [from, to] = [turned, turned + share * 2 * Math.PI];
    turned = to;
    const d = `M${cx} ${cy}L${at(from)}A${radius} ${radius} 0 ${share > 0.5 ? 1 : 0} 1 ${at(to)}Z`;
    drawing.append(makeSvg("path", { class: `slice ${hue}`, d }));
    if (index > 8) return;
    const y = 30 + index * 19;
    const short = name.length > 26 ? `${name.slice(0, 25)}…` : name;
    const size = { x: 260, y: y - 9, width: 10, height: 10, rx: 2 };
    drawing.append(makeSvg("rect", { class: `slice ${hue}`, ...size }),
      makeSvg("text", { x: 278, y }, `${short}  ${Math.round(100 * value / total)} %`));
  });
}

/** Return what the colours mean, if there are several. */
function makeLegend(traces) {
  const legend = make("div", { class: "legend" });
  if (traces.length < 2) return legend;
  traces.forEach((trace, index) => legend.append(make("span", { class: `key hue${index}` },
    make("span", { class: "swatch", "aria-hidden": "true" }),
    make("bdi", { text: trace.name || `trace ${index}` }))));
  return legend;
}

/** Return a figure as a small drawing. @param {{title: string, traces: object[]}} data */
export function makeFigure(data) {
  const element = make("figure", { class: "figure" });
  if (data.title) element.append(make("figcaption", { text: data.title }));
  const known = data.traces
    .filter((trace) => DRAWN.has(trace.type) && (trace.x.length || trace.y.length));
  if (!known.length) {
    const types = [...new Set(data.traces.map((trace) => trace.type))].join(", ");
    const text = `No drawing here of: ${types || "nothing"}. Read it in Python to see it.`;
    element.append(make("div", { class: "hint", text }));
    return element;
  }
  const drawing = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": data.title || "Figure",
  });
  element.append(drawing);
  const pie = known.find((trace) => trace.type === "pie");
  if (pie) {
    drawPie(drawing, pie);
    return element;
  }
  const traces = known.map(toDrawn);
  const [xs, ys] = [scaleX(traces), scaleY(traces)];
  drawAxes(drawing, xs, ys);
  const bars = traces.filter((trace) => trace.type === "bar");
  traces.forEach((trace, index) => drawTrace(drawing, trace, index, xs, ys, {
    count: bars.length, number: bars.indexOf(trace),
  }));
  element.append(makeLegend(traces));
  return element;
}
