// The comparison page: two models, the tasks that both have, and one of these in detail. What is chosen stands in the address.
"use strict";

const compare = (() => {
  let board = null;
  let order = [];
  let drawing = 0;

  const modelOf = (slug) => (Object.hasOwn(board.models, slug) ? board.models[slug] : null);
  const shared = (a, b) => board.tasks.filter((task) => modelOf(a)?.tasks.includes(task.slug) && modelOf(b)?.tasks.includes(task.slug));

  /**
   * Return the models in the order in which they are taken where none is chosen: those with the most ranks in the largest suite, by the protocol
   * of the most models, the best first.
   */
  async function foremost() {
    const largest = [...board.suites].sort((x, y) => y.tasks.length - x.tasks.length)[0];
    const suite = largest ? await load(`suites/${largest.slug}`) : { tasks: [], rows: [] };
    const ranks = new Map(Object.keys(board.models).map((slug) => [slug, []]));
    for (const task of suite.tasks) {
      const cells = suite.rows.filter((row) => Object.hasOwn(row.cells, task.slug) && row.cells[task.slug].rank).map((row) => ({ model: row.model, ...row.cells[task.slug] }));
      const counted = d3.rollup(cells, (some) => some.length, (cell) => cell.id);
      for (const cell of cells) if (counted.get(cell.id) === Math.max(...counted.values())) ranks.get(cell.model)?.push(cell.rank.low);
    }
    return [...ranks].sort(([x, first], [y, second]) => second.length - first.length || d3.mean(first) - d3.mean(second) || (x < y ? -1 : 1)).map(([slug]) => slug);
  }

  /** Return what is chosen; what the address leaves out or gets wrong is replaced by the first in `order` that fits. */
  function chosenOf(hash, order) {
    const a = modelOf(hash.get("a")) ? hash.get("a") : order.find((slug) => slug !== hash.get("b"));
    const b = modelOf(hash.get("b")) && hash.get("b") !== a ? hash.get("b") : order.find((slug) => slug !== a && shared(a, slug).length);
    const tasks = a && b ? shared(a, b) : [];
    const task = tasks.find((one) => one.slug === hash.get("task")) || tasks[0] || null;
    return { a, b, tasks, task, metric: hash.get("metric") || "", find: hash.get("find") || "" };
  }

  function link(chosen, changed) {
    return address("compare.html", { a: chosen.a, b: chosen.b, task: chosen.task?.slug, metric: chosen.metric, find: chosen.find, ...changed });
  }

  function go(chosen, changed, push = true) {
    const { a, b, task, metric, find } = { a: chosen.a, b: chosen.b, task: chosen.task?.slug, metric: chosen.metric, find: chosen.find, ...changed };
    writeHash({ a, b, task, metric, find }, push);
    return draw();
  }

  async function draw() {
    const turn = ++drawing;
    const shown = $("#shown");
    const chosen = chosenOf(readHash(), order);
    const done = (...content) => {
      const focused = document.activeElement;
      const again = focused?.closest(".overview") ? ".overview a[aria-current]" : focused?.id === "metric" ? "#metric" : null;
      shown.replaceChildren(...content);
      if (again) $(again)?.focus({ preventScroll: true });
      shown.removeAttribute("aria-busy");
    };
    controls(chosen);
    if (!chosen.b) return done(h("p", {}, "There are no two models with a task in common on this board."));
    if (!chosen.task) return done(h("p", {}, "These two models have no task in common. Choose another one above."));
    shown.setAttribute("aria-busy", "true");
    try {
      const [pairs, headlines, first, second] = await Promise.all([
        Promise.all(chosen.tasks.map((task) => load(`pairs/${task.slug}/${chosen.a}`).catch(() => null))), headlinesOf(chosen),
        load(`entries/${chosen.a}/${chosen.task.slug}`), load(`entries/${chosen.b}/${chosen.task.slug}`),
      ]);
      if (turn !== drawing) return null;
      const found = chosen.tasks.map((task, at) => headline(chosen, task, pairs[at], headlines));
      done(...parts(chosen, found, first, second));
      announce(`${text(chooser.titleOf(board, chosen.a), 60)} and ${text(chooser.titleOf(board, chosen.b), 60)}: ${chosen.tasks.length} tasks in common`);
    } catch (error) {
      if (turn === drawing) {
        fault(shown, error);
        shown.removeAttribute("aria-busy");
      }
    }
    return null;
  }

  /** Return the same of a task that is in no suite, from the two entries. */
  async function fromEntries(chosen, task) {
    const [first, second] = await Promise.all([chosen.a, chosen.b].map((slug) => load(`entries/${slug}/${task.slug}`)));
    const cell = (file) => {
      const found = compareParts.cellsOf(file).get(`${task.headline}\0all`);
      return found ? { v: found.v, id: found.signature.id } : null;
    };
    const about = Object.hasOwn(first.entry.metrics, task.headline) ? first.entry.metrics[task.headline] : null;
    return { info: { higher_is_better: about?.higher_is_better ?? true, range: about?.range ?? null }, a: cell(first), b: cell(second) };
  }

  /** Read as few suites as hold the tasks of both, and return Map task slug -> {info: direction and range, a: cell, b: cell}. */
  async function headlinesOf(chosen) {
    const left = new Set(chosen.tasks.map((task) => task.slug));
    const suites = [];
    for (const suite of [...board.suites].sort((x, y) => y.tasks.filter((task) => left.has(task)).length - x.tasks.filter((task) => left.has(task)).length)) {
      if (!suite.tasks.some((task) => left.has(task))) continue;
      suites.push(suite.slug);
      suite.tasks.forEach((task) => left.delete(task));
    }
    const found = new Map();
    for (const suite of await Promise.all(suites.map((slug) => load(`suites/${slug}`)))) {
      for (const info of suite.tasks) {
        const cell = (slug) => {
          const row = suite.rows.find((one) => one.model === slug);
          return row && Object.hasOwn(row.cells, info.slug) ? row.cells[info.slug] : null;
        };
        found.set(info.slug, { info, a: cell(chosen.a), b: cell(chosen.b) });
      }
    }
    await Promise.all(chosen.tasks.filter((task) => !found.has(task.slug)).map(async (task) => found.set(task.slug, await fromEntries(chosen, task))));
    return found;
  }

  function headline(chosen, task, file, headlines) {
    const there = headlines.get(task.slug);
    const at = file ? file.models.indexOf(chosen.b) : -1;
    const pair = at < 0 ? null : { difference: file.difference[at], low: file.low[at], high: file.high[at], p: file.p[at], differing: file.differing[at], clusters: file.clusters[at] };
    return {
      task: task.slug, spelling: task.spelling, metric: task.headline, higher: task.higher_is_better, range: task.range,
      a: there?.a?.v ?? null, b: there?.b?.v ?? null, pair, differs: Boolean(there?.a && there?.b && there.a.id !== there.b.id),
      rejected: [there?.a, there?.b].some((cell) => cell?.status === "rejected"),
    };
  }

  function controls(chosen) {
    const index = chooser.indexOf(board, Object.keys(board.models));
    const other = chosen.a ? index.filter((one) => one.slug !== chosen.a && shared(chosen.a, one.slug).length) : [];
    const focused = document.activeElement?.closest("#controls") ? [...document.querySelectorAll("#controls input, #controls button")].indexOf(document.activeElement) : -1;
    $("#controls").replaceChildren(
      chooser.search({ label: "Model A", index, current: chosen.a, placeholder: `One of ${count(index.length)}`, act: (a) => go(chosen, a === chosen.b ? { a, b: chosen.a } : { a }) }),
      h("button", { type: "button", class: "swap", on: { click: () => go(chosen, { a: chosen.b, b: chosen.a }) }, disabled: !chosen.b, "aria-label": "Swap A and B" }, "⇄"),
      chooser.search({ label: "Model B", index: other, current: chosen.b, placeholder: `One of ${count(other.length)}`, act: (b) => go(chosen, { b }) }));
    if (focused >= 0) document.querySelectorAll("#controls input, #controls button")[focused]?.focus({ preventScroll: true });
  }

  function parts(chosen, found, first, second) {
    const name = (which, slug) => () => h("a", { class: `name ${which}`, href: address("model.html", { model: slug, task: chosen.task.slug }) }, bdi(chooser.titleOf(board, slug), 60));
    const a = name("a", chosen.a), b = name("b", chosen.b);
    const here = found.find((one) => one.task === chosen.task.slug);
    const rows = compareParts.aligned(first, second);
    const whole = rows.find((row) => row.metric === here.metric && row.slice === "all");
    const info = Object.hasOwn(first.entry.metrics, here.metric) ? first.entry.metrics[here.metric] : null;
    const higher = info?.higher_is_better ?? here.higher;
    const apart = whole?.differs ?? [];
    const said = apart.length
      ? [h("p", { class: "said" }, bdi(here.metric, 60), " of ", a(), " and ", b(), " cannot be compared: they were measured by different protocols."), compareParts.differences(apart)]
      : [h("p", { class: "said" }, compareWords.sentence(here.pair, here.metric, higher, a, b)), h("p", { class: "note" }, basis(here.pair))];
    return [
      h("section", {}, h("h2", {}, bdi(here.spelling, 60)), ...said, h("p", { class: "note standing" }, [["A", a, first], ["B", b, second]].map(([letter, who, file], at) => h("span", {}, plots.mark(at), ` ${letter}: `, who(), " ", badge(file.verification?.status))))),
      h("section", {}, compareParts.overview(found, chosen.task.slug, (task) => link(chosen, { task, metric: "", find: "" })),
        h("p", { class: "note" }, "Differences are B − A on the answers that both gave, paired case by case, with 95% intervals. The bars point to the better model and are "
          + "drawn as a share of each metric's range. Each p is that of its own test, not corrected for how many tasks and pairs one looks at.")),
      h("section", { id: "cells" }, h("h2", {}, "All cells of ", bdi(here.spelling, 60)), ...details(chosen, first, second, rows)),
    ];
  }

  function basis(pair) {
    if (!pair || pair.difference === null) return "Too few cases, no value on these samples, or an entry without the part that pairs its answers.";
    return `Headline metric on all samples, ${count(pair.clusters)} cases, of which ${count(pair.differing)} scored differently.`;
  }

  function details(chosen, first, second, rows) {
    const metrics = { ...second.entry.metrics, ...first.entry.metrics };
    const names = [...new Set(rows.map((row) => row.metric))];
    const metric = names.includes(chosen.metric) ? chosen.metric : "";
    const place = h("div", {});
    const fill = (query) => {
      const wanted = query.toLowerCase();
      const shown = rows.filter((row) => (metric ? row.metric === metric : row.slice === "all") && (metric ? row.slice : row.metric).toLowerCase().includes(wanted));
      place.replaceChildren(shown.length ? compareParts.cells(shown, metrics, !metric, metric ? [bdi(metric, 60), " by slice"] : "Every metric, all samples")
        : h("p", { class: "note" }, "Nothing has this in its name."));
      return shown.length;
    };
    const search = h("input", { type: "search", value: chosen.find, placeholder: metric ? "part of a slice's name" : "part of a metric's name" });
    search.addEventListener("input", () => {
      announce(`${fill(search.value)} rows`);
      chosen.find = search.value;
      writeHash({ a: chosen.a, b: chosen.b, task: chosen.task.slug, metric, find: search.value });
    });
    fill(chosen.find);
    const about = metric && Object.hasOwn(metrics, metric) ? metrics[metric].about : null;
    return [
      h("div", { class: "controls" },
        field("Show", picker([["", "every metric, all samples"], ...names.map((one) => [one, text(one, 60), "one metric, by slice"])], metric, (one) => go(chosen, { metric: one, find: "" }), { id: "metric" })),
        field("Find", search)),
      about ? h("p", { class: "note" }, bdi(about, 300)) : null,
      place,
      h("p", { class: "note" }, "Each interval is that of one model. Intervals that overlap are no test: two models answered the same cases, and what is hard for both cancels only "
        + "when their answers are paired. ", h("code", { class: "mono" }, "nova-bench compare RUN RUN"), " pairs every metric and slice of two runs."),
    ].filter(Boolean);
  }

  document.addEventListener("DOMContentLoaded", async () => {
    try {
      board = await load("board");
      order = await foremost();
    } catch (error) {
      fault($("#shown"), error);
      $("#shown").removeAttribute("aria-busy");
      return;
    }
    window.addEventListener("hashchange", draw);
    draw();
  });

  return { draw };
})();
