// Plots of the fairness page and the comparison page, drawn with Observable Plot: lines with intervals (forests, gaps, differences), and a
// scatter that can be walked through by keyboard. Names become text nodes only; colours are the page's, so a change of theme needs no redrawing.
"use strict";

const plots = (() => {
  const SHAPES = ["circle", "square", "diamond", "triangle", "star", "cross"];
  const INK = "var(--ink)", MUTED = "var(--muted)", LINE = "var(--line)", PAPER = "var(--paper)";
  const TEXT = "12px";
  const waiting = [];
  let last = null; // The point at which the keys were, so that they go on from there when a plot is drawn anew.

  const colour = (series) => `var(--s${(series % SHAPES.length) + 1})`;
  const shape = (series) => SHAPES[series % SHAPES.length];
  const d3Shape = { circle: "symbolCircle", square: "symbolSquare", diamond: "symbolDiamond", triangle: "symbolTriangle", star: "symbolStar", cross: "symbolCross" };

  /** Return the mark of a series as a small picture, as it stands in the plots; colour is never the only thing that tells two apart. */
  function mark(series) {
    const path = d3.symbol(d3[d3Shape[shape(series)]], 62)();
    return svg("svg", { class: "mark", viewBox: "-7 -7 14 14", width: 13, height: 13, "aria-hidden": "true" }, svg("path", { d: path, fill: colour(series) }));
  }

  /**
   * Draw into a place once it is in the page, and again whenever its width changes.
   * @param {HTMLElement} place
   * @param {function(number): Element} draw gets the width in CSS pixels
   */
  function responsive(place, draw) {
    let drawn = 0;
    const again = () => {
      const width = Math.floor(place.clientWidth);
      if (!width || width === drawn) return;
      drawn = width;
      place.replaceChildren(draw(width));
    };
    const watch = new ResizeObserver(() => {
      if (place.isConnected) again();
      else watch.disconnect();
    });
    watch.observe(place);
    waiting.push(again);
  }

  /** Draw at once what waits for its place to be in the page, so that the page has its height. */
  function settle() {
    for (const draw of waiting.splice(0)) draw();
  }

  /** Return the least and greatest of some numbers with a margin; what is missing is passed over. */
  function extent(values, part = 0.05) {
    const known = values.filter((value) => Number.isFinite(value));
    if (!known.length) return [0, 1];
    const low = Math.min(...known), high = Math.max(...known);
    const pad = part * (high - low) || Math.abs(low) * part || 0.05;
    return [low - pad, high + pad];
  }

  function base(width, height, label) {
    return {
      width, height, className: "plot", ariaLabel: label,
      style: { fontFamily: "inherit", fontSize: TEXT, background: "none", color: MUTED, overflow: "visible" },
    };
  }

  /** Return a picture that is one thing to a screen reader; Plot gives its groups labels that roleless elements may not have. */
  function finished(picture) {
    picture.setAttribute("role", "img");
    for (const part of picture.querySelectorAll("g[aria-label]")) part.removeAttribute("aria-label");
    return picture;
  }

  const axis = (label, options = {}) => [
    Plot.gridX({ stroke: LINE, strokeOpacity: 1, ...options }),
    Plot.axisX({ tickSize: 0, tickPadding: 6, fill: MUTED, label, labelAnchor: "center", labelArrow: "none", labelOffset: 34, ...options }),
  ];

  /**
   * Return a plot of labelled rows, each with one line a series: value, interval, and what belongs to them.
   *
   * @param {object} spec
   *   rows: [{label, side: [text, ...], muted, strong, rule, lines: [{series, v: [value, low, high], size, hollow, floor, corrected, said}]}];
   *     `size` is 0 to 1, `hollow` draws the point without its filling, `said` stands where there is no value.
   *   side: headings of what stands at the right.
   *   across: [{series, at}], dashed lines over all rows.
   *   label: of the axis; description: what a screen reader says in place of the picture.
   *   zero: whether 0 belongs into the plot, with a line; span: further values that have to lie in it.
   * @param {number} width CSS pixels.
   */
  function lines(spec, width) {
    const narrow = width < 480;
    const step = 15, gap = 13, columns = spec.side.length;
    const left = Math.round(Math.min(190, Math.max(narrow ? 84 : 110, 0.2 * width)));
    const right = columns ? columns * (narrow ? 46 : 58) + 8 : 16;
    const spans = [], points = [], notes = [], names = [], sides = [], rules = [], floors = [];
    let y = 0;
    for (const row of spec.rows) {
      const count = Math.max(1, ...row.lines.map((line) => line.place + 1));
      const height = step * count + gap;
      if (row.rule) rules.push(y);
      const middle = y + height / 2;
      names.push({ y: middle, label: row.label, fill: row.muted ? MUTED : INK, weight: row.strong ? 650 : 400 });
      row.side.forEach((said, place) => sides.push({ y: middle, said, dx: right - (columns - 1 - place) * (narrow ? 46 : 58) - 2, muted: row.muted }));
      for (const line of row.lines) {
        const at = y + gap / 2 + step * (line.place + 0.5);
        const [value, low, high] = line.v || [null, null, null];
        const ink = row.muted || line.muted ? MUTED : colour(line.series);
        if (value === null) notes.push({ y: at, said: line.said || "no value" });
        if (value !== null && low !== null && high !== null) spans.push({ x1: low, x2: high, y: at, ink });
        if (line.floor !== null && line.floor !== undefined) floors.push({ x: line.floor, y1: at - 6, y2: at + 6 });
        if (line.corrected !== null && line.corrected !== undefined) points.push({ x: line.corrected, y: at, ink, r: 4, fill: PAPER, series: line.series });
        if (value !== null) points.push({ x: value, y: at, ink, r: 3.4 + 2.6 * (line.size ?? 0.25), fill: row.muted || line.muted || line.hollow ? PAPER : ink, series: line.series });
      }
      y += height;
    }
    const body = y, top = columns ? 26 : 10, bottom = 44;
    const values = [...spans.flatMap((one) => [one.x1, one.x2]), ...points.map((one) => one.x), ...floors.map((one) => one.x), ...(spec.span || []), ...(spec.zero ? [0] : [])];
    const cut = (px) => Math.max(4, Math.floor(px / 7.2));
    return finished(Plot.plot({
      ...base(width, body + top + bottom, spec.description),
      marginLeft: left, marginRight: right, marginTop: top, marginBottom: bottom,
      x: { domain: spec.domain || extent(values), ticks: narrow ? 4 : 6 },
      y: { domain: [0, body], reverse: true, axis: null },
      r: { type: "identity" }, color: { type: "identity" }, symbol: { type: "identity" },
      marks: [
        ...axis(spec.label, { ticks: narrow ? 4 : 6 }),
        spec.zero ? Plot.ruleX([0], { stroke: MUTED, strokeWidth: 1 }) : null,
        Plot.ruleY(rules, { stroke: LINE, insetLeft: -left, insetRight: -right }),
        (spec.across || []).map((one) => Plot.ruleX([one.at], { stroke: colour(one.series), strokeWidth: 1.2, strokeDasharray: "2 3", strokeOpacity: 0.9 })),
        Plot.ruleX(floors, { x: "x", y1: "y1", y2: "y2", stroke: MUTED, strokeWidth: 2.5 }),
        Plot.ruleY(spans, { x1: "x1", x2: "x2", y: "y", stroke: "ink", strokeWidth: 2, strokeLinecap: "round" }),
        Plot.dot(points, { x: "x", y: "y", r: "r", fill: "fill", stroke: "ink", strokeWidth: 1.5, symbol: (one) => shape(one.series) }),
        Plot.text(notes, { y: "y", text: "said", frameAnchor: "left", dx: spec.zero ? 0.06 * width : 6, fill: MUTED, fontStyle: "italic", fontSize: 11 }),
        Plot.text(names.filter((one) => one.weight === 400), { y: "y", text: "label", frameAnchor: "left", textAnchor: "start", dx: -left, fill: "fill", fontSize: 13, lineWidth: cut(left) * 0.52, textOverflow: "ellipsis-end" }),
        Plot.text(names.filter((one) => one.weight !== 400), { y: "y", text: "label", frameAnchor: "left", textAnchor: "start", dx: -left, fill: "fill", fontSize: 13, fontWeight: 650, lineWidth: cut(left) * 0.52, textOverflow: "ellipsis-end" }),
        d3.groups(sides, (one) => one.dx).map(([dx, column]) =>
          Plot.text(column, { y: "y", text: "said", frameAnchor: "right", textAnchor: "end", dx, fill: (one) => (one.muted ? MUTED : INK), fontVariant: "tabular-nums" })),
        spec.side.map((said, place) => Plot.text([said], {
          frameAnchor: "top-right", textAnchor: "end", dx: right - (columns - 1 - place) * (narrow ? 46 : 58) - 2, dy: -20, fill: MUTED, fontSize: 11,
        })),
      ],
    }));
  }

  /**
   * Fill a place with a scatter of points with interval crosses. Pointing at a point says what it is, and so do the arrow keys once the plot has
   * the focus; Enter, Space and a click give the point to `spec.choose`.
   *
   * @param {HTMLElement} place
   * @param {object} spec
   *   points: [{key, name, said: [line, ...], x: [value, low, high], y: [value, low, high], series: number or null}], series null draws in grey.
   *   xLabel, yLabel, description; diagonal: whether to draw y = x, on axes of one scale; choose: function(key).
   */
  function scatter(place, spec) {
    const points = [...spec.points].sort((a, b) => a.x[0] - b.x[0] || a.y[0] - b.y[0]);
    const tip = h("div", { class: "tip", hidden: true });
    const options = points.map((point, index) => h("div", {
      role: "option", id: `${spec.id}-${index}`, class: "spot", "aria-selected": String(point.series !== null), "aria-label": `${point.name}, ${point.said.join(", ")}`,
    }));
    const box = h("div", {
      role: "listbox", tabindex: "0", class: "spots", "aria-multiselectable": "true", "aria-label": `${spec.description}. Arrow keys go from point to point.`,
    }, options);
    const picture = h("div", { "aria-hidden": "true" });
    const frame = h("div", { class: "scatter" }, picture, box, tip);
    place.replaceChildren(frame);
    let at = -1, spots = [];

    const show = (index) => {
      options[at]?.classList.remove("on");
      at = index;
      tip.hidden = index < 0;
      if (index < 0) return;
      options[index].classList.add("on");
      const [left, top] = spots[index];
      tip.replaceChildren(h("strong", {}, bdi(points[index].name, 40)), ...points[index].said.map((line) => h("span", {}, line)));
      const hidden = spots.filter(([x, y], other) => other !== index && Math.hypot(x - left, y - top) < 2).length;
      if (hidden) tip.append(h("span", {}, `${count(hidden)} more at the same place`));
      const over = top > 90;
      tip.style.left = `${Math.min(Math.max(left, 110), frame.clientWidth - 110)}px`;
      tip.style.top = `${top + (over ? -12 : 14)}px`;
      tip.style.transform = `translate(-50%, ${over ? "-100%" : "0"})`;
    };
    const nearest = (event) => {
      const { left, top } = frame.getBoundingClientRect();
      const x = event.clientX - left, y = event.clientY - top;
      let best = -1, least = 28 ** 2;
      spots.forEach(([sx, sy], index) => {
        const far = (sx - x) ** 2 + (sy - y) ** 2;
        if (far < least) [best, least] = [index, far];
      });
      return best;
    };
    const choose = (index) => {
      last = points[index].key;
      spec.choose(last);
    };
    const go = (index) => {
      show(Math.min(points.length - 1, Math.max(0, index)));
      box.setAttribute("aria-activedescendant", options[at].id);
    };
    frame.addEventListener("pointermove", (event) => show(nearest(event)));
    frame.addEventListener("pointerleave", () => show(-1));
    frame.addEventListener("click", (event) => {
      const index = nearest(event);
      if (index >= 0) choose(index);
    });
    box.addEventListener("focus", () => { if (at < 0 && points.length) go(points.findIndex((point) => point.key === last)); });
    box.addEventListener("blur", () => show(-1));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: 10, PageUp: -10 }[event.key];
      if (!points.length) return;
      if (step) go(at + step);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(points.length - 1);
      else if ((event.key === "Enter" || event.key === " ") && at >= 0) choose(at);
      else if (event.key === "Escape") show(-1);
      else return;
      event.preventDefault();
    });

    responsive(picture, (width) => {
      const made = cloud(spec, points, width);
      const [x, y] = [made.scale("x"), made.scale("y")];
      spots = points.map((point) => [x.apply(point.x[0]), y.apply(point.y[0])]);
      options.forEach((option, index) => {
        option.style.left = `${spots[index][0]}px`;
        option.style.top = `${spots[index][1]}px`;
      });
      show(-1);
      return made;
    });
  }

  function cloud(spec, points, width) {
    const height = Math.round(Math.min(460, Math.max(300, width * 0.62)));
    const numbers = (names, all) => points.flatMap((point) => names.flatMap((name) => (all ? point[name] : [point[name][0]])));
    const domain = (names) => {
      const [values, whole] = [extent(numbers(names, false), 0.06), extent(numbers(names, true), 0.03)];
      // A few wide intervals would press hundreds of points into a corner: they are cut at the frame instead.
      return points.length > 12 && whole[1] - whole[0] > 2.5 * (values[1] - values[0]) ? values : whole;
    };
    const both = domain(["x", "y"]);
    const [xs, ys] = spec.diagonal ? [both, both] : [domain(["x"]), domain(["y"])];
    const ranked = [...points].sort((a, b) => (a.series === null ? 0 : 1) - (b.series === null ? 0 : 1));
    const faint = points.length > 60 ? 0.16 : points.length > 15 ? 0.35 : 0.75;
    const ink = (point) => (point.series === null ? MUTED : colour(point.series));
    const line = {
      stroke: ink, strokeWidth: (point) => (point.series === null ? 1 : 1.6), clip: true, strokeOpacity: (point) => (point.series === null ? faint : 0.95),
    };
    const whole = (name) => ranked.filter((point) => point[name][1] !== null && point[name][2] !== null);
    return finished(Plot.plot({
      ...base(width, height, spec.description),
      marginLeft: 54, marginRight: 14, marginTop: 26, marginBottom: 46,
      x: { domain: xs }, y: { domain: ys }, color: { type: "identity" }, symbol: { type: "identity" }, r: { type: "identity" }, opacity: { type: "identity" },
      marks: [
        ...axis(spec.xLabel, { ticks: width < 480 ? 4 : 7 }),
        Plot.gridY({ stroke: LINE, strokeOpacity: 1, ticks: 5 }),
        Plot.axisY({ tickSize: 0, tickPadding: 6, fill: MUTED, ticks: 5, label: spec.yLabel, labelArrow: "none" }),
        spec.diagonal ? Plot.line([both.map((v) => [v, v])].flat(), { stroke: MUTED, strokeWidth: 1, strokeDasharray: "4 3", clip: true }) : null,
        Plot.ruleX(whole("y"), { x: (p) => p.x[0], y1: (p) => p.y[1], y2: (p) => p.y[2], ...line }),
        Plot.ruleY(whole("x"), { y: (p) => p.y[0], x1: (p) => p.x[1], x2: (p) => p.x[2], ...line }),
        Plot.dot(ranked, {
          x: (p) => p.x[0], y: (p) => p.y[0], fill: ink, stroke: PAPER, strokeWidth: (p) => (p.series === null ? 0.5 : 1.2),
          r: (p) => (p.series === null ? (points.length > 60 ? 3 : 4) : 5.5), symbol: (p) => (p.series === null ? "circle" : shape(p.series)),
        }),
      ],
    }));
  }

  return { mark, responsive, settle, extent, lines, scatter, most: SHAPES.length };
})();
