// What a head says of a text: label, probabilities, runner-up, whether it abstains, and its evidence.

import { make } from "./elements.js";
import { mark } from "./marks.js";
import { neighborList } from "./neighbors.js";
import { notice } from "./notices.js";
import { percent } from "./words.js";

const TITLES = { knn: "Neighbors (kNN)", logistic: "Logistic" };
const BARS = 6;

const bar = (label, probability, look) => {
  const filled = make("span", { class: "filled" });
  filled.style.width = `${100 * probability}%`;
  return make("li", {}, make("span", { class: "name" }, mark(look(label)), make("span", { class: "title" }, label)),
    make("span", { class: "bar", "aria-hidden": "true" }, filled), make("span", { class: "number" }, percent(probability)));
};

const bars = (probabilities, look) => {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const rest = sorted.slice(BARS);
  const left = rest.reduce((sum, [, probability]) => sum + probability, 0);
  return [
    make("ol", { class: "bars", "aria-label": "Probabilities" }, sorted.slice(0, BARS).map(([label, one]) => bar(label, one, look))),
    rest.length ? make("p", { class: "muted small" }, `${rest.length} more labels share ${percent(left)}`) : null,
  ];
};

const answered = (answer, said, shown) => [
  make("p", { class: "verdict" }, make("span", { class: "name" }, mark(shown.look(said.label)), make("strong", {}, said.label)),
    make("span", { class: "number" }, percent(said.probability))),
  make("p", { class: "muted small" }, `Runner-up: ${said.runner_up}, ${percent(said.runner_up_probability)}`),
  said.abstain ? make("p", { class: "flag" }, "Abstains: it is less sure than its threshold asks for.") : null,
  said.truncated ? make("p", { class: "flag" }, "The text is longer than the encoder reads; its end was not seen.") : null,
  answer.note ? make("p", { class: "flag" }, answer.note) : null,
  bars(said.probabilities, shown.look),
  make("h4", {}, "Evidence"),
  said.evidence.length ? neighborList(shown, said.evidence) : make("p", { class: "muted small" }, "No training text has this label."),
];

// A card that waits for its answer.
export const headCard = (head) => make("article", { class: "card head", "data-head": head, "aria-busy": "true" },
  make("h3", {}, TITLES[head] ?? head), make("div", { class: "busy" }));

export const fillHead = (card, answer, shown) => {
  card.removeAttribute("aria-busy");
  card.replaceChildren(card.firstChild, ...answered(answer, answer.answers[0], shown).flat().filter(Boolean));
};

// What the service would say of a head that it lacks, or null; asked, it would be an error in the console.
export const missingHead = (store, head) => {
  if (!store || store.heads.some((one) => one.name === head)) return null;
  return {
    what: `The store ${store.name} has no head '${head}'.`,
    why: store.head_problems[head] ?? `It has: ${store.heads.map((one) => one.name).join(", ") || "none"}.`,
    fix: `embstore fit -s ${store.name} --head ${head}`,
  };
};

// A head that was never fitted is no error: the line that fits it stands here.
export const lackHead = (card, problem) => {
  card.removeAttribute("aria-busy");
  card.replaceChildren(card.firstChild, notice(problem));
};
