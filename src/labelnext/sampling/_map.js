// The map of a pool, what there is to see of a pick, and the table that can be sorted.
"use strict";
const { width, height, pool, picks, modes, cells, dense } = JSON.parse(
  document.getElementById("map-data").textContent);
const RAMP = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39"];
const NAMED = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8a6d00",
  "#7b3294", "#5f7f1f", "#a6611a"];
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const make = (parent, tag, attributes = {}, text = "") => {
  const svg = ["circle", "text", "path"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Colours: of a number between 0 and 1, and of a name by its place.
const ramp = (share) => {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  const part = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mixed = [0, 1, 2].map((k) => Math.round(
    part(RAMP[low], k) + (at - low) * (part(RAMP[low + 1], k) - part(RAMP[low], k))));
  return `rgb(${mixed.join(",")})`;
};
const named = (place, count) =>
  count <= NAMED.length ? NAMED[place] : `hsl(${(place * 137.5) % 360} 60% ${45 + 12 * (place % 2)}%)`;
const colour = (mode, value) => {
  if (value === null || value === undefined || value < 0) return css("--dot");
  if (mode.names) return named(value, mode.names.length);
  return ramp((value - mode.low) / (mode.high - mode.low || 1));
};

const canvas = byId("pool"), svg = byId("picks");
let mode = modes[0], only = null, shownPick = 0;

function drawPool() {
  const scale = window.devicePixelRatio || 1, unit = canvas.clientWidth * scale / width;
  canvas.width = Math.round(width * unit);
  canvas.height = Math.round(height * unit);
  const ink = canvas.getContext("2d"), values = pool.values[mode.key];
  const most = Math.log1p(Math.max(...pool.n, 1));
  for (let i = 0; i < pool.x.length; i++) {
    const value = values ? values[i] : null;
    ink.globalAlpha = (dense ? 0.18 + 0.72 * Math.log1p(pool.n[i]) / most : 0.7) *
      (only !== null && value !== only ? 0.12 : 1);
    ink.fillStyle = colour(mode, value);
    const x = pool.x[i] * unit, y = pool.y[i] * unit, half = cells * unit / 2;
    if (dense) ink.fillRect(x - half, y - half, 2 * half, 2 * half);
    else { ink.beginPath(); ink.arc(x, y, half, 0, 7); ink.fill(); }
  }
}

function drawPicks() {
  for (const circle of svg.querySelectorAll("circle.pick")) {
    const value = picks[circle.dataset.at].values[mode.key];
    circle.style.fill = colour(mode, value);
    circle.style.opacity = only !== null && value !== only ? 0.12 : 1;
  }
}

function legend() {
  const box = byId("legend");
  box.replaceChildren();
  make(box, "p", { class: "quiet" }, mode.told);
  if (!mode.names) {
    const bar = make(box, "div", { class: "bar" });
    make(bar, "span", {}, mode.lowest);
    make(bar, "i").style.background = `linear-gradient(90deg, ${RAMP.join(",")})`;
    make(bar, "span", {}, mode.highest);
    return;
  }
  const list = make(box, "div", { class: "names" });
  mode.names.forEach((name, place) => {
    const button = make(list, "button", { type: "button", "aria-pressed": only === place });
    make(button, "i").style.background = named(place, mode.names.length);
    button.append(name);
    button.addEventListener("click", () => { only = only === place ? null : place; redraw(place); });
  });
}

function redraw(focus = null) {
  drawPool(); drawPicks(); legend();
  if (focus !== null) byId("legend").querySelectorAll("button")[focus]?.focus();
}

function picture(parent, src, alt) {
  const img = make(parent, "img", { src, alt });
  // What is a few pixels wide is shown as pixels.
  img.addEventListener("load", () => img.classList.toggle("small", img.naturalWidth <= 96));
}

// A pick: beside the map, on the map, in the table.
function show(at) {
  shownPick = Math.min(Math.max(at, 0), picks.length - 1);
  const pick = picks[shownPick], box = byId("pick");
  box.replaceChildren();
  make(box, "h2", {}, pick.title);
  if (pick.sample?.picture) picture(box, pick.sample.picture, `The picture of ${pick.title}`);
  for (const [name, text] of pick.sample?.fields ?? []) {
    if (name) make(box, "div", { class: "quiet field" }, name);
    const part = make(box, "p", { class: "text" }, text);
    if (part.scrollHeight > part.clientHeight) part.tabIndex = 0;  // it is read by keyboard, too
  }
  const list = make(box, "dl");
  for (const [name, text] of pick.facts) { make(list, "dt", {}, name); make(list, "dd", {}, text); }
  for (const circle of svg.querySelectorAll("circle.pick")) {
    const is = Number(circle.dataset.at) === shownPick;
    circle.classList.toggle("shown", is);
    circle.setAttribute("tabindex", is ? 0 : -1);
    if (is) for (const name of ["cx", "cy"]) byId("ring").setAttribute(name, circle.getAttribute(name));
  }
  byId("ring").setAttribute("r", pick.r + 6);
  for (const row of document.querySelectorAll("#table tbody tr"))
    row.classList.toggle("shown", Number(row.dataset.at) === shownPick);
}

// On a narrow screen what is pointed at and read must be larger, in units of the map.
const zoom = Math.min(Math.max(620 / (canvas.clientWidth || 620), 1), 2);
for (const pick of picks) pick.r *= zoom;
for (let at = picks.length - 1; at >= 0; at--) {  // the first picks lie on top
  const pick = picks[at];
  const circle = make(svg, "circle", { class: "pick", cx: pick.x, cy: pick.y, r: pick.r,
    role: "button", "aria-label": pick.label, "data-at": at, tabindex: -1 });
  for (const event of ["pointerenter", "focus", "click"])
    circle.addEventListener(event, () => show(at));
}
make(svg, "circle", { id: "ring", r: 0 });

// Numbers beside their picks, where there is room.
const boxes = [];
for (const { x, y, r, number } of picks.filter((each) => each.number)) {
  const half = zoom * (6 * number.length + 1), tall = zoom * 17;
  const places = [[x, y - r - 5], [x + r + half, y + tall / 3], [x - r - half, y + tall / 3],
    [x, y + r + tall]];
  const free = places.find(([u, v]) => boxes.every(([a, b, c]) =>
    Math.abs(u - a) > half + c || Math.abs(v - b) > tall));
  if (free === undefined) continue;
  boxes.push([...free, half]);
  make(svg, "text", { x: free[0], y: free[1], "aria-hidden": true }, number)
    .style.fontSize = `${tall}px`;
}
svg.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10,
    Home: -picks.length, End: picks.length }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  show(shownPick + step);
  svg.querySelector(`circle.pick[data-at="${shownPick}"]`).focus();
});
byId("before").addEventListener("click", () => show(shownPick - 1));
byId("after").addEventListener("click", () => show(shownPick + 1));

const choice = byId("modes");
modes.forEach((each, place) => {
  const label = make(choice, "label");
  const input = make(label, "input", { type: "radio", name: "mode", value: place });
  input.checked = place === 0;
  label.append(` ${each.title}`);
  input.addEventListener("change", () => { mode = each; only = null; redraw(); });
});
if (modes.length < 2) choice.hidden = true;

// The table: small pictures, picks by their rank, and order by any column.
for (const row of document.querySelectorAll("#table tbody tr")) {
  const at = Number(row.dataset.at), source = picks[at].sample?.picture;
  const cell = row.querySelector("td.sample");
  if (source && cell) {
    cell.replaceChildren();
    picture(cell, source, "");
  }
  row.querySelector("button").addEventListener("click", () => {
    show(at);
    byId("map").scrollIntoView({ block: "nearest" });
  });
}
const compare = new Intl.Collator(undefined, { numeric: true }).compare;
document.querySelectorAll("#table th button").forEach((button, column) => {
  button.addEventListener("click", () => {
    const head = button.closest("th"), up = head.getAttribute("aria-sort") !== "ascending";
    for (const th of document.querySelectorAll("#table th")) th.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const isNumber = head.dataset.number !== undefined;
    const body = document.querySelector("#table tbody");
    const rows = [...body.rows].sort((a, b) =>
      isNumber ? value(a) - value(b) : compare(value(a), value(b)));
    body.append(...(up ? rows : rows.reverse()));
  });
});

addEventListener("resize", drawPool);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
redraw();
show(0);
