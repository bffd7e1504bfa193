// Several models with alerts that seem to have one cause.
import { alertPath } from "./api.js";
import { h, link, name } from "./dom.js";
import { ago, count, instant, money, percent, seriesName } from "./format.js";
import { mark, severityOf } from "./marks.js";

const MOST_MEMBERS = 8;
const CAUSES = { model: "the model before them", source: "a source of their features", feature: "a feature of one name", unknown: "no common cause is known" };

// own: the fingerprint of the alert that it is shown beside, or null.
export function incidentPanel(incident, own, health) {
  const { cause, members } = incident;
  const shown = members.filter((each) => each.fingerprint !== own).slice(0, MOST_MEMBERS);
  const notes = [`since ${ago(incident.opened_at, health.now)}`, incident.value_per_day !== null && `${money(incident.value_per_day, incident.currency)} lost a day`, `by chance: ${percent(incident.chance, 2)}`];
  return h("section", { class: "panel", "aria-label": "Incident" },
    h("header", { class: "panel-head" }, h("h2", {}, `Incident of ${count(incident.models)} models: ${CAUSES[cause.kind] ?? cause.kind}, `, name(cause.name)), h("p", { class: "note" }, notes.filter(Boolean).join(" \u00b7 "))),
    h("p", { class: "note" }, cause.because),
    h("ul", { class: "alerts" }, shown.map((each) => h("li", {}, mark(severityOf(each)), link(alertPath(each.fingerprint, each.episode), {}, name(each.model_id), ": ", name(seriesName(each.series))),
      h("span", { class: "note" }, each.is_over ? "over \u00b7 " : "", h("time", { datetime: each.started_at, title: `${instant(each.started_at)} UTC` }, ago(each.started_at, health.now)))))),
    members.length > shown.length + 1 && h("p", { class: "note" }, `${count(members.length - shown.length)} further alerts`));
}
