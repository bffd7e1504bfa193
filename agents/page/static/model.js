// One model: how well it does, what changed, and when.
import { alertPath, get, to } from "./api.js";
import { mergedBins, reliability, timeChart } from "./charts.js";
import { changePicture } from "./distribution.js";
import { empty, facts, fill, h, link, name, section } from "./dom.js";
import { ago, brief, compact, count, duration, instant, money, ms, number, percent, seriesName } from "./format.js";
import { lanes } from "./lanes.js";
import { chip, mark, severityOf } from "./marks.js";

const ASK = h("span", {}, "The spec of the model asks for them: ", h("code", {}, "metrics: {every: day}"), ".");
const MOST_LISTED = 40;
const CALIBRATED_BY = 1000;
const SPANS = [["30 d", 30], ["90 d", 90], ["all", Infinity]];
let span = 90;

export function modelView(url) {
  const modelId = decodeURIComponent(url.pathname.slice("/model/".length));
  return {
    load: () => get(`/api/model?${new URLSearchParams({ id: modelId })}`),
    touches: (models) => models === null || models.includes(modelId),
    title: () => modelId,
    draw: drawModel,
  };
}

function drawModel(whole, main, health) {
  const last = whole.days.length ? ms(whole.days[whole.days.length - 1].start) : 0;
  const data = { ...whole, days: whole.days.filter((day) => ms(day.start) > last - span * 86400000) };
  const { row } = data;
  const choose = ([label, days]) => h("button", { type: "button", "data-keep": `span-${label}`, "aria-pressed": String(span === days), onclick: () => { span = days; drawModel(whole, main, health); main.querySelector(`[data-keep="span-${label}"]`).focus(); } }, label);
  const isRegression = data.days.some((day) => day.mae !== null && day.mae !== undefined);
  fill(main,
    h("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, link(to("/"), {}, "Models"), "/", name(row.model_id)),
    modelHead(data, health),
    data.commands.length > 0 && section("Open commands", { id: "h-commands" }, commands(data, health)),
    section("Open alerts", { id: "h-open" }, data.open.length ? alertList(data.open, row.model_id, health) : empty("No alert of this model is open.")),
    h("div", { class: "columns" },
      section(isRegression ? "Mean absolute error by day of prediction" : "Error by day of prediction", { id: "h-error", class: "panel span-8", note: whole.days.length > 30 && h("span", { class: "spans", role: "group", "aria-label": "Days shown" }, SPANS.map(choose)) }, errorChart(data, isRegression)),
      section("Labels", { id: "h-labels", class: "panel span-4" }, labels(data))),
    section("Alerts over time", { id: "h-lanes" }, data.episodes.length ? lanes(data.episodes.slice(-60), health.now, null) : empty("No alert of this model is on record.")),
    h("div", { class: "columns" },
      section("Predictions", { id: "h-traffic", class: "panel span-8" }, traffic(data)),
      section("Calibration", { id: "h-calibration", class: "panel span-4", note: "grey: what chance allows" }, calibration(data))),
    section("Series against their references", { id: "h-features", note: featuresNote(data) }, features(data)),
    data.days.some((day) => day.value) && section("Money by day of prediction", { id: "h-money", note: "gained; below nought: lost" }, moneyChart(data)),
    data.versions.length > 0 && section("Versions", { id: "h-versions" }, versions(data)),
  );
}

function modelHead(data, health) {
  const { row, spec } = data;
  const worst = data.open[0];
  const severity = worst ? severityOf(worst) : "calm";
  return h("section", { class: `panel hero ${severity}`, "aria-label": "Model" },
    h("div", { class: "hero-top" }, worst ? mark(severity) : mark("calm"), row.muted > 0 && chip(`${row.muted} muted`), row.acknowledged > 0 && chip(`${row.acknowledged} acknowledged`)),
    h("h1", { tabindex: "-1" }, name(row.model_id)),
    facts([
      ["Since", row.since ? ago(row.since, health.now) : "\u2013", row.since && `${instant(row.since)} UTC`],
      ["Error", percent(row.error, 2), row.error_day && `${row.is_counted ? "counted so far" : "expected"}, ${instant(row.error_day).slice(0, 10)}`],
      row.per_day !== null && ["Lost a day", money(row.per_day, row.currency), "by its costliest open alert"],
      ["Labels known", row.completeness === null ? "\u2013" : percent(row.completeness, 0), row.labelled !== null && `${count(row.labelled)} of ${count(row.n)}`],
      ["Predictions a day", compact(row.n)],
      ["Version", name(row.version ?? "unknown")],
      ["Owner", name(row.owner ?? "nobody named")],
      ["Alert budget", spec?.alert_budget ?? 0.2, "false alarms in 10,000 predictions"],
    ]));
}

export function alertList(alerts, modelId, health) {
  return h("ul", { class: "alerts" }, alerts.slice(0, MOST_LISTED).map((alert) => h("li", {},
    mark(severityOf(alert)),
    link(alertPath(alert.fingerprint), { "data-keep": `open-${alert.fingerprint}` }, brief(alert.summary, modelId)),
    h("span", { class: "note" }, alert.muted_until ? "muted \u00b7 " : "", alert.acknowledged ? "acknowledged \u00b7 " : "", h("time", { datetime: alert.started_at, title: `${instant(alert.started_at)} UTC` }, ago(alert.started_at, health.now))))));
}

function commands(data, health) {
  return h("ul", { class: "alerts" }, data.commands.map((each) => h("li", {}, chip(each.suggested ? `${each.command}, suggested` : each.command), h("span", {}, brief(each.summary, data.row.model_id)),
    h("span", { class: "note" }, ago(each.issued_at, health.now), each.expires_at && `, until ${instant(each.expires_at)}`))));
}

function errorChart(data, isRegression) {
  const days = data.days.filter((day) => day.n > 0);
  const key = isRegression ? "mae" : "error";
  const known = days.filter((day) => day[key] !== null && day[key] !== undefined);
  if (known.length < 2) return empty("There are not two days with labels yet.", days.length ? "Labels of the first days are still to come." : ASK.cloneNode(true));
  const times = days.map((day) => ms(day.start));
  const format = isRegression ? number : (value) => percent(value, 2);
  const lines = [{ label: isRegression ? "mean absolute error" : "counted so far", values: days.map((day) => day[key] ?? null), format }];
  const said = days.map((day) => day.nowcast ?? null);
  let bands = [];
  if (!isRegression && said.some(Boolean)) {
    Object.assign(lines[0], { colour: "before", width: 1.5, dash: [3, 3] });
    const column = (key) => said.map((each) => each?.[key] ?? null);
    lines.push({ label: "expected", values: column("error"), format }, { label: "high", values: column("high"), width: 0, format }, { label: "low", values: column("low"), width: 0, format });
    bands = [[3, 4]];
  }
  const onsets = data.episodes.filter((each) => each.series === "error").map((each) => ({ at: ms(each.started_at), label: "onset", dashed: true, colour: severityOf(each) }));
  const chart = timeChart({ times, lines, bands, marks: onsets, label: "Error by day", format: isRegression ? number : (v) => percent(v, 0), zero: true });
  return h("div", {}, chart, bands.length > 0 && h("p", { class: "note" }, "Expected: the error once all labels are known, with its interval of 90 %. Early labels alone may mislead."));
}

function moneyChart(data) {
  const days = data.days.filter((day) => day.value);
  const currency = days[0].value.currency;
  const column = (key) => days.map((day) => day.value[key] ?? null);
  const format = (value) => money(value, currency);
  return timeChart({ times: days.map((day) => ms(day.start)), label: "Money by day", format, lines: [
    { label: "with open answers", values: column("said"), format }, { label: "counted", values: column("counted"), colour: "before", format },
    { label: "usual at this risk", values: column("expected"), colour: "ink-3", dash: [5, 4], width: 1.5, format },
  ] });
}

function labels(data) {
  const days = data.days.filter((day) => day.labelled > 0);
  const last = [...days].reverse().find((day) => day.delay_s);
  if (!last) return empty("No label has come yet.", "How late labels are is shown once some are known.");
  const wait = (spread) => spread && [duration(1000 * spread.p50), `90 %: ${duration(1000 * spread.p90)}, 99 %: ${duration(1000 * spread.p99)}`];
  const all = wait(last.delay_s), errors = wait(last.delay_of_errors_s);
  const newest = data.days[data.days.length - 1];
  return h("div", {}, facts([
    ["Median delay", all[0], all[1]],
    errors && ["Where the answer was wrong", errors[0], errors[1]],
    ["Newest day", percent(newest.n ? newest.labelled / newest.n : null, 0), `${count(newest.labelled)} of ${count(newest.n)} labels known`],
    last.precision !== null && last.precision !== undefined && ["Precision, recall", `${percent(last.precision)}, ${percent(last.recall)}`, instant(last.start).slice(0, 10)],
    last.auc !== null && last.auc !== undefined && ["AUC", number(last.auc), instant(last.start).slice(0, 10)],
    last.brier !== null && last.brier !== undefined && ["Brier score", number(last.brier)],
  ]));
}

function traffic(data) {
  const rows = data.hours.length > 2 ? data.hours : data.days;
  if (rows.length < 2) return empty("No counts of predictions have been published.", ASK.cloneNode(true));
  return timeChart({
    times: rows.map((row) => ms(row.start)), label: "Predictions", height: 240,
    lines: [{ label: data.hours.length > 2 ? "by hour" : "by day", values: rows.map((row) => row.n), bars: rows.length <= 120, fill: true, width: 1, format: count }], format: compact,
  });
}

function calibration(data) {
  const days = [...data.days].reverse().filter((day) => day.reliability?.length > 1 && day.labelled >= 0.5 * day.n);
  const chosen = [];
  for (let known = 0; days.length && known < CALIBRATED_BY; known += chosen[chosen.length - 1].labelled) chosen.push(days.shift());
  if (!chosen.length) return empty("Scores are compared with what came true.", "That needs scores and labels in one day.");
  const known = chosen.reduce((sum, day) => sum + day.labelled, 0);
  const first = instant(chosen[chosen.length - 1].start).slice(0, 10), last = instant(chosen[0].start).slice(0, 10);
  return h("div", {}, reliability(mergedBins(chosen)), h("p", { class: "note" }, `${count(known)} labels of predictions from ${first} to ${last}. The line is the share that came true by score.`));
}

function featuresNote(data) {
  const last = data.features[0];
  return last ? `${instant(last.start)} to ${instant(last.end).slice(11)} UTC; open alerts first, then the farthest from the reference` : null;
}

function features(data) {
  if (!data.features.length) return empty("No distribution of a series has been published.", ASK.cloneNode(true));
  const openOn = new Map(data.open.map((alert) => [alert.series, alert]));
  const isCalm = (each) => !openOn.has(each.series);
  const sorted = [...data.features].sort((a, b) => isCalm(a) - isCalm(b));
  return h("ul", { class: "features" }, sorted.map((each) => {
    const alert = openOn.get(each.series);
    const title = h("h3", {}, alert && mark(severityOf(alert), ""), " ", alert ? link(alertPath(alert.fingerprint), {}, name(seriesName(each.series))) : name(seriesName(each.series)));
    const notes = [each.drift && `PSI ${number(Number(each.drift.psi.toPrecision(2)))}`, each.missing > 0 && `${percent(each.missing)} missing`, !each.kind && "learning"].filter(Boolean).join(" \u00b7 ");
    return h("li", { class: "feature" }, title, changePicture(each.change, `${seriesName(each.series)}: reference and now`, true) ?? h("p", { class: "note" }, "No values to compare."), h("p", { class: "note" }, notes || `${compact(each.rows)} values`));
  }));
}

function versions(data) {
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Version", "First", "Last", "Predictions"].map((label, at) => h("th", { scope: "col", class: at === 3 ? "right" : "" }, label)))),
    h("tbody", {}, data.versions.map((each) => h("tr", {}, h("td", {}, name(each.version)), h("td", {}, instant(each.start)), h("td", {}, instant(each.end)), h("td", { class: "right" }, count(each.n)))))));
}
