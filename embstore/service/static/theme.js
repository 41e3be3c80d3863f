// Light or dark, as the reader's system says.

const darkness = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => darkness.matches;

export const onDarkness = (react) => darkness.addEventListener("change", react);

// Black is no color on a black page.
export const visible = (color) => (isDark() && color === "#000000" ? "#ffffff" : color);
