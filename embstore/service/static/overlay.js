// What lies over the points: lines to neighbors, the neighbors themselves, and the place of a typed text.

import { draw } from "./elements.js";

const STAR = "M0-12L2.9-3.9 11.5-3.7 4.7 1.5 7.1 9.7 0 4.8-7.1 9.7-4.7 1.5-11.5-3.7-2.9-3.9z";
const KINDS = ["query", "record", "cursor"];
// Points lie above lines, and where lines start from above both.
const LAYERS = ["casing", "line", "near-point", "ring", "star", "yours"];

export class Overlay {
  constructor(svg) {
    this.svg = svg;
    this.placed = [];
    this.kinds = new Map();
  }

  // Whether something is joined, so that the other points may step back.
  get joins() { return this.kinds.has("query") || this.kinds.has("record"); }

  // A kind is what lines start from: "query" or "record". From and to have a place of the projection and a color.
  put(kind, from, to) {
    // A pale edge keeps a line apart from the points that it crosses.
    const lines = to.flatMap(({ place }) => ["casing", `line ${kind}`].map((name) => this.piece("line", { class: name }, from.place, place)));
    this.kinds.set(kind, [...lines, ...to.map((one) => this.dot(one)), ...this.start(kind, from)]);
    this.arrange();
  }

  dot({ place, color }) {
    return this.piece("circle", { class: `near-point${color === "#000000" ? " black" : ""}`, r: 5.5, fill: color }, place);
  }

  start(kind, from) {
    if (kind === "record") return [this.dot(from), this.piece("circle", { class: "ring chosen", r: 10 }, from.place)];
    const words = this.piece("text", { class: "yours", dx: 16, dy: 5 }, from.place);
    words.node.textContent = "your text";
    return [this.piece("path", { class: "star", d: STAR }, from.place), words];
  }

  point(place) {
    this.kinds.set("cursor", place ? [this.piece("circle", { class: "ring cursor", r: 8 }, place)] : []);
    this.arrange();
  }

  drop(kind) {
    this.kinds.delete(kind);
    this.arrange();
  }

  piece(tag, properties, ...places) {
    return { tag, node: draw(tag, properties), places };
  }

  arrange() {
    const all = KINDS.flatMap((kind) => this.kinds.get(kind) ?? []);
    this.placed = LAYERS.flatMap((layer) => all.filter(({ node }) => node.classList.contains(layer)));
    this.svg.replaceChildren(...this.placed.map((one) => one.node));
  }

  draw(view) {
    for (const { tag, node, places } of this.placed) {
      const [[x, y], end] = places.map((place) => view.pixel(...place));
      if (tag === "line") {
        for (const [name, value] of [["x1", x], ["y1", y], ["x2", end[0]], ["y2", end[1]]]) node.setAttribute(name, value);
      } else {
        node.setAttribute("transform", `translate(${x} ${y})`);
      }
    }
  }
}
