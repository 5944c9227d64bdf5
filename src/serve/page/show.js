/* show.js - numbers as people read them, and elements with text in them. */
export const $ = (id) => document.getElementById(id);

/* 950, 12.3k, 4.56M: as everywhere in Brood. */
export function count(x) {
  const units = ["", "k", "M", "G", "T", "P", "E"];
  let i = 0;
  while (Math.abs(x) >= 999.5 && i < units.length - 1) { x /= 1000; i++; }
  if (i === 0) return Number.isInteger(x) ? String(x) : x.toPrecision(3);
  return (x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x.toFixed(2)) + units[i];
}

export function seconds(s) {
  if (s < 10) return s.toFixed(s < 1 ? 2 : 1) + " s";
  if (s < 60) return s.toFixed(0) + " s";
  return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
}

/* $0.0123, $0.0000507: three digits of what is small. */
export const dollars = (x) => "$" + (x === 0 ? "0" : x >= 1 ? x.toFixed(2) : x.toFixed(Math.min(12, 2 - Math.floor(Math.log10(x)))));

export const share = (x) => (100 * Math.max(0, Math.min(1, x))).toFixed(1) + "%";

/* Text is text: there is no way from here to markup. */
export function element(name, properties, text) {
  const e = document.createElement(name);
  Object.assign(e, properties);
  if (text !== undefined) e.textContent = text;
  return e;
}

export function svg(name, attributes, text) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}
