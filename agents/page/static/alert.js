// One alert: what changed, since when, how much, what it costs, and what to do.
import { actions } from "./actions.js";
import { alertPath, get, modelPath, to } from "./api.js";
import { beforeAndAfter, formatOf, overTime } from "./distribution.js";
import { empty, facts, fill, h, link, name, section } from "./dom.js";
import { brief, count, duration, effect, instant, money, ms, number, seriesName } from "./format.js";
import { incidentPanel } from "./incident.js";
import { lanes } from "./lanes.js";
import { chip, mark, severityOf } from "./marks.js";

const ENDS = { returned: "the series returned to its reference", accepted: "a person accepted the new values", relearned: "the series relearns its reference", removed: "it is no longer watched" };
const STATUS = { firing: "Fired", ongoing: "Updated", resolved: "Resolved" };

export function alertView(url) {
  const fingerprint = decodeURIComponent(url.pathname.split("/")[2]);
  const episode = url.searchParams.get("episode");
  let model = null;
  return {
    load: async () => {
      const data = await get(`/api/alert?${new URLSearchParams({ fingerprint, ...(episode ? { episode } : {}) })}`);
      model = data?.alert.model_id;
      return data;
    },
    touches: (models) => models === null || models.includes(model),
    title: (data) => `${severityOf(data.alert)}: ${data.alert.model_id}`,
    draw: drawAlert,
  };
}

function drawAlert(data, main, health) {
  const { alert } = data;
  const marks = [
    { at: ms(alert.started_at), label: "onset", dashed: true, colour: "ink-2" },
    { at: ms(alert.fired_at), label: "detected", colour: severityOf(alert) },
  ];
  fill(main,
    crumbs(alert),
    alertHead(data, health),
    h("div", { class: "columns" },
      section("Before and after", { id: "h-before", class: "panel span-5" }, beforeAndAfter(alert, data.series)),
      section("Over time", { id: "h-time", class: "panel span-7", note: "times are UTC" }, overTime(data, marks))),
    section("What moved together", { id: "h-moved", note: data.lanes.length > 1 ? "the dashed line is the onset of this alert" : null },
      data.lanes.length > 1 ? lanes(data.lanes, health.now, alert) : empty("Nothing else of this model had an alert about this time.")),
    data.incident && incidentPanel(data.incident, alert.fingerprint, health),
    h("div", { class: "columns" },
      section("Worst segments", { id: "h-segments", class: "panel span-6" }, segments(alert)),
      section("Money", { id: "h-money", class: "panel span-6" }, moneyOf(alert))),
    h("div", { class: "columns" },
      section("Evidence", { id: "h-evidence", class: "panel span-6" }, evidence(alert, health)),
      section("History", { id: "h-history", class: "panel span-6", note: `episode ${alert.episode}` }, history(data))),
  );
}

function crumbs(alert) {
  return h("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, link(to("/"), {}, "Models"), "/", link(modelPath(alert.model_id), {}, name(alert.model_id)), "/", h("span", { class: "mono" }, alert.fingerprint.slice(0, 8)));
}

function alertHead(data, health) {
  const { alert } = data;
  const severity = data.is_open ? severityOf(alert) : "calm";
  const acknowledged = alert.acknowledged;
  return h("section", { class: `panel hero ${severity}`, "aria-label": "Alert" },
    h("div", { class: "hero-top" },
      data.is_open ? mark(severityOf(alert)) : mark("calm", "Resolved"),
      !data.is_open && chip(`was ${alert.severity}`), chip(String(alert.kind).replaceAll("_", " ")), chip(alert.aspect),
      alert.muted_until && chip(`muted until ${instant(alert.muted_until)}`), alert.is_flapping && chip("flapping"),
      alert.under && link(alertPath(alert.under), { class: "chip" }, "under another alert")),
    h("h1", { tabindex: "-1" }, brief(alert.summary, alert.model_id)),
    facts(factsOf(data, health)),
    acknowledged && h("p", { class: "note" }, "Acknowledged by ", name(acknowledged.by), ` at ${instant(acknowledged.at)} UTC`, acknowledged.because && [": ", name(acknowledged.because)]),
    actions(data, health));
}

function factsOf(data, health) {
  const { alert } = data;
  const format = formatOf(alert);
  const onset = ms(alert.started_at), fired = ms(alert.fired_at);
  const end = data.is_open ? health.now : ms(alert.detected_at);
  const hasFigures = alert.value !== null && alert.value !== undefined && alert.baseline !== null && alert.baseline !== undefined;
  return [
    ["Since", `${instant(alert.started_at)}`, "UTC, estimated onset"],
    ["Detected", `${duration(fired - onset)} later`, instant(alert.fired_at)],
    [data.is_open ? "Lasts" : "Lasted", duration(end - onset), data.is_open ? null : ENDS[alert.resolved_because] ?? null],
    ["Series", name(seriesName(alert.series)), alert.category && name(alert.category)],
    hasFigures && ["Before \u2192 now", `${format(alert.baseline)} \u2192 ${format(alert.value)}`],
    alert.effect !== null && ["Size", effect(alert.effect, alert.effect_unit), alert.direction],
    ["Rows since onset", count(alert.rows_since_onset)],
    alert.value_at_risk && ["Lost a day", alert.value_at_risk.per_day === null ? "not known yet" : money(alert.value_at_risk.per_day, alert.value_at_risk.currency)],
    ["Version", name(alert.model_version ?? "unknown")],
    (data.row.owner || alert.owner) && ["Owner", name(data.row.owner ?? alert.owner)],
    alert.segment && ["Segment", name(Object.entries(alert.segment).map((pair) => pair.join(" = ")).join(", "))],
    alert.known_within_s && ["Labels read at", `${duration(1000 * alert.known_within_s)} of age`, alert.labels_come_differently ? "labels come otherwise than before" : null],
  ];
}

function segments(alert) {
  const found = alert.worst_segments ?? [];
  if (!found.length) {
    return empty("No segment stands out in this alert.", "Segments are compared for alerts on errors, where the spec names them.");
  }
  const named = (segment) => Object.entries(segment ?? {}).map((pair) => pair.join(" = ")).join(", ");
  return h("table", {}, h("thead", {}, h("tr", {}, ["Segment", "Rows", "Errors", "Expected"].map((label, at) => h("th", { scope: "col", class: at ? "right" : "" }, label)))),
    h("tbody", {}, found.map((each) => h("tr", {}, h("td", {}, name(named(each.segment))), [each.n, each.errors, each.expected].map((value) => h("td", { class: "right" }, number(value)))))));
}

function moneyOf(alert) {
  const value = alert.value_at_risk;
  if (!value) {
    return empty("What this costs is not known.", h("span", {}, "The spec of the model says what an error costs: ", h("code", {}, "cost: {per_error: 25}"), "."));
  }
  const shown = (amount) => money(amount, value.currency);
  const isKnown = value.low !== null && value.low !== undefined;
  return facts([
    ["Lost so far", value.lost === null ? "not known yet" : shown(value.lost), isKnown && `${shown(value.low)} to ${shown(value.high)}, 95 %`],
    ["Lost a day", shown(value.per_day)],
    ["By a worse model", shown(value.deterioration), "the rest: answers of more risk"],
    ["Counted from", instant(value.since), `until ${instant(value.as_of)} UTC`],
    ["Answers still open", count(value.open_labels)],
  ]);
}

function evidence(alert, health) {
  const { partition, first_offset: first, last_offset: last } = alert.evidence ?? {};
  if (partition === undefined) return empty("This record has no evidence.");
  const prefix = health.prefix && health.prefix !== "tidegauge." ? ` --prefix ${health.prefix}` : "";
  const command = `./tidegauge tail events --range ${partition}:${first}-${last}${prefix}`;
  const button = h("button", { type: "button", class: "button", "data-keep": "copy", onclick: async () => {
    await navigator.clipboard.writeText(command);
    button.textContent = "Copied";
  } }, "Copy");
  return h("div", {},
    facts([["Partition of events", partition], ["Onset at offset", count(first)], ["Detected at offset", count(last)], ["Predictions so far", count(alert.predictions_seen)], ["Detector", alert.detector]]),
    h("p", { class: "note" }, "These records show the change:"),
    h("div", { class: "command" }, h("code", { tabindex: "0" }, command), button),
    h("p", { class: "note" }, "Runbook: ", h("code", {}, alert.runbook)));
}

function history(data) {
  const rows = data.transitions.map((each) => h("li", {}, h("time", { datetime: each.detected_at }, instant(each.detected_at)), h("span", {}, STATUS[each.status] ?? each.status),
    h("span", {}, [effect(each.effect, each.effect_unit), each.resolved_because && ENDS[each.resolved_because], each.status !== "resolved" && `${count(each.rows_since_onset)} rows since the onset`].filter(Boolean).join(" \u00b7 "))));
  const shown = rows.length > 8 ? [...rows.slice(0, 2), h("li", {}, h("span", {}, ""), h("span", {}, "\u2026"), h("span", { class: "note" }, `${rows.length - 6} updates between`)), ...rows.slice(-4)] : rows;
  return h("div", {}, rows.length ? h("ol", { class: "history" }, shown) : empty("The transitions of this episode are no longer in the topic."),
    data.earlier.length > 0 && h("p", { class: "note" }, "Other episodes: ", data.earlier.slice(-8).map((each) => [link(alertPath(each.fingerprint, each.episode), {}, `${instant(each.started_at)}`), " "])));
}
