// Drag, wheel, pinch and click on the map, turned into moves of the view.

import { land } from "./flight.js";

const STILL = 5;
const LINE = 16;

const middle = (points) => [0, 1].map((axis) => points.reduce((sum, one) => sum + one[axis], 0) / points.length);
const spread = ([a, b]) => (b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0);

// `map` has view, redraw(), pick(right, down, reach) and point(right, down) or point(null).
export const listen = (surface, map) => {
  const held = new Map();
  let moved = 0;

  const at = (event) => {
    const box = surface.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  surface.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    land();
    surface.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at(event));
    if (held.size === 1) moved = 0;
  });

  surface.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) {
      if (event.pointerType === "mouse") map.point(...at(event));
      return;
    }
    const before = [...held.values()];
    held.set(event.pointerId, at(event));
    const now = [...held.values()];
    const [from, to] = [middle(before), middle(now)];
    moved += Math.hypot(to[0] - from[0], to[1] - from[1]) + (held.size > 1 ? STILL : 0);
    // A hand that clicks shakes a little: nothing moves before it is a drag.
    if (moved < STILL) return;
    map.point(null);
    map.view.move(to[0] - from[0], to[1] - from[1]);
    if (held.size === 2 && spread(before)) map.view.zoomAt(...to, spread(now) / spread(before));
    map.redraw();
  });

  const release = (event) => {
    if (!held.delete(event.pointerId) || held.size || moved >= STILL) return;
    if (event.type === "pointerup") map.pick(...at(event), event.pointerType === "mouse" ? 8 : 20);
  };
  surface.addEventListener("pointerup", release);
  surface.addEventListener("pointercancel", release);
  // A finger that is lifted leaves too, and what it tapped stays.
  surface.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && map.point(null));

  surface.addEventListener("wheel", (event) => {
    event.preventDefault();
    land();
    const turned = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
    map.view.zoomAt(...at(event), Math.exp(-Math.max(-200, Math.min(200, turned)) / 400));
    map.point(null);
    map.redraw();
  }, { passive: false });
};
