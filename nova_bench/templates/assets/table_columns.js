// The columns of a task's table and of a suite's: what each shows, what it sorts by, and whether it is shown unless somebody chooses.
"use strict";

const TableColumns = (() => {
  const LOST = ["failed", "refused", "truncated", "unparsed", "rejected"];
  const LOST_ABOUT = {
    failed: "Requests that got no answer: our fault or the server's. Not counted as wrong; the value is marked.",
    refused: "Answers that decline, in words or by a filter. They count as wrong.",
    truncated: "Answers that were cut at the token limit. What is complete before the cut counts.",
    unparsed: "Answers in which nothing was found. They count as wrong.",
    rejected: "Requests that the model cannot take. They count as wrong.",
  };
  const EXPOSED = new Map([
    [true, "yes"],
    [false, "no"],
    [null, "not stated"],
  ]);

  /** Return a rank interval in words: "2–4", "1", or a dash. */
  const rank = (found) => (found ? (found.low === found.high ? String(found.low) : `${found.low}–${found.high}`) : NONE);

  /** Return the bounds of the axis for values: the metric's own range where they fill half of it, otherwise round numbers about them. */
  function axis(range, tuples) {
    const values = tuples.flat().filter((value) => Number.isFinite(value));
    if (!values.length) return range || [0, 1];
    const low = Math.min(...values);
    const high = Math.max(...values);
    if (range && (high - low) * 2 >= range[1] - range[0]) return range;
    const step = [1, 2, 5, 10]
      .map((one) => one * 10 ** Math.floor(Math.log10((high - low || Math.abs(high) || 1) / 4)))
      .find((one) => (high - low) / one <= 6);
    const bounds = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
    if (bounds[0] === bounds[1]) bounds[1] += step;
    return range ? [Math.max(range[0], bounds[0]), Math.min(range[1], bounds[1])] : bounds;
  }

  function scale(domain, decimals) {
    const short = (value) =>
      number(value, decimals)
        .replace(/(\.\d*?)0+$/, "$1")
        .replace(/\.$/, "");
    return h(
      "span",
      { class: "scale" },
      [domain[0], (domain[0] + domain[1]) / 2, domain[1]].map((value) => h("span", {}, short(value))),
    );
  }

  /** Return a value with its interval; one with failures, another protocol or a note is marked in front, so that numbers stay aligned. */
  function valueCell(cell, decimals, { apart = false, short = false } = {}) {
    if (!cell || !cell.v || cell.v[0] === null) return h("span", { class: "none", title: cell && cell.note ? text(cell.note, 300) : null }, NONE);
    const said = [];
    if (apart) said.push("another protocol than the other rows");
    if (cell.n_failed) said.push(`${count(cell.n_failed)} failed, so this number is not final`);
    if (cell.unjudged) said.push(`${count(cell.unjudged)} without a verdict`);
    if (cell.note && !cell.source) said.push(text(cell.note, 300));
    const sign = apart ? "≠" : cell.n_failed ? "▲" : said.length ? "*" : "";
    return [
      sign ? h("span", { class: "sign", title: said.join("; ") }, sign, h("span", { class: "unseen" }, ` (${said.join("; ")}) `)) : null,
      h("span", { class: apart ? "value grey" : "value", title: short ? interval(cell.v, decimals) || null : null }, number(cell.v[0], decimals)),
      short
        ? null
        : interval(cell.v, decimals)
          ? h("span", { class: "ci" }, interval(cell.v, decimals))
          : h("span", { class: "ci blank", "aria-hidden": "true" }, interval([0, cell.v[0], cell.v[0]], decimals)),
    ];
  }

  /** Return the first column: the button that opens a row, the model, its marks and what kind of model it is. */
  function modelColumn(task, toggle) {
    return {
      key: "model",
      title: "model",
      fixed: true,
      kind: "text",
      first: "asc",
      className: "model",
      head: true,
      sort: (item) => (item.card ? text(item.card.title).toLowerCase() : item.reference.label.toLowerCase()),
      show: (item) => {
        if (item.reference) {
          const { label: name, kind, published, evidence, url, source } = item.reference;
          const what = [
            published ? `${text(published, 40)}, ` : "",
            "not measured here",
            evidence && evidence !== "primary source" ? `, ${text(evidence, 30)}` : "",
            ": ",
          ];
          return h(
            "div",
            { class: "who-cell" },
            h("span", { class: "gap" }),
            h(
              "div",
              {},
              h(
                "div",
                { class: "title" },
                bdi(name, 60),
                " ",
                h("span", { class: "badge published" }, kind === "people" ? "people, published" : "published"),
              ),
              h("div", { class: "sub" }, what, url ? outside(url, text(source, 120)) : bdi(source, 120)),
            ),
          );
        }
        const card = item.card;
        const sub = [
          card.parameters ? bdi(card.parameters, 20) : null,
          card.weights && card.weights !== "none" ? `${text(card.weights, 20)} weights` : null,
          card.title === card.name ? null : bdi(card.name, 36),
        ];
        return h(
          "div",
          { class: "who-cell" },
          toggle(item),
          h(
            "div",
            {},
            h("div", { class: "title" }, h("a", { href: address("model.html", { model: item.model, task }) }, bdi(card.title, 48)), marks(item)),
            h(
              "div",
              { class: "sub" },
              sub.filter(Boolean).flatMap((part, at) => (at ? [" · ", part] : [part])),
            ),
          ),
        );
      },
    };
  }

  function marks(item) {
    if (!item.row || !item.row.counts) return [];
    const found = [badge(item.row.status)];
    if (item.row.exposed)
      found.push(h("span", { class: "badge warn", title: "Its card names this data set among what it was trained on." }, "trained on it"));
    return found.filter(Boolean).flatMap((mark) => [" ", mark]);
  }

  /** Return the columns of a task's table, the one that ranks first. `about` holds: data (the file), metric, id, items, toggle. */
  function ofTask({ data, metric, id, items, toggle, mains }) {
    const ranked = data.metrics.find((one) => one.name === metric);
    const rows = items.filter((item) => item.row);
    const references = items.filter((item) => item.reference);
    const counted = rows.filter((item) => !rejected(item)).map((item) => cellOf(item, metric));
    const tuples = [...counted, ...references.map((item) => item.reference)].filter(Boolean).map((one) => one.v);
    const decimals = decimalsOf(
      ranked.range,
      tuples.map((one) => one[0]),
    );
    const domain = axis(ranked.range, tuples);
    const lines = references.filter((item) => item.reference.kind === "people").map((item) => item.reference.v[0]);
    const best = ranked.higher_is_better ? "desc" : "asc";
    const value = (item) => (item.reference ? item.reference : cellOf(item, metric));
    const columns = [
      ...(rows.some((item) => item.row.rank) && metric === data.task.headline
        ? [
            {
              key: "rank",
              title: "rank",
              fixed: true,
              first: "asc",
              className: "rank",
              about: "The ranks that the data leave open: models whose difference cannot be told from chance share them.",
              sort: (item) => (item.row && item.row.rank ? item.row.rank.low + item.row.rank.high / 1e6 : null),
              show: (item) => (item.row ? rank(item.row.rank) : ""),
            },
          ]
        : []),
      modelColumn(data.task.slug, toggle),
      {
        key: "value",
        title: text(metric, 40),
        fixed: true,
        first: best,
        className: "main",
        about: ranked.about,
        sort: (item) => (rejected(item) ? null : (value(item)?.v[0] ?? null)),
        show: (item) => valueCell(value(item), decimals),
      },
      {
        key: "bar",
        title: "interval as a bar",
        fixed: true,
        still: true,
        className: "bars",
        header: scale(domain, decimals),
        first: best,
        sort: () => null,
        show: (item) => bar(value(item)?.v, domain, { marks: lines, className: item.reference ? "published" : "" }),
      },
    ];
    const kin = new Set([metric.split("(")[0]]); // One of bleu4, bleu4(evaluate) is enough until somebody asks for the other.
    for (const one of data.metrics) {
      if (one.name === metric) continue;
      const known = rows.some((item) => cellOf(item, one.name)?.v[0] !== null && cellOf(item, one.name));
      const places = decimalsOf(
        one.range,
        rows.map((item) => cellOf(item, one.name)?.v[0]),
      );
      const main = mains.get(one.name);
      const apart = (item) => main !== undefined && cellOf(item, one.name)?.id !== main;
      columns.push({
        key: `m:${one.name}`,
        group: "Metrics",
        title: text(one.name, 40),
        about: one.about,
        first: one.higher_is_better ? "desc" : "asc",
        shown: known && one.infer && kin.size < 3 && kin.size < kin.add(one.name.split("(")[0]).size,
        sort: (item) => (item.row && !apart(item) && !rejected(item) ? (cellOf(item, one.name)?.v[0] ?? null) : null),
        show: (item) => (item.row ? valueCell(cellOf(item, one.name), places, { apart: apart(item), short: true }) : ""),
      });
    }
    return [...columns, ...runColumns(rows)];
  }

  /** Return whether an entry contradicts itself: it is shown, and takes part in no order. */
  const rejected = (item) => item.row && item.row.status === "rejected";

  function cellOf(item, metric) {
    return item.row && Object.hasOwn(item.row.cells, metric) ? item.row.cells[metric] : null;
  }

  function runColumns(rows) {
    const some = (get) => rows.some((item) => get(item) !== null && get(item) !== undefined);
    const usage = (key) => (item) => (item.row && item.row.usage ? (item.row.usage[key] ?? null) : null);
    const column = (key, title, about, get, show, more = {}) => ({
      key,
      title,
      about,
      group: "Run",
      first: "asc",
      shown: some(get),
      sort: (item) => (item.row ? (get(item) ?? null) : null),
      show: (item) => (item.row ? show(item) : ""),
      ...more,
    });
    return [
      ...LOST.map((state) => ({
        key: state,
        title: state,
        about: LOST_ABOUT[state],
        group: "Answers",
        first: "desc",
        shown: rows.some((item) => item.row.counts[state] > 0),
        sort: (item) => (item.row ? (item.row.counts[state] || 0) / (item.row.lines || 1) : null),
        show: (item) => (item.row ? lost(item.row, state) : ""),
      })),
      column(
        "answers",
        "answers",
        "Samples times repeats.",
        (item) => item.row?.lines,
        (item) => count(item.row.lines),
        { group: "Answers", shown: false, first: "desc" },
      ),
      column("judge", "judge", "Who judged the answers.", (item) => (item.row?.judges?.length ? item.row.judges[0].name : null), judges, {
        kind: "text",
      }),
      column("cost", "cost", "Of all requests of this run, at the prices of its day.", usage("cost_usd"), (item) =>
        h("span", { title: item.row.usage?.cost_note ? text(item.row.usage.cost_note, 300) : null }, dollars(usage("cost_usd")(item))),
      ),
      column(
        "tokens",
        "tokens",
        "Input and output together.",
        (item) => usage("total")(item) || null,
        (item) => brief(usage("total")(item) || null),
      ),
      column(
        "seconds",
        "time",
        "Of all requests, one after another.",
        (item) => usage("seconds")(item) || null,
        (item) => duration(usage("seconds")(item) || null),
        { shown: false },
      ),
      column(
        "size",
        "size",
        "Parameters in billions, as the card says.",
        (item) => item.card.size_b,
        (item) => (item.card.size_b === null ? NONE : `${item.card.size_b} B`),
        { shown: false },
      ),
      column(
        "supervision",
        "supervision",
        "As the card says.",
        (item) => item.card.supervision || null,
        (item) => bdi(item.card.supervision || NONE, 30),
        { kind: "text", shown: false },
      ),
      column(
        "exposed",
        "trained on it",
        "Whether the card names this data set among what the model was trained on.",
        (item) => EXPOSED.get(item.row.exposed ?? null),
        (item) => EXPOSED.get(item.row.exposed ?? null),
        { kind: "text", shown: false },
      ),
      column(
        "date",
        "date",
        "Of the last start of the run.",
        (item) => item.row.date || null,
        (item) => day(item.row.date),
        { first: "desc" },
      ),
    ];
  }

  function lost(row, state) {
    const found = row.counts[state] || 0;
    return found
      ? h("span", { class: state === "failed" ? "some" : null, title: `${count(found)} of ${count(row.lines)}` }, share(found, row.lines))
      : h("span", { class: "none" }, "0");
  }

  function judges(item) {
    const found = item.row.judges || [];
    if (!found.length) return h("span", { class: "none" }, NONE);
    return found
      .map((judge, at) => [
        at ? ", " : "",
        bdi(judge.name, 40),
        judge.stand_in ? [" ", h("span", { class: "badge warn", title: "A rule in the place of a judge." }, "stand-in")] : "",
        judge.self ? [" ", h("span", { class: "badge warn", title: "The model judged itself." }, "itself")] : "",
      ])
      .flat(3);
  }

  /** Return the columns of a suite's table: the headline metric of each task, its interval and rank. */
  function ofSuite({ data, items, toggle, spelling }) {
    return [
      modelColumn("", toggle),
      ...data.tasks.map((task) => {
        const cell = (item) => (item.row && Object.hasOwn(item.row.cells, task.slug) ? item.row.cells[task.slug] : null);
        const isRejected = (item) => cell(item) !== null && cell(item).status === "rejected";
        const found = items
          .filter((item) => !isRejected(item))
          .map(cell)
          .filter((one) => one && one.v);
        const decimals = decimalsOf(
          task.range,
          found.map((one) => one.v[0]),
        );
        const domain = axis(
          task.range,
          found.map((one) => one.v),
        );
        const apart = (item) => cell(item) !== null && cell(item).id !== task.id;
        const out = (item) => apart(item) || isRejected(item);
        return {
          key: `t:${task.slug}`,
          group: "Tasks",
          shown: true,
          title: text(spelling(task.slug), 40),
          small: text(task.headline, 30),
          className: "task",
          about: `${task.headline}, ${task.higher_is_better ? "higher" : "lower"} is better`,
          first: task.higher_is_better ? "desc" : "asc",
          sort: (item) => (out(item) ? null : (cell(item)?.v[0] ?? null)),
          show: (item) =>
            cell(item)
              ? h(
                  "div",
                  {},
                  h(
                    "div",
                    { class: "line" },
                    h("span", { class: "place" }, cell(item).rank && !apart(item) ? `#${rank(cell(item).rank)}` : ""),
                    h("span", {}, isRejected(item) ? [badge("rejected"), " "] : null, valueCell(cell(item), decimals, { apart: apart(item) })),
                  ),
                  out(item) ? null : bar(cell(item).v, domain),
                )
              : h("span", { class: "none" }, NONE),
        };
      }),
    ];
  }

  function mostFrequent(values) {
    const counted = new Map();
    for (const value of values) counted.set(value, (counted.get(value) || 0) + 1);
    return [...counted].sort((one, other) => other[1] - one[1])[0]?.[0];
  }

  return { ofTask, ofSuite, rank, cellOf, mostFrequent };
})();
