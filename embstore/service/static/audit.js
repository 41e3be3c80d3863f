// The tab of the audit: its suspects, to step through with the keyboard.

import { report } from "./api.js";
import { element, facts, make, say } from "./elements.js";
import { mark } from "./marks.js";
import { neighborList } from "./neighbors.js";
import { loading, notice } from "./notices.js";
import { currentTab } from "./tabs.js";
import { count, named, percent, records, shortened } from "./words.js";

const STEPS = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
const TYPING = "input, textarea, select, dialog";

const findings = ({ conflicts, duplicates, leakage, outliers, truncated }) => facts([
  ["same text, other labels", `${count(conflicts.groups)} groups`],
  ["texts that stand twice", `${count(duplicates.groups)} groups`],
  ...leakage.map((one) => [`${one.split} in ${one.stands_in}`, `${count(one.exact)} of ${count(one.records)} texts, ${count(one.near)} more nearly so`]),
  ["far from all others", records(outliers.records)],
  ["longer than the encoder reads", records(truncated)],
]);

const summary = ({ label_errors: errors, ...audit }, store) => make("article", { class: "card lead overview" },
  make("div", {}, make("p", { class: "muted" }, "Which labels are wrong?"),
    make("h2", {}, errors.estimate === null ? "Labels were not judged" : `About ${count(errors.estimate)} labels look wrong`),
    make("p", {}, errors.estimate === null ? "That takes two labels of two records each."
      : `That is ${percent(errors.share)} of the ${count(errors.judged)} that were judged.`),
    errors.note ? make("p", { class: "flag" }, errors.note) : null),
  make("div", {}, findings(audit),
    make("p", { class: "muted small" }, "To correct labels, write them to a file, fill in new_label, and hand it back:"),
    make("pre", { class: "paste", tabindex: 0 }, `embstore audit -s ${store} --output review.csv\nembstore relabel review.csv -s ${store}`)));

const chance = (title, label, probability, look, kind) => {
  const filled = make("span", { class: `filled ${kind}` });
  filled.style.width = `${100 * (probability ?? 0)}%`;
  return make("div", { class: "claim" }, make("p", { class: "muted small" }, title),
    make("p", {}, make("span", { class: "name" }, mark(look(label)), make("strong", {}, named(label)))),
    make("span", { class: "bar", "aria-hidden": "true" }, filled), make("p", { class: "number" }, percent(probability)));
};

export class Suspects {
  // `shown` has look(label) and open(id).
  constructor(shown) {
    Object.assign(this, { shown, rows: [], at: 0, store: "" });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async show(again = false) {
    const panel = element("panel-audit");
    if (panel.childElementCount && !again) return;
    panel.replaceChildren(loading("Asking for the audit…"));
    try {
      this.fill(panel, await report("audit", (problem) => panel.replaceChildren(notice(problem))));
    } catch (problem) {
      panel.replaceChildren(notice(problem));
    }
  }

  fill(panel, audit) {
    this.rows = audit.label_errors.rows;
    // More are counted than listed.
    this.all = `${this.rows.length < audit.listed ? "" : "the first "}${count(this.rows.length)}`;
    this.list = make("ul", { id: "suspects", role: "listbox", tabindex: 0, "aria-label": "Suspects, worst first" },
      this.rows.map((row, place) => this.option(row, place)));
    this.detail = make("article", { class: "card", id: "suspect", "aria-label": "Suspect" });
    panel.replaceChildren(make("div", { class: "column" }, summary(audit, this.store), this.rows.length
      ? make("div", { class: "suspects" }, make("div", { class: "listed" },
        make("p", { class: "muted small" }, "Step with the arrow keys or j and k; Enter opens on the map."), this.list), this.detail)
      : make("p", { class: "card muted" }, "No label is suspected.")));
    if (this.rows.length) this.go(0);
  }

  option(row, place) {
    const { look } = this.shown;
    return make("li", { role: "option", id: `suspect-${place}`, "aria-selected": "false", on: { click: () => this.go(place) } },
      make("span", { class: "number muted" }, count(place + 1)),
      make("span", { class: "text" }, shortened(row.text, 120)),
      make("span", { class: "name" }, mark(look(row.label)), `${row.label} → `, mark(look(row.suggested)), row.suggested));
  }

  go(place) {
    this.at = Math.max(0, Math.min(this.rows.length - 1, place));
    const row = this.rows[this.at];
    this.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    const option = this.list.children[this.at];
    option.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
    this.detail.replaceChildren(...this.shownRow(row));
    say(`Suspect ${this.at + 1} of ${this.all}: ${shortened(row.text, 300)}. Given ${row.label}, rather ${row.suggested}`);
  }

  shownRow(row) {
    const { look, open } = this.shown;
    return [
      make("header", {}, make("h2", {}, `Suspect ${count(this.at + 1)} of ${this.all}`),
        make("span", { class: "buttons" },
          make("button", { type: "button", "aria-label": "Suspect before", on: { click: () => this.go(this.at - 1) } }, "↑"),
          make("button", { type: "button", "aria-label": "Next suspect", on: { click: () => this.go(this.at + 1) } }, "↓"))),
      make("p", { class: "quoted" }, row.text),
      make("p", { class: "muted small" }, make("code", {}, row.id), ` · ${row.split}`),
      make("div", { class: "claims" }, chance("Given label", row.label, row.label_probability, look, "given"),
        chance("Suggested label", row.suggested, row.suggested_probability, look, "suggested")),
      make("button", { type: "button", on: { click: () => open(row.id) } }, "Open on the map"),
      make("h3", {}, "Evidence: its neighbors"),
      neighborList(this.shown, row.neighbors),
    ];
  }

  key(event) {
    if (currentTab() !== "audit" || !this.rows.length || event.target.closest(TYPING) || event.ctrlKey || event.metaKey || event.altKey) return;
    const ends = { Home: 0, End: this.rows.length - 1 };
    if (STEPS[event.key]) this.go(this.at + STEPS[event.key]);
    else if (event.key in ends && event.target === this.list) this.go(ends[event.key]);
    else if (event.key === "Enter" && event.target === this.list) this.shown.open(this.rows[this.at].id);
    else return;
    event.preventDefault();
  }
}
