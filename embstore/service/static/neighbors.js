// A list of records, most similar first, each of which opens.

import { make } from "./elements.js";
import { mark } from "./marks.js";
import { named } from "./words.js";

const SHORT = 400;

const item = (look, open, one) => make("li", {},
  make("button", { type: "button", class: "neighbor", on: { click: () => open(one.id) } },
    make("span", { class: "similarity" }, one.similarity.toFixed(2)),
    make("span", { class: "text" }, one.text.length > SHORT ? `${one.text.slice(0, SHORT - 1)}…` : one.text),
    make("span", { class: "name" }, mark(look(one.label)), named(one.label), one.split ? make("span", { class: "muted" }, ` · ${one.split}`) : null)));

// `look` gives the mark of a label, `open` opens a record by its id.
export const neighborList = ({ look, open }, found) =>
  (found.length ? make("ol", { class: "neighbors" }, found.map((one) => item(look, open, one)))
    : make("p", { class: "muted" }, "No record matches the filters."));

export const exactness = ({ exact, recall }) => (exact ? "exact" : `recall ${recall.toFixed(2)}`);
