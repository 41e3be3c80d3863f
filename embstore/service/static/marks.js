// The marks of points: the same outlines in a legend as the shader of points.js draws.

import { draw } from "./elements.js";

const ROUND = (radius) => `M${-radius} 0a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0z`;
const BOX = (half) => `M${-half} ${-half}h${2 * half}v${2 * half}h${-2 * half}z`;
const TILTED = (half) => `M0 ${-half}L${half} 0L0 ${half}L${-half} 0z`;
const PLUS = "M-.28-.85h.56v.57h.57v.56h-.57v.57h-.56v-.57h-.57v-.56h.57z";

// In the order of the shader's numbers.
export const SHAPES = [
  { name: "circle", path: ROUND(0.8) },
  { name: "triangle", path: "M0-.8L.87.7H-.87z" },
  { name: "square", path: BOX(0.7) },
  { name: "diamond", path: TILTED(0.95) },
  { name: "triangle down", path: "M0 .8L.87-.7H-.87z" },
  { name: "plus", path: PLUS },
  { name: "cross", path: PLUS, turned: true },
  { name: "ring", path: ROUND(0.85) + ROUND(0.4) },
  { name: "open square", path: BOX(0.75) + BOX(0.36) },
  { name: "open diamond", path: TILTED(1) + TILTED(0.45) },
];

// A mark as it stands beside a name.
export const mark = ({ color, shape }) => {
  const { path, turned } = SHAPES[shape];
  return draw("svg", { class: "mark", viewBox: "-1 -1 2 2", "aria-hidden": "true" },
    // Black is no color on a black page: the style sheet knows when.
    draw("path", { d: path, fill: color, class: color === "#000000" ? "black" : null, "fill-rule": "evenodd", transform: turned ? "rotate(45)" : null }));
};
