// The page as a whole: reads the store and its map, and lets its parts know of each other.

import { ask, forgetReports, onChange, report } from "./api.js";
import { Suspects } from "./audit.js";
import { Coloring, plainLook, TITLES } from "./colors.js";
import { showCompare } from "./compare.js";
import { element, make, say } from "./elements.js";
import { fly, land } from "./flight.js";
import { showLegend } from "./legend.js";
import { RecordMap } from "./map.js";
import { loading, notice } from "./notices.js";
import { Query } from "./query.js";
import { OpenRecord } from "./record.js";
import { currentTab, onShow, showTab, startTabs } from "./tabs.js";
import { onDarkness } from "./theme.js";
import { count, records } from "./words.js";

export const map = new RecordMap();

const shown = {
  look: (label) => map.coloring?.ofLabel(label) ?? plainLook(label),
  open: (id) => {
    if (currentTab() !== "map") showTab("map", true);
    const place = map.places?.get(id);
    if (place !== undefined) map.reveal(place);
    record.open(id);
  },
};

const query = new Query(map, shown);
const record = new OpenRecord(map, shown);
const suspects = new Suspects(shown);

const tell = (...content) => element("map-notice").replaceChildren(...content);

const told = () => {
  element("shown").value = map.shownCount === map.n ? records(map.n) : `${count(map.shownCount)} of ${records(map.n)}`;
  showLegend(map, choose);
};

const choose = (kind, value) => {
  element(`filter-${kind}`).value = value;
  filter();
};

const filter = () => {
  map.filter = { label: element("filter-label").value, split: element("filter-split").value };
  map.paint();
  if (map.coloring) told();
  say(map.columns ? `${records(map.shownCount)} shown` : "");
  query.again();
  record.again();
};

const options = (select, values) => {
  const before = select.value;
  select.replaceChildren(new Option("all", ""), ...values.map(({ name, n }) => new Option(`${name} (${count(n)})`, name)));
  // A filter survives a newer state of the store, if it still means something.
  select.value = values.some(({ name }) => name === before) ? before : "";
};

const showStore = (store) => {
  document.title = `${store.name} · embstore`;
  element("store").textContent = store.name;
  element("facts").textContent = [records(store.n), store.encoder.model, `${store.dim} dimensions`].join(" · ");
  options(element("filter-label"), store.labels);
  options(element("filter-split"), store.splits);
  suspects.store = store.name;
  query.store = store;
};

const showMap = (columns) => {
  const coloring = new Coloring(columns), select = element("color"), before = select.value;
  select.replaceChildren(...coloring.names.map((name) => new Option(TITLES[name], name)));
  coloring.name = select.value = coloring.names.includes(before) ? before : "label";
  map.load(columns, coloring);
  tell(...(map.problem ? [notice(map.problem)] : []));
  filter();
};

let loads = 0;

const load = async (newer = null) => {
  loads += 1;
  const mine = loads;
  const wait = (problem) => mine === loads && tell(notice(problem));
  tell(loading("Asking for the map…"));
  try {
    const store = newer ?? (await report("stores", wait)).stores[0];
    if (mine === loads) showStore(store);
    const columns = await report("map", wait);
    // Of a state that a newer one has replaced meanwhile.
    if (mine === loads) showMap(columns);
  } catch (problem) {
    if (mine === loads) tell(notice(problem), make("button", { type: "button", on: { click: again } }, "Ask again"));
  }
};

element("color").addEventListener("change", () => {
  map.coloring.name = element("color").value;
  map.paint();
  told();
});
element("filter-label").addEventListener("change", filter);
element("filter-split").addEventListener("change", filter);
const zoom = (factor) => () => {
  land();
  map.view.zoomAt(map.view.width / 2, map.view.height / 2, factor);
  map.redraw();
};
element("zoom-in").addEventListener("click", zoom(1.5));
element("zoom-out").addEventListener("click", zoom(1 / 1.5));
element("zoom-all").addEventListener("click", () => fly(map, map.view.wholeView()));
map.onOpen = shown.open;
map.onLetGo = () => { if (record.id !== null) record.close(); };
onDarkness(() => map.paint());
onShow("compare", () => showCompare());
onShow("audit", () => suspects.show());
onShow("map", () => map.resize());

const again = () => {
  forgetReports();
  load();
};

// A build has finished: everything is asked for anew. Where records and labels are the same, a head was fitted
// or a report kept: map and reports stay as they are.
onChange(async () => {
  const store = await ask("v1/stores").then(({ stores }) => stores[0], () => null);
  const before = query.store;
  // Of two answers on their way the older one may come last.
  if (store?.generation < before?.generation) return;
  if (before && store?.content === before.content) {
    showStore(store);
    if (JSON.stringify(store.heads) !== JSON.stringify(before.heads)) query.again();
    return;
  }
  forgetReports();
  load(store);
  for (const name of ["compare", "audit"]) element(`panel-${name}`).replaceChildren();
  showTab(currentTab());
});

startTabs();
load();
