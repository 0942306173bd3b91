// What all pages share: theme, data files, the maker of elements, text that shows as it reads, numbers that align.
// Classic script: everything here is a global that the other scripts use. Nothing of a stranger ever becomes HTML.
"use strict";

// ---- Data files: each is a script with one call, nova("tasks/x", "<JSON>"), as pages that lie in a folder may fetch nothing.

const arrived = new Map();
const waiting = new Map();

/** Called by data files: keeps what they bring. */
function nova(key, json) {
  const value = JSON.parse(json);
  arrived.set(key, key.startsWith("tasks/") ? unpacked(value) : value);
}

/** Return a task's table with each row's cells by the names of their metrics: the file has them as short lists, as there may be thousands. */
function unpacked(table) {
  const names = table.metrics.map((metric) => metric.name);
  for (const row of table.rows) {
    const cells = Object.create(null);
    row.cells.forEach((cell, i) => {
      if (cell === null) return;
      const [value, low, high, n, clusters, id, n_failed = 0, unjudged = 0, note = null] = cell;
      cells[names[i]] = { v: [value, low, high], n, clusters, id, n_failed, unjudged, note };
    });
    row.cells = cells;
  }
  return table;
}

/** Return a promise of the data file of a key, such as "tasks/nova_caption". Asked twice, it is read once; a failure may be tried again. */
function load(key) {
  if (waiting.has(key)) return waiting.get(key);
  const promise = new Promise((resolve, reject) => {
    const folder = document.documentElement.dataset.data || "data/";
    const script = document.createElement("script");
    const fail = (why) => {
      waiting.delete(key);
      script.remove();
      reject(new Error(`${folder}${key}.js ${why}. The pages need the files beside them: copy or publish the whole folder.`));
    };
    script.src = folder + key.split("/").map(encodeURIComponent).join("/") + ".js";
    script.onload = () => {
      script.remove();
      if (arrived.has(key)) resolve(arrived.get(key));
      else fail("does not hold what its name says");
    };
    script.onerror = () => fail("could not be read");
    document.head.append(script);
  });
  waiting.set(key, promise);
  return promise;
}

// ---- Elements

function made(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (key === "style") for (const [name, one] of Object.entries(value)) element.style.setProperty(name, one);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key.startsWith("on")) throw new Error(`${key}: events are given as on: {name: function}`);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an HTML element: h("td", {class: "num", on: {click: act}, style: {width: "1px"}}, "text", node, [more]). Strings become text. */
function h(tag, attributes, ...children) {
  return made(document.createElement(tag), attributes, children);
}

/** Make an SVG element, like h(). */
function svg(tag, attributes, ...children) {
  return made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

const $ = (selector, within = document) => within.querySelector(selector);

// ---- Strangers' text

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const NAME_LIMIT = 80;

function shortened(raw, limit) {
  if (limit === null || raw.length <= limit) return raw;
  const head = Math.ceil((limit - 1) / 2);
  const tail = limit - 1 - head;
  const whole = (part) => part.replace(/[\ud800-\udbff]$/, "").replace(/^[\udc00-\udfff]/, "");
  return `${whole(raw.slice(0, head))}…${whole(raw.slice(raw.length - tail))}`;
}

/**
 * Return a text that shows as it reads: control, direction and invisible characters written out as ⟨U+202E⟩, piles of accents cut, long ones
 * cut in the middle. `limit` null keeps all; `lines` keeps line ends and tabs.
 */
function text(value, limit = NAME_LIMIT, lines = false) {
  const raw = shortened(value === null || value === undefined ? "" : String(value), limit);
  if (/^[\x20-\x7e]*$/.test(raw)) return raw;
  const shown = raw.replace(/(\p{M}{4})\p{M}+/gu, "$1…").replace(UNSEEN, (mark) => {
    if (mark === "\ufe0e" || mark === "\ufe0f" || (lines && (mark === "\n" || mark === "\t"))) return mark;
    return `⟨U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
  return shortened(shown, limit);
}

/** Return <bdi> with a stranger's text; where it is cut, the start of the whole stands in its tooltip. */
function bdi(value, limit = NAME_LIMIT, className = null) {
  const cut = String(value ?? "").length > (limit ?? Infinity);
  return h("bdi", { class: className, title: cut ? text(value, 1000) : null }, text(value, limit));
}

/** Return a stranger's longer text with a button that shows the rest, a piece at a time: a megabyte in one element stops the page. */
function prose(value, limit = 300) {
  const raw = String(value ?? "");
  const shown = h("bdi", { class: "prose" }, text(raw.slice(0, limit), null, true));
  if (raw.length <= limit) return shown;
  let at = limit;
  const more = h("button", { type: "button", class: "plain more" });
  const label = () => { more.textContent = `show ${count(Math.min(20000, raw.length - at))} more characters of ${count(raw.length)}`; };
  more.addEventListener("click", () => {
    shown.append(text(raw.slice(at, at + 20000), null, true));
    at += 20000;
    if (at >= raw.length) more.remove();
    else label();
  });
  label();
  return h("span", {}, shown, "… ", more);
}

/** Return a link to a stranger's address: only http and https become one, and the browser tells the other side nothing. */
function outside(address, label = address) {
  const good = /^https?:\/\/[^\s"'<>\\]+$/i.test(address || "");
  return good ? h("a", { href: address, rel: "noreferrer noopener nofollow" }, bdi(label)) : bdi(label);
}

// ---- Numbers: a true minus, a dash for none, as many decimals in a column as its scale needs

const NONE = "–";

/** Return a number with some decimals; what would round to zero keeps one digit, so that 0 is only written for 0. */
function number(value, decimals = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value) < 1e-9) return (0).toFixed(decimals);
  const said = value.toFixed(decimals);
  return (Number(said) === 0 ? String(Number(value.toPrecision(1))) : said).replace("-", "−");
}

/** Return "[low, high]" of an interval tuple [value, low, high], or "" where it has none. */
function interval(tuple, decimals = 3) {
  if (!tuple || tuple[1] === null || tuple[2] === null) return "";
  return `[${number(tuple[1], decimals)}, ${number(tuple[2], decimals)}]`;
}

/** Return how many decimals a metric is written with: three on a scale up to 1, one up to 100, fewer beyond. */
function decimalsOf(range, values = []) {
  let most = 0;
  for (const value of range || values) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  return most > 1000 ? 0 : most > 10 ? 1 : most > 1 ? 2 : 3;
}

/** Return a p-value with two significant digits. */
function pValue(p) {
  if (p === null || p === undefined) return NONE;
  if (p <= 0) return String(p);
  const said = p.toFixed(Math.max(1, 1 - Math.floor(Math.log10(p))));
  return p < 0.01 && said.endsWith("0") ? said.slice(0, -1) : said;
}

/** Return a whole number with commas. */
function count(value) {
  if (value === null || value === undefined) return NONE;
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",").replace("-", "−");
}

/** Return a share as a percentage with one decimal; one that is not none never reads as 0. */
function share(part, whole) {
  if (!whole || part === null || part === undefined) return NONE;
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "< 0.1%";
  if (percent < 100 && percent > 99.9) return "> 99.9%";
  return `${percent.toFixed(1)}%`;
}

/** Return a large count in short: 950, 12.3 k, 4.56 M. */
function brief(value) {
  if (value === null || value === undefined) return NONE;
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)}${unit}`;
  }
  return count(value);
}

function dollars(value) {
  if (value === null || value === undefined) return NONE;
  return value > 0 && value < 0.01 ? "< $0.01" : `$${value.toFixed(2).replace(/\B(?=(\d{3})+\.)/g, ",")}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Return the day of an ISO date, or a dash. */
function day(date) {
  return date ? text(date).slice(0, 10) : NONE;
}

// ---- Pieces that several pages show

/** Return the mark of a verification; its words come from the list at the foot of the page, which every page has. */
function badge(status) {
  const said = $(`[data-status="${status || "none"}"]`);
  const label = said ? $("dt", said).textContent : status || "not checked";
  return h("span", { class: `badge ${status || "unchecked"}`, title: said ? $("dd", said).textContent : null }, label);
}

/** Return the text of what a mark of a verification means. */
function meaning(status) {
  const said = $(`[data-status="${status || "none"}"] dd`);
  return said ? said.textContent : "";
}

/**
 * Return a value with its interval as a bar on an axis from `domain[0]` to `domain[1]`; marks are further values, drawn as dashed lines. It is
 * hidden from screen readers: the numbers stand beside it.
 */
function bar(tuple, domain, { marks = [], className = "" } = {}) {
  const at = (value) => `${(100 * Math.min(1, Math.max(0, (value - domain[0]) / (domain[1] - domain[0] || 1)))).toFixed(3)}%`;
  const [value, low, high] = tuple || [null, null, null];
  const box = h("span", { class: `bar ${className}`, "aria-hidden": "true" });
  for (const mark of marks) box.append(h("i", { class: "mark", style: { left: at(mark) } }));
  if (low !== null && high !== null) {
    box.append(h("i", { class: "span", style: { left: at(low), right: `calc(100% - ${at(high)})` } }));
  }
  if (value !== null) box.append(h("i", { class: "dot", style: { left: at(value) } }));
  return box;
}

/**
 * Return a panel with a text and a button that copies it as it is shown, so that nothing unseen goes with it; where the clipboard is out of
 * reach the text is selected instead. A command is one line: `lines` false shows, and copies, a line end as what it is.
 */
function copyPanel(label, value, { lines = true } = {}) {
  const said = text(value, 100000, lines);
  const shown = h("pre", { tabindex: "0", "aria-label": label, role: "region" }, said);
  const button = h("button", { type: "button", class: "small", "aria-label": `Copy: ${label}` }, "Copy");
  const say = (done) => {
    button.textContent = done;
    announce(`${label}: ${done}`);
    setTimeout(() => { button.textContent = "Copy"; }, 2500);
  };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(said);
      say("Copied");
    } catch {
      const range = document.createRange();
      range.selectNodeContents(shown);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      say(document.execCommand("copy") ? "Copied" : "Selected");
    }
  });
  return h("div", { class: "copy" }, h("div", {}, h("span", {}, label), button), shown);
}

/** Say something to those who do not see the page change. */
function announce(message) {
  const region = $("#live");
  if (region && region.textContent !== message) region.textContent = message;
}

/** Show an error where its content would have stood. */
function fault(place, error) {
  place.replaceChildren(h("p", { class: "fault", role: "alert" }, text(error.message, 600)));
}

/** Return a <select>: options as [value, label] or [value, label, group]; `act` gets the value chosen. */
function picker(options, chosen, act, attributes = {}) {
  const element = h("select", attributes);
  const groups = new Map();
  for (const [value, label, group] of options) {
    if (group && !groups.has(group)) groups.set(group, element.appendChild(h("optgroup", { label: group })));
    (groups.get(group) || element).append(h("option", { value, selected: value === chosen }, label));
  }
  element.addEventListener("change", () => act(element.value));
  return element;
}

let fields = 0;
/** Return a control with its label above it. */
function field(label, control) {
  if (!control.id) control.id = `field${++fields}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}

// ---- What is chosen stands in the address behind #, so that links, Back and reloading keep it

function readHash() {
  return new Map(new URLSearchParams(location.hash.slice(1)));
}

/** Return an address: page "model.html" and what is chosen there; empty values are left out. */
function address(page, chosen) {
  const pairs = Object.entries(chosen).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `${page}#${new URLSearchParams(pairs)}` : page;
}

/** Put what is chosen into the address; `push` makes a step that Back undoes. */
function writeHash(chosen, push = false) {
  const target = address("", chosen) || "#";
  if (target === (location.hash || "#")) return;
  history[push ? "pushState" : "replaceState"](null, "", target);
}

// ---- Theme: that of the system, or the one chosen, kept where the browser keeps things

const THEME = "nova-bench-theme";

function storedTheme() {
  try {
    return localStorage.getItem(THEME) || "auto";
  } catch {
    return "auto"; // Storage is refused to files in some browsers.
  }
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll(".theme button")) button.setAttribute("aria-pressed", String(button.value === theme));
  document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
}

setTheme(storedTheme() === "light" || storedTheme() === "dark" ? storedTheme() : "auto");

document.addEventListener("DOMContentLoaded", () => {
  const place = $("#theme");
  if (!place) return;
  for (const [theme, label] of [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]]) {
    const button = h("button", { type: "button", value: theme }, label);
    button.addEventListener("click", () => {
      try {
        localStorage.setItem(THEME, theme);
      } catch {
        // Kept for this page only.
      }
      setTheme(theme);
    });
    place.append(button);
  }
  place.classList.add("theme");
  setTheme(storedTheme());
});
