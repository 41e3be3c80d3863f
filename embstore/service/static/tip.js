// The text of the point that is pointed at, beside it.

import { element, make } from "./elements.js";
import { mark } from "./marks.js";
import { named, shortened } from "./words.js";

const AWAY = 14;

export const showTip = (map, i) => {
  const tip = element("tip"), { columns, view } = map;
  const label = columns.labels[i];
  tip.replaceChildren(
    make("p", {}, shortened(columns.texts[i], 240)),
    make("p", { class: "name" }, mark(map.coloring.ofLabel(label)), named(label)),
  );
  tip.hidden = false;
  const [right, down] = map.pixelOf(i);
  const { offsetWidth: width, offsetHeight: height } = tip;
  // On the other side where there is no room.
  const left = right + AWAY + width < view.width ? right + AWAY : Math.max(4, right - AWAY - width);
  const top = down + AWAY + height < view.height ? down + AWAY : Math.max(4, down - AWAY - height);
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
};

export const hideTip = () => { element("tip").hidden = true; };
