// Asks the service, and turns what it refuses into problems with what, why and fix.

import { askForKey } from "./key.js";

const KEPT = "embstore.key";
const BUSY_TRIES = 3;
const GONE = {
  what: "The service does not answer.",
  why: "It was stopped, or the network is down.",
  fix: "embstore serve",
};

export class Problem extends Error {
  constructor(status, told, wait = 0) {
    super(told.what || told.detail || `The service answered ${status}.`);
    this.status = status;
    this.what = this.message;
    this.why = told.why ?? "";
    this.fix = told.fix ?? "";
    // Seconds after which it is worth asking again; 0 where it is not.
    this.wait = wait;
  }
}

// A browser may refuse to keep anything: then the key lives as long as the page.
let key = "";
try {
  key = sessionStorage.getItem(KEPT) ?? "";
} catch {
  key = "";
}

const keep = (given) => {
  key = given;
  try {
    sessionStorage.setItem(KEPT, given);
  } catch {
    // It is in memory.
  }
};

const pause = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

let generation = null;
let changed = () => {};

// Calls back when the store that answers is of a newer generation than before.
export const onChange = (react) => { changed = react; };

const noticed = (answer) => {
  const found = answer.generation ?? answer.stores?.[0].generation;
  if (found === undefined) return;
  const before = generation;
  // An answer that was on its way while a newer one came says nothing new.
  generation = Math.max(found, before ?? found);
  if (before !== null && generation > before) changed();
};

const send = async (path, body, signal) => {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, GONE, 5);
  }
};

// Another request may have asked for the key meanwhile: then that one is tried first.
const keyed = async (used) => {
  if (key !== used) return;
  keep(await askForKey(used !== ""));
};

export const ask = async (path, body = null, signal = undefined) => {
  for (let tries = 1; ; tries += 1) {
    const used = key;
    const response = await send(path, body, signal);
    const wait = Number(response.headers.get("Retry-After")) || 0;
    // Accepted: what was asked for is being made.
    if (response.ok && response.status !== 202) {
      const answer = await response.json();
      noticed(answer);
      return answer;
    }
    const problem = new Problem(response.status, await response.json().catch(() => ({})), wait);
    if (response.status === 401) {
      await keyed(used).catch(() => { throw problem; });
    } else if (response.status === 429 && tries < BUSY_TRIES) {
      await pause(wait || 1);
    } else {
      throw problem;
    }
  }
};

const reports = new Map();

const made = async (kind, waiting) => {
  for (;;) {
    try {
      return await ask(`v1/${kind}`);
    } catch (problem) {
      if (!(problem instanceof Problem) || !problem.wait) throw problem;
      waiting.forEach((tell) => tell(problem));
      await pause(problem.wait);
    }
  }
};

// A report, asked for again by itself until it is made; `tell` hears why it is not there yet.
export const report = (kind, tell = () => {}) => {
  if (!reports.has(kind)) {
    const waiting = new Set();
    const promise = made(kind, waiting);
    // What failed may be asked for again.
    promise.catch(() => { if (reports.get(kind)?.promise === promise) reports.delete(kind); });
    reports.set(kind, { waiting, promise });
  }
  const { waiting, promise } = reports.get(kind);
  waiting.add(tell);
  return promise;
};

// Of a generation that is gone.
export const forgetReports = () => reports.clear();
