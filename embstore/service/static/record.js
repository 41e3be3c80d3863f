// The record that is open: what it says, what its neighbors and the audit say of its label.

import { ask, report } from "./api.js";
import { element, facts, make, say } from "./elements.js";
import { mark } from "./marks.js";
import { exactness, neighborList } from "./neighbors.js";
import { notice } from "./notices.js";
import { bringFirst } from "./panel.js";
import { count, named, percent } from "./words.js";

const NEIGHBORS = 10;

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// The audit lists its first suspects only: of the others it says nothing.
const suspicion = ({ label_errors: { rows }, listed }, id) => {
  const rank = rows.findIndex((one) => one.id === id);
  if (rank >= 0) return `suspect ${count(rank + 1)}, rather ${rows[rank].suggested}`;
  return rows.length < listed ? "no suspect" : `not among the first ${count(listed)} suspects`;
};

export class OpenRecord {
  // `shown` has look(label) and open(id).
  constructor(map, shown) {
    Object.assign(this, { map, shown, id: null, asking: null, from: null });
    this.section = element("record");
    this.section.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  again() { if (this.id !== null) this.open(this.id, false); }

  // Asked: whether somebody opened it just now.
  async open(id, asked = true) {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking, held = this.section.contains(document.activeElement);
    if (this.id === null) this.from = document.activeElement;
    this.id = id;
    const place = this.map.places?.get(id);
    this.map.current = place ?? null;
    try {
      this.show(place === undefined ? await ask(`v1/records/${encodeURIComponent(id)}`, null, signal) : this.known(place));
      if (asked) bringFirst(this.section);
      // The button that opened it may have been in the part that was made anew.
      if (held) this.section.querySelector("h2").focus();
      await Promise.all([this.near(signal), this.extra(signal), this.judge(signal)]);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.section.replaceChildren(make("article", { class: "card" }, this.head(), notice(problem)));
      if (asked) bringFirst(this.section);
    }
  }

  known(i) {
    const { ids, texts, labels, splits, predicted, agreement } = this.map.columns;
    return { id: ids[i], text: texts[i], label: labels[i], split: splits[i], predicted: predicted?.[i], agreement: agreement?.[i] };
  }

  named(label) { return make("span", { class: "name" }, mark(this.shown.look(label)), named(label)); }

  head() {
    return make("header", {}, make("h2", { tabindex: -1 }, "Record"),
      make("button", { type: "button", class: "quiet", on: { click: () => this.close() } }, "Close"));
  }

  show(one) {
    const { predicted, agreement } = one;
    this.score = make("dd", { id: "score" }, make("span", { class: "muted" }, "…"));
    this.list = make("div", { class: "near" }, make("h3", {}, "Nearest"), make("div", { class: "busy" }));
    this.facts = facts([
      ["label", this.named(one.label)],
      ["split", one.split],
      ["id", make("code", {}, one.id)],
      predicted === undefined ? null : ["neighbors vote for", this.named(predicted)],
      agreement === undefined ? null : ["agreement", `${percent(agreement)} of the 8 nearest`],
    ]);
    this.facts.append(make("dt", {}, "label error"), this.score);
    this.section.replaceChildren(make("article", { class: "card" }, this.head(), make("p", { class: "quoted" }, one.text), this.facts, this.list));
    say(`Record ${one.id} is open: ${named(one.label)}`);
  }

  // Its neighbors pass the same filters as the map.
  async near(signal) {
    const { label, split } = this.map.filter, { list } = this;
    const body = { id: this.id, k: NEIGHBORS, ...(label && { label }), ...(split && { split }) };
    const answer = await ask("v1/search", body, signal).catch((problem) => {
      if (problem.name === "AbortError") throw problem;
      list.replaceChildren(make("h3", {}, "Nearest"), notice(problem));
    });
    if (!answer) return;
    list.replaceChildren(make("h3", {}, "Nearest ", make("span", { class: "muted" }, exactness(answer))),
      neighborList(this.shown, answer.neighbors));
    if (this.map.current !== null) this.map.join("record", this.map.current, answer.neighbors.map((one) => one.id));
  }

  // Other columns of its dataset.
  async extra(signal) {
    // An id like ".." is no address that a browser asks for: then there is nothing to add.
    const { extra } = await ask(`v1/records/${encodeURIComponent(this.id)}`, null, signal).catch(() => ({ extra: {} }));
    if (!signal.aborted) this.facts.append(...facts(Object.entries(extra).map(([name, value]) => [name, plain(value)])).childNodes);
  }

  async judge(signal) {
    const { id, score } = this;
    const tell = (text, ...before) => { if (!signal.aborted) score.replaceChildren(...before, make("span", { class: "muted" }, text)); };
    try {
      const audit = await report("audit", (problem) => tell(problem.wait > 60 ? problem.what : "The audit is being made…"));
      const own = audit.label_probabilities[id];
      if (own === undefined) tell("not judged: it has no label, or too few records share it");
      else tell(`· ${suspicion(audit, id)}`, `${percent(own)} for its label `);
    } catch (problem) {
      tell(problem.what);
    }
  }

  close() {
    this.asking?.abort();
    this.id = null;
    this.section.hidden = true;
    this.section.replaceChildren();
    this.map.part("record");
    // Back to where it was opened from, if that is still there.
    (this.from?.isConnected && this.from !== document.body ? this.from : this.map.surface).focus();
  }
}
