// Which color and mark each point has: the same as in the pictures that embstore draws.

import { NO_LABEL } from "./words.js";
import { SHAPES } from "./marks.js";
import { isDark, visible } from "./theme.js";

// Okabe and Ito's colors (Color Universal Design, 2008, https://jfly.uni-koeln.de/color/).
export const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#9a8700"];
const GRAY = "#8b949e";
const COLUMNS = { label: "labels", split: "splits" };
// From blue to amber, told apart in all kinds of color vision; each end is seen on its own page.
const SCALE = { light: ["#17366f", "#7c7b78", "#d9a300"], dark: ["#4f8fe6", "#949494", "#ffe04a"] };
export const TITLES = {
  label: "label", split: "split", predicted: "predicted label", agreement: "agreement of neighbors",
};

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

const mixed = (share) => {
  const [low, middle, high] = SCALE[isDark() ? "dark" : "light"].map(channels);
  const [from, to, part] = share < 0.5 ? [low, middle, 2 * share] : [middle, high, 2 * share - 1];
  return from.map((value, i) => Math.round(value + (to[i] - value) * part));
};

// Most frequent first, records without one last; more than there are colors share a color, never a mark too.
const ranked = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => (a[0] === null) - (b[0] === null) || b[1] - a[1]).map(([name]) => name);
};

const look = (name, rank) => ({
  name,
  title: name ?? NO_LABEL,
  color: name === null ? GRAY : COLORS[rank % COLORS.length],
  shape: name === null ? 0 : Math.floor(rank / COLORS.length) % SHAPES.length,
});

// Before anything is known of the labels.
export const plainLook = (label) => ({ ...look(label, 0), color: GRAY });

// The looks of the labels, and how the points are colored by each column.
export class Coloring {
  constructor(columns) {
    this.columns = columns;
    this.names = Object.keys(TITLES).filter((name) => columns[COLUMNS[name] ?? name]);
    this.labels = new Map(ranked(columns.labels).map((name, rank) => [name, look(name, rank)]));
    this.splits = new Map(ranked(columns.splits).map((name, rank) => [name, look(name, rank)]));
    this.name = "label";
  }

  get isScale() { return this.name === "agreement"; }

  // A predicted label looks as the label does.
  get looks() { return this.name === "split" ? this.splits : this.labels; }

  get values() { return this.columns[COLUMNS[this.name] ?? this.name]; }

  ofLabel(label) { return this.labels.get(label) ?? plainLook(label); }

  // The color of a point, as a style sheet has it.
  colorOf(i) { return this.isScale ? `rgb(${mixed(this.values[i])})` : this.looks.get(this.values[i]).color; }

  // Red, green, blue and mark of each point, four numbers a point.
  paint() {
    const painted = new Uint8Array(4 * this.values.length);
    const known = new Map([...this.looks].map(([name, one]) => [name, [...channels(visible(one.color)), one.shape]]));
    this.values.forEach((value, i) => painted.set(this.isScale ? [...mixed(value), 0] : known.get(value), 4 * i));
    return painted;
  }
}
