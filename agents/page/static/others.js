// Reviews, challengers, and the health of the topics.
import { get, modelPath } from "./api.js";
import { bar } from "./charts.js";
import { empty, facts, fill, h, link, name, section } from "./dom.js";
import { ago, count, instant, number, percent } from "./format.js";
import { chip } from "./marks.js";

function page(title, note, ...children) {
  return [h("div", { class: "head" }, h("h1", { tabindex: "-1" }, title), note && h("p", { class: "note" }, note)), ...children];
}

function still(title, path, draw) {
  return { load: () => get(path), touches: () => true, title: () => title, draw };
}

const WHY = { uncertain: "uncertain", costly: "dear if wrong", sample: "drawn at random", report: "reported", double: "second opinion" };

export function reviewsView() {
  return still("Reviews", "/api/reviews", drawReviews);
}

function drawReviews(data, main, health) {
  fill(main, ...page("Reviews", data.open ? `${count(data.open)} cases wait` : null,
    section("Error by the verdicts of people", { id: "h-verdicts" }, data.reviewed.length ? reviewedTable(data.reviewed) : empty("No verdicts have been counted yet.", "They are weighted by the probability of each case, so they say the error of all answers.")),
    section("Cases that wait", { id: "h-cases", note: "the dearest and riskiest first; features are not shown here" }, data.cases.length ? caseTable(data.cases, health)
      : empty("No case waits for a person.", h("span", {}, "The spec of a model asks for reviews. Answer them with ", h("code", {}, "./tidegauge review MODEL"), "."))) ));
}

function table(columns, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map(([label, side]) => h("th", { scope: "col", class: side }, label)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, at) => h("td", { class: columns[at][1] }, cell)))))));
}

function reviewedTable(reviewed) {
  const columns = [["Model", ""], ["Predictions of", ""], ["Answered", "right"], ["Error", "right"], ["95 %", "right"], ["Expected", "right"], ["Agreement", "right"]];
  return table(columns, reviewed.map((each) => [
    link(modelPath(each.model_id), {}, name(each.model_id)), instant(each.start).slice(0, 10), `${count(each.answered)} of ${count(each.chosen)}`,
    loss(each, each.error), `${loss(each, each.low)} to ${loss(each, each.high)}`, loss(each, each.expected), number(each.kappa ?? each.agreement)]));
}

/* An error: of classes a share, of quantities a distance. */
function loss(each, value) {
  return each.unit === "rate" || value === null ? percent(value) : number(Number(value.toPrecision(3)));
}

function caseTable(cases, health) {
  const columns = [["Model", ""], ["Prediction", ""], ["Why", ""], ["Risk", "right"], ["Answer", ""], ["Asked", ""], ["Due", ""]];
  return table(columns, cases.map((each) => [
    link(modelPath(each.model_id), {}, name(each.model_id)), name(each.prediction_id), WHY[each.why] ?? name(each.why), each.unit === "rate" ? percent(each.risk, 0) : loss(each, each.risk),
    name(JSON.stringify(each.answer)), ago(each.requested_at, health.now), instant(each.due_at)]));
}

export function challengersView() {
  return still("Challengers", "/api/challenges", (data, main, health) => fill(main, ...page("Challengers", null,
    data.challenges.length ? data.challenges.map((each, at) => challenge(each, at, health))
      : h("section", { class: "panel", "aria-label": "Challengers" }, empty("No model has a challenger.", "Champion and challenger are compared here where predictions name a variant.")))));
}

function challenge(each, at, health) {
  const wealth = (value) => Math.min(1, Math.max(0, Math.log(Math.max(value, 1)) / Math.log(each.limit)));
  const unit = each.unit === "rate" ? 100 : 1;
  const points = (value) => number(Number((unit * value).toPrecision(3)));
  const evidence = (value) => h("span", {}, bar(wealth(value)), ` ${number(Number(value.toPrecision(3)))}`);
  return section([name(each.model_id), ": ", name(each.variant)], { id: `h-challenge-${at}`, note: [chip(each.state), ` ${ago(each.as_of, health.now)}`] },
    h("p", {}, each.summary),
    facts([
      ["Better by", `${points(each.difference)} ${unit === 1 ? "of absolute error" : "points of error"}`, `${points(each.low)} to ${points(each.high)}`],
      ["Evidence for better", evidence(each.e_better), `decides at ${number(each.limit)}`],
      ["Evidence for worse", evidence(each.e_worse)],
      ["Pairs", count(each.pairs), `${count(each.cohorts)} cohorts; ${count(each.waiting)} pairs wait`],
      each.money !== null && ["Money a pair", number(each.money)],
    ]));
}

export function topicsView() {
  return still("Topics", "/api/topics", drawTopics);
}

function drawTopics(data, main, health) {
  const workers = health.tick ? `${ago(health.tick, health.now)}` : "none yet";
  fill(main, ...page("Topics and workers", `deployment ${health.deployment}`,
    section("Workers", { id: "h-workers" },
      health.stale ? empty(health.stale) : h("p", {}, `The last tick of the workers: ${workers}. They append one every ten seconds.`)),
    section("Topics that this page reads", { id: "h-topics" }, data.topics.some((topic) => topic.partitions.length) ? topicTable(data, health) : empty("The broker has not described its topics yet.", health.trouble)),
    section("Refused inputs", { id: "h-refused", note: "content is never shown" }, refused(data))));
}

function topicTable(data, health) {
  const total = (topic, key) => topic.partitions.reduce((sum, each) => sum + each[key], 0);
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Topic", "Partitions", "Records", "Unread by this page", "Latest record"].map((label, at) => h("th", { scope: "col", class: at && at < 4 ? "right" : "" }, label)))),
    h("tbody", {}, data.topics.map((topic) => h("tr", {},
      h("td", { class: "mono" }, name(topic.name)), h("td", { class: "right" }, count(topic.partitions.length)),
      h("td", { class: "right" }, count(total(topic, "end") - total(topic, "first"))),
      h("td", { class: "right" }, count(topic.partitions.reduce((sum, each) => sum + Math.max(0, each.end - Math.max(each.read, each.first)), 0))),
      h("td", {}, topic.last_at ? h("time", { title: `${instant(topic.last_at)} UTC` }, ago(topic.last_at, health.now)) : "\u2013"))))));
}

function refused(data) {
  if (!data.refused.length) return empty("No input has been refused.");
  return h("div", {},
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col", class: "right" }, "Inputs"))),
      h("tbody", {}, data.refused.map(([reason, n]) => h("tr", {}, h("td", {}, name(reason)), h("td", { class: "right" }, count(n)))))),
    h("h3", {}, "The newest"),
    h("ul", { class: "history" }, data.newest_refused.slice(0, 20).map((each) => h("li", {}, h("span", { class: "mono" }, name(`${each.topic}-${each.partition}`)), h("span", { class: "mono" }, count(each.offset)), h("span", {}, name(each.reason), ": ", name(each.detail ?? ""))))));
}
