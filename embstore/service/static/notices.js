// What stands in the place of something that is not there yet, or cannot be.

import { make } from "./elements.js";

const pasted = (fix) => (fix ? make("pre", { class: "paste", tabindex: 0 }, fix) : null);

// Being made: it comes by itself.
const waited = (problem) => make("div", { class: "notice" },
  make("p", {}, make("strong", {}, problem.what)),
  problem.why ? make("p", { class: "muted" }, problem.why) : null,
  // Where it takes minutes to be worth asking again, something must be mended first.
  problem.wait > 60 ? pasted(problem.fix) : make("div", { class: "busy" }),
  make("p", { class: "muted" }, `Asked again every ${problem.wait} seconds.`));

const refused = (problem) => make("div", { class: "notice" },
  make("p", {}, make("strong", {}, problem.what ?? String(problem))),
  problem.why ? make("p", { class: "muted" }, problem.why) : null,
  pasted(problem.fix));

export const notice = (problem) => (problem.wait ? waited(problem) : refused(problem));

export const loading = (text) => make("div", { class: "notice" }, make("p", { class: "muted" }, text), make("div", { class: "busy" }));
