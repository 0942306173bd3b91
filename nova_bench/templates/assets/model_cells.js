// All cells of an entry: every metric on every slice, with what can be chosen of them.
"use strict";

const ModelCells = (() => {
  /** Return the attribute of a slice: "age" of "age=<50", and "" of all answers. */
  const attribute = (slice) => (slice.includes("=") ? slice.slice(0, slice.indexOf("=")) : "");

  /** Return the cells of an entry's file as objects. */
  function read(data) {
    return data.cells.map(([metric, slice, value, low, high, n, failed, clusters, counts, bounds, note, signature]) => ({
      metric: data.metrics[metric],
      slice: data.slices[slice],
      v: [value, low, high],
      n,
      failed,
      clusters,
      counts,
      bounds,
      note,
      signature: data.signatures[signature],
      order: metric * 1e5 + slice,
      place: slice,
    }));
  }

  const aboutOf = (data, name) =>
    Object.hasOwn(data.entry.metrics, name) ? data.entry.metrics[name] : { range: null, about: "", higher_is_better: true };

  /** Return a panel with all that a cell's number hangs on. */
  function opened(cell, data) {
    const lines = data.states.map((state, at) => (cell.counts[at] ? `${count(cell.counts[at])} ${text(state, 20)}` : null)).filter(Boolean);
    const { signature } = cell;
    return h(
      "div",
      { class: "opened" },
      h(
        "div",
        {},
        h("p", {}, text(aboutOf(data, cell.metric).about, 600)),
        h("p", { class: "note" }, `${text(cell.slice, 80)}: ${lines.join(", ") || "no answers"}.`),
        cell.note ? h("p", { class: "note" }, prose(cell.note, 300)) : null,
      ),
      signature
        ? h(
            "div",
            {},
            copyPanel(`Signature of ${text(cell.metric, 60)}`, `${signature.id} ${signature.text}`),
            h(
              "details",
              {},
              h("summary", {}, "Provenance: shown, decides nothing"),
              copyPanel("Provenance", JSON.stringify(signature.provenance, null, 1)),
            ),
          )
        : null,
    );
  }

  function columnsOf(cells, data, single, toggle) {
    const lost = data.states.map((state, at) => [state, at]).filter(([state, at]) => state !== "ok" && cells.some((cell) => cell.counts[at] > 0));
    const decimals = new Map(
      data.metrics.map((name) => [
        name,
        decimalsOf(
          aboutOf(data, name).range,
          cells.filter((cell) => cell.metric === name).map((cell) => cell.v[0]),
        ),
      ]),
    );
    const places = (cell) => decimals.get(cell.metric);
    const domain = (cell) => aboutOf(data, cell.metric).range;
    const bars = cells.some((cell) => domain(cell) && cell.v[0] !== null);
    const range = single ? aboutOf(data, single).range : null;
    return [
      {
        key: "metric",
        title: "metric",
        kind: "text",
        className: "model",
        head: true,
        first: "asc",
        sort: (cell) => cell.order,
        show: (cell) =>
          h(
            "div",
            { class: "who-cell" },
            toggle(cell),
            h("span", { title: text(aboutOf(data, cell.metric).about, 400) || null }, bdi(cell.metric, 60)),
          ),
      },
      {
        key: "slice",
        title: "slice",
        kind: "text",
        first: "asc",
        sort: (cell) => cell.place,
        show: (cell) => (cell.slice === "all" ? h("span", { class: "none" }, "all") : bdi(cell.slice, 60)),
      },
      {
        key: "value",
        title: "value",
        className: "main",
        first: "desc",
        sort: (cell) => cell.v[0],
        show: (cell) =>
          cell.v[0] === null
            ? h("span", { class: "none", title: cell.note ? text(cell.note, 300) : null }, NONE)
            : [
                cell.failed ? h("span", { class: "sign", title: `${count(cell.failed)} failed, so this number is not final` }, "▲") : "",
                h("span", { class: "value" }, number(cell.v[0], places(cell))),
              ],
      },
      {
        key: "interval",
        title: "95% interval",
        kind: "text",
        still: true,
        sort: () => null,
        show: (cell) => h("span", { class: "ci" }, interval(cell.v, places(cell)) || NONE),
      },
      ...(bars
        ? [
            {
              key: "bar",
              title: "interval as a bar",
              still: true,
              className: "bars",
              sort: () => null,
              header: range
                ? h(
                    "span",
                    { class: "scale" },
                    range.map((bound) => h("span", {}, String(bound))),
                  )
                : h("span", { class: "scale" }, h("span", {}, "own scale of each")),
              show: (cell) => (domain(cell) ? bar(cell.v, domain(cell)) : ""),
            },
          ]
        : []),
      { key: "n", title: "n", about: "Samples that count.", first: "desc", sort: (cell) => cell.n, show: (cell) => count(cell.n) },
      {
        key: "clusters",
        title: "cases",
        about: "Cases or patients: intervals are over these.",
        first: "desc",
        sort: (cell) => cell.clusters,
        show: (cell) => count(cell.clusters),
      },
      ...lost.map(([state, at]) => ({
        key: state,
        title: state,
        first: "desc",
        sort: (cell) => cell.counts[at],
        show: (cell) =>
          cell.counts[at] ? h("span", { class: state === "failed" ? "some" : null }, count(cell.counts[at])) : h("span", { class: "none" }, "0"),
      })),
      ...(cells.some((cell) => cell.bounds)
        ? [
            {
              key: "bounds",
              title: "bounds",
              about: "What the value would be with the failed answers all worst and all best.",
              first: "desc",
              sort: (cell) => (cell.bounds ? cell.bounds[1] : null),
              show: (cell) => (cell.bounds ? interval([null, ...cell.bounds], places(cell)) || NONE : ""),
            },
          ]
        : []),
      ...(cells.some((cell) => cell.note)
        ? [
            {
              key: "note",
              title: "note",
              kind: "text",
              className: "said",
              first: "asc",
              sort: (cell) => cell.note || null,
              show: (cell) => (cell.note ? prose(cell.note, 90) : ""),
            },
          ]
        : []),
    ];
  }

  /**
   * Fill a place with the cells of an entry and the controls for them.
   *
   * `chosen` is a Map with metric, slice and find; `change(key, value)` is told what the reader chose.
   */
  function draw(place, data, chosen, change) {
    const cells = read(data);
    const attributes = [...new Set(data.slices.map(attribute).filter(Boolean))];
    const box = h("div", { class: "scroll table", role: "region", tabindex: "0", "aria-label": "Cells" });
    const shown = h("span", {});
    let grid = null;

    const redraw = () => {
      const metric = data.metrics.includes(chosen.get("metric")) ? chosen.get("metric") : "";
      const slice = chosen.get("slice") || (metric ? "every" : "overall");
      const words = (chosen.get("find") || "").toLowerCase().split(/\s+/).filter(Boolean);
      const found = cells.filter(
        (cell) =>
          (!metric || cell.metric === metric) &&
          (slice === "every" || (slice === "overall" ? cell.slice === "all" : attribute(cell.slice) === slice.replace(/^by:/, ""))) &&
          words.every((word) => `${cell.metric} ${cell.slice}`.toLowerCase().includes(word)),
      );
      const columns = columnsOf(found, data, metric, (cell) =>
        Grid.toggle(
          `Signature of ${text(cell.metric, 60)}, ${text(cell.slice, 60)}`,
          () => opened(cell, data),
          () => grid,
        ),
      );
      if (grid) grid.destroy();
      grid = Grid.make(box, { caption: "All cells", columns, items: found, order: [columns[0], "asc"], nothing: "No cell fits." });
      const message = `${count(found.length)} of ${count(cells.length)} cells`;
      shown.textContent = message;
      announce(`${message} shown`);
      sliceSelect.value = slice;
    };
    const set = (key) => (value) => {
      change(key, value);
      redraw();
    };
    const sliceSelect = picker(
      [["overall", "all answers"], ["every", "every slice"], ...attributes.map((name) => [`by:${name}`, `by ${text(name, 40)}`, "Attributes"])],
      "",
      set("slice"),
    );
    const search = h("input", { type: "search", id: "find", value: chosen.get("find") || null, placeholder: "metric or slice", autocomplete: "off" });
    search.addEventListener("input", () => set("find")(search.value));
    place.replaceChildren(
      h(
        "div",
        { class: "controls" },
        field(
          "Metric",
          picker([["", "all metrics"], ...data.metrics.map((name) => [name, text(name, 60)])], chosen.get("metric") || "", set("metric"), {
            id: "metric",
          }),
        ),
        field("Slice", sliceSelect),
        field("Search cells", search),
      ),
      h("p", { class: "shown" }, shown),
      box,
    );
    redraw();
  }

  return { draw };
})();
