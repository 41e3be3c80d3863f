"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const n = data.x.length;
  const plot = document.getElementById("plot");
  const element = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 50rem)");
  const symbols = ["circle", "diamond", "square", "triangle-up", "cross", "x", "triangle-down", "star", "pentagon", "hexagon", "bowtie", "hourglass"];
  const NO_LABEL = "no label";
  const GRAY = "#8b949e";
  const MATCHES = "matches", SELECTED = "selected", NEAR = "nearest";
  const folded = data.texts.map((text) => text.toLowerCase());

  // Plotly reads some markup in the texts of a picture: here each is what it says, cut to a length.
  const plain = (text, longest) => {
    const cut = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
    return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  };
  const wrapped = (text) => {
    const words = (text.length > 240 ? `${text.slice(0, 239)}…` : text).split(/\s+/);
    const lines = [""];
    for (const word of words.flatMap((one) => one.match(/.{1,60}/gsu) ?? [])) {
      if (lines.at(-1).length + word.length > 60) lines.push("");
      lines[lines.length - 1] += `${lines.at(-1) ? " " : ""}${word}`;
    }
    return lines.map((line) => plain(line, 400)).join("<br>");
  };
  const hover = data.texts.map((text, i) => `${wrapped(text)}<br><b>${plain(data.labels[i] ?? NO_LABEL, 60)}</b>`);

  const size = Math.min(9, Math.max(3, 480 / Math.sqrt(n)));
  const colorings = { label: data.labels, split: data.splits };
  if (data.predicted) colorings.predicted = data.predicted;
  if (data.agreement) colorings.agreement = data.agreement;
  const titles = { label: "label", split: "split", predicted: "predicted label", agreement: "agreement of neighbors" };

  const points = (places) => ({
    x: places.map((i) => data.x[i]),
    y: places.map((i) => data.y[i]),
    customdata: places,
    text: places.map((i) => hover[i]),
    type: "scattergl",
    mode: "markers",
    hovertemplate: "%{text}<extra></extra>",
  });

  // One trace a class, most frequent first, each with a color and a symbol that no other has.
  const classes = (values) => {
    const places = new Map();
    values.forEach((value, i) => {
      if (!places.has(value)) places.set(value, []);
      places.get(value).push(i);
    });
    const order = [...places.entries()].sort((a, b) => (a[0] === null) - (b[0] === null) || b[1].length - a[1].length);
    return order.map(([name, found], rank) => ({
      ...points(found),
      name: `${plain(name ?? NO_LABEL, 34)} (${found.length.toLocaleString("en")})`,
      marker: {
        size,
        opacity: 0.75,
        color: name === null ? GRAY : visible(data.colors[rank % data.colors.length]),
        symbol: symbols[Math.floor(rank / data.colors.length) % symbols.length],
      },
    }));
  };
  // Black is no color on a black page.
  const visible = (color) => (dark.matches && color === "#000000" ? "#ffffff" : color);

  const scale = (values) => [{
    ...points([...values.keys()]),
    name: titles.agreement,
    showlegend: false,
    marker: {
      size, opacity: 0.8, color: values, cmin: 0, cmax: 1, colorscale: "Cividis", showscale: true,
      colorbar: narrow.matches ? { orientation: "h", thickness: 12, title: { text: titles.agreement } } : { thickness: 14, title: { text: titles.agreement } },
    },
  }];

  const marks = () => {
    const ring = (name, color, width, extra) => ({
      x: [], y: [], type: "scattergl", mode: "markers", name, hoverinfo: "skip", showlegend: false,
      marker: { size: size + extra, color: "rgba(0,0,0,0)", line: { color, width } },
    });
    const ink = style("--ink");
    return [ring(MATCHES, ink, 1.5, 5), ring(NEAR, style("--hue-2"), 2, 7), ring(SELECTED, style("--hue-1"), 3, 11)];
  };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const layout = () => ({
    margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: style("--ink"), family: "system-ui, sans-serif", size: 13 },
    xaxis: { visible: false },
    yaxis: { visible: false, scaleanchor: "x" },
    hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: style("--card"), bordercolor: style("--line"), font: { color: style("--ink") } },
    dragmode: "pan",
    uirevision: "kept",
    legend: narrow.matches
      ? { orientation: "h", x: 0, y: -0.02, yanchor: "top", itemsizing: "constant", maxheight: 0.3 }
      : { x: 1.01, y: 1, itemsizing: "constant", maxheight: 1 },
  });
  const config = {
    responsive: true, displaylogo: false, scrollZoom: true, showTips: false,
    modeBarButtonsToRemove: ["toImage", "autoScale2d"],
  };

  let current = null;
  let matches = null;
  let cursor = -1;
  let chosen = [];

  const draw = () => {
    const name = element("color").value;
    const traces = name === "agreement" ? scale(data.agreement) : classes(colorings[name]);
    return Plotly.react(plot, [...traces, ...marks()], layout(), config).then(refresh);
  };

  const put = (name, places) => {
    const trace = plot.data.findIndex((one) => one.name === name && one.hoverinfo === "skip");
    return Plotly.restyle(plot, { x: [places.map((i) => data.x[i])], y: [places.map((i) => data.y[i])] }, [trace]);
  };

  const refresh = async () => {
    const dimmed = matches !== null;
    const drawn = plot.data.flatMap((one, i) => (one.hoverinfo === "skip" ? [] : [i]));
    await Plotly.restyle(plot, { "marker.opacity": dimmed ? 0.12 : 0.75 }, drawn);
    // Rings of ten thousand matches would hide what they mark.
    await put(MATCHES, matches ?? []);
    await put(SELECTED, current === null ? [] : [current]);
    await put(NEAR, current === null ? [] : data.neighbors[current]);
  };

  const records = (count) => `${count.toLocaleString("en")} ${count === 1 ? "record" : "records"}`;

  const fact = (name, value) => {
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name;
    said.textContent = value;
    return [term, said];
  };

  const show = (i) => {
    current = i;
    element("record").hidden = false;
    const facts = [["id", data.ids[i]], ["split", data.splits[i]], ["label", data.labels[i] ?? NO_LABEL]];
    if (data.predicted) facts.push(["predicted", data.predicted[i] ?? NO_LABEL]);
    if (data.agreement) facts.push(["agreement", data.agreement[i].toFixed(2)]);
    element("facts").replaceChildren(...facts.flatMap(([name, value]) => fact(name, value)));
    element("text").textContent = data.texts[i];
    element("neighbors").replaceChildren(...data.neighbors[i].map((other, rank) => {
      const item = document.createElement("li"), button = document.createElement("button"), small = document.createElement("small");
      button.type = "button";
      button.dataset.place = other;
      small.textContent = `${data.similarities[i][rank].toFixed(2)} · ${data.labels[other] ?? NO_LABEL}`;
      button.append(data.texts[other].length > 160 ? `${data.texts[other].slice(0, 159)}…` : data.texts[other], small);
      button.addEventListener("click", () => show(other));
      item.append(button);
      return item;
    }));
    return refresh();
  };

  const search = () => {
    // An id must be given whole: "train" is a word of texts, and the beginning of most ids.
    const asked = element("search").value.trim(), words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = (i) => words.every((word) => folded[i].includes(word)) || data.ids[i] === asked;
    matches = words.length ? [...folded.keys()].filter(matching) : null;
    cursor = -1;
    element("matches").value = matches === null ? "" : `${matches.length.toLocaleString("en")} of ${n.toLocaleString("en")}`;
    return refresh();
  };

  const select = (places) => {
    chosen = [...new Set(places)].sort((a, b) => a - b);
    element("selection").hidden = chosen.length === 0;
    element("said").textContent = "";
    element("selected-count").textContent = records(chosen.length);
    const counts = new Map();
    for (const i of chosen) counts.set(data.labels[i] ?? NO_LABEL, (counts.get(data.labels[i] ?? NO_LABEL) ?? 0) + 1);
    const rows = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 20);
    element("selected-labels").replaceChildren(...rows.map(([label, count]) => {
      const item = document.createElement("li");
      item.textContent = `${label}: ${count.toLocaleString("en")}`;
      return item;
    }));
  };

  // A page that was opened from a disk may have no clipboard of its own: then the old way is taken.
  const copy = async () => {
    const text = chosen.map((i) => data.ids[i]).join("\n");
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    element("said").textContent = done ? `Ids of ${records(chosen.length)} copied` : "Copying is not allowed here; save them instead";
  };
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([chosen.map((i) => `${data.ids[i]}\n`).join("")], { type: "text/plain" }));
    link.download = "ids.txt";
    link.click();
    URL.revokeObjectURL(link.href);
  };

  for (const name of Object.keys(colorings)) element("color").add(new Option(titles[name], name));
  element("color").addEventListener("change", draw);
  element("search").addEventListener("input", search);
  element("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { element("search").value = ""; search(); }
    if (event.key === "Enter" && matches?.length) { cursor = (cursor + 1) % matches.length; show(matches[cursor]); }
  });
  element("copy").addEventListener("click", copy);
  element("save").addEventListener("click", save);
  element("clear").addEventListener("click", () => {
    select([]);
    // Plotly keeps the outline of a lasso until it is told to let go.
    Plotly.update(plot, { selectedpoints: null }, { selections: [] }).then(draw);
  });
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);

  draw().then(() => {
    plot.on("plotly_click", (event) => show(event.points[0].customdata));
    plot.on("plotly_selected", (event) => select((event?.points ?? []).map((point) => point.customdata).filter((i) => i !== undefined)));
    plot.dataset.ready = "yes";
  });
})();
