// The viewer: loads the index, keeps which sample is looked at, and hears the keys. Needs page.js and the three parts beside it.
"use strict";

/** What is on the page: the index, the lines that are shown in their order, and the one that is looked at. */
const view = { index: null, shown: [], line: -1, chosen: {}, detail: null };
const CHOICES = ["q", "state", "slice", "other", "by", "order"];

/** Return the number of the chunk that holds a line. */
function chunkOf(line) {
  const starts = view.index.chunks;
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= line) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Return a promise of all that is known of a line. */
async function detailOf(line) {
  const chunk = chunkOf(line);
  return (await load(`samples/${chunk}`))[line - view.index.chunks[chunk]];
}

/** Return what a line is called in the address. */
function nameOf(line) {
  const repeat = view.index.lines.repeat[line];
  return { sample: view.index.lines.id[line], repeat: repeat || null };
}

function keepPlace(push = false) {
  writeHash({ ...(view.line < 0 ? {} : nameOf(view.line)), ...view.chosen }, push);
}

/** Show a line; the address follows it. */
async function show(line) {
  view.line = line;
  markRow();
  keepPlace();
  showPlace();
  if (line < 0) return;
  try {
    const detail = await detailOf(line);
    if (view.line !== line) return;
    view.detail = detail;
    showStage(detail);
    showDetail(detail);
    announce(`${text(detail.id)}, ${$("#place").textContent}`);
    const after = view.shown[view.shown.indexOf(line) + 1];
    if (after !== undefined) detailOf(after).then(fetchPictures, () => {});
  } catch (error) {
    fault($("#detail"), error);
  }
}

/** Have the browser read a sample's pictures before they are looked at. */
function fetchPictures(detail) {
  for (const picture of detail.images.slice(0, 4)) if (picture.src) new Image().src = picture.src;
}

function showPlace() {
  const at = view.shown.indexOf(view.line);
  const { lines } = view.index;
  $("#title").replaceChildren(view.line < 0 ? "" : bdi(lines.id[view.line], 60));
  const said = view.line < 0 ? [] : [at < 0 ? "not among those shown" : `${count(at + 1)} of ${count(view.shown.length)}`];
  if (view.line >= 0 && lines.cluster[view.line] !== lines.id[view.line]) said.push(text(lines.cluster[view.line], 40));
  if (view.line >= 0 && Math.max(...view.index.runs.map((run) => run.repeats)) > 1) said.push(`repeat ${lines.repeat[view.line] + 1}`);
  $("#place").textContent = said.join(" · ");
  $("#previous").disabled = at === 0 || !view.shown.length;
  $("#next").disabled = at === view.shown.length - 1 || !view.shown.length;
}

/** Go some samples on or back among those shown. */
function step(by) {
  if (!view.shown.length) return;
  const at = view.shown.indexOf(view.line);
  const to = at < 0 ? 0 : Math.min(view.shown.length - 1, Math.max(0, at + by));
  if (view.shown[to] !== view.line) show(view.shown[to]);
}

function lineNamed(chosen) {
  const id = chosen.get("sample");
  const repeat = Number(chosen.get("repeat") || 0);
  const { lines } = view.index;
  return lines.id.findIndex((one, line) => one === id && lines.repeat[line] === repeat);
}

/** Take over what the address says. */
async function followHash() {
  const chosen = readHash();
  view.chosen = {};
  for (const key of CHOICES) if (chosen.get(key)) view.chosen[key] = chosen.get(key);
  setChoices();
  const line = lineNamed(chosen);
  await choose(line < 0 ? view.line : line);
}

// ---- Notices: what must be said of the data and the runs before anything is read off the page

function notices() {
  const { data, runs } = view.index;
  const said = [];
  if (data.gated) said.push(`${text(data.name)} is given to approved accounts only. This folder is for you alone: do not pass it on or publish it.`);
  for (const caution of new Set(runs.map((run) => run.caution).filter(Boolean))) said.push(text(caution, 600));
  for (const run of runs) if (!run.complete) said.push(`${text(run.label)} is not complete: some answers or verdicts are missing.`);
  $("#notices").replaceChildren(...said.map((one) => h("p", { class: "caution", role: "note" }, one)));
}

// ---- Keys

const TYPING = "input, select, textarea, [contenteditable]";

function heard(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (!$("#keys-on").checked || $("#keys").open || event.target.closest(TYPING)) return;
  const acts = {
    j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
    t: () => toggle("truth"), p: () => togglePredictions(), 1: () => toggle("run0"), 2: () => toggle("run1"),
    "+": () => zoom(1), "=": () => zoom(1), "-": () => zoom(-1), 0: () => zoom(0),
    "/": () => openSearch(), "?": () => $("#keys").showModal(), Escape: () => openList(false),
  };
  const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (event.shiftKey && moves[event.key]) move(...moves[event.key]);
  else if (Object.hasOwn(acts, event.key)) acts[event.key]();
  else return;
  event.preventDefault();
}

/** On a narrow screen: show the list over the sample, or put it away. */
function openList(open) {
  const button = $("#open-list");
  if (document.body.classList.contains("listing") === open || (open && !button.offsetParent)) return;
  document.body.classList.toggle("listing", open);
  button.setAttribute("aria-expanded", String(open));
  if (open) markRow();
  $(open ? "#close-list" : "#open-list").focus();
}

function openSearch() {
  openList(true);
  $("#search").focus();
  $("#search").select();
}

async function start() {
  try {
    view.index = await load("index");
    notices();
    makeChoices();
    await followHash();
    if (view.line < 0 && view.shown.length) await show(view.shown[0]);
    document.body.dataset.ready = "yes";
  } catch (error) {
    fault($("#detail"), error);
  }
}

$("#previous").addEventListener("click", () => step(-1));
$("#next").addEventListener("click", () => step(1));
$("#help").addEventListener("click", () => $("#keys").showModal());
$("#open-list").addEventListener("click", () => openList(true));
$("#close-list").addEventListener("click", () => openList(false));
document.addEventListener("keydown", heard);
addEventListener("hashchange", followHash);
start();
