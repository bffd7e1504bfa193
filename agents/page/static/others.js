// Reviews, challengers, and the health of the topics.
import { get } from "./api.js";
import { empty, fill, h, name, section } from "./dom.js";
import { ago, count, instant } from "./format.js";

function page(title, note, ...children) {
  return [h("div", { class: "head" }, h("h1", { tabindex: "-1" }, title), note && h("p", { class: "note" }, note)), ...children];
}

function still(title, path, draw) {
  return { load: () => get(path), touches: () => true, title: () => title, draw };
}

export function reviewsView() {
  return still("Reviews", "/api/topics", (_, main) => fill(main, ...page("Reviews", null,
    h("section", { class: "panel", "aria-label": "Reviews" }, empty("No case waits for a person.", "Cases to be reviewed are listed here where the spec of a model asks for reviews.")))));
}

export function challengersView() {
  return still("Challengers", "/api/topics", (_, main) => fill(main, ...page("Challengers", null,
    h("section", { class: "panel", "aria-label": "Challengers" }, empty("No model has a challenger.", "Champion and challenger are compared here where predictions name a variant.")))));
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
