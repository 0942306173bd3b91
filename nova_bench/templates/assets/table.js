// The leaderboard: reads what the address says, loads that table, keeps address, controls and rows together.
"use strict";

(() => {
  let board;
  let chosen = new Map();
  let grid = null;
  let drawn = null;
  let columns = [];
  let drawing = 0;

  const spelling = (slug) => board.tasks.find((task) => task.slug === slug)?.spelling ?? slug;

  async function start() {
    if (!$("#controls")) return;
    try {
      board = await load("board");
    } catch (error) {
      fault($("#table"), error);
      return;
    }
    const models = Object.keys(board.models).length;
    $("#lead").textContent =
      `${count(models)} ${models === 1 ? "model" : "models"}, ${count(board.tasks.length)} tasks, ${entries(board.n_entries)}` +
      (board.latest ? `, the latest of ${day(board.latest)}` : "");
    leftOut();
    $("#reset").addEventListener("click", clearFilters);
    window.addEventListener("popstate", show);
    await show();
  }

  /** Name the entries that no table shows, and the verifications that do not count, each with its reason. */
  function leftOut() {
    const found = board.left_out || [];
    if (!found.length) return;
    const records = found.filter((one) => one.reason.startsWith("its verification:")).length;
    const said = [
      records < found.length ? `${entries(found.length - records)} left out` : null,
      records ? `${count(records)} ${records === 1 ? "verification does" : "verifications do"} not count` : null,
    ];
    $("#left-out").replaceChildren(
      h(
        "details",
        {},
        h("summary", {}, said.filter(Boolean).join("; ")),
        h(
          "ul",
          { class: "note" },
          found.slice(0, 200).map((one) => h("li", {}, bdi(one.entry, 120), ": ", prose(one.reason, 300))),
        ),
      ),
    );
  }

  /** Return the key of the table that the address asks for; the first task where it asks for none there is. */
  function wanted() {
    const suite = chosen.get("suite");
    if (suite && board.suites.some((one) => one.slug === suite)) return `suites/${suite}`;
    const task = board.tasks.find((one) => one.slug === chosen.get("task")) || board.tasks[0];
    return task ? `tasks/${task.slug}` : null;
  }

  async function show() {
    chosen = readHash();
    const key = wanted();
    if (!key) {
      $("#table").replaceChildren(h("p", {}, "There are no entries yet."));
      return;
    }
    const mine = ++drawing;
    try {
      const data = await load(key);
      if (mine === drawing) draw(key, data);
    } catch (error) {
      if (mine === drawing) fault($("#table"), error);
    }
  }

  function change(key, value, push = false) {
    if (value) chosen.set(key, value);
    else chosen.delete(key);
    writeHash(Object.fromEntries(chosen), push);
  }

  /** Choose another table: what was chosen of models stays, what was chosen of this table goes. */
  function choose(kind, slug) {
    for (const key of ["task", "suite", "by", "protocol", "sort", "columns", "judge"]) chosen.delete(key);
    change(kind, slug, true);
    show();
  }

  function draw(key, data) {
    const suite = key.startsWith("suites/");
    const metric = suite ? null : (data.metrics.find((one) => one.name === chosen.get("by")) || { name: data.task.headline }).name;
    const protocols = suite ? [] : data.protocols.filter((one) => one.metric === metric);
    const id = (protocols.find((one) => one.id === chosen.get("protocol")) || protocols[0])?.id;
    const all = data.rows.map((row) => ({ model: row.model, card: board.models[row.model], row })).filter((item) => item.card);
    const items = suite ? all : all.filter((item) => (TableColumns.cellOf(item, metric)?.id ?? id) === id);
    if (!suite) for (const reference of data.references) if (reference.metric === metric) items.push({ reference });
    for (const item of items) item.words = TableFilters.words(item);
    items.sort((one, other) => Grid.compare(one.words, other.words));
    if (suite) {
      columns = TableColumns.ofSuite({ data, items, toggle, spelling });
    } else {
      const mains = new Map(
        data.metrics.map((one) => [
          one.name,
          TableColumns.mostFrequent(
            items
              .filter((item) => item.row && item.row.status !== "rejected")
              .map((item) => TableColumns.cellOf(item, one.name)?.id)
              .filter(Boolean),
          ),
        ]),
      );
      columns = TableColumns.ofTask({ data, metric, id, items, toggle, mains });
    }
    controls(key, data, metric);
    words(data, suite, metric, protocols, id, all.length - items.filter((item) => item.row).length);
    TableFilters.fill($("#filters"), items, chosen, filterChanged);
    columnPanel();
    drawn = { data, suite, metric, items };
    build();
  }

  // ---- Above the table

  function controls(key, data, metric) {
    const tables = [
      ...board.tasks.map((task) => [`task:${task.slug}`, text(task.spelling, 60), "Tasks"]),
      ...board.suites.map((suite) => [`suite:${suite.slug}`, text(suite.name, 60), "Suites: all tasks of a data set"]),
    ];
    const [kind, slug] = [key.startsWith("suites/") ? "suite" : "task", key.slice(key.indexOf("/") + 1)];
    const search = h("input", {
      type: "search",
      id: "search",
      placeholder: "name, license, data …",
      value: chosen.get("q") || null,
      autocomplete: "off",
    });
    search.addEventListener("input", () => filterChanged("q", search.value));
    const focused = document.activeElement && document.activeElement.id;
    $("#controls").replaceChildren(
      ...[
        field(
          "Task or suite",
          picker(tables, `${kind}:${slug}`, (value) => choose(...value.split(/:(.*)/s)), { id: "which" }),
        ),
        metric === null
          ? null
          : field(
              "Ranked by",
              picker(
                data.metrics.map((one) => [one.name, text(one.name, 40) + (one.name === data.task.headline ? " (headline)" : "")]),
                metric,
                (value) => {
                  for (const one of ["protocol", "sort"]) chosen.delete(one);
                  change("by", value === data.task.headline ? "" : value, true);
                  show();
                },
                { id: "by" },
              ),
            ),
        field("Search models", search),
        h("div", { class: "panels" }, opener("filters", "Filters"), opener("columns", "Columns")),
      ].filter(Boolean),
    );
    if (focused && $(`#${CSS.escape(focused)}`)) $(`#${CSS.escape(focused)}`).focus();
  }

  function opener(id, label) {
    const panel = $(`#${id}`);
    const button = h("button", { type: "button", id: `open-${id}`, "aria-controls": id, "aria-expanded": String(!panel.hidden) }, label);
    button.addEventListener("click", () => {
      panel.hidden = !panel.hidden;
      button.setAttribute("aria-expanded", String(!panel.hidden));
    });
    return button;
  }

  function words(data, suite, metric, protocols, id, others) {
    $("#table-title").replaceChildren(suite ? text(data.suite.name ?? data.suite, 80) : text(data.task.spelling, 80));
    document.title = `${$("#table-title").textContent} · ${document.title.split(" · ").slice(-1)[0]}`;
    const place = $("#protocol");
    place.replaceChildren();
    if (suite) {
      $("#about").textContent =
        "The headline metric of each task, and behind # its rank interval. Each bar has its task's own scale. No mean over tasks: sort by yours.";
      $("#notes").replaceChildren();
      return;
    }
    const one = data.metrics.find((found) => found.name === metric);
    $("#about").replaceChildren(
      text(one.about, 400).replace(/\.?$/, ". "),
      !one.infer ? "It describes the answers, and no test compares models by it. " : one.higher_is_better ? "Higher is better. " : "Lower is better. ",
      `Data: ${text(data.data.name, 60)}, digest ${text(data.data.digest, 64).slice(0, 12)}; task version ${text(data.task.version)}.`,
    );
    if (protocols.length > 1) protocolPicker(place, protocols, id, others);
    const notes = [];
    if (metric !== data.task.headline)
      notes.push(`Ranks are computed for ${text(data.task.headline, 40)} alone. Here rows stand in the order of their values.`);
    else if (data.rank_note) notes.push(text(data.rank_note, 600));
    if (others) notes.push("Different protocols are never ranked together: entries of another one stand in a table of their own.");
    const noted = new Map();
    for (const { metric: of, note, label } of data.references) if (of === metric && note) noted.set(note, [...(noted.get(note) || []), label]);
    for (const [note, labels] of noted) notes.push(h("span", {}, bdi(labels.join(", "), 200), ", published: ", text(note, 600)));
    $("#notes").replaceChildren(
      notes.length
        ? h(
            "ul",
            { class: "note notes" },
            notes.map((note) => h("li", {}, note)),
          )
        : "",
    );
  }

  function protocolPicker(place, protocols, id, others) {
    const options = protocols.map((one, at) => [one.id, `${text(one.id, 16)}: ${entries(one.n)}${at ? "" : ", the most"}`]);
    const differs = Object.entries(protocols.find((one) => one.id === id).differs || {});
    place.replaceChildren(
      h(
        "div",
        { class: "controls protocol" },
        field(
          "Protocol",
          picker(
            options,
            id,
            (value) => {
              change("protocol", value === protocols[0].id ? "" : value, true);
              show();
            },
            { id: "which-protocol" },
          ),
        ),
        h(
          "p",
          { class: "note" },
          differs.length
            ? [
                "Differs from the most frequent one in ",
                differs.map(([key, [mine, main]], at) => [
                  at ? "; " : "",
                  h("strong", {}, text(key, 40)),
                  ": ",
                  bdi(said(mine), 80),
                  " instead of ",
                  bdi(said(main), 80),
                ]),
              ]
            : `Not in this table: ${entries(others)} under ${protocols.length - 1} other ${protocols.length === 2 ? "protocol" : "protocols"}.`,
        ),
      ),
    );
  }

  const entries = (n) => `${count(n)} ${n === 1 ? "entry" : "entries"}`;
  const said = (value) => (value === null || value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : value);

  function columnPanel() {
    const picked = chosen.get("columns");
    const wantedKeys = picked === undefined ? null : new Set(picked.split("|"));
    for (const column of columns) column.visible = column.fixed || (wantedKeys ? wantedKeys.has(column.key) : column.shown);
    const groups = new Map();
    for (const column of columns) if (!column.fixed) groups.set(column.group, [...(groups.get(column.group) || []), column]);
    $("#columns").replaceChildren(
      ...[...groups].map(([name, found]) =>
        h(
          "fieldset",
          { class: "choices" },
          h("legend", {}, name),
          found.map((column) => {
            const box = h("input", { type: "checkbox", checked: column.visible });
            box.addEventListener("change", () => {
              column.visible = box.checked;
              change(
                "columns",
                columns
                  .filter((one) => !one.fixed && one.visible)
                  .map((one) => one.key)
                  .join("|") || "none",
              );
              build();
            });
            return h("label", { class: "check", title: column.about || null }, box, column.title);
          }),
        ),
      ),
    );
    $("#open-columns").hidden = !groups.size;
  }

  // ---- The table

  function build() {
    if (grid) grid.destroy();
    const shown = columns.filter((column) => column.visible);
    const main = shown.find((column) => column.key === "value") || shown.find((column) => column.key.startsWith("t:")) || shown[0];
    const [by, direction] = (chosen.get("sort") || "").split(/!(?=asc$|desc$)/);
    const sorted = shown.find((column) => column.key === by && !column.still) || main;
    grid = Grid.make($("#table"), {
      caption: $("#table-title").textContent,
      columns: shown,
      items: drawn.items,
      order: [sorted, sorted === main && !direction ? main.first : direction || sorted.first],
      test: TableFilters.tester(chosen),
      nothing: "No model passes the filters.",
      drawn: told,
      ordered: (column, way) => change("sort", column === main && way === main.first ? "" : `${column.key}!${way}`),
      rowClass: (item) => (item.reference ? "published" : item.row.status === "rejected" ? "rejected" : null),
    });
    marked();
    meanings(shown);
  }

  /** Say below the table what its columns are: tooltips reach neither touch nor keyboard. */
  function meanings(shown) {
    const open = Boolean($("#meanings details[open]"));
    $("#meanings").replaceChildren(
      h(
        "details",
        { open },
        h("summary", {}, "What the columns mean"),
        TableDetails.facts(shown.filter((column) => column.about).map((column) => [column.title, text(column.about, 400)])),
      ),
    );
  }

  /** Say above the table what is filtered. */
  function marked() {
    const set = TableFilters.active(chosen);
    $("#open-filters").textContent = set ? `Filters · ${set}` : "Filters";
    $("#reset").hidden = !set && !chosen.get("q");
  }

  function told(table) {
    const models = (which) =>
      table
        .rows(which)
        .data()
        .toArray()
        .filter((item) => item.row).length;
    const [some, all] = [models({ search: "applied" }), models({})];
    const message = some === all ? `${count(all)} ${all === 1 ? "model" : "models"}` : `${count(some)} of ${count(all)} models`;
    $("#shown").textContent = message;
    announce(`${message} shown`);
  }

  function filterChanged(key, value) {
    change(key, value);
    Grid.filter(grid, TableFilters.tester(chosen));
    marked();
  }

  function clearFilters() {
    for (const key of ["q", ...TableFilters.KEYS]) chosen.delete(key);
    writeHash(Object.fromEntries(chosen));
    show().then(() => $("#search").focus());
  }

  /** Return the button that opens a row. */
  function toggle(item) {
    return Grid.toggle(
      `Details of ${text(item.card.title, 60)}`,
      () => (drawn.suite ? TableDetails.ofModel(item, drawn.data, spelling) : TableDetails.ofRow(item, drawn.data, drawn.metric)),
      () => grid,
    );
  }

  document.addEventListener("DOMContentLoaded", start);
})();
