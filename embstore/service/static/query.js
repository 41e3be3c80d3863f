// A typed text: its neighbors, its place on the map, and what the heads say of it.

import { ask } from "./api.js";
import { element, make, say } from "./elements.js";
import { fillHead, headCard, lackHead, missingHead } from "./heads.js";
import { exactness, neighborList } from "./neighbors.js";
import { notice } from "./notices.js";
import { bringFirst } from "./panel.js";

const HEADS = ["knn", "logistic"];
const NEIGHBORS = 10;
const EVIDENCE = 3;
// Similarities weigh exp(similarity / this), as in the votes that color the map.
const SHARPNESS = 0.1;

// The mean of its neighbors' places, weighted by similarity, or null where none is on the map.
export const placeOf = (neighbors, columns, places) => {
  let [x, y, total] = [0, 0, 0];
  for (const { id, similarity } of neighbors) {
    const i = places?.get(id);
    if (i === undefined) continue;
    const weight = Math.exp((similarity - 1) / SHARPNESS);
    [x, y, total] = [x + weight * columns.x[i], y + weight * columns.y[i], total + weight];
  }
  return total ? [x / total, y / total] : null;
};

export class Query {
  // `shown` has look(label) and open(id); `store` is what is known of it, once it is.
  constructor(map, shown) {
    Object.assign(this, { map, shown, store: null, text: "", neighbors: [], asking: null });
    element("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run(element("text").value);
    });
    element("text").addEventListener("keydown", (event) => {
      // Enter asks, as in any search field; Shift and Enter make a line.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.run(element("text").value);
    });
  }

  // Filters have changed, or the store.
  again() { if (this.text) this.run(this.text, false); }

  // Moved: whether the map may turn to the text.
  run(text, moved = true) {
    this.asking?.abort();
    this.text = text.trim() && text;
    if (!this.text) {
      element("answer").hidden = true;
      this.map.part("query");
      return;
    }
    this.asking = new AbortController();
    const { signal } = this.asking;
    const near = make("article", { class: "card", id: "near" }, make("h3", {}, "Nearest"), make("div", { class: "busy" }));
    const cards = HEADS.map(headCard);
    element("answer").replaceChildren(make("h2", { class: "quoted" }, this.text), make("div", { class: "heads" }, cards), near);
    if (moved) bringFirst(element("answer"));
    this.search(near, signal, moved);
    cards.forEach((card, place) => this.classify(HEADS[place], card, signal));
  }

  async search(card, signal, moved) {
    const { label, split } = this.map.filter;
    const body = { text: this.text, k: NEIGHBORS, ...(label && { label }), ...(split && { split }) };
    try {
      const answer = await ask("v1/search", body, signal);
      this.neighbors = answer.neighbors;
      const placed = this.place(moved);
      const only = [label && `label ${label}`, split && `split ${split}`].filter(Boolean).join(", ");
      card.replaceChildren(
        make("h3", {}, "Nearest ", make("span", { class: "muted" }, [exactness(answer), only && `only ${only}`].filter(Boolean).join(" · "))),
        make("p", { class: "muted small", id: "placed" }, placed
          ? "The star is the mean of these neighbors’ places, weighted by similarity: a guess at where the text belongs, for the map was laid out without it."
          : "None of these is on the map, so the text has no place there."),
        neighborList(this.shown, answer.neighbors));
      say(`${answer.neighbors.length} neighbors found`);
    } catch (problem) {
      if (problem.name !== "AbortError") card.replaceChildren(make("h3", {}, "Nearest"), notice(problem));
    }
  }

  // Draws the text on the map; tells whether it has a place there.
  place(moved) {
    const { map } = this, ids = this.neighbors.map((one) => one.id);
    const place = map.columns && placeOf(this.neighbors, map.columns, map.places);
    if (!place) {
      map.part("query");
      return false;
    }
    map.join("query", place, ids);
    if (moved) map.frame(place, ids);
    return true;
  }

  async classify(head, card, signal) {
    const missing = missingHead(this.store, head);
    if (missing) {
      lackHead(card, missing);
      return;
    }
    try {
      fillHead(card, await ask("v1/classify", { texts: [this.text], head, evidence: EVIDENCE }, signal), this.shown);
    } catch (problem) {
      if (problem.name !== "AbortError") lackHead(card, problem);
    }
  }
}
