// The picture with its boxes: fitted to its place, nearer and further, each set of boxes on or off. Without a picture, what was asked.
"use strict";

const SETS = ["truth", "run0", "run1"];
const isShown = { truth: true, run0: true, run1: true };
let panzoom = null;
let canvas = null;
let fit = 1; // px of the screen a px of the picture, at the whole picture
let size = [1, 1];
let picked = 0; // which of a sample's pictures

/** Return the boxes of a sample by set; only those of a task about boxes. */
function boxesOf(detail) {
  const found = new Map();
  if (detail.truth.kind === "boxes") found.set("truth", detail.truth.boxes);
  for (const [place, answer] of detail.runs.entries()) {
    if (answer && answer.prediction.kind === "boxes") found.set(`run${place}`, answer.prediction.boxes);
  }
  return found;
}

const nameOfSet = (set) => (set === "truth" ? "True" : view.index.runs.length > 1 ? text(view.index.runs[Number(set.slice(3))].label, 28) : "Predicted");

function showStage(detail) {
  picked = 0;
  drawStage(detail);
}

function drawStage(detail) {
  const stage = $("#stage");
  if (panzoom) panzoom.destroy();
  panzoom = canvas = null;
  stage.className = detail.images.length ? "dark" : "asked";
  if (!detail.images.length) {
    stage.replaceChildren(...promptOf(detail, true));
    stage.scrollTop = 0;
    return;
  }
  const picture = detail.images[picked];
  size = picture.size || [512, 512];
  const boxes = picked === 0 ? boxesOf(detail) : new Map();
  canvas = h("div", { class: "canvas" }, pictureOf(detail, picture), overlay(boxes));
  const frame = h("div", { class: "frame", tabindex: "0", role: "group", "aria-label": said(detail, boxes) }, canvas);
  stage.replaceChildren(frame, tools(detail, boxes));
  if (picture.note && picture.src) stage.append(h("p", { class: "under" }, text(picture.note, 400)));
  panzoom = Panzoom(canvas, { minScale: 1, maxScale: 24, step: 0.35, panOnlyWhenZoomed: true, cursor: "", touchAction: "pan-y", animate: false });
  canvas.addEventListener("panzoomchange", (event) => zoomed(event.detail.scale));
  frame.addEventListener("wheel", (event) => { panzoom.zoomWithWheel(event, { step: 0.12 }); }, { passive: false });
  frame.addEventListener("dblclick", (event) => {
    if (panzoom.getScale() > 1.01) zoom(0);
    else panzoom.zoomToPoint(3, event);
  });
  fitPicture();
}

/** Return the picture, or why there is none. */
function pictureOf(detail, picture) {
  const missing = (why) => h("p", { class: "missing", role: "note" }, h("strong", {}, "The picture cannot be shown."), " ", bdi(why, 600));
  if (!picture.src) return missing(picture.note || "It is not there.");
  const image = h("img", { src: picture.src, alt: `Picture ${picked + 1} of ${text(detail.id)}`, draggable: "false" });
  image.addEventListener("error", () => {
    image.replaceWith(missing(`It is expected at ${decodeURI(picture.src)}, and is not there or is no picture.`));
  });
  return image;
}

function overlay(boxes) {
  const [width, height] = size;
  const drawing = svg("svg", { class: "overlay", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const set of SETS) {
    const group = svg("g", { class: `boxes ${set}`, "data-set": set });
    for (const [place, box] of (boxes.get(set) || []).entries()) {
      const [x0, y0, x1, y1] = box;
      if ([x0, y0, x1, y1].includes(null) || x1 <= x0 || y1 <= y0) continue;
      const at = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
      const label = set === "truth" ? "" : view.index.runs.length > 1 || boxes.get(set).length > 1 || box[4] !== 1 ? String(place + 1) : "";
      group.append(svg("g", { "data-box": place }, svg("rect", { class: "case", ...at }), svg("rect", { class: "line", ...at }),
        label ? svg("text", { x: x0, y: y0, class: "label" }, label) : null));
    }
    drawing.append(group);
  }
  return drawing;
}

/** Return in words what the picture shows, for those who do not see it. */
function said(detail, boxes) {
  const parts = [...boxes].map(([set, some]) => `${set === "truth" ? "true boxes" : `boxes of ${nameOfSet(set)}`}: ${some.length}`);
  return [`Picture of ${text(detail.id)}`, ...parts].join("; ");
}

// ---- Tools under the picture

function tools(detail, boxes) {
  const sets = [...boxes.keys()].map((set) => h("button", {
    type: "button", class: `small set ${set}`, "data-set": set, "aria-pressed": String(isShown[set]), on: { click: () => toggle(set) },
  }, h("i", { "aria-hidden": "true" }), nameOfSet(set), h("span", { class: "num" }, String(boxes.get(set).length))));
  const pictures = detail.images.length < 2 ? null : picker(
    detail.images.map((one, place) => [String(place), `${place + 1} of ${detail.images.length}${one.own ? "" : ", shown instead"}`]),
    String(picked), (value) => { picked = Number(value); drawStage(detail); }, { "aria-label": "Picture", class: "small" },
  );
  const act = (label, name, by) => h("button", { type: "button", class: "small", "aria-label": name, on: { click: () => zoom(by) } }, label);
  applySets();
  return h("div", { class: "tools" },
    h("div", { class: "sets", role: "group", "aria-label": "Boxes" }, sets),
    pictures,
    h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      h("span", { class: "note num", id: "scale" }), act("−", "Further", -1), act("+", "Nearer", 1), act("Fit", "Whole picture", 0)));
}

function toggle(set) {
  if (!$(`#stage button[data-set="${set}"]`)) return;
  isShown[set] = !isShown[set];
  applySets();
}

/** Switch the predictions of all runs off where any is on, else on. */
function togglePredictions() {
  const sets = [...document.querySelectorAll("#stage button[data-set]")].map((one) => one.dataset.set).filter((set) => set !== "truth");
  const to = !sets.some((set) => isShown[set]);
  for (const set of sets) isShown[set] = to;
  applySets();
}

function applySets() {
  requestAnimationFrame(() => {
    for (const one of document.querySelectorAll("#stage [data-set]")) {
      const on = isShown[one.dataset.set];
      if (one.tagName === "BUTTON") one.setAttribute("aria-pressed", String(on));
      else one.classList.toggle("off", !on);
    }
  });
}

/** Bring one box out, as when the pointer is on its row in the table. */
function light(set, place) {
  for (const one of document.querySelectorAll("#stage .lit")) one.classList.remove("lit");
  const found = set && $(`#stage g[data-set="${set}"] [data-box="${place}"]`);
  if (found) found.classList.add("lit");
}

// ---- Size and zoom

function fitPicture() {
  const frame = $("#stage .frame");
  if (!canvas || !frame) return;
  const [width, height] = size;
  fit = Math.min(frame.clientWidth / width, frame.clientHeight / height);
  canvas.style.width = `${width * fit}px`;
  canvas.style.height = `${height * fit}px`;
  zoomed(panzoom ? panzoom.getScale() : 1);
}

/** Keep lines and labels as wide as they were, whatever the scale. */
function zoomed(scale) {
  if (!canvas) return;
  canvas.style.setProperty("--px", String(1 / (fit * scale)));
  canvas.style.touchAction = scale > 1.01 ? "none" : "pan-y";
  canvas.classList.toggle("near", scale > 1.01);
  const place = $("#scale");
  if (place) place.textContent = `${Math.round(100 * fit * scale)}%`;
}

/** Go nearer (1), further (-1), or to the whole picture (0). */
function zoom(by) {
  if (!panzoom) return;
  if (by > 0) panzoom.zoomIn();
  else if (by < 0) panzoom.zoomOut();
  if (by === 0 || panzoom.getScale() <= 1.001) panzoom.reset();
  zoomed(panzoom.getScale());
}

function move(across, down) {
  if (panzoom) panzoom.pan(60 * across / panzoom.getScale(), 60 * down / panzoom.getScale(), { relative: true });
}

new ResizeObserver(fitPicture).observe($("#stage"));
