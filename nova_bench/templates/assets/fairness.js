// The fairness page: what is chosen stands in the address; a change of it reads one more data file at most and draws everything anew.
"use strict";

const fairness = (() => {
  const SHOWN_AT_FIRST = 4;
  let board = null;
  let drawing = 0;

  const tasks = () => board.tasks.filter((task) => task.fairness_metrics.length);

  /** Return what is chosen, with whatever the address leaves out or gets wrong replaced by what is there. */
  function chosenOf(hash) {
    const task = tasks().find((one) => one.slug === hash.get("task")) || tasks()[0];
    const metric = task.fairness_metrics.find((one) => one.slug === hash.get("metric"))
      || task.fairness_metrics.find((one) => one.name === task.headline) || task.fairness_metrics[0];
    return { task, metric, by: hash.get("by") || "", protocol: hash.get("protocol") || "", models: hash.has("models") ? hash.get("models").split(" ").filter(Boolean) : null };
  }

  /** Return the ids under which models were measured, that of the most models first: [[id, how many], ...]. */
  function protocolsOf(rows) {
    const counted = new Map();
    for (const row of rows) counted.set(row.id, (counted.get(row.id) || 0) + (row.rejected ? 0 : 1));
    return [...counted].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  }

  /** Return the models to show where none are chosen: those with the highest (or lowest, where that is better) score on everybody. */
  function foremost(file, rows) {
    const sign = file.higher_is_better ? -1 : 1;
    return rows.filter((row) => row.overall.v[0] !== null && !row.rejected).sort((a, b) => sign * (a.overall.v[0] - b.overall.v[0])).slice(0, SHOWN_AT_FIRST).map((row) => row.model);
  }

  function go(chosen, changed) {
    const next = { task: chosen.task.slug, metric: chosen.metric.slug, by: chosen.by, protocol: chosen.protocol, models: chosen.models?.join(" "), ...changed };
    writeHash({ ...next, models: Array.isArray(next.models) ? next.models.join(" ") : next.models }, true);
    return draw();
  }

  async function draw() {
    const turn = ++drawing;
    const shown = $("#shown");
    if (!tasks().length) {
      shown.replaceChildren(h("p", {}, "No task of this board has demographics, so there is nothing to compare."));
      shown.removeAttribute("aria-busy");
      return;
    }
    const chosen = chosenOf(readHash());
    shown.setAttribute("aria-busy", "true");
    try {
      const file = await load(`fairness/${chosen.task.slug}/${chosen.metric.slug}`);
      if (turn !== drawing) return;
      show(shown, chosen, file);
    } catch (error) {
      if (turn === drawing) fault(shown, error);
    }
    shown.removeAttribute("aria-busy");
  }

  function show(place, chosen, file) {
    const attributes = file.attributes.filter((attribute) => file.rows.some((row) => row.attribute === attribute));
    const attribute = attributes.includes(chosen.by) ? chosen.by : attributes[0];
    const rows = file.rows.filter((row) => row.attribute === attribute);
    const protocols = protocolsOf(rows);
    const id = protocols.some(([one]) => one === chosen.protocol) ? chosen.protocol : protocols[0]?.[0];
    const main = rows.filter((row) => row.id === id);
    const measured = new Set(rows.map((row) => row.model));
    const models = (chosen.models ?? foremost(file, main)).filter((slug) => measured.has(slug)).slice(0, plots.most);
    const focused = document.activeElement;
    const scatter = $(".scatter");
    const top = scatter?.matches(":focus-within, :hover") ? scatter.getBoundingClientRect().top : null;
    const again = focused?.closest("#models") ? () => $("#models input:enabled") || $("#models button")
      : focused?.id ? () => document.getElementById(focused.id) : focused?.matches(".spots") ? () => $(".spots") : null;
    controls(chosen, file, attributes, attribute, protocols, id);
    const index = chooser.indexOf(board, [...measured]);
    $("#models").replaceChildren(chooser.several({
      board, index, chosen: models, most: plots.most, act: (slugs) => go(chosen, { models: slugs }),
    }));
    place.replaceChildren(...parts(chosen, file, rows, main, id, attribute, attributes, models));
    plots.settle();
    again?.()?.focus({ preventScroll: true });
    if (top !== null && $(".scatter")) scrollBy(0, $(".scatter").getBoundingClientRect().top - top); // Who chose in the plot goes on there.
    announce(`${text(file.metric, 60)} by ${text(attribute, 40)}, ${models.length} models`);
  }

  function controls(chosen, file, attributes, attribute, protocols, id) {
    const several = protocols.length > 1;
    $("#controls").replaceChildren(
      field("Task", picker(tasks().map((task) => [task.slug, text(task.spelling, 60)]), chosen.task.slug, (task) => go(chosen, { task, metric: "", protocol: "" }), { id: "task" })),
      field("Metric", picker(chosen.task.fairness_metrics.map((metric) => [metric.slug, text(metric.name, 60)]), chosen.metric.slug, (metric) => go(chosen, { metric, protocol: "" }), { id: "metric" })),
      field("Groups by", picker(attributes.map((one) => [one, text(one, 40)]), attribute, (by) => go(chosen, { by, protocol: "" }), { id: "by" })),
      several ? field("Protocol", picker(protocols.map(([one, many]) => [one, `${text(one, 16)} (${count(many)} of ${count(protocols.reduce((sum, each) => sum + each[1], 0))} models)`]), id,
        (protocol) => go(chosen, { protocol }), { id: "protocol" })) : "");
  }

  function parts(chosen, file, rows, main, id, attribute, attributes, models) {
    const title = (slug) => chooser.titleOf(board, slug);
    const place = (slug) => (models.includes(slug) ? models.indexOf(slug) : null);
    const picked = (among) => models.map((slug) => among.find((row) => row.model === slug)).filter(Boolean);
    const here = picked(main);
    const seriesOf = (some) => some.map((row) => place(row.model));
    const titlesOf = (some) => some.map((row) => title(row.model));
    const made = [];
    const better = `${file.higher_is_better ? "Higher" : "Lower"} is better${file.range ? `, from ${number(file.range[0], 0)} to ${number(file.range[1], 0)}` : ""}.`;
    const headed = (level, words, some) => [
      h(level, {}, ...words), h("p", { class: "lead" }, better, rows.length > main.length ? [" Protocol ", h("span", { class: "mono" }, text(some[0].id, 16)), "."] : null),
      h("div", { class: "beside" }, fairnessParts.forest(file, some, seriesOf(some), titlesOf(some)), fairnessParts.sentences(some, seriesOf(some), titlesOf(some))),
      fairnessParts.groupTable(file, some, seriesOf(some), titlesOf(some)), fairnessParts.gapTable(file, some, seriesOf(some), titlesOf(some)),
    ];
    if (here.length) made.push(h("section", {}, headed("h2", [bdi(file.metric, 60), " by ", bdi(attribute, 40)], here)));
    else made.push(h("p", { class: "note" }, models.length ? "None of the models chosen was measured by this protocol." : "Choose a model above, or in the plot below."));

    const elsewhere = d3.group(picked(rows).filter((row) => row.id !== id), (row) => row.id);
    for (const [other, some] of elsewhere) {
      made.push(h("section", { class: "apart" }, h("p", { class: "caution", role: "note" }, `Measured by another protocol (${text(other, 16)}): not to be compared with the numbers above.`),
        main.length ? whatDiffers(chosen, file, main[0].model, some[0].model) : null, headed("h3", [bdi(file.metric, 60), " by ", bdi(attribute, 40), ", other protocol"], some)));
    }

    const counted = main.filter((row) => !row.rejected);
    const left = [[rows.length - main.length, "measured by another protocol"], [main.length - counted.length, "whose entry was rejected"]]
      .filter(([many]) => many).map(([many, why]) => `${count(many)} ${why}`);
    made.push(h("section", {}, h("h2", {}, "FAP against the overall score"),
      h("p", { class: "lead" }, `${count(counted.length)} models, groups by `, bdi(attribute, 40), left.length ? `; without ${left.join(" and ")}.` : "."),
      ...fairnessParts.against(file, counted, place, title, (slug) => {
        const without = models.filter((one) => one !== slug);
        const next = without.length < models.length ? without : [...models.slice(0, plots.most - 1), slug];
        go(chosen, { models: next });
      })));

    const byAttribute = attributes.map((one) => {
      const those = file.rows.filter((row) => row.attribute === one);
      const first = one === attribute ? id : protocolsOf(those)[0][0];
      return [one, picked(those.filter((row) => row.id === first)).map((row) => ({ row, series: place(row.model), title: title(row.model) }))];
    }).filter(([, found]) => found.length);
    if (byAttribute.length) {
      const shown = models.filter((slug) => byAttribute.some(([, found]) => found.some((one) => one.row.model === slug)));
      made.push(h("section", {}, h("h2", {}, "Gaps by attribute"), ...fairnessParts.gaps(file, byAttribute, shown.map(place), shown.map(title))));
    }
    made.push(settings(file));
    return made;
  }

  /** Return a list that reads on being opened what differs between the signatures of two models' entries. */
  function whatDiffers(chosen, file, first, second) {
    const details = h("details", {}, h("summary", {}, "What differs"));
    details.addEventListener("toggle", async () => {
      if (!details.open || details.children.length > 1) return;
      const place = details.appendChild(h("div", {}));
      try {
        const [one, two] = await Promise.all([first, second].map(async (slug) => {
          const entry = await load(`entries/${slug}/${chosen.task.slug}`);
          return compareParts.cellsOf(entry).get(`${file.metric}\0all`)?.signature;
        }));
        const found = one && two ? compareWords.differing(one, two) : [];
        place.replaceChildren(found.length
          ? compareParts.differences(found, [bdi(chooser.titleOf(board, first), 40), bdi(chooser.titleOf(board, second), 40)])
          : h("p", { class: "note" }, "Nothing in the signatures of the scores; so the settings of the fairness numbers or the groups do."));
      } catch (error) {
        fault(place, error);
      }
    });
    return details;
  }

  function settings(file) {
    const said = Object.entries(file.settings).map(([name, value]) => `${text(name, 40)}=${text(value, 40)}`).join(" ");
    return h("p", { class: "note" }, "Settings: ", h("span", { class: "mono" }, said));
  }

  document.addEventListener("DOMContentLoaded", async () => {
    try {
      board = await load("board");
    } catch (error) {
      fault($("#shown"), error);
      return;
    }
    window.addEventListener("hashchange", draw);
    draw();
  });

  return { draw };
})();
