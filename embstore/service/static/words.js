// Numbers as a person reads them, in the same form as the pages that embstore writes.

const SPACE = "\u00a0";
const NOTHING = "–";

export const NO_LABEL = "no label";

export const named = (label) => label ?? NO_LABEL;

export const count = (number) => number.toLocaleString("en");

export const records = (number) => `${count(number)} ${number === 1 ? "record" : "records"}`;

export const percent = (share) => (share === null || share === undefined ? NOTHING : `${(100 * share).toFixed(1)}${SPACE}%`);

export const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`;

export const chance = (value) => (value < 0.0001 ? "p < 0.0001" : `p = ${Number(value.toPrecision(2))}`);

export const milliseconds = (duration) => {
  if (duration === null || duration === undefined) return NOTHING;
  if (duration < 1000) return `${Number(duration.toPrecision(3))}${SPACE}ms`;
  return seconds(duration / 1000);
};

export const seconds = (duration) => {
  if (duration === null || duration === undefined) return NOTHING;
  if (duration < 1) return milliseconds(duration * 1000);
  if (duration < 120) return `${Number(duration.toPrecision(3))}${SPACE}s`;
  return `${Math.floor(duration / 60)}${SPACE}min ${Math.round(duration % 60)}${SPACE}s`;
};

export const bytes = (number) => {
  for (const unit of ["bytes", "kB", "MB"]) {
    if (number < 999.5) return `${Number(number.toPrecision(3))}${SPACE}${unit}`;
    number /= 1000;
  }
  return `${Number(number.toPrecision(3))}${SPACE}GB`;
};

export const sentence = (text) => {
  const said = text.trim().replace("+-", "±");
  return said && `${said[0].toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}`;
};

export const shortened = (text, longest) => {
  const characters = [...text];
  return characters.length > longest ? `${characters.slice(0, longest - 1).join("")}…` : text;
};
