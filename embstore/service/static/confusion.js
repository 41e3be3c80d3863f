// A confusion matrix as a table: labels down, what the method says across.

import { make } from "./elements.js";
import { count } from "./words.js";

// From this many labels on, names across stand upright.
const UPRIGHT = 8;
const MOST = 3;

const cell = (n, total, right, few) => {
  const share = total ? n / total : 0;
  // A hundred labels have thousands of zeros: there an empty cell says it better.
  const made = make("td", { class: right ? "right" : "wrong" }, n || few ? count(n) : "");
  made.style.setProperty("--share", share.toFixed(3));
  return made;
};

export const confusionTable = ({ confusion, title }, labels) => make("table", { class: labels.length > UPRIGHT ? "confusion upright" : "confusion" },
  make("caption", { class: "unseen" }, `${title}: how many texts of each label are given which`),
  make("thead", {}, make("tr", {}, make("td", {}), labels.map((label) => make("th", { scope: "col" }, make("span", {}, label))))),
  make("tbody", {}, confusion.map((row, i) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    return make("tr", {}, make("th", { scope: "row" }, labels[i]), row.map((n, j) => cell(n, total, i === j, labels.length <= UPRIGHT)));
  })));

// The mistakes that are made most often.
export const worstPairs = (confusion, labels) => confusion
  .flatMap((row, i) => row.map((n, j) => ({ n, label: labels[i], predicted: labels[j], wrong: i !== j })))
  .filter(({ n, wrong }) => wrong && n)
  .sort((a, b) => b.n - a.n)
  .slice(0, MOST);
