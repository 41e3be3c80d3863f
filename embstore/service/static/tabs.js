// Tabs as the ARIA practices have them: one is in the order of the Tab key, arrows go to the others.

import { element } from "./elements.js";

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

const shown = new Map();
const tabs = () => [...document.querySelectorAll("[role=tab]")];
const panel = (tab) => element(tab.getAttribute("aria-controls"));

export const currentTab = () => tabs().find((tab) => tab.getAttribute("aria-selected") === "true").id.slice("tab-".length);

export const showTab = (name, focus = false) => {
  for (const tab of tabs()) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    panel(tab).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  // So that a view has an address, and the way back leads out of the page and not through its tabs.
  history.replaceState(null, "", name === "map" ? location.pathname : `#${name}`);
  shown.get(name)?.();
};

// Calls back each time a tab is shown.
export const onShow = (name, react) => shown.set(name, react);

export const startTabs = () => {
  const all = tabs();
  all.forEach((tab, place) => {
    tab.addEventListener("click", () => showTab(tab.id.slice("tab-".length)));
    tab.addEventListener("keydown", (event) => {
      const step = KEYS[event.key];
      const next = step ? (place + step + all.length) % all.length : { Home: 0, End: all.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      showTab(all[next].id.slice("tab-".length), true);
    });
  });
  const asked = location.hash.slice(1);
  showTab(element(`tab-${asked}`) ? asked : "map");
};
