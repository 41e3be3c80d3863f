// Where the map is looked at: the place in its middle, and pixels for a unit of the projection.

const MARGIN = 24;
const NEAREST = 400;
// Around what is framed, in pixels, and how much closer than the whole it is looked at.
const AROUND = 90;
const CLOSER = 8;

const boxOf = (places) => {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < places.length; i += 2) {
    box[0] = Math.min(box[0], places[i]);
    box[1] = Math.min(box[1], places[i + 1]);
    box[2] = Math.max(box[2], places[i]);
    box[3] = Math.max(box[3], places[i + 1]);
  }
  return box;
};

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

  // Places: x and y one after the other.
  hold(places) {
    this.box = boxOf(places);
    this.all();
  }

  // Where to look to see these places well, as x, y and scale.
  framing(places) {
    const box = boxOf(places.flat()), margin = Math.min(AROUND, this.width / 5, this.height / 5);
    const scale = Math.max(this.whole, Math.min(CLOSER * this.whole, this.fitting(box, margin)));
    return { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, scale };
  }

  all() {
    this.whole = this.fitting();
    Object.assign(this, this.wholeView());
  }

  wholeView() {
    const [left, bottom, right, top] = this.box;
    return { x: (left + right) / 2, y: (bottom + top) / 2, scale: this.whole };
  }

  fitting([left, bottom, right, top] = this.box, margin = MARGIN) {
    const room = (length, extent) => Math.max(1, length - 2 * margin) / Math.max(1e-6, extent);
    return Math.min(room(this.width, right - left), room(this.height, top - bottom));
  }

  get zoom() { return this.scale / this.whole; }

  // Pixels from the upper left corner.
  pixel(x, y) { return [this.right(x), this.down(y)]; }

  right(x) { return this.width / 2 + (x - this.x) * this.scale; }

  down(y) { return this.height / 2 - (y - this.y) * this.scale; }

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

  sees(x, y) {
    const [right, down] = this.pixel(x, y);
    return right > MARGIN && down > MARGIN && right < this.width - MARGIN && down < this.height - MARGIN;
  }
}
