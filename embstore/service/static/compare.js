// The tab of the comparison: verdict, methods with intervals and costs, and what is taken for what.

import { report } from "./api.js";
import { confusionTable, worstPairs } from "./confusion.js";
import { element, make } from "./elements.js";
import { loading, notice } from "./notices.js";
import { bytes, chance, count, milliseconds, percent, seconds, sentence, signed } from "./words.js";

const SCORES = { accuracy: "accuracy", macro_f1: "macro-F1", weighted_f1: "weighted F1", calibration_error: "calibration error" };

// Where the interval lies between 0 and 1.
const range = ({ value, low, high }) => {
  const span = make("span", { class: "span" }), dot = make("span", { class: "dot" });
  span.style.left = `${100 * low}%`;
  span.style.width = `${100 * (high - low)}%`;
  dot.style.left = `${100 * value}%`;
  return make("span", { class: "range", "aria-hidden": "true" }, span, dot);
};

const scoreCell = (score, drawn) => make("td", {}, percent(score.value), make("small", {}, `${percent(score.low)} to ${percent(score.high)}`), drawn ? range(score) : null);

const settings = (one) => Object.entries(one.settings).map(([name, value]) => `${name} ${value}`).join(", ");

const methodRow = (one, best) => make("tr", { class: one.name === best ? "best" : null },
  make("th", { scope: "row" }, one.title, make("small", {}, settings(one))),
  Object.keys(SCORES).map((name) => scoreCell(one.scores[name], name !== "calibration_error")),
  make("td", {}, milliseconds(one.latency_ms)), make("td", {}, seconds(one.fit_seconds)), make("td", {}, bytes(one.bytes)));

const methods = (content) => make("div", { class: "box", tabindex: 0, role: "region", "aria-label": "The methods" }, make("table", { id: "methods" },
  make("caption", {}, `On ${count(content.splits.evaluated.n)} texts of ${content.splits.evaluated.name}, `
    + `learned from ${count(content.splits.train.n)} of ${content.splits.train.name}; with 95 % bootstrap intervals.`),
  make("thead", {}, make("tr", {}, ["method", ...Object.values(SCORES), "one text", "fit", "size"].map((name) => make("th", { scope: "col" }, name)))),
  make("tbody", {}, content.methods.map((one) => methodRow(one, content.best)))));

const pair = (one, titles) => make("li", {},
  make("strong", {}, `${titles[one.second]} against ${titles[one.first]}: ${signed(one.difference)} points`),
  ` (${signed(one.low)} to ${signed(one.high)}); it alone has ${count(one.second_only)} texts right, the other alone ${count(one.first_only)}; ${chance(one.p_value)} (McNemar).`);

const confusion = (one, labels) => {
  const worst = worstPairs(one.confusion, labels);
  return make("article", { class: "card" }, make("h3", {}, one.title),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Confusion matrix: ${one.title}` }, confusionTable(one, labels)),
    worst.length ? make("p", { class: "muted" }, `Most often: ${worst.map(({ n, label, predicted }) => `${count(n)} of ${label} taken for ${predicted}`).join("; ")}.`) : null);
};

const page = (content) => {
  const { verdict } = content, titles = Object.fromEntries(content.methods.map((one) => [one.name, one.title]));
  return [
    make("article", { class: "card lead", id: "verdict" }, make("p", { class: "muted" }, "Is frozen good enough?"),
      make("h2", {}, sentence(verdict.answer)), make("p", {}, sentence(verdict.sentence)), make("p", { class: "muted" }, sentence(verdict.reason)),
      content.notes.map((note) => make("p", { class: "flag" }, sentence(note)))),
    make("h2", {}, "The methods"), methods(content),
    make("h2", {}, "Pair by pair"), make("ul", { class: "pairs" }, content.pairs.map((one) => pair(one, titles))),
    make("h2", {}, "What is taken for what"),
    make("p", { class: "muted" }, "Rows are labels, columns what the method says; shades are shares of the row."),
    make("div", { class: "matrices" }, content.methods.filter((one) => one.name !== "dummy").map((one) => confusion(one, content.labels))),
  ].flat();
};

// Shows the comparison once; `again` is for another state of the store.
export const showCompare = async (again = false) => {
  const panel = element("panel-compare");
  if (panel.childElementCount && !again) return;
  panel.replaceChildren(loading("Asking for the comparison…"));
  try {
    const content = await report("compare", (problem) => panel.replaceChildren(notice(problem)));
    panel.replaceChildren(make("div", { class: "column" }, page(content)));
  } catch (problem) {
    panel.replaceChildren(notice(problem));
  }
};
