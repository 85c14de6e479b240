"use strict";
// Draws each chart when it comes into view, sorts and filters the tables. The data lie in the page as JSON.

const text = (id) => document.getElementById(id).textContent;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = new Set();

// The style sheet gives the colours of the charts' light page others under the same names in the present scheme.
const names = new Map(Object.entries(JSON.parse(text("colours"))));
const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const painted = (id) => JSON.parse(text(id), (_, value) => (names.has(value) ? colour(names.get(value)) : value));

// Rows of numbers, one row a run, from the 16 bits a number that curves.py packs; null where there is none.
function unpacked({ epochs, low, high, bits }) {
  const bytes = Uint8Array.from(atob(bits), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer), rows = [];
  for (let start = 0; start < bytes.length; start += 2 * epochs.length)
    rows.push(epochs.map((_, i) => {
      const code = view.getUint16(start + 2 * i, true);
      return code === 65535 ? null : low + (code / 65534) * (high - low);
    }));
  return rows;
}

// All runs but the pick in one grey line with gaps: a thousand traces would be slow.
function curveTraces(curves, runs) {
  const x = [], y = [], text = [], rows = unpacked(curves);
  rows.forEach((values, run) => {
    if (run === 0) return;
    values.forEach((value, i) => {
      if (value === null) return;
      x.push(curves.epochs[i]); y.push(value); text.push(runs[run]);
    });
    x.push(null); y.push(null); text.push("");
  });
  const pick = rows[0].map((value, i) => [curves.epochs[i], value]).filter((point) => point[1] !== null);
  const hovertemplate = "%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>";
  return [
    { type: "scatter", mode: "lines", name: "other runs", x, y, text, hovertemplate, opacity: 0.55,
      line: { color: colour("--run"), width: 1.2 } },
    { type: "scatter", mode: "lines+markers", name: "the pick", x: pick.map((p) => p[0]), y: pick.map((p) => p[1]),
      text: pick.map(() => runs[0]), hovertemplate, line: { color: colour("--pick"), width: 3 } },
  ];
}

// Numbers of a heat map as large as its cells take, on paper too, where no number can be had by pointing; on a
// phone, where many metrics have no room for numbers, colours alone.
function fit(data, layout, chart) {
  for (const trace of data.filter((trace) => trace.type === "heatmap")) {
    const cell = (chart.clientWidth - 170) / trace.z.length;  // 170: the names at the left
    const longest = Math.max(...trace.text.flat().map((text) => text.length));
    const size = Math.floor(cell / (0.65 * longest));
    if (size < 6) delete trace.texttemplate;
    trace.textfont = { size: Math.min(12, Math.max(6, size)) };
    if (cell < 12) layout.xaxis.tickfont = { size: Math.max(6, Math.floor(cell)) };
  }
}

function draw(chart) {
  const { data, layout, runs } = painted(chart.id + "-data");
  const choice = document.querySelector(`select[data-chart="${chart.id}"]`);
  if (choice) {
    const curves = JSON.parse(text(`${chart.id}-${choice.value}`));
    data.push(...curveTraces(curves, runs));
    layout.yaxis = { title: { text: `${curves.metric}: ${curves.direction}` } };
  }
  fit(data, layout, chart);
  layout.autosize = true;  // or a chart that is drawn again, as for paper, keeps its width
  Plotly.react(chart, data, layout, { responsive: true, displayModeBar: false });
  drawn.add(chart);
}

const charts = [...document.querySelectorAll(".chart")];
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries)
    if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "300px" });
charts.forEach((chart) => seen.observe(chart));
document.querySelectorAll("select.metric").forEach((choice) =>
  choice.addEventListener("change", () => draw(document.getElementById(choice.dataset.chart))));
let wide = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== wide) drawn.forEach(draw);
  wide = window.innerWidth;
});
dark.addEventListener("change", () => drawn.forEach(draw));
let folded = [];  // what paper shows and the screen does not
for (const [when, printing] of [["beforeprint", true], ["afterprint", false]])
  window.addEventListener(when, () => {
    document.documentElement.classList.toggle("printing", printing);
    if (printing) folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((details) => { details.open = printing; });
    charts.forEach(draw);
  });

// Tables: numbers by data-sort, texts as they read; empty cells last in both directions.
function key(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent;
  const number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

document.querySelectorAll("table.sortable th button").forEach((button) => button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0];
  const column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
  head.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map((row) => [key(row, column), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : up ? order(a, b) : order(b, a)));
  body.append(...rows.map(([, row]) => row));
}));

document.querySelectorAll("input.filter").forEach((input) => {
  const card = input.closest(".card"), rows = [...card.querySelector("tbody").rows];
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += !row.hidden;
    }
    card.querySelector(".count").textContent = `${count} of ${rows.length} runs`;
  };
  input.addEventListener("input", show);
  show();
});

document.getElementById("group")?.addEventListener("change", (event) => {
  document.querySelectorAll(".group").forEach((group) => {
    group.hidden = event.target.value !== "" && group.dataset.group !== event.target.value;
  });
});
