// What is known of a sample beside its picture: the truth, each run's answer, what was made of it, verdicts, numbers, groups, the prompt.
"use strict";

const LONG = 1500; // characters of a text that are shown at once

function showDetail(detail) {
  const place = $("#detail");
  const blocks = [detail.images.length ? givenBlock(detail) : null, truthBlock(detail)];
  const answers = detail.runs.map((answer, run) => answerBlock(detail, answer, run));
  blocks.push(h("div", { class: "answers" }, answers));
  if (detail.images.length) blocks.push(disclosure("What was asked", () => promptOf(detail, false)));
  const groups = Object.entries(detail.groups);
  if (groups.length) blocks.push(disclosure("Groups", () => [groupsOf(detail, groups)], true));
  for (const [run, answer] of detail.runs.entries()) {
    const name = isPair() ? `Row of ${text(view.index.runs[run].label, 40)}` : "Row";
    if (answer && answer.row && Object.keys(answer.row).length) blocks.push(disclosure(name, () => [rowTable(answer.row)]));
  }
  blocks.push(h("p", { class: "note source" }, bdi(view.index.data.name), ", ", view.index.data.license_url
    ? outside(view.index.data.license_url, view.index.data.license) : bdi(view.index.data.license)));
  place.replaceChildren(...blocks.filter(Boolean));
  place.scrollTop = 0;
}

const opened = new Map(); // which parts stay open from sample to sample

/** Return a part that is made when it is opened, and stays open or closed from sample to sample. */
function disclosure(title, make, isOpen = false) {
  const element = h("details", { open: opened.get(title) ?? isOpen }, h("summary", {}, title));
  const fill = () => { if (element.open && element.childElementCount === 1) element.append(...make()); };
  element.addEventListener("toggle", () => { opened.set(title, element.open); fill(); });
  fill();
  return element;
}

function block(title, ...children) {
  return h("section", { class: "block" }, h("h3", {}, title), children);
}

// ---- Truth and answers

/** Return the sample's own texts that a prompt may show, such as a question: they would be lost in the prompt. */
function givenBlock(detail) {
  const given = Object.entries(detail.given);
  if (!given.length) return null;
  const title = (name) => text(name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " "), 60);
  return h("section", { class: "block" }, given.map(([name, value]) => [h("h3", {}, title(name)), h("p", { class: "reading" }, prose(value, LONG))]));
}

function truthBlock(detail) {
  if (detail.truth.kind === "none") return null;
  return block("Reference", valueOf(detail.truth, "truth"));
}

function answerBlock(detail, answer, run) {
  const label = view.index.runs[run].label;
  const heading = h("h3", {}, isPair() ? bdi(label, 60, `who run${run}`) : "Prediction", " ", answer ? stateMark(answer) : null);
  if (!answer) return h("section", { class: "block" }, heading, h("p", { class: "note" }, "This run has not asked this sample."));
  const parts = [heading];
  if (answer.reason) parts.push(h("p", { class: "fault" }, text(answer.reason, 600)));
  const isEmpty = answer.prediction.kind === "none" || (answer.prediction.boxes && !answer.prediction.boxes.length);
  if (answer.state !== "ok" && answer.state !== "failed" && isEmpty) parts.push(h("p", { class: "note" }, "Nothing could be read as an answer."));
  else if (answer.state !== "failed") parts.push(valueOf(answer.prediction, `run${run}`));
  parts.push(warningsOf(answer), scoresOf(answer, run), ...verdictsOf(answer));
  const raw = answer.answer;
  if (raw !== null && raw !== undefined && raw.trim() !== answer.prediction.text) {
    parts.push(h("h4", {}, "Answer as it came"), raw === "" ? h("p", { class: "note" }, "An empty text.") : written(raw));
  }
  if (answer.reasoning) parts.push(disclosure(isPair() ? `Reasoning of ${text(label, 40)}` : "Reasoning", () => [written(answer.reasoning)]));
  parts.push(factsOf(answer));
  return h("section", { class: "block" }, parts.filter(Boolean));
}

function stateMark(answer) {
  const kind = answer.state === "ok" ? "" : answer.state === "failed" ? "rejected" : "warn";
  return h("span", { class: `badge ${kind}` }, answer.state);
}

/** Return a value set by its kind. */
function valueOf(value, set) {
  if (value.kind === "boxes") return boxTable(value.boxes, set);
  if (value.kind === "diagnosis") {
    return h("ol", { class: "candidates" }, value.candidates.map((one, place) => h("li", {}, bdi(one, 300),
      value.same[place] ? h("span", { class: "badge verified" }, "same words") : null)));
  }
  if (value.kind === "text") return value.text ? h("p", { class: "reading" }, prose(value.text, LONG)) : h("p", { class: "note" }, "An empty text.");
  if (value.kind === "data") return written(value.text);
  return h("p", { class: "note" }, "Nothing could be read.");
}

function written(raw) {
  return h("div", { class: "written", dir: "auto" }, prose(raw, LONG));
}

function boxTable(boxes, set) {
  if (!boxes.length) return h("p", { class: "note" }, set === "truth" ? "No box: nothing is marked." : "No box.");
  const isTruth = set === "truth";
  const hasLabel = boxes.some((box) => box[5]);
  const edge = (value) => (value === null ? NONE : number(value, Number.isInteger(value) ? 0 : 1));
  const rows = boxes.slice(0, 300).map((box, place) => h("tr", { on: { mouseenter: () => light(set, place), mouseleave: () => light() } },
    h("th", { scope: "row" }, String(place + 1)),
    hasLabel ? h("td", { class: "text wrap" }, bdi(box[5], 80)) : null,
    isTruth ? null : h("td", {}, number(box[4], 2)),
    isTruth ? null : h("td", { class: box[6] !== null && box[6] >= 0.5 ? "good" : null }, number(box[6], 2)),
    h("td", { class: "edges" }, `${edge(box[0])}, ${edge(box[1])} – ${edge(box[2])}, ${edge(box[3])}`)));
  const head = ["#", hasLabel ? "label" : null, isTruth ? null : "score", isTruth ? null : "IoU", "corners, px"];
  const table = h("table", {}, h("thead", {}, h("tr", {}, head.filter(Boolean).map((one) => h("th", { scope: "col", class: one === "label" ? "text" : null }, one)))),
    h("tbody", {}, rows));
  const rest = boxes.length - rows.length;
  return h("div", {}, h("div", { class: "scroll" }, table), rest > 0 ? h("p", { class: "note" }, `and ${count(rest)} more boxes`) : null);
}

function warningsOf(answer) {
  const found = Object.entries(answer.warnings || {}).map(([name, times]) => `${text(name).replaceAll("_", " ")}${times > 1 ? ` (${count(times)})` : ""}`);
  if (answer.dropped && answer.dropped.length) found.push(`not honoured: ${answer.dropped.map((one) => text(one)).join(", ")}`);
  return found.length ? h("p", { class: "note some" }, `While reading: ${found.join("; ")}`) : null;
}

/** Return the metrics that this one answer has a value in. */
function scoresOf(answer, run) {
  const { numbers: known } = view.index;
  const rows = known.map((one, place) => [one, answer.scores ? answer.scores[place] : null, place]).filter(([, value]) => value !== null && value !== undefined);
  if (!rows.length) return null;
  return h("dl", { class: "scores" }, rows.map(([one, value, place]) => h("div", { title: text([one.about, one.also.length ? `The same here: ${one.also.join(", ")}` : ""].filter(Boolean).join(" "), 400) },
    h("dt", {}, breakable(one.name)), h("dd", { class: String(place) === (view.chosen.by || "0") ? `num main run${run}` : "num" }, number(value)))));
}

/** Return a metric's name that breaks behind brackets, commas and equal signs. */
function breakable(name) {
  return h("bdi", {}, text(name).split(/(?<=[(,=])/).map((part) => [part, h("wbr")]));
}

// ---- Verdicts

function verdictsOf(answer) {
  return (answer.verdicts || []).map((one) => {
    const many = view.index.runs.some((run) => run.judges.length > 1) || answer.verdicts.some((other) => other.repeat > 0);
    const title = [text(one.judge, 40), text(one.rubric, 40).replaceAll("_", " "), many && one.repeat ? `repeat ${one.repeat + 1}` : null];
    const state = { "by rule": "Nothing to judge; scored by rule.", unjudged: "No verdict that could be read.", waiting: "The verdict is still to come." }[one.state];
    return h("div", { class: "verdict" }, h("h4", {}, "Verdict ", h("bdi", { class: "note" }, title.filter(Boolean).join(" · "))),
      state ? h("p", { class: "note" }, state) : pairsOf(one.verdict),
      rubricOf(one.rubric));
  });
}

function rubricOf(name) {
  const rubric = Object.hasOwn(view.index.rubrics, name) ? view.index.rubrics[name] : null;
  return rubric ? disclosure("What the judge is told", () => [written(rubric)]) : null;
}

function pairsOf(verdict) {
  const shown = (value) => {
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (value === null) return NONE;
    if (Array.isArray(value)) {
      if (!value.length) return "none";
      const some = value.slice(0, 50);
      const isShort = some.every((one) => typeof one !== "object" && String(one).length < 60);
      return isShort ? some.map((one, place) => [place ? "; " : "", bdi(one, 60)]) : h("ul", {}, some.map((one) => h("li", {}, shown(one))));
    }
    if (typeof value === "object") return pairsOf(value);
    return typeof value === "string" ? prose(value, 400) : text(value);
  };
  return h("dl", { class: "pairs" }, Object.entries(verdict).map(([key, value]) => {
    const isDeep = value !== null && typeof value === "object" && !Array.isArray(value);
    return [h("dt", { class: isDeep ? "deep" : null }, bdi(key.replaceAll("_", " "))), h("dd", { class: isDeep ? "deep" : null }, shown(value))];
  }));
}

// ---- What was asked, groups, row

/** Return what the runs were asked: once where all were asked the same. */
function promptOf(detail, isLarge) {
  const asked = detail.runs.map((answer) => answer && answer.prompt);
  const known = asked.filter(Boolean);
  const same = known.every((one) => JSON.stringify(one) === JSON.stringify(known[0]));
  const made = [];
  if (isLarge) made.push(h("h3", {}, "What was asked"));
  for (const [run, prompt] of asked.entries()) {
    if (!prompt || (same && prompt !== known[0])) continue;
    if (!same) made.push(h("h4", {}, bdi(view.index.runs[run].label, 60, `who run${run}`)));
    if (prompt.system) made.push(h("p", { class: "note" }, "System"), h("div", { class: "asked-part" }, prose(prompt.system, LONG)));
    for (const part of prompt.parts) {
      made.push(typeof part === "number" ? h("p", { class: "note part" }, `Picture ${part + 1}`) : h("div", { class: "asked-part" }, prose(part, 4 * LONG)));
    }
  }
  return known.length ? made : [...made, h("p", { class: "note" }, "Nothing was asked.")];
}

function groupsOf(detail, groups) {
  return h("dl", { class: "pairs groups" }, groups.map(([name, value]) => [
    h("dt", {}, bdi(name, 40)),
    h("dd", {}, value === null ? h("span", { class: "note" }, "unknown") : bdi(value, 80)),
  ]));
}

function rowTable(row) {
  const shown = (value) => (Array.isArray(value) ? value.map((one) => (typeof one === "number" ? number(one, 3) : text(one))).join(", ") || "none" : number(value, Number.isInteger(value) ? 0 : 3));
  return h("dl", { class: "pairs row-of" }, Object.entries(row).map(([name, value]) => [h("dt", {}, bdi(name, 80)), h("dd", { class: "num" }, shown(value))]));
}

/** Return the small print of an answer: how it ended, tokens, seconds, the size in which the picture went out. */
function factsOf(answer) {
  const usage = answer.usage || {};
  const facts = [
    answer.finish && answer.finish !== "stop" ? `ended by ${text(answer.finish)}` : null,
    answer.model ? `answered by ${text(answer.model, 60)}` : null,
    usage.input_tokens ? `${count(usage.input_tokens)} tokens in` : null,
    usage.output_tokens ? `${count(usage.output_tokens)} out` : null,
    usage.reasoning_tokens ? `${count(usage.reasoning_tokens)} of them reasoning` : null,
    answer.seconds ? duration(answer.seconds) : null,
    answer.sent && answer.sent.length ? `picture sent as ${answer.sent.map((one) => one.join(" × ")).join(", ")} px` : null,
  ].filter(Boolean);
  return facts.length ? h("p", { class: "note facts" }, facts.join(" · ")) : null;
}
