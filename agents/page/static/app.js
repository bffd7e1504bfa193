// The frame: head, views by address, and the event stream.
import { alertView } from "./alert.js";
import { follow, here, report, to } from "./api.js";
import { empty, fill, h, svg } from "./dom.js";
import { instant } from "./format.js";
import { modelView } from "./model.js";
import { challengersView, reviewsView, topicsView } from "./others.js";
import { portfolioView } from "./portfolio.js";

const VIEWS = [["/", "Models"], ["/reviews", "Reviews"], ["/challengers", "Challengers"], ["/topics", "Topics"]];
const REDRAW_MS = 1500;

let health = report ? report.health : { is_ready: false, now: Date.now(), prefix: "", deployment: "" };
let view = null;
let shown = "";
let isLost = false;
let due = 0;

const main = h("main", { id: "main", tabindex: "-1" });
const live = h("p", { class: "live", role: "status" });
const banner = h("div", { class: "banner", role: "alert", hidden: true });
const nav = h("ul");
const where = h("span", { class: "where" });

document.body.prepend(
  h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, "Skip to content"),
  h("header", { class: "top" }, h("div", { class: "top-in" },
    h("a", { class: "brand", href: to("/") }, svg("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, svg("rect", { width: 32, height: 32, rx: 7, fill: "#0b7285" }), svg("path", { d: "M5 20c3.5 0 3.5-5 7-5s3.5 5 7 5 3.5-5 8-5", fill: "none", stroke: "#fff", "stroke-width": 2.6, "stroke-linecap": "round" }), svg("path", { d: "M9 6v3M15 6v5M21 6v3M27 6v3", stroke: "#fff", "stroke-opacity": ".6", "stroke-width": 1.8, "stroke-linecap": "round" })), "Tidegauge"),
    where, h("nav", { "aria-label": "Views" }, nav), live)),
  banner, main, h("div", { id: "toast", class: "toast", role: "status" }));

function viewOf(url) {
  const path = url.pathname;
  if (path.startsWith("/model/")) return modelView(url);
  if (path.startsWith("/alert/")) return alertView(url);
  if (path === "/reviews") return reviewsView();
  if (path === "/challengers") return challengersView();
  if (path === "/topics") return topicsView();
  return portfolioView(() => show(false));
}

function drawHead() {
  const path = here().pathname;
  fill(nav, ...VIEWS.filter(([each]) => !report || each === "/").map(([each, label]) =>
    h("li", {}, h("a", { href: to(each), "aria-current": (each === "/" ? ["/", "/model", "/alert"].includes(`/${path.split("/")[1]}`) : path === each) ? "page" : null }, label))));
  where.textContent = health.deployment;
  const trouble = report ? null : health.trouble ? `Kafka is away${health.trouble_since ? ` since ${instant(health.trouble_since)} UTC` : ""}: ${health.trouble}. What is shown was read before; this page tries again.` : isLost ? "The page's server does not answer. What is shown was read before; this page tries again." : health.stale;
  const word = report ? `Report of ${instant(report.health.now)} UTC` : isLost ? "Not connected" : health.trouble ? "Kafka is away" : health.stale ? "No worker" : health.is_ready ? "Live" : "Reading";
  const isAway = !report && (isLost || Boolean(health.trouble) || Boolean(health.stale) || !health.is_ready);
  live.className = `live${isAway ? " away" : ""}`;
  if (live.textContent !== word) fill(live, h("i", { "aria-hidden": "true" }), word);
  banner.hidden = !trouble;
  if (trouble && banner.textContent !== trouble) fill(banner, h("p", {}, trouble));
}

const CAN_HOLD = "a, button, input, select, textarea, summary, [tabindex], [data-keep]";

// The name by which an element is found again in the view that is drawn next.
function nameOf(element) {
  const isLink = element.matches("a, button");
  return element.getAttribute("data-keep") ?? ["href", "aria-label", "class"].map((each) => element.getAttribute(each) ?? "").concat(element.tagName, isLink ? element.textContent : "").join("|");
}

// Draw the data of the view. What a person holds stays: focus, and opened figures.
function draw(data, isNew) {
  const focused = document.activeElement;
  const kept = focused !== main && main.contains(focused) ? nameOf(focused) : null;
  const opened = [...main.querySelectorAll("details[open]")].map((each) => each.getAttribute("data-keep"));
  view.draw(data, main, health);
  for (const details of main.querySelectorAll("details")) details.open = opened.includes(details.getAttribute("data-keep"));
  if (isNew) {
    document.title = `${view.title(data)} \u00b7 Tidegauge`;
    scrollTo(0, 0);
    (main.querySelector("h1") ?? main).focus({ preventScroll: true });
  } else if (kept) {
    [...main.querySelectorAll(CAN_HOLD)].find((each) => nameOf(each) === kept)?.focus({ preventScroll: true });
  }
}

async function show(isNew) {
  const wanted = view;
  try {
    const data = await wanted.load();
    if (wanted !== view) return;
    const text = JSON.stringify(data);
    if (!isNew && text === shown) return;
    shown = text;
    if (data === null) fill(main, h("h1", { tabindex: "-1" }, "Not found"), empty(health.is_ready ? "This is not known here." : "The topics are still being read.", "Records that retention has deleted are no longer shown."));
    else draw(data, isNew);
  } catch (problem) {
    if (isNew) fill(main, h("h1", { tabindex: "-1" }, "No answer"), empty(problem.message, "This page tries again."));
  }
}

function go() {
  view = viewOf(here());
  shown = "";
  main.replaceChildren();
  drawHead();
  return show(true);
}

function refresh() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    if (!document.querySelector("dialog[open]")) show(false);
  }, REDRAW_MS);
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a[href]");
  if (report || !anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || anchor.origin !== location.origin) return;
  event.preventDefault();
  if (anchor.href !== location.href) history.pushState(null, "", anchor.href);
  go();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  const search = document.getElementById("search");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});
addEventListener(report ? "hashchange" : "popstate", go);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { shown = ""; show(false); });

follow(
  (models) => { if (view.touches(models)) refresh(); },
  (told) => {
    const wasCurrent = health.is_ready && !isLost;  // of what came while it was lost nothing is known
    const user = health.user;
    health = { user, ...told };
    isLost = false;
    drawHead();
    if (!wasCurrent && health.is_ready) { shown = ""; show(false); }
  },
  () => { isLost = true; drawHead(); },
);
if (!report) {
  try {
    health = await (await fetch("/api/health")).json();
  } catch {
    isLost = true;
  }
}
await go();
