// The parts of the comparison page: the headline of every task that both models have, and all cells of one task side by side.
"use strict";

const compareParts = (() => {
  const SAID = { better: "B better", worse: "A better", "not told": "not told", identical: "identical", undefined: NONE };

  const scroll = (label, table) => h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, table);
  const valued = (tuple, decimals) => (!tuple || tuple[0] === null ? h("span", { class: "none" }, NONE)
    : [number(tuple[0], decimals), " ", h("span", { class: "ci" }, interval(tuple, decimals))]);
  const better = (higher) => (higher ? "higher is better" : "lower is better");

  /**
   * Return the table of headline differences.
   * @param {object[]} found one a task: {task, spelling, metric, higher, range, a, b: interval tuples or null, pair, differs}
   * @param {string} current the task shown below
   * @param {function(string): string} link address of a task's detail
   */
  function overview(found, current, link) {
    const width = (one) => (one.range ? one.range[1] - one.range[0] : null);
    const scaled = (one, value) => ((one.higher ? 1 : -1) * value) / width(one);
    const drawn = found.filter((one) => one.pair?.difference !== null && one.pair && width(one));
    const reach = Math.max(0.05, ...drawn.flatMap((one) => [one.pair.difference, one.pair.low, one.pair.high].map((value) => Math.abs(scaled(one, value ?? 0)))));
    const line = (one) => {
      const decimals = decimalsOf(one.range, [one.a?.[0], one.b?.[0]]);
      const pair = one.pair;
      const shown = drawn.includes(one) ? [pair.difference, pair.low, pair.high].map((value) => (value === null ? null : scaled(one, value))) : null;
      if (shown && !one.higher) [shown[1], shown[2]] = [shown[2], shown[1]];
      const kind = compareWords.outcome(pair, one.higher);
      return h("tr", { class: one.task === current ? "current" : null },
        h("th", { scope: "row", class: "text" }, h("a", { href: link(one.task), "aria-current": one.task === current ? "true" : null }, bdi(one.spelling, 60))),
        h("td", { class: "text" }, bdi(one.metric, 40), h("span", { class: "why" }, better(one.higher))),
        h("td", {}, valued(one.a, decimals)), h("td", {}, valued(one.b, decimals)),
        h("td", {}, pair ? valued([pair.difference, pair.low, pair.high], decimals) : h("span", { class: "none" }, NONE)),
        h("td", { class: "drawn" }, shown ? bar(shown, [-reach, reach], { marks: [0], className: "wide" }) : null),
        h("td", {}, pair ? compareWords.pShort(pair.p) : NONE),
        h("td", { class: "text" }, one.differs ? h("span", { class: "badge warn" }, "not comparable") : one.rejected ? badge("rejected") : SAID[kind]));
    };
    return scroll("Headline metric of every task", h("table", { class: "overview" },
      h("caption", {}, "Headline metric of every task that both have"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, "task"), h("th", { scope: "col", class: "text" }, "metric"), h("th", { scope: "col" }, "A"), h("th", { scope: "col" }, "B"),
        h("th", { scope: "col" }, "B − A"), h("th", { scope: "col", class: "ends" }, h("span", {}, "← A better"), h("span", {}, "B better →")), h("th", { scope: "col" }, "p"), h("th", { scope: "col", class: "text" }, "told"))),
      h("tbody", {}, found.map(line))));
  }

  /** Return the cells of an entry's file as Map "metric\0slice" -> {metric, slice, v, n, failed, clusters, note, signature}. */
  function cellsOf(file) {
    return new Map(file.cells.map(([metric, slice, value, low, high, n, failed, clusters, , , note, signature]) => [
      `${file.metrics[metric]}\0${file.slices[slice]}`,
      { metric: file.metrics[metric], slice: file.slices[slice], v: [value, low, high], n, failed, clusters, note, signature: file.signatures[signature] },
    ]));
  }

  /** Return the rows of both files, in the order of the first: [{metric, slice, a, b, differs}]; `differs` is what keeps two numbers apart. */
  function aligned(first, second) {
    const [one, two] = [cellsOf(first), cellsOf(second)];
    const seen = new Map();
    return [...new Set([...one.keys(), ...two.keys()])].map((key) => {
      const a = one.get(key), b = two.get(key);
      let differs = [];
      if (a && b) {
        const ids = `${a.signature.id} ${b.signature.id}`;
        if (!seen.has(ids)) seen.set(ids, compareWords.differing(a.signature, b.signature));
        differs = seen.get(ids);
      }
      return { metric: (a || b).metric, slice: (a || b).slice, a, b, differs };
    });
  }

  /** Return what of two protocols differs, as a list: key, value of the first, value of the second; `names` are what the two are called. */
  function differences(differs, names = ["A", "B"]) {
    const called = (at) => (typeof names[at] === "string" ? names[at] : names[at].cloneNode(true));
    return h("ul", { class: "differs" }, differs.slice(0, 12).map(([key, a, b]) => h("li", {}, bdi(key, 60), ": ", bdi(a, 60), " in ", called(0), ", ", bdi(b, 60), " in ", called(1))),
      differs.length > 12 ? h("li", {}, `and ${differs.length - 12} more`) : null);
  }

  /** Return the domain of the bars of some rows of one metric: its range, or where it has none what the values take up. */
  function domainOf(info, rows) {
    if (info?.range) return info.range;
    const values = rows.flatMap((row) => [...(row.a?.v ?? []), ...(row.b?.v ?? [])]).filter((value) => value !== null);
    const [low, high] = plots.extent(values, 0.08);
    return [Math.min(low, 0) === 0 ? 0 : low, high];
  }

  /**
   * Return the table of cells.
   * @param {object[]} rows of `aligned`, those to show
   * @param {object} metrics the entry's metrics by name: range, higher_is_better, about
   * @param {boolean} byMetric whether the rows are metrics (of one slice) rather than slices (of one metric)
   */
  function cells(rows, metrics, byMetric, caption) {
    const info = (name) => (Object.hasOwn(metrics, name) ? metrics[name] : null);
    const domains = new Map();
    for (const row of rows) {
      if (!domains.has(row.metric)) domains.set(row.metric, domainOf(info(row.metric), rows.filter((one) => one.metric === row.metric)));
    }
    const line = (row) => {
      const about = info(row.metric);
      const decimals = decimalsOf(about?.range, [row.a?.v[0], row.b?.v[0]]);
      const apart = row.differs.length > 0;
      const notes = [...new Set([row.a?.note, row.b?.note].filter(Boolean))];
      const lacking = !row.a ? "only B has it" : !row.b ? "only A has it" : null;
      const domain = domains.get(row.metric);
      const n = [row.a?.n, row.b?.n].filter((one) => one !== undefined);
      return h("tr", { class: apart ? "grey" : null },
        h("th", { scope: "row", class: "text" }, bdi(byMetric ? row.metric : row.slice, 48), byMetric && about ? h("span", { class: "why" }, about.infer ? better(about.higher_is_better) : "a description") : null),
        h("td", {}, valued(row.a?.v, decimals)), h("td", {}, valued(row.b?.v, decimals)),
        h("td", { class: "drawn" }, apart || lacking ? null : [bar(row.a.v, domain, { className: "first" }), bar(row.b.v, domain, { className: "second" })]),
        byMetric ? h("td", { class: "from" }, number(domain[0], decimals > 2 ? 0 : decimals), " – ", number(domain[1], about?.range ? 0 : decimals)) : null,
        h("td", {}, n.length === 2 && n[0] !== n[1] ? `${count(n[0])} / ${count(n[1])}` : count(n[0])),
        h("td", { class: "text notes" }, apart ? h("details", {}, h("summary", {}, h("span", { class: "badge warn" }, "not comparable")), differences(row.differs)) : null,
          lacking, notes.map((note) => h("span", { class: "why" }, bdi(note, 100)))));
    };
    const domain = byMetric || !rows.length ? null : domains.get(rows[0].metric);
    const decimals = rows.length ? decimalsOf(info(rows[0].metric)?.range, domain || []) : 3;
    return scroll("Cells of both models", h("table", { class: "cells" }, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, byMetric ? "metric" : "slice"),
        h("th", { scope: "col" }, h("span", { class: "key a" }, plots.mark(0), "A")), h("th", { scope: "col" }, h("span", { class: "key b" }, plots.mark(1), "B")),
        domain ? h("th", { scope: "col", class: "ends" }, [0, 1].map((at) => h("span", {}, number(domain[at], Number.isInteger(domain[at]) ? 0 : decimals)))) : h("th", { scope: "col", class: "text" }, "95% intervals"),
        byMetric ? h("th", { scope: "col" }, "axis") : null, h("th", { scope: "col" }, "n"), h("th", { scope: "col", class: "text" }, "note"))),
      h("tbody", {}, rows.map(line))));
  }

  return { overview, aligned, cellsOf, cells, differences };
})();
