// Pictures. Series over time are drawn by uPlot, all others are small SVG.
import { clean, h, svg } from "./dom.js";
import { instant, number } from "./format.js";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Ticks of an axis of time, by their distance in seconds: text, and text where the day or year turns.
const DATES = [
  [365 * 86400, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

// Lines of onset and detection, over a chart.
function marksPlugin(marks) {
  return {
    hooks: {
      draw: (chart) => {
        const { ctx, bbox } = chart;
        const ratio = devicePixelRatio;
        ctx.save();
        for (const mark of marks) {
          const x = chart.valToPos(mark.at / 1000, "x", true);
          if (!(x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1)) continue;
          ctx.strokeStyle = ctx.fillStyle = colour(mark.colour || "ink-2");
          ctx.lineWidth = 1.5 * ratio;
          ctx.setLineDash(mark.dashed ? [4 * ratio, 3 * ratio] : []);
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          if (!mark.label) continue;
          ctx.font = `600 ${11 * ratio}px ui-sans-serif, system-ui, sans-serif`;
          const isLeft = x > bbox.left + 0.5 * bbox.width;
          ctx.textAlign = isLeft ? "right" : "left";
          ctx.fillText(mark.label, x + (isLeft ? -5 : 5) * ratio, bbox.top + (mark.dashed ? 11 : 25) * ratio);
        }
        ctx.restore();
      },
    },
  };
}

function lineOf(line) {
  const stroke = () => colour(line.colour || "now");
  const soft = () => `color-mix(in srgb, ${colour(line.colour || "now")} 14%, transparent)`;
  return {
    label: line.label,
    stroke,
    width: line.width ?? 2,
    dash: line.dash,
    fill: line.fill ? soft : undefined,
    paths: line.bars ? uPlot.paths.bars({ size: [0.75, 40] }) : undefined,
    points: { show: line.points ? undefined : false, size: 5 },
    value: (_, value) => (value === null || value === undefined ? "\u2013" : (line.format || number)(value)),
    spanGaps: Boolean(line.spans),
  };
}

// lines: [{label, values, colour, format}], bands: pairs of indices of lines; marks: [{at, label}].
export function timeChart({ times, lines, marks = [], bands = [], height = 210, format, label, zero = true }) {
  const figure = h("figure", { class: "chart", role: "group", "aria-label": label });
  const options = {
    width: 600,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { y: false, points: { size: 7 } },
    scales: { y: { range: (_, low, high) => rangeOf(low, high, zero) } },
    axes: [
      { stroke: () => colour("ink-3"), font: "11px system-ui", grid: { show: false }, values: DATES, ticks: { stroke: () => colour("line-strong"), width: 1, size: 4 } },
      { stroke: () => colour("ink-3"), font: "11px system-ui", size: 52, grid: { stroke: () => colour("grid"), width: 1 }, ticks: { show: false }, values: (_, values) => values.map(format || number) },
    ],
    series: [{ label: "UTC", value: (_, at) => (at === null || at === undefined ? "\u2013" : instant(at * 1000)) }, ...lines.map(lineOf)],
    bands: bands.map((pair) => ({ series: pair, fill: () => `color-mix(in srgb, ${colour("now")} 18%, transparent)` })),
    plugins: [marksPlugin(marks)],
  };
  const data = [times.map((at) => at / 1000), ...lines.map((line) => line.values)];
  const place = h("div");
  figure.append(place, figuresOf(times, lines));
  // The width is known once the figure stands in the document.
  requestAnimationFrame(() => {
    if (!place.isConnected) return;
    const chart = new uPlot({ ...options, width: Math.max(240, place.clientWidth) }, data, place);
    const showLast = () => chart.setLegend({ idx: times.length - 1 });
    chart.over.addEventListener("mouseleave", showLast);
    setTimeout(showLast);
    chart.root.querySelector("canvas").setAttribute("aria-hidden", "true");
    new ResizeObserver(() => chart.setSize({ width: Math.max(240, place.clientWidth), height })).observe(figure);
  });
  return figure;
}

function rangeOf(low, high, zero) {
  if (low === null || high === null) return [0, 1];
  const from = zero ? Math.min(0, low) : low;
  const room = (high - from || Math.abs(high) || 1) * 0.12;
  return [zero && from === 0 ? 0 : from - room, high + room];
}

// The figures of a chart as a table, for those who do not see it.
function figuresOf(times, lines) {
  const shown = lines.filter((line) => line.label);
  const details = h("details", { class: "data", "data-keep": clean(lines[0]?.label ?? "") }, h("summary", {}, "Figures"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    details.append(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures of the chart" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "UTC"), shown.map((line) => h("th", { scope: "col", class: "right" }, line.label)))),
      h("tbody", {}, times.map((at, row) => h("tr", {}, h("td", {}, instant(at)),
        shown.map((line) => h("td", { class: "right" }, line.values[row] === null || line.values[row] === undefined ? "\u2013" : (line.format || number)(line.values[row])))))))));
  });
  return details;
}

export function sparkline(values) {
  const known = values.map((value, at) => [at, value]).filter(([, value]) => value !== null && value !== undefined);
  if (known.length < 2) return null;
  const low = Math.min(...known.map(([, value]) => value));
  const high = Math.max(...known.map(([, value]) => value));
  const point = ([at, value]) => [1 + (82 * at) / (values.length - 1), 21 - (18 * (value - low)) / (high - low || 1)];
  const points = known.map(point);
  const [x, y] = points[points.length - 1];
  return svg("svg", { class: "spark", viewBox: "0 0 84 24", "aria-hidden": "true" },
    svg("path", { d: `M${points.map((each) => each.map((v) => v.toFixed(1)).join(" ")).join("L")}` }),
    svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2 }));
}

export function bar(share) {
  return h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${Math.max(0, Math.min(100, 100 * share))}%` } }));
}

export function keys(...pairs) {
  return h("div", { class: "keys" }, pairs.map(([kind, text]) => h("span", {}, h("i", { class: kind }), text)));
}

// Shares of categories, before and now: [{category, baseline, value}].
export function shareBars(rows, format) {
  const most = Math.max(...rows.flatMap((row) => [row.baseline ?? 0, row.value ?? 0]), 1e-9);
  const track = (kind, value) => h("i", { class: kind, style: { width: `${(100 * (value ?? 0)) / most}%` } });
  return h("div", {}, keys(["was", "reference"], ["is", "now"]),
    h("ul", { class: "shares" }, rows.map((row) => h("li", { class: "share" },
      h("bdi", { title: clean(row.category) }, row.category),
      h("span", { class: "tracks", "aria-hidden": "true" }, track("was", row.baseline), track("is", row.value)),
      h("span", { class: "figures" }, `${format(row.baseline)} \u2192 `, h("b", {}, format(row.value)))))));
}

// Two histograms over the same bins: edges (n + 1), and the share in each bin before and now.
export function histogram({ edges, was, is, label, small = false }) {
  const width = small ? 200 : 560, tall = small ? 64 : 200, base = tall - (small ? 14 : 20);
  const first = edges[0], last = edges[edges.length - 1];
  const x = (value) => ((value - first) / (last - first || 1)) * width;
  const density = (shares) => (shares || []).map((share, at) => share / Math.max(1e-12, edges[at + 1] - edges[at]));
  const before = density(was), now = density(is);
  const most = Math.max(...before, ...now, 1e-12);
  const y = (value) => base - (base - 6) * (value / most);
  const bars = (values, kind) => values.map((value, at) => svg("rect", { class: kind, x: x(edges[at]), y: y(value), width: Math.max(0.5, x(edges[at + 1]) - x(edges[at]) - (kind === "is" ? 1 : 0)), height: Math.max(0, base - y(value)) }));
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": label },
    bars(before, "was"), bars(now, "is"),
    svg("line", { class: "axis", x1: 0, x2: width, y1: base, y2: base }),
    svg("text", { x: 0, y: tall - 3 }, number(first)),
    svg("text", { x: width, y: tall - 3, "text-anchor": "end" }, number(last)));
}

// A mean before and now on one line, with the reference's standard deviation where it is known.
export function meanPicture({ baseline, value, deviation, format, label }) {
  const reach = deviation ? 2 * deviation : Math.abs(value - baseline) || Math.abs(baseline) || 1;
  const low = Math.min(baseline - reach, value - 0.2 * reach), high = Math.max(baseline + reach, value + 0.2 * reach);
  const x = (v) => 24 + (512 * (v - low)) / (high - low);
  const edge = (v) => Math.min(480, Math.max(80, x(v)));
  return svg("svg", { class: "plot", viewBox: "0 0 560 132", role: "img", "aria-label": label },
    deviation && [2, 1].map((sd) => svg("rect", { class: "band", x: x(baseline - sd * deviation), width: x(baseline + sd * deviation) - x(baseline - sd * deviation), y: 40, height: 44, rx: 3 })),
    deviation && svg("text", { x: x(baseline), y: 100, "text-anchor": "middle" }, "reference \u00b1 1 and 2 sd"),
    svg("line", { class: "axis", x1: 8, x2: 552, y1: 84, y2: 84 }),
    svg("line", { class: "was-line", x1: x(baseline), x2: x(baseline), y1: 34, y2: 84 }),
    svg("line", { class: "is-line", x1: x(baseline), x2: x(value), y1: 62, y2: 62 }),
    svg("circle", { class: "dot-was", cx: x(baseline), cy: 62, r: 6 }),
    svg("circle", { class: "dot", cx: x(value), cy: 62, r: 8 }),
    svg("text", { x: edge(baseline), y: 26, "text-anchor": "middle" }, `before ${format(baseline)}`),
    svg("text", { x: edge(value), y: 118, class: "strong", "text-anchor": "middle" }, `now ${format(value)}`));
}

// Bins of several days as ten of like mass.
export function mergedBins(days) {
  const bins = days.flatMap((day) => day.reliability).sort((a, b) => a.score - b.score);
  const mass = bins.reduce((sum, bin) => sum + bin.n, 0) / 10;
  const merged = [];
  for (const bin of bins) {
    const last = merged[merged.length - 1];
    if (!last || last.n >= mass) {
      merged.push({ ...bin });
      continue;
    }
    const n = last.n + bin.n;
    last.score = (last.score * last.n + bin.score * bin.n) / n;
    last.rate = (last.rate * last.n + bin.rate * bin.n) / n;
    last.n = n;
  }
  return merged;
}

// Scores beside the shares that came true, with what chance allows: [{score, rate, n}].
export function reliability(bins) {
  const at = (value) => 28 + 204 * value, up = (value) => 212 - 204 * value;
  const chance = (bin) => 1.96 * Math.sqrt((bin.score * (1 - bin.score)) / Math.max(1, bin.n));
  const upper = bins.map((bin) => `${at(bin.score)} ${up(Math.min(1, bin.score + chance(bin)))}`);
  const lower = bins.map((bin) => `${at(bin.score)} ${up(Math.max(0, bin.score - chance(bin)))}`).reverse();
  return svg("svg", { class: "plot square", viewBox: "0 0 244 236", role: "img", "aria-label": "Share that came true by score" },
    svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") }),
    svg("line", { class: "was-line", x1: at(0), x2: at(1), y1: up(0), y2: up(1) }),
    svg("line", { class: "axis", x1: at(0), x2: at(1), y1: up(0), y2: up(0) }),
    svg("line", { class: "axis", x1: at(0), x2: at(0), y1: up(0), y2: up(1) }),
    svg("path", { class: "is-line", d: `M${bins.map((bin) => `${at(bin.score)} ${up(bin.rate)}`).join("L")}` }),
    bins.map((bin) => svg("circle", { class: "dot", cx: at(bin.score), cy: up(bin.rate), r: 4 }, svg("title", {}, `score ${number(bin.score)}: ${number(bin.rate)} of ${bin.n}`))),
    [0, 0.5, 1].map((v) => svg("text", { x: at(v), y: 228, "text-anchor": "middle" }, v)),
    [0.5, 1].map((v) => svg("text", { x: 22, y: up(v) + 4, "text-anchor": "end" }, v)));
}
