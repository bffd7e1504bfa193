// Elements. Text reaches the document as text nodes alone, so no name can become markup.

const SVG = "http://www.w3.org/2000/svg";
// Control characters, and marks that show text in another order than it has (Unicode annex 9).
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

export function clean(text) {
  return String(text).replace(STEERING, "\ufffd");
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, v]) => element.style.setProperty(key, v));
    else element.setAttribute(name, value === true ? "" : clean(value));
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : clean(child));
  }
}

// h("p", {class: "x"}, "text", child): an element. A child that is null is left out.
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

// Put children in the place of those of an element.
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

// A name from outside: set apart, so that its direction moves nothing around it.
export function name(text, attributes) {
  return h("bdi", attributes, text);
}

export function link(href, attributes, ...children) {
  return h("a", { ...attributes, href: href }, ...children);
}

export function section(title, attributes, ...children) {
  const { id, note, ...others } = attributes || {};
  return h("section", { class: "panel", "aria-labelledby": id, ...others },
    h("header", { class: "panel-head" }, h("h2", { id }, title), note && h("p", { class: "note" }, note)),
    children);
}

export function empty(text, remedy) {
  return h("div", { class: "empty" }, h("p", {}, text), remedy && h("p", { class: "note" }, remedy));
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined)
    .map(([term, value, note]) => h("div", {}, h("dt", {}, term), h("dd", {}, value, note && h("small", {}, note)))));
}
