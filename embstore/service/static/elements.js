// Makes what the page shows. Every text becomes a text node: nothing that a record says is ever markup.

export const element = (id) => document.getElementById(id);

const filled = (node, properties, children) => {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [event, react] of Object.entries(value)) node.addEventListener(event, react);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
};

export const make = (tag, properties = {}, ...children) =>
  filled(document.createElement(tag), properties, children);

export const draw = (tag, properties = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

// Read aloud by a screen reader, seen by nobody.
export const say = (text) => { element("said").textContent = text; };

export const facts = (pairs) => make("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, ...said]) => [
  make("dt", {}, name), make("dd", {}, ...said),
]));
