// The page of a model: who it is, where it stands in each task, and everything of the entry that is chosen. Without a model, the list of all.
"use strict";

(() => {
  let board;
  let chosen = new Map();
  let drawing = 0;
  const place = () => $("#model");
  const rankWords = (rank) => (rank ? `${rank.low === rank.high ? rank.low : `${rank.low}–${rank.high}`} of ${rank.of}` : NONE);

  async function start() {
    try {
      board = await load("board");
    } catch (error) {
      fault(place(), error);
      return;
    }
    window.addEventListener("popstate", show);
    await show();
  }

  function change(key, value) {
    if (value) chosen.set(key, value);
    else chosen.delete(key);
    writeHash(Object.fromEntries(chosen));
  }

  async function show() {
    chosen = readHash();
    const mine = ++drawing;
    const slug = chosen.get("model");
    const suffix = document.title.split(" · ").slice(-1)[0];
    if (!slug || !Object.hasOwn(board.models, slug)) {
      document.title = `Models · ${suffix}`;
      everyModel(slug);
      return;
    }
    const card = board.models[slug];
    document.title = `${text(card.title, 60)} · ${suffix}`;
    const [standing, entry] = [h("div", {}), h("div", { id: "entry" })];
    place().replaceChildren(
      h("p", { class: "note back" }, h("a", { href: "model.html" }, "All models")),
      h("h1", {}, bdi(card.title, 160)),
      ModelFacts.line(card),
      h("section", { "aria-labelledby": "standing" }, h("h2", { id: "standing" }, "Where it stands"), standing),
      entry,
    );
    const task = card.tasks.includes(chosen.get("task")) ? chosen.get("task") : card.tasks[0];
    const said = (box) => (error) => {
      if (mine === drawing) fault(box, error);
    };
    await Promise.all([
      standings(slug, card)
        .then((places) => mine === drawing && standing.replaceChildren(standingTable(slug, card, places, task)))
        .catch(said(standing)),
      load(`entries/${slug}/${task}`)
        .then((data) => mine === drawing && drawEntry(entry, slug, task, data))
        .catch(said(entry)),
    ]);
  }

  // ---- All models

  function everyModel(missing) {
    const items = Object.entries(board.models).map(([slug, card]) => ({
      slug,
      card,
      words: `${card.title} ${card.name} ${card.license} ${card.supervision}`.toLowerCase(),
    }));
    items.sort((one, other) => Grid.compare(one.words, other.words));
    const box = h("div", { class: "scroll table", role: "region", tabindex: "0", "aria-label": "Models" });
    const search = h("input", { type: "search", id: "search", placeholder: "name or license", value: chosen.get("q") || null, autocomplete: "off" });
    const shown = h("p", { class: "shown" });
    const column = (key, title, get, more = {}) => ({
      key,
      title,
      first: "asc",
      kind: "text",
      sort: get,
      show: (item) => (get(item) ? bdi(get(item), 60) : h("span", { class: "none" }, NONE)),
      ...more,
    });
    const columns = [
      {
        key: "model",
        title: "model",
        kind: "text",
        className: "model",
        head: true,
        first: "asc",
        sort: (item) => item.card.title.toLowerCase(),
        show: (item) =>
          h(
            "div",
            { class: "who-cell" },
            h(
              "div",
              {},
              h("div", { class: "title" }, h("a", { href: address("model.html", { model: item.slug }) }, bdi(item.card.title, 60))),
              item.card.title === item.card.name ? null : h("div", { class: "sub" }, bdi(item.card.name, 60)),
            ),
          ),
      },
      column("weights", "weights", (item) => item.card.weights),
      column("size", "size", (item) => item.card.size_b, {
        kind: null,
        first: "desc",
        show: (item) => (item.card.size_b === null ? h("span", { class: "none" }, NONE) : `${item.card.size_b} B`),
      }),
      column("supervision", "supervision", (item) => item.card.supervision || null),
      column("license", "license", (item) => item.card.license || null),
      column("tasks", "tasks", (item) => item.card.tasks.length, { kind: null, first: "desc", show: (item) => count(item.card.tasks.length) }),
    ];
    place().replaceChildren(
      ...[
        h("h1", {}, "Models"),
        missing ? h("p", { class: "fault", role: "alert" }, `There is no model ${text(missing, 80)} on this board.`) : null,
        h("div", { class: "controls" }, field("Search models", search)),
        shown,
        box,
      ].filter(Boolean),
    );
    const test = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      return (item) => words.every((word) => item.words.includes(word));
    };
    const grid = Grid.make(box, {
      caption: "Models",
      columns,
      items,
      order: [columns[0], "asc"],
      test: test(),
      nothing: "No model fits.",
      drawn: (table) => {
        const some = table.rows({ search: "applied" }).count();
        shown.textContent = `${some === items.length ? "" : `${count(some)} of `}${count(items.length)} ${items.length === 1 ? "model" : "models"}`;
        announce(`${shown.textContent} shown`);
      },
    });
    search.addEventListener("input", () => {
      change("q", search.value);
      Grid.filter(grid, test());
    });
  }

  // ---- Where a model stands

  /** Return a Map from a task to its description and the model's cell, from as few and small files as have them: suites, then tables. */
  async function standings(slug, card) {
    const found = new Map();
    const suites = [...board.suites].sort(
      (one, other) => other.tasks.filter((task) => card.tasks.includes(task)).length - one.tasks.filter((task) => card.tasks.includes(task)).length,
    );
    for (const suite of suites) {
      if (!suite.tasks.some((task) => card.tasks.includes(task) && !found.has(task))) continue;
      const data = await load(`suites/${suite.slug}`);
      const row = data.rows.find((one) => one.model === slug);
      for (const task of data.tasks) if (row && Object.hasOwn(row.cells, task.slug)) found.set(task.slug, { task, cell: row.cells[task.slug] });
    }
    for (const task of card.tasks.filter((one) => !found.has(one))) {
      const data = await load(`tasks/${task}`);
      const row = data.rows.find((one) => one.model === slug);
      const metric = data.metrics.find((one) => one.name === data.task.headline);
      if (row && Object.hasOwn(row.cells, metric.name)) {
        found.set(task, {
          task: { slug: task, headline: metric.name, higher_is_better: metric.higher_is_better, range: metric.range },
          cell: { ...row.cells[metric.name], rank: row.rank },
        });
      }
    }
    return found;
  }

  function standingTable(slug, card, places, task) {
    const heads = [
      ["task", "text"],
      ["headline metric", "text"],
      ["value", ""],
      ["95% interval", "text"],
      ["", "bars"],
      ["rank", ""],
      ["", "text"],
    ];
    return h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "standing" },
        h("caption", { class: "unseen" }, "Headline numbers by task"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map(([label, name]) => (label ? h("th", { scope: "col", class: name || null }, label) : h("td", { class: name }))),
          ),
        ),
        h(
          "tbody",
          {},
          card.tasks.map((one) => {
            const found = places.get(one);
            const { range, headline } = found ? found.task : { range: null, headline: "" };
            const decimals = decimalsOf(range, found ? [found.cell.v[0]] : []);
            return h(
              "tr",
              { class: one === task ? "here" : null },
              h(
                "th",
                { scope: "row", class: "text" },
                h("a", { href: address("", { model: slug, task: one }), "aria-current": one === task ? "true" : null }, text(spelling(one), 60)),
              ),
              h("td", { class: "text" }, bdi(headline, 40)),
              h(
                "td",
                {},
                found && found.cell.n_failed
                  ? h("span", { class: "sign", title: `${count(found.cell.n_failed)} failed, so this number is not final` }, "▲")
                  : "",
                h("strong", {}, number(found && found.cell.v[0], decimals)),
              ),
              h("td", { class: "text ci" }, found ? interval(found.cell.v, decimals) || NONE : NONE),
              h("td", { class: "bars" }, found && range ? bar(found.cell.v, range) : ""),
              h("td", {}, found && found.cell.status === "rejected" ? badge("rejected") : rankWords(found && found.cell.rank)),
              h(
                "td",
                { class: "text" },
                h("a", { href: address("index.html", { task: one }) }, "table", h("span", { class: "unseen" }, ` of ${text(spelling(one), 60)}`)),
              ),
            );
          }),
        ),
      ),
    );
  }

  const spelling = (slug) => board.tasks.find((task) => task.slug === slug)?.spelling ?? slug;

  // ---- One entry

  function drawEntry(box, slug, task, data) {
    const { entry } = data;
    const about = board.tasks.find((one) => one.slug === task);
    const headline = data.cells.find((cell) => data.metrics[cell[0]] === entry.task.headline && data.slices[cell[1]] === "all");
    const signature = headline && data.signatures[headline[11]];
    const cells = h("div", {});
    const links = [
      h("a", { href: address("index.html", { task }) }, "table of this task"),
      about && about.attributes.length ? h("a", { href: address("fairness.html", { task, models: slug }) }, "fairness") : null,
      h("a", { href: address("compare.html", { a: slug, task }) }, "compare with another model"),
    ]
      .filter(Boolean)
      .flatMap((link, at) => (at ? [" · ", link] : [link]));
    box.replaceChildren(
      h(
        "section",
        { "aria-labelledby": "task" },
        h("h2", { id: "task" }, bdi(entry.task.spelling, 80)),
        h("p", { class: "note" }, `Version ${text(entry.task.version)}. `, links),
        entry.caution && !board.caution ? h("p", { class: "caution", role: "note" }, text(entry.caution, 600)) : null,
        ModelFacts.checked(data.verification),
        h(
          "div",
          { class: "halves" },
          h("div", {}, h("h3", {}, "How it was made"), ModelFacts.run(entry, board.bundles, slug)),
          h(
            "div",
            {},
            h("h3", {}, "To make it again"),
            copyPanel("Command", entry.reproduce, { lines: false }),
            signature ? copyPanel(`Signature of ${text(entry.task.headline, 60)}`, `${signature.id} ${signature.text}`) : null,
          ),
        ),
        h("h3", {}, "All cells"),
        cells,
      ),
      h(
        "section",
        { "aria-labelledby": "card" },
        h("h2", { id: "card" }, "Model card"),
        h("p", { class: "note" }, "As its submitter states it."),
        ModelFacts.card(entry.model),
      ),
    );
    ModelCells.draw(cells, data, chosen, change);
  }

  document.addEventListener("DOMContentLoaded", start);
})();
