const element = (id) => document.getElementById(id);

element("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("v1/search", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: element("text").value }),
  });
  const answer = await response.json();
  element("said").textContent = response.ok ? "" : answer.detail;
  element("neighbors").replaceChildren(...(answer.neighbors ?? []).map((one) => {
    const item = document.createElement("li");
    item.textContent = `${one.similarity.toFixed(2)} ${one.label ?? "no label"}: ${one.text}`;
    return item;
  }));
});
