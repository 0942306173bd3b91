// The list of samples: filters, order, and rows of which only those in sight are elements, so that any number of them scrolls.
"use strict";

const ROW = 48;
let numbers = null; // of the number that is shown and ordered by: one list a run
let searched = null;
const slices = new Map(); // "plane=axial" to the group's place and the value's code

const isPair = () => view.index.runs.length > 1;

// ---- What can be chosen

function makeChoices() {
  const { index } = view;
  const set = (key) => (value) => { change(key, value); };
  const search = h("input", { type: "search", id: "search", placeholder: "Words or a name", spellcheck: "false", autocomplete: "off" });
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change("q", search.value.trim()), 150);
  });
  const byValue = [["", "all"]];
  for (const [place, group] of index.groups.entries()) {
    const counts = new Map();
    for (const code of group.codes) counts.set(code, (counts.get(code) || 0) + 1);
    for (const code of [...group.values.keys(), -1]) {
      if (!counts.has(code)) continue;
      const name = code < 0 ? "unknown" : text(group.values[code], 40);
      let key = `${group.name}${code < 0 ? "?" : `=${group.values[code]}`}`;
      while (slices.has(key)) key += "'"; // "a=b" and "c" against "a" and "b=c"
      slices.set(key, [place, code]);
      byValue.push([key, `${text(group.name, 30)} = ${name} (${count(counts.get(code))})`, text(group.name, 40)]);
    }
  }
  const states = index.states.map((state, code) => [state, code, index.lines.states.flat().filter((one) => one === code).length]);
  const fields = [
    field("Search", search),
    field("State", picker([["", "all"], ...states.filter(([, , n]) => n).map(([state, , n]) => [state, `${state} (${count(n)})`])], "", set("state"), { id: "state" })),
    index.groups.length ? field("Group", picker(byValue, "", set("slice"), { id: "slice" })) : null,
    isPair() ? field("Difference", picker([
      ["", "all"], ["state", "states differ"], ["answer", "read differently"],
      ...(index.numbers.length ? [["first", `${text(index.runs[0].label, 24)} better`], ["second", `${text(index.runs[1].label, 24)} better`]] : []),
    ], "", set("other"), { id: "other" })) : null,
    index.numbers.length ? field("Order by", picker([["", "data set"], ...index.numbers.map((one, place) => [String(place), text(one.name, 60)])], "", set("by"), { id: "by" })) : null,
    index.numbers.length ? field("Start with", h("select", { id: "order", on: { change: (event) => change("order", event.target.value) } })) : null,
  ];
  $("#choices").replaceChildren(...fields.filter(Boolean));
  $("#reset").addEventListener("click", () => { view.chosen = {}; setChoices(); choose(view.line); });
  const rows = $("#rows");
  rows.addEventListener("scroll", drawRows, { passive: true });
  rows.addEventListener("keydown", listKey);
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("[data-line]");
    if (!row) return;
    openList(false);
    show(Number(row.dataset.line));
  });
  new ResizeObserver(drawRows).observe(rows);
}

/** Put what is chosen into the controls. */
function setChoices() {
  for (const [id, key] of [["search", "q"], ["state", "state"], ["slice", "slice"], ["by", "by"], ["other", "other"]]) {
    const control = $(`#${id}`);
    if (control) control.value = view.chosen[key] || "";
    if (control && control.selectedIndex !== -1) continue;
    delete view.chosen[key]; // an address of another page, or of an older one
    if (control) control.value = "";
  }
  setOrders();
}

/** Offer the orders that the chosen number has: of a metric worst and best, of a column lowest and highest, of two runs the difference. */
function setOrders() {
  const order = $("#order");
  if (!order) {
    delete view.chosen.order;
    return;
  }
  const number = view.index.numbers[view.chosen.by];
  const ends = !number || number.higher_is_better !== null ? ["worst", "best"] : ["lowest", "highest"];
  const orders = [["", ends[0]], ["down", ends[1]]];
  if (isPair()) orders.splice(0, 2, ...view.index.runs.flatMap((run, place) => {
    const name = text(run.label, 24);
    return [[place ? `${place}` : "", `${ends[0]} of ${name}`], [`${place || ""}down`, `${ends[1]} of ${name}`]];
  }), ["apart", "largest difference"]);
  order.replaceChildren(...orders.map(([value, label]) => h("option", { value }, label)));
  order.value = view.chosen.order || "";
  if (order.selectedIndex === -1) { order.value = ""; delete view.chosen.order; }
  order.parentElement.hidden = !number;
}

function change(key, value) {
  if (value) view.chosen[key] = value;
  else delete view.chosen[key];
  setOrders();
  choose(view.line);
}

// ---- Which lines are shown, and in which order

/** Find the lines that fit what is chosen, and show one of them: the one given where it is among them. */
async function choose(line) {
  const { index, chosen } = view;
  try {
    if (index.numbers.length) numbers = await load(`numbers/${chosen.by || 0}`);
    if (chosen.q && !searched) searched = (await load("search")).map((words) => words.toLowerCase());
  } catch (error) {
    fault($("#detail"), error);
    return;
  }
  const tests = testsOf(chosen);
  const found = [];
  for (let one = 0; one < index.lines.id.length; one++) if (tests.every((test) => test(one))) found.push(one);
  view.shown = chosen.by ? ordered(found) : found;
  const total = index.lines.id.length;
  $("#shown").textContent = found.length === total ? `${count(total)} samples` : `${count(found.length)} of ${count(total)} samples`;
  announce($("#shown").textContent);
  $("#by-what").replaceChildren(index.numbers.length ? bdi(index.numbers[chosen.by || 0].name, 40) : "");
  $("#reset").hidden = !Object.keys(chosen).length;
  $("#nothing").hidden = found.length > 0;
  $("#rows").hidden = !found.length;
  $("#rows").scrollTop = 0;
  drawRows();
  if (line >= 0 && (view.shown.includes(line) || !found.length)) await show(line);
  else if (found.length) await show(view.shown[0]);
  else keepPlace();
}

function testsOf(chosen) {
  const { index } = view;
  const { states, other } = index.lines;
  const tests = [];
  if (chosen.q) {
    const words = chosen.q.toLowerCase().split(/\s+/);
    tests.push((line) => words.every((word) => searched[line].includes(word)));
  }
  if (chosen.state) {
    const code = index.states.indexOf(chosen.state);
    tests.push((line) => states.some((of) => of[line] === code));
  }
  if (chosen.slice) {
    const [place, code] = slices.get(chosen.slice);
    tests.push((line) => index.groups[place].codes[line] === code);
  }
  if (chosen.other === "state") tests.push((line) => states[0][line] !== states[1][line]);
  if (chosen.other === "answer") {
    const others = new Set(other);
    tests.push((line) => others.has(line));
  }
  if (chosen.other === "first" || chosen.other === "second") {
    const sign = (chosen.other === "first" ? 1 : -1) * (index.numbers[chosen.by || 0].higher_is_better === false ? -1 : 1);
    tests.push((line) => numbers[0][line] !== null && numbers[1][line] !== null && sign * (numbers[0][line] - numbers[1][line]) > 0);
  }
  return tests;
}

/** Return lines by the chosen number; those without a value come last, equal ones stay in the data set's order. */
function ordered(lines) {
  const { by, order = "" } = view.chosen;
  const run = order.startsWith("1") ? 1 : 0;
  const key = order === "apart"
    ? (line) => (numbers[0][line] === null || numbers[1][line] === null ? null : -Math.abs(numbers[0][line] - numbers[1][line]))
    : (line) => numbers[run][line];
  const lower = view.index.numbers[by].higher_is_better === false && order !== "apart";
  const sign = order.endsWith("down") !== lower ? -1 : 1;
  return lines.map((line) => [key(line), line]).sort(([a, i], [b, j]) => {
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    return sign * (a - b) || i - j;
  }).map(([, line]) => line);
}

// ---- Rows

function drawRows() {
  const rows = $("#rows");
  const first = Math.max(0, Math.floor(rows.scrollTop / ROW) - 6);
  const last = Math.min(view.shown.length, first + Math.ceil((rows.clientHeight || 400) / ROW) + 14);
  const made = [];
  for (let at = first; at < last; at++) made.push(row(view.shown[at], at));
  const height = h("div", { class: "height", role: "presentation", style: { height: `${view.shown.length * ROW}px` } }, made);
  rows.replaceChildren(height);
  markRow(false);
}

function row(line, at) {
  const { index } = view;
  const states = index.lines.states.map((of) => (of[line] < 0 ? "not asked" : index.states[of[line]]));
  const odd = [...new Set(states)].filter((state) => state !== "ok");
  const values = numbers ? numbers.map((of) => number(of[line])) : [];
  const repeat = index.lines.repeat[line];
  return h("div", {
    role: "option", id: `row${line}`, class: "row", "data-line": line, "aria-setsize": view.shown.length, "aria-posinset": at + 1,
    style: { top: `${at * ROW}px` },
  },
  h("span", { class: "name" }, bdi(index.lines.id[line], 40), repeat ? ` #${repeat + 1}` : ""),
  h("span", { class: "under" }, index.lines.cluster[line] === index.lines.id[line] ? "" : bdi(index.lines.cluster[line], 24), odd.map((state) => h("span", { class: "some" }, state))),
  h("span", { class: "values num" }, values.map((value, run) => h("span", { class: isPair() ? `run${run}` : null }, value))));
}

/** Mark the row of the line that is looked at, and bring it into sight. */
function markRow(scroll = true) {
  const rows = $("#rows");
  const at = view.shown.indexOf(view.line);
  if (scroll && at >= 0) {
    const top = at * ROW;
    if (top < rows.scrollTop) rows.scrollTop = top;
    else if (top + ROW > rows.scrollTop + rows.clientHeight) rows.scrollTop = top + ROW - rows.clientHeight;
    drawRows();
    return;
  }
  for (const one of rows.querySelectorAll("[data-line]")) one.setAttribute("aria-selected", String(Number(one.dataset.line) === view.line));
  if ($(`#row${view.line}`)) rows.setAttribute("aria-activedescendant", `row${view.line}`);
  else rows.removeAttribute("aria-activedescendant");
}

function listKey(event) {
  const page = Math.max(1, Math.floor($("#rows").clientHeight / ROW) - 1);
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
  if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter") openList(false);
  else if (by) step(by);
  else return;
  event.preventDefault();
}
