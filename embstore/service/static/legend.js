// Which color and mark means what; a name is also the quickest filter.

import { element, make } from "./elements.js";
import { mark } from "./marks.js";
import { count } from "./words.js";
import { TITLES } from "./colors.js";

// Which filter the names of a coloring stand for: predicted labels for none.
const FILTERS = { label: "label", split: "split" };

const scale = () => [
  make("span", {}, "0"), make("span", { class: "scale", role: "img", "aria-label": "from blue, 0, to amber, 1" }), make("span", {}, "1"),
  make("span", { class: "muted" }, "share of the 8 nearest others with the same label"),
];

const counted = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
};

const entry = (map, look, n, choose) => {
  const kind = FILTERS[map.coloring.name];
  const shown = [mark(look), make("span", { class: "title" }, look.title), make("span", { class: "muted" }, count(n))];
  if (!kind || look.name === null) return make("span", { class: "entry" }, shown);
  const pressed = map.filter[kind] === look.name;
  const press = () => choose(kind, pressed ? "" : look.name);
  return make("button", { type: "button", class: "entry", "aria-pressed": String(pressed), on: { click: press } }, shown);
};

// `choose` is told a filter and its new value.
export const showLegend = (map, choose) => {
  const { coloring } = map, legend = element("legend");
  const held = document.activeElement?.closest("#legend button") ? [...legend.children].indexOf(document.activeElement) : -1;
  legend.setAttribute("aria-label", `Legend: ${TITLES[coloring.name]}`);
  const counts = coloring.isScale ? null : counted(coloring.values);
  legend.replaceChildren(...(counts
    ? [...coloring.looks.values()].filter((look) => counts.has(look.name)).map((look) => entry(map, look, counts.get(look.name), choose))
    : scale()));
  // A button that was pressed has been made anew.
  legend.children[held]?.focus();
};
