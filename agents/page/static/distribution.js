// The values of a series: before and after as a picture, and over time.
import { histogram, keys, meanPicture, shareBars, timeChart } from "./charts.js";
import { empty, h } from "./dom.js";
import { ms, number, percent, seriesName } from "./format.js";

const SHARES = new Set(["error", "share", "missing", "unseen", "type", "repeated", "orphan", "conflicting", "fallback", "refused"]);

export function isShare(alert) {
  return alert.effect_unit === "odds_ratio" || SHARES.has(alert.aspect);
}

export function formatOf(alert) {
  return isShare(alert) ? (value) => percent(value, 1) : number;
}

// A change as the server gives it (reference and values since): null where there is none.
export function changePicture(change, label, small) {
  if (!change) return null;
  const parts = change.parts && shareBars(small ? change.parts.slice(0, 3) : change.parts, (v) => percent(v, small ? 0 : 1));
  const bins = change.edges && histogram({ edges: change.edges, was: change.was, is: change.is, small, label });
  return h("div", {}, !small && bins && keys(["was", "reference"], ["is", "now"]), bins, parts);
}

// Before and after of an alert: its distribution, or else the figures that the alert has.
export function beforeAndAfter(alert, series) {
  const format = formatOf(alert);
  const label = `${seriesName(alert.series)}: ${format(alert.baseline)} before, ${format(alert.value)} now`;
  const drawn = changePicture(series.change, label, false);
  if (drawn) {
    return h("div", {}, drawn, h("p", { class: "note" }, `${number(series.change.rows)} values since the onset, beside ${number(series.reference.rows)} of the reference.`));
  }
  if (alert.categories?.length) {
    return shareBars(alert.categories, (value) => percent(value, 1));
  }
  if (alert.value === null || alert.baseline === null || alert.value === undefined || alert.baseline === undefined) {
    return empty("This alert compares no two figures.", "Its sentence says what was seen.");
  }
  if (isShare(alert)) {
    return shareBars([{ category: alert.category ?? seriesName(alert.series), baseline: alert.baseline, value: alert.value }], format);
  }
  const deviation = alert.effect_unit === "sd" && alert.effect ? Math.abs((alert.value - alert.baseline) / alert.effect) : null;
  return meanPicture({ baseline: alert.baseline, value: alert.value, deviation, format, label });
}

// How long before the onset cohorts are shown: two months of days.
const BEFORE_MS = 60 * 86400000;

function since(points, from) {
  const first = points.start.findIndex((start) => ms(start) >= from);
  return Object.fromEntries(Object.entries(points).map(([key, column]) => [key, first < 0 ? [] : column.slice(first)]));
}

const TO_METRIC = { error: "error", outcome: null };

// The series over time, from the best that was published: its blocks, cohorts, or the alert itself.
export function overTime(data, marks) {
  const { alert, series } = data;
  const label = `${seriesName(alert.series)} over time`;
  const baseline = (times) => ({ label: "reference", values: times.map(() => alert.baseline), colour: "before", dash: [5, 4], width: 1.5, format: formatOf(alert) });
  const points = since(series.points, ms(alert.started_at) - BEFORE_MS);
  const known = points.mean?.filter((each) => each !== null).length ?? 0;
  if (known > 1) {
    const times = points.start.map(ms);
    const lines = [{ label: "mean", values: points.mean, format: number }];
    const mean = series.reference?.mean ?? null;
    if (mean !== null) lines.push({ label: "reference", values: times.map(() => mean), colour: "before", dash: [5, 4], width: 1.5 });
    const first = lines.length + 1;
    const hasBand = points.p05.some((each) => each !== null);
    if (hasBand) lines.push({ label: "95 %", values: points.p95, width: 0 }, { label: "5 %", values: points.p05, width: 0 });
    return timeChart({ times, lines, bands: hasBand ? [[first, first + 1]] : [], marks, label, zero: false });
  }
  const shares = partOverTime(series, alert);
  if (shares) return timeChart({ ...shares, marks, label, format: (v) => percent(v, 0) });
  const key = TO_METRIC[alert.series];
  const from = ms(alert.started_at) - BEFORE_MS;
  const days = key ? data.days.filter((day) => day[key] !== null && day[key] !== undefined && ms(day.start) > from) : [];
  if (days.length > 1) {
    const times = days.map((day) => ms(day.start));
    return timeChart({ times, lines: [{ label: "error by day", values: days.map((day) => day[key]), format: (v) => percent(v, 2) }, baseline(times)], marks, label, format: (v) => percent(v, 0) });
  }
  const said = data.transitions.filter((each) => each.value !== null && each.value !== undefined);
  if (said.length > 2) {
    const times = said.map((each) => ms(each.detected_at));
    return h("div", {}, timeChart({ times, lines: [{ label: "as the alert said", values: said.map((each) => each.value), points: true, format: formatOf(alert) }, baseline(times)], marks: marks.slice(1), label, zero: isShare(alert), format: formatOf(alert) }));
  }
  return empty("Nothing about this series over time has been published.",
    h("span", {}, "The spec of the model asks for it: ", h("code", {}, "metrics: {every: hour}"), ". The first records follow at the end of the hour."));
}

// The share of the category of an alert, by block.
function partOverTime(series, alert) {
  const parts = series.reference?.categories?.map((part) => part.category) ?? [];
  const at = parts.indexOf(String(alert.category));
  const points = since(series.points, ms(alert.started_at) - BEFORE_MS);
  const counts = points.categories ?? [];
  if (at < 0 || counts.filter(Boolean).length < 2) return null;
  const share = (each) => each && each[at] / Math.max(1, each.reduce((sum, one) => sum + one, 0));
  const times = points.start.map(ms);
  return { times, lines: [
    { label: `share of ${alert.category}`, values: counts.map(share), format: (v) => percent(v, 1) },
    { label: "reference", values: times.map(() => series.reference.categories[at].share), colour: "before", dash: [5, 4], width: 1.5, format: (v) => percent(v, 1) },
  ] };
}
