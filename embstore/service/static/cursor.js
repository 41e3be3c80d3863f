// The map by keyboard: arrows go from point to point, so that each can be reached without a pointer.

import { land } from "./flight.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SHIFT = 60;
// Nearer points than this are passed over: a step should be seen. Zooming in makes all of them reachable.
const SHORTEST = 6;

// The point that a step in a direction leads to: ahead, near, and rather straight on than aside.
const ahead = (map, from, [right, down]) => {
  let best = null, least = Infinity;
  map.eachShown((i, x, y) => {
    const along = (x - from[0]) * right + (y - from[1]) * down;
    const aside = Math.abs((x - from[0]) * down) + Math.abs((y - from[1]) * right);
    if (along < SHORTEST || aside > along) return;
    const cost = along + 2 * aside;
    if (cost < least) [best, least] = [i, cost];
  });
  return best;
};

// `map` has view, cursor, current, redraw(), eachShown(), nearest(), goTo(), open(), letGo().
export const listenToKeys = (surface, map) => {
  const step = (direction) => {
    const start = map.cursor ?? map.current;
    const from = start === null ? [map.view.width / 2, map.view.height / 2] : map.pixelOf(start);
    // The first step goes to the middle of what is seen, not past it.
    const next = start === null ? map.nearest(...from, Infinity) : ahead(map, from, direction);
    if (next !== null) map.goTo(next);
  };
  const zoom = (factor) => {
    const [right, down] = map.cursor === null ? [map.view.width / 2, map.view.height / 2] : map.pixelOf(map.cursor);
    map.view.zoomAt(right, down, factor);
    map.redraw();
  };
  const keys = {
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    0: () => { map.view.all(); map.redraw(); },
    Enter: () => map.cursor !== null && map.open(map.cursor),
    " ": () => map.cursor !== null && map.open(map.cursor),
    Escape: () => map.letGo(),
  };
  surface.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = STEPS[event.key];
    if (!direction && !keys[event.key]) return;
    event.preventDefault();
    land();
    if (direction && event.shiftKey) {
      map.view.move(-SHIFT * direction[0], -SHIFT * direction[1]);
      map.redraw();
    } else if (direction) {
      step(direction);
    } else {
      keys[event.key]();
    }
  });
};
