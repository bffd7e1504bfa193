// All models: those that need a person first.
import { alertPath, get, modelPath } from "./api.js";
import { bar, sparkline } from "./charts.js";
import { empty, fill, h, link, name } from "./dom.js";
import { incidentPanel } from "./incident.js";
import { ago, brief, compact, count, instant, money, percent } from "./format.js";
import { mark } from "./marks.js";

const query = { search: "", state: "all", sort: "urgency", descending: false, page: 0 };

function portfolioPath() {
  const { search, state, sort, descending, page } = query;
  return `/api/models?${new URLSearchParams({ search, state, sort, descending: descending ? "1" : "", page })}`;
}

export function portfolioView(reload) {
  const again = (changes) => {
    Object.assign(query, { page: 0 }, changes);
    reload();
  };
  return {
    load: () => get(portfolioPath()),
    touches: () => true,
    title: () => "Portfolio",
    draw: (data, main, health) => drawPortfolio(data, main, health, again),
  };
}

function drawPortfolio(data, main, health, again) {
  if (!main.querySelector("#search")) fill(main, ...frame(again));
  fill(main.querySelector("#tiles"), ...tiles(data, again));
  fill(main.querySelector("#incidents"), data.incidents.map((each) => incidentPanel(each, null, health)));
  const table = main.querySelector("#models");
  if (!data.models) {
    fill(table, empty(
      health.is_ready ? "No model is known yet." : "Reading the topics \u2026",
      health.is_ready && h("span", {}, "A model appears here with its first alert, spec or figures. Publish predictions, and ask for figures in its spec: ", h("code", {}, "metrics: {every: day}"), "."),
    ));
    return;
  }
  fill(table,
    data.rows.length ? modelTable(data, health, again) : empty("No model fits this search.", "Change the words, or choose All models."),
    pager(data, again),
  );
}

function frame(again) {
  let timer = 0;
  const search = h("input", {
    id: "search", type: "search", placeholder: "Search models and owners", autocomplete: "off", spellcheck: "false",
    "aria-label": "Search models and owners", value: query.search,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => again({ search: search.value.trim() }), 150);
    },
  });
  return [
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Models"), h("div", { class: "tools", role: "search" }, search, h("kbd", { "aria-hidden": "true" }, "/"))),
    h("div", { id: "tiles", class: "tiles", role: "group", "aria-label": "Filter" }),
    h("div", { id: "incidents", class: "stack" }),
    h("section", { id: "models", class: "panel models", "aria-label": "Models" }),
  ];
}

function tiles(data, again) {
  const models = (n) => (n === 1 ? "1 model" : `${count(n)} models`);
  const tile = (state, figure, label, note) => h("button", {
    class: "tile", type: "button", "data-keep": `tile-${state}`, "aria-pressed": String(query.state === state), onclick: () => again({ state }),
  }, h("b", {}, figure), label, note && h("span", {}, note));
  return [
    tile("all", count(data.models), h("span", {}, "All models")),
    tile("open", count(data.firing.critical + data.firing.warning + data.firing.info), h("span", {}, "Open alerts"), models(data.states.open)),
    tile("critical", count(data.firing.critical), mark("critical"), models(data.states.critical)),
    tile("muted", count(data.states.muted), mark("muted"), "with a muted alert"),
    tile("calm", count(data.states.calm), mark("calm"), "no open alert"),
  ];
}

const COLUMNS = [
  ["model", "Model", ""], ["urgency", "State", ""], [null, "Most urgent alert", ""], [null, "Since", ""],
  ["error", "Error by day", "right"], ["completeness", "Labels known", ""], ["money", "Lost a day", "right"], ["predictions", "Predictions a day", "right"],
];

function modelTable(data, health, again) {
  const hasMoney = data.rows.some((row) => row.per_day !== null);
  const shown = COLUMNS.filter(([key]) => key !== "money" || hasMoney);
  const head = ([key, label, side]) => {
    const isSorted = key !== null && query.sort === key;
    const sort = isSorted ? (query.descending ? "descending" : "ascending") : null;
    const turn = () => again({ sort: key, descending: isSorted && !query.descending });
    return h("th", { scope: "col", class: side, "aria-sort": sort },
      key === null ? label : h("button", { type: "button", "data-keep": `sort-${key}`, onclick: turn }, label, isSorted && h("span", { "aria-hidden": "true" }, query.descending ? " \u2191" : " \u2193")));
  };
  return h("div", { class: "scroll" }, h("table", { role: "table" },
    h("caption", { class: "hidden" }, `Models ${data.page * data.page_size + 1} to ${data.page * data.page_size + data.rows.length} of ${data.found}`),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, shown.map(head))),
    h("tbody", { role: "rowgroup" }, data.rows.map((row) => modelRow(row, health, hasMoney)))));
}

function modelRow(row, health, hasMoney) {
  const cell = (attributes, ...children) => h("td", { role: "cell", ...attributes }, ...children);
  const counts = ["critical", "warning", "info"].filter((severity) => row.open[severity]);
  const states = counts.length
    ? counts.map((severity) => mark(severity, `${row.open[severity]} ${severity}`))
    : mark("calm", "calm");
  const quiet = [row.muted && `${row.muted} muted`, row.acknowledged && `${row.acknowledged} acknowledged`].filter(Boolean).join(", ");
  const about = [row.owner, row.version && `version ${row.version}`].filter(Boolean).join(" \u00b7 ");
  return h("tr", { role: "row" },
    cell({ class: "who" }, link(modelPath(row.model_id), { "data-keep": `model-${row.model_id}` }, name(row.model_id)), about && h("small", {}, name(about))),
    cell({}, h("div", { class: "states" }, states, quiet && h("small", {}, quiet))),
    cell({ class: "says" }, row.worst
      ? [link(alertPath(row.worst.fingerprint), { "data-keep": `alert-${row.worst.fingerprint}` }, brief(row.worst.summary, row.model_id)), row.worst.moved > 0 && h("small", {}, `${row.worst.moved} other series moved`)]
      : h("small", {}, "No open alert")),
    cell({ "data-label": "Since" }, row.since ? h("time", { datetime: row.since, title: `${instant(row.since)} UTC` }, ago(row.since, health.now)) : "\u2013"),
    cell({ class: "right", "data-label": "Error by day" }, h("div", { class: "figure" }, sparkline(row.line), h("span", { title: row.error_day && `${row.is_counted ? "counted so far" : "expected"}, ${instant(row.error_day).slice(0, 10)}` }, percent(row.error)))),
    cell({ "data-label": "Labels known" }, row.completeness === null ? "\u2013" : [bar(row.completeness), ` ${percent(row.completeness, 0)}`]),
    hasMoney && cell({ class: "right", "data-label": "Lost a day" }, money(row.per_day, row.currency)),
    cell({ class: "right", "data-label": "Predictions a day" }, compact(row.n)));
}

function pager(data, again) {
  const first = data.page * data.page_size;
  const step = (label, page, isPossible) => h("button", { type: "button", class: "button", "data-keep": label, disabled: !isPossible, onclick: () => again({ page }) }, label);
  if (data.found <= data.page_size && !first) return h("p", { class: "hidden", role: "status" }, `${data.found} models`);
  return h("div", { class: "pager" },
    h("span", { role: "status" }, `${count(first + 1)}\u2013${count(first + data.rows.length)} of ${count(data.found)}`),
    step("Previous", data.page - 1, data.page > 0), step("Next", data.page + 1, first + data.rows.length < data.found));
}

