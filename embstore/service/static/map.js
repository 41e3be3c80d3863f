// The map: where each record lies, what is shown of it, and what is pointed at.

import { listenToKeys } from "./cursor.js";
import { element, say } from "./elements.js";
import { fly } from "./flight.js";
import { listen } from "./gestures.js";
import { Overlay } from "./overlay.js";
import { Points } from "./points.js";
import { hideTip, showTip } from "./tip.js";
import { View } from "./view.js";
import { named, shortened } from "./words.js";

const NO_WEBGL = {
  what: "The points cannot be drawn.",
  why: "This browser has no WebGL 2; everything else on this page works.",
  fix: "",
};

export class RecordMap {
  constructor() {
    this.surface = element("map");
    this.view = new View();
    this.overlay = new Overlay(element("overlay"));
    this.points = new Points(element("points"), () => this.redraw());
    this.columns = null;
    this.joined = new Map();
    // Rows of the columns: what the keyboard or the pointer is at, and the record that is open.
    this.cursor = this.current = null;
    this.filter = { label: "", split: "" };
    this.onOpen = this.onLetGo = () => {};
    listen(this.surface, this);
    listenToKeys(this.surface, this);
    this.surface.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.resize()).observe(this.surface);
  }

  get problem() { return this.points.works ? null : NO_WEBGL; }

  get n() { return this.columns?.ids.length ?? 0; }

  load(columns, coloring) {
    // Lines of another state of the store lead nowhere.
    for (const kind of ["query", "record"]) this.part(kind);
    this.columns = columns;
    this.coloring = coloring;
    this.places = new Map(columns.ids.map((id, i) => [id, i]));
    const places = new Float32Array(2 * columns.x.length);
    columns.x.forEach((x, i) => places.set([x, columns.y[i]], 2 * i));
    this.cursor = this.current = null;
    this.resize();
    this.view.hold(places);
    if (this.points.works) this.points.put(places);
    this.paint();
  }

  resize() {
    const { width, height } = this.surface.getBoundingClientRect();
    // A tab that is hidden has no size; the view stays as it was.
    if (!width || !height) return;
    this.view.resize(width, height);
    this.redraw();
  }

  paint() {
    if (!this.columns) return;
    const { labels, splits } = this.columns, { label, split } = this.filter;
    this.shown = Uint8Array.from(labels, (own, i) => Number((!label || own === label) && (!split || splits[i] === split)));
    if (this.points.works) this.points.paint(this.coloring.paint(), this.shown);
    for (const [kind, { from, ids }] of this.joined) this.join(kind, from, ids);
    this.redraw();
  }

  get shownCount() { return this.shown?.reduce((sum, one) => sum + one, 0) ?? 0; }

  redraw() {
    if (!this.columns || this.asked) return;
    // At most once a frame, however fast the pointer is.
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      if (this.points.works) this.points.draw(this.view, this.size, this.overlay.joins);
      this.overlay.draw(this.view);
      this.surface.dataset.ready = "yes";
    });
  }

  // Of a point, in pixels: small where there are many, larger where one looks closer.
  get size() {
    const plain = Math.min(9, Math.max(3.5, 700 / Math.sqrt(this.n)));
    return Math.min(16, plain * Math.max(1, this.view.zoom) ** 0.35);
  }

  placeOf(i) { return [this.columns.x[i], this.columns.y[i]]; }

  pixelOf(i) { return this.view.pixel(...this.placeOf(i)); }

  eachShown(take) {
    if (!this.columns) return;
    const { view, shown } = this, { x, y } = this.columns;
    for (let i = 0; i < shown.length; i += 1) if (shown[i]) take(i, view.right(x[i]), view.down(y[i]));
  }

  // The nearest point that is shown, no further away than `reach` pixels, or null.
  nearest(right, down, reach) {
    let best = null, least = reach;
    this.eachShown((i, x, y) => {
      const away = Math.hypot(x - right, y - down);
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  pick(right, down, reach) {
    const found = this.nearest(right, down, reach);
    if (found === null) return;
    // A finger does not hover: it sees the text now.
    this.mark(found);
    this.open(found);
  }

  // What a pointer is over.
  point(right, down) {
    this.mark(right === null ? null : this.nearest(right, down, Math.max(5, this.size)));
  }

  // Where the keyboard goes.
  goTo(i) {
    // At once: the next step starts from there.
    if (!this.view.sees(...this.placeOf(i))) [this.view.x, this.view.y] = this.placeOf(i);
    this.mark(i);
    say(`${named(this.columns.labels[i])}: ${shortened(this.columns.texts[i], 300)}`);
  }

  mark(i) {
    if (this.cursor === i && i === null) return;
    this.cursor = i;
    this.overlay.point(i === null ? null : this.placeOf(i));
    if (i === null) hideTip();
    else showTip(this, i);
    this.redraw();
  }

  open(i) { this.onOpen(this.columns.ids[i]); }

  letGo() {
    if (this.cursor === null) this.onLetGo();
    this.mark(null);
  }

  // Lines from a record (its row), or from where a text belongs (a place), to its neighbors.
  join(kind, from, ids) {
    this.joined.set(kind, { from, ids });
    const marked = (i) => ({ place: this.placeOf(i), color: this.coloring.colorOf(i) });
    this.overlay.put(kind, Array.isArray(from) ? { place: from } : marked(from), this.known(ids).map(marked));
    this.redraw();
  }

  // Rows of those records that are on the map.
  known(ids) { return ids.map((id) => this.places.get(id)).filter((i) => i !== undefined); }

  // Looks at a text and its neighbors.
  frame(from, ids) {
    fly(this, this.view.framing([from, ...this.known(ids).map((i) => this.placeOf(i))]));
  }

  // Brings a record that is out of sight to the middle.
  reveal(i) {
    const [x, y] = this.placeOf(i);
    if (!this.view.sees(x, y)) fly(this, { x, y, scale: this.view.scale });
  }

  part(kind) {
    this.joined.delete(kind);
    this.overlay.drop(kind);
    if (kind === "record") this.current = null;
    this.redraw();
  }
}
