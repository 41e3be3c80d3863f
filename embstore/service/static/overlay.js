// What lies over the points: lines to neighbors, rings around them, and the place of a typed text.

import { draw } from "./elements.js";

const STAR = "M0-9L2.2-2.9 8.6-2.8 3.5 1.1 5.3 7.3 0 3.6-5.3 7.3-3.5 1.1-8.6-2.8-2.2-2.9z";

export class Overlay {
  constructor(svg) {
    this.svg = svg;
    this.placed = [];
    this.kinds = new Map();
  }

  // A kind is what lines start from: "query" or "record". From and to are places of the projection.
  put(kind, from, to) {
    const lines = to.map((place) => this.piece("line", { class: `line ${kind}` }, from, place));
    const rings = to.map((place) => this.piece("circle", { class: `ring ${kind}`, r: 6 }, place));
    const heart = from && (kind === "query"
      ? this.piece("path", { class: "star", d: STAR }, from)
      : this.piece("circle", { class: "ring chosen", r: 9 }, from));
    this.kinds.set(kind, [...lines, ...rings, ...(heart ? [heart] : [])]);
    this.arrange();
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
    // The cursor above all, the record above the text.
    this.placed = ["query", "record", "cursor"].flatMap((kind) => this.kinds.get(kind) ?? []);
    this.svg.replaceChildren(...this.placed.map((one) => one.node));
  }

  draw(view) {
    for (const { tag, node, places } of this.placed) {
      const [[x, y], end] = places.map((place) => view.pixel(...place));
      if (tag === "line") {
        for (const [name, value] of [["x1", x], ["y1", y], ["x2", end[0]], ["y2", end[1]]]) node.setAttribute(name, value);
      } else if (tag === "path") {
        node.setAttribute("transform", `translate(${x} ${y})`);
      } else {
        node.setAttribute("cx", x);
        node.setAttribute("cy", y);
      }
    }
  }
}
