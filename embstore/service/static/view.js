// Where the map is looked at: the place in its middle, and pixels for a unit of the projection.

const MARGIN = 24;
const NEAREST = 400;

export class View {
  constructor() {
    Object.assign(this, { x: 0, y: 0, scale: 1, whole: 1, width: 1, height: 1, box: [0, 0, 1, 1] });
  }

  // The room that there is; what is in the middle stays there.
  resize(width, height) {
    const zoom = this.scale / this.whole;
    Object.assign(this, { width: Math.max(1, width), height: Math.max(1, height) });
    this.whole = this.fitting();
    this.scale = this.whole * zoom;
  }

  // The box that holds all places, x and y one after the other.
  hold(places) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < places.length; i += 2) {
      box[0] = Math.min(box[0], places[i]);
      box[1] = Math.min(box[1], places[i + 1]);
      box[2] = Math.max(box[2], places[i]);
      box[3] = Math.max(box[3], places[i + 1]);
    }
    this.box = box;
    this.all();
  }

  all() {
    const [left, bottom, right, top] = this.box;
    this.whole = this.fitting();
    Object.assign(this, { x: (left + right) / 2, y: (bottom + top) / 2, scale: this.whole });
  }

  fitting() {
    const [left, bottom, right, top] = this.box;
    const room = (length, extent) => Math.max(1, length - 2 * MARGIN) / Math.max(1e-6, extent);
    return Math.min(room(this.width, right - left), room(this.height, top - bottom));
  }

  get zoom() { return this.scale / this.whole; }

  // Pixels from the upper left corner.
  pixel(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  move(right, down) {
    this.x -= right / this.scale;
    this.y += down / this.scale;
  }

  // The place below a pixel stays there.
  zoomAt(right, down, factor) {
    const scale = Math.min(this.whole * NEAREST, Math.max(this.whole * 0.5, this.scale * factor));
    const kept = 1 / this.scale - 1 / scale;
    this.x += (right - this.width / 2) * kept;
    this.y -= (down - this.height / 2) * kept;
    this.scale = scale;
  }

  // Brings a place that is out of sight to the middle.
  reveal(x, y) {
    const [right, down] = this.pixel(x, y);
    const inside = right > MARGIN && down > MARGIN && right < this.width - MARGIN && down < this.height - MARGIN;
    if (!inside) Object.assign(this, { x, y });
    return !inside;
  }
}
