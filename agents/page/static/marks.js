// Severity and state: a shape, a word and a colour, so that none of the three is needed alone.
import { h, svg } from "./dom.js";

const SHAPES = {
  critical: [["path", { d: "M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" }], ["path", { d: "M8 4.3v4.4M8 11.3v.4", class: "cut" }]],
  warning: [["path", { d: "M8 1.5 15.3 14.3H.7z" }], ["path", { d: "M8 6v4M8 12v.3", class: "cut" }]],
  info: [["circle", { cx: 8, cy: 8, r: 7 }], ["path", { d: "M8 7.3v4.2M8 4.5v.3", class: "cut" }]],
  calm: [["circle", { cx: 8, cy: 8, r: 6.2, class: "ring" }], ["path", { d: "m5 8.2 2.2 2.2L11.2 6", class: "line" }]],
  muted: [["circle", { cx: 8, cy: 8, r: 6.2, class: "ring" }], ["path", { d: "M3.8 3.8 12.2 12.2", class: "line" }]],
};

const WORDS = { critical: "Critical", warning: "Warning", info: "Info", calm: "Calm", muted: "Muted" };

export function shape(kind) {
  return svg("svg", { viewBox: "0 0 16 16", class: `shape ${kind}`, "aria-hidden": "true" },
    (SHAPES[kind] || SHAPES.info).map(([tag, attributes]) => svg(tag, attributes)));
}

export function mark(kind, text) {
  return h("span", { class: `mark ${kind}` }, shape(kind), text ?? WORDS[kind] ?? kind);
}

export function severityOf(alert) {
  return WORDS[alert.severity] ? alert.severity : "info";
}

export function chip(text, attributes) {
  return h("span", { class: "chip", ...attributes }, text);
}
