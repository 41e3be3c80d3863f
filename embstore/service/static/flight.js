// Moves the view from one place to another, so that the eye can follow.

const LASTS = 350;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const eased = (part) => part * part * (3 - 2 * part);
const between = (from, to, part) => from + (to - from) * part;

let current = null;

// A hand on the map ends a flight.
export const land = () => { current = null; };

// `to` has x, y and scale. Where the reader's system asks for less motion the view is there at once.
export const fly = (map, to) => {
  const { x, y, scale } = map.view, begun = performance.now();
  const step = (now) => {
    if (current !== step) return;
    const part = calm.matches ? 1 : eased(Math.min(1, Math.max(0, (now - begun) / LASTS)));
    // At its end it is there exactly, whatever the sums on the way are rounded to.
    Object.assign(map.view, part < 1 ? {
      x: between(x, to.x, part),
      y: between(y, to.y, part),
      scale: Math.exp(between(Math.log(scale), Math.log(to.scale), part)),
    } : to);
    map.redraw();
    if (part < 1) requestAnimationFrame(step);
  };
  current = step;
  step(begun);
};
