// Alerts on one axis of time: a lane for each series, a bar from onset to end.
import { alertPath } from "./api.js";
import { h, link, name } from "./dom.js";
import { duration, effect, instant, ms, seriesName } from "./format.js";
import { mark, severityOf } from "./marks.js";

const TICKS = 4;

function tickText(at, length) {
  const text = instant(at);
  return length > 4 * 86400000 ? text.slice(0, 10) : text.slice(5);
}

// episodes: as the server gives them; own: the alert that the view is about, or null.
export function lanes(episodes, now, own) {
  const spans = episodes.map((each) => ({ ...each, start: ms(each.started_at), end: each.ended_at ? ms(each.ended_at) : null }));
  const latest = Math.max(...spans.map((each) => each.end ?? ms(each.fired_at)));
  const isOpen = spans.some((each) => each.end === null);
  const from = Math.min(...spans.map((each) => each.start));
  // An open alert of a recording of years ago is drawn to a little after its firing, not to today.
  const until = isOpen ? Math.max(latest, Math.min(now, latest + 3 * (latest - from) + 3600000)) : latest;
  const room = 0.03 * (until - from || 3600000);
  const low = from - room, high = until + room;
  const at = (instantMs) => `${(100 * (instantMs - low)) / (high - low)}%`;
  const bySeries = new Map();
  for (const span of spans) bySeries.set(span.series, [...(bySeries.get(span.series) || []), span]);
  const rows = [...bySeries.entries()].sort((a, b) => Math.min(...a[1].map((s) => s.start)) - Math.min(...b[1].map((s) => s.start)));
  const onset = own && h("i", { class: "onset", "aria-hidden": "true", style: { left: at(ms(own.started_at)) } });
  const lane = ([series, found]) => {
    const last = found[found.length - 1];
    const severity = severityOf(last);
    const isOwn = own && own.series === series;
    const said = found.map((each) => `${each.severity}, ${instant(each.started_at)} to ${each.ended_at ? instant(each.ended_at) : "now"}, ${effect(each.effect, each.effect_unit) || each.aspect}`).join("; ");
    return h("li", { class: `lane${isOwn ? " own" : ""}` },
      h("span", { class: "label" }, mark(severity, ""), link(alertPath(last.fingerprint, last.episode), {}, name(seriesName(series))), h("span", { class: "hidden" }, said)),
      h("span", { class: "track", "aria-hidden": "true" }, onset && onset.cloneNode(),
        found.map((each) => h("span", {
          class: `span ${severityOf(each)}${each.end === null ? " open" : ""}`,
          title: `${instant(each.started_at)} UTC, ${each.end === null ? "open" : duration(each.end - each.start)}`,
          style: { left: at(each.start), width: `calc(${at(each.end ?? high)} - ${at(each.start)})` },
        }))));
  };
  const ticks = [...Array(TICKS + 1).keys()].map((step) => low + ((high - low) * step) / TICKS);
  return h("ul", { class: "lanes" }, rows.map(lane),
    h("li", { class: "lane axis", "aria-hidden": "true" }, h("span", { class: "note" }, "UTC"),
      h("span", { class: "track" }, ticks.map((tick) => h("span", { class: "tick", style: { left: at(tick) } }, tickText(tick, high - low))))));
}

