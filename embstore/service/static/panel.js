// The panel beside the map: what was asked last stands first, below the field.

import { element } from "./elements.js";

export const bringFirst = (section) => {
  const field = element("ask"), panel = field.parentNode;
  // What holds the focus is not moved, for it would lose it; it is first then anyway.
  if (field.nextElementSibling !== section) field.after(section);
  section.hidden = false;
  element("hint").hidden = true;
  panel.scrollTop = 0;
  // In one column the whole page scrolls: only for who is down there, not for who touches the map.
  if (panel.contains(document.activeElement) && panel.scrollHeight <= panel.clientHeight) field.scrollIntoView({ block: "start" });
};
