// Numbers, durations and instants as people read them. Instants are UTC everywhere.

const UNITS = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]];
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FEW = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export function count(value) {
  return value === null || value === undefined ? "\u2013" : COUNT.format(value);
}

export function compact(value) {
  return value === null || value === undefined ? "\u2013" : COMPACT.format(value);
}

export function number(value) {
  return value === null || value === undefined ? "\u2013" : FEW.format(value).replace("-", "\u2212");
}

export function percent(value, digits = 1) {
  return value === null || value === undefined ? "\u2013" : `${(100 * value).toFixed(digits)}\u202f%`;
}

export function money(value, currency) {
  if (value === null || value === undefined) return "\u2013";
  return `${COMPACT.format(value).replace("-", "\u2212")}${currency ? `\u202f${currency}` : ""}`;
}

// The two largest units: 1 d 2 h.
export function duration(ms) {
  let rest = Math.max(0, Math.floor(ms / 1000) * 1000);
  const parts = [];
  for (const [unit, size] of UNITS) {
    const found = Math.floor(rest / size);
    rest -= found * size;
    if (found || parts.length) parts.push(found ? `${found}\u202f${unit}` : "");
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(" ") || "0\u202fs";
}

export function instant(text) {
  const at = typeof text === "number" ? new Date(text) : new Date(String(text));
  return Number.isNaN(at.getTime()) ? "\u2013" : `${at.toISOString().slice(0, 16).replace("T", " ")}`;
}

export function ms(text) {
  return typeof text === "number" ? text : Date.parse(text);
}

export function ago(text, now) {
  const away = now - ms(text);
  if (away > 400 * 86400000) return `${Math.round(away / 31557600000)}\u202fy ago`;
  return away < 1000 ? "now" : `${duration(away).split(" ").slice(0, away < 86400000 * 3 ? 2 : 1).join(" ")} ago`;
}

const EFFECTS = { sd: "sd", odds_ratio: "\u00d7 odds", ratio: "\u00d7" };

export function effect(value, unit) {
  if (value === null || value === undefined) return null;
  const sign = unit === "sd" && value > 0 ? "+" : "";
  return `${sign}${number(Number(value.toPrecision(3)))}\u202f${EFFECTS[unit] || unit || ""}`;
}

// feature/income: income.
export function seriesName(series) {
  return String(series).replace(/^feature\//, "");
}

const PAST = /, since [0-9: -]+ UTC, [0-9,]+ (labelled row|prediction)s? ago/;

// The sentence of an alert without what stands beside it: the model, the onset.
export function brief(summary, modelId) {
  const start = `Model ${modelId}: `;
  const text = String(summary).startsWith(start) ? String(summary).slice(start.length) : String(summary);
  const found = text.replace(PAST, "");
  return found.charAt(0).toUpperCase() + found.slice(1);
}
