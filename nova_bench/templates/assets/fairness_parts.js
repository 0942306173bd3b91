// The parts of the fairness page, each made of rows of one metric's file: forest of groups, its tables, gaps by attribute, FAP against overall.
"use strict";

const fairnessParts = (() => {
  const SIGNIFICANT = 0.05;

  /** Return a value with its interval as a cell's content; a dash with its reason where there is none. */
  function valued(tuple, decimals, note = null) {
    if (!tuple || tuple[0] === null) return h("span", { class: "none", title: note ? text(note, 600) : null }, NONE);
    return [number(tuple[0], decimals), " ", h("span", { class: "ci" }, interval(tuple, decimals))];
  }

  function chance(p) {
    return p !== null && p <= SIGNIFICANT ? h("strong", {}, compareWords.pShort(p)) : compareWords.pShort(p);
  }

  const key = (place, title, rejected = false) => h("span", { class: "key" }, plots.mark(place), bdi(title, 36), rejected ? badge("rejected") : null);
  const scroll = (label, table) => h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, table);

  /** Return the groups of some rows in the order of the first row that has them: [{name, shown, unknown}]. */
  function groupsOf(rows) {
    const names = new Set(rows.flatMap((row) => Object.keys(row.groups)));
    const groups = [...names].map((name) => ({ name, of: (row) => (Object.hasOwn(row.groups, name) ? row.groups[name] : null) }));
    if (rows.some((row) => row.unknown)) groups.push({ name: "unknown", unknown: true, of: (row) => row.unknown });
    return groups.map((group) => ({ ...group, grey: rows.every((row) => group.unknown || !(group.of(row)?.included ?? false)) }));
  }

  /** Return one number for several models' counts of the same group, or the range where they differ. */
  function spread(values) {
    const known = values.filter((value) => value !== null && value !== undefined);
    if (!known.length) return NONE;
    const low = Math.min(...known), high = Math.max(...known);
    return low === high ? count(low) : `${count(low)}–${count(high)}`;
  }

  function decimals(file, rows) {
    return decimalsOf(file.range, rows.map((row) => row.overall.v[0]));
  }

  function spoken(rows, titles, places) {
    return rows.map((row, at) => `${text(titles[at], 40)}: ${[...groupsOf(rows).map((group) => [group.name, group.of(row)]), ["all", row.overall]]
      .filter(([, cell]) => cell && cell.v[0] !== null)
      .map(([name, cell]) => `${text(name, 40)} ${number(cell.v[0], places)} ${interval(cell.v, places)}`.trim()).join(", ")}`).join("; ");
  }

  /** Return the forest of one attribute: a row a group, a line a model. `rows` has one row a model, `places` the series of each. */
  function forest(file, rows, series, titles) {
    const places = decimals(file, rows);
    const lines = (of, muted) => rows.map((row, at) => {
      const cell = of(row);
      return cell && {
        series: series[at], place: at, v: cell.v, size: Math.sqrt(cell.patients / Math.max(1, row.overall.patients)),
        muted: muted || cell.included === false, said: "no value",
      };
    }).filter(Boolean);
    const side = (of) => ["patients", "n"].map((what) => spread(rows.map((row) => of(row)?.[what])));
    const groups = groupsOf(rows);
    const spec = {
      rows: [
        ...groups.map((group) => ({ label: text(group.name, 40), side: side(group.of), muted: group.grey, lines: lines(group.of, group.grey) })),
        { label: "all", side: side((row) => row.overall), strong: true, rule: true, lines: lines((row) => row.overall, false) },
      ],
      side: ["patients", "n"],
      across: rows.map((row, at) => ({ series: series[at], at: row.overall.v[0] })).filter((one) => one.at !== null),
      label: text(file.metric, 60),
      description: `${text(file.metric, 60)} by ${text(rows[0].attribute, 40)}. ${spoken(rows, titles, places)}`,
    };
    const place = h("div", { class: "drawing" });
    const greyed = groups.filter((group) => group.grey);
    const figure = h("figure", { class: "forest" }, place, h("figcaption", {},
      "Each line is a 95% interval over patients; the dashed lines are the scores of everybody. ",
      greyed.length ? ["Grey and hollow, left out of gap, FAP and tests: ", greyed.map((group, at) => [at ? "; " : "", bdi(group.name, 40), " ", whyGrey(group, rows, file)]), "."] : null));
    plots.responsive(place, (width) => plots.lines(spec, width));
    return figure;
  }

  function whyGrey(group, rows, file) {
    if (group.unknown) return "(value not known)";
    const most = Math.max(...rows.map((row) => group.of(row)?.patients ?? 0));
    if (most < file.settings.min_n) return `(${count(most)} patients, fewer than ${count(file.settings.min_n)})`;
    const note = rows.map((row) => group.of(row)?.note).find(Boolean);
    return note ? ["(", bdi(note, 120), ")"] : "";
  }

  /** Return the pieces of a row's notes that neither the sentence nor the caption of the forest says already. */
  function notesOf(row, said) {
    const pieces = [row.note, row.gap.note, row.worst.note, row.ratio.note, row.fap.note, row.es.note].flatMap((note) => (note ? note.split("; ") : []));
    return [...new Set(pieces)].filter((piece) => piece && !said.includes(piece) && !piece.startsWith("left out of composites"));
  }

  function legend(series, titles) {
    return h("ul", { class: "legend" }, titles.map((title, at) => h("li", {}, key(series[at], title))));
  }

  /** Return the table of the forest: groups down, models across. */
  function groupTable(file, rows, series, titles) {
    const places = decimals(file, rows);
    const failures = rows.some((row) => row.overall.failed || Object.values(row.groups).some((group) => group.failed));
    const line = (name, of, attributes, mark = null) => h("tr", attributes,
      h("th", { scope: "row", class: "text" }, name, mark), h("td", {}, spread(rows.map((row) => of(row)?.patients))), h("td", {}, spread(rows.map((row) => of(row)?.n))),
      failures ? h("td", {}, spread(rows.map((row) => of(row)?.failed))) : null,
      rows.map((row) => h("td", {}, of(row) ? valued(of(row).v, places, of(row).note) : NONE)));
    return scroll(`Groups of ${text(rows[0].attribute, 40)}`, h("table", { class: "groups" },
      h("caption", {}, bdi(file.metric, 60), " by ", bdi(rows[0].attribute, 40)),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, "group"), h("th", { scope: "col" }, "patients"), h("th", { scope: "col" }, "n"),
        failures ? h("th", { scope: "col" }, "failed") : null, titles.map((title, at) => h("th", { scope: "col" }, key(series[at], title, rows[at].rejected))))),
      h("tbody", {},
        groupsOf(rows).map((group) => line(group.unknown ? "unknown" : bdi(group.name, 60), group.of, group.grey ? { class: "grey" } : {}, group.grey ? h("span", { class: "left" }, " left out") : null)),
        line("all", (row) => row.overall, { class: "all" }))));
  }

  const COMPOSED = ["FAP", "worst group", "its score", "gap", "floor", "corrected", "p (Holm)", "detectable"];
  const MORE = ["ratio", "ES"];

  function composedHead(names) {
    return h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, "model"), names.map((name) => h("th", { scope: "col", class: name === "worst group" ? "text" : null }, name))));
  }

  /** Return the cells of a row in the order of `COMPOSED`; of all its numbers, with the overall score before and those of `MORE` behind them. */
  function composed(row, places, more = false) {
    const cell = (one) => h("td", {}, valued(one.v, places, one.note));
    return [
      more ? cell(row.overall) : null, cell(row.fap),
      h("td", { class: "text" }, row.worst_group === null ? h("span", { class: "none" }, NONE) : bdi(row.worst_group, 40)),
      cell(row.worst), cell(row.gap), h("td", {}, number(row.gap.floor, places)), h("td", {}, number(row.gap.corrected, places)),
      h("td", {}, chance(row.p_holm)), h("td", {}, number(row.detectable, places)), more ? [cell(row.ratio), cell(row.es)] : null,
    ];
  }

  function testsOf(rows) {
    const counts = rows.filter((row) => row.p_holm !== null).map((row) => row.tests);
    return counts.length ? `p corrected for ${spread(counts)} tests` : "";
  }

  /** Return the table of worst group, gap and FAP: a line a model. */
  function gapTable(file, rows, series, titles) {
    const places = decimals(file, rows);
    return scroll("Worst group, gap and FAP", h("table", { class: "composites" },
      h("caption", {}, "Worst group, gap and FAP by ", bdi(rows[0].attribute, 40), h("span", { class: "aside" }, testsOf(rows))),
      composedHead(COMPOSED),
      h("tbody", {}, rows.map((row, at) => h("tr", {}, h("th", { scope: "row", class: "text" }, key(series[at], titles[at], row.rejected)), composed(row, places))))));
  }

  /** Return what was found in words, a sentence a model, as the fairness document has it. */
  function sentences(rows, series, titles) {
    return h("ul", { class: "said" }, rows.map((row, at) => {
      const said = row.sentence || row.gap.note || row.note || "Nothing can be said.";
      return h("li", {}, h("p", { class: "name" }, key(series[at], titles[at], row.rejected)), h("p", {}, prose(said, 600)),
        notesOf(row, said).map((note) => h("p", { class: "note" }, prose(note, 240))));
    }));
  }

  const measured = (found) => found.some((one) => one.row.gap.v[0] !== null);

  /** Return the gaps of some models by attribute: `byAttribute` is [[attribute, [{row, series, title}, ...]], ...]. */
  function gaps(file, byAttribute, series, titles) {
    const every = byAttribute.flatMap(([, found]) => found.map((one) => one.row));
    const places = decimals(file, every);
    const spec = {
      rows: byAttribute.map(([attribute, found]) => ({
        label: text(attribute, 40), side: [], muted: !measured(found),
        lines: measured(found)
          ? found.map((one, at) => ({ series: one.series, place: at, v: one.row.gap.v, floor: one.row.gap.floor, corrected: one.row.gap.corrected, said: "not measured" }))
          : [{ series: 0, place: 0, v: null, said: "too few groups of enough patients" }],
      })),
      side: [], across: [], zero: true, label: `gap in ${text(file.metric, 60)}: best group less worst group`,
      description: `Gap in ${text(file.metric, 60)} by attribute. ${byAttribute.map(([attribute, found]) => `${text(attribute, 40)}: ${found.map((one) =>
        `${text(one.title, 40)} ${number(one.row.gap.v[0], places)} ${interval(one.row.gap.v, places)}`).join(", ")}`).join("; ")}`,
    };
    const place = h("div", { class: "drawing" });
    const figure = h("figure", { class: "gaps" }, legend(series, titles), place, h("figcaption", {},
      "Lines are 95% intervals; one that starts at 0 cannot be told from chance. The thick grey tick is the noise floor: the gap to expect from groups of these "
      + "sizes if all were equal. The hollow mark is the corrected gap."));
    plots.responsive(place, (width) => plots.lines(spec, width));
    const table = scroll("Gaps by attribute", h("table", {}, h("caption", {}, "Gap in ", bdi(file.metric, 60), " by attribute"),
      h("thead", {}, h("tr", {}, ["attribute", "model", "worst group", "gap", "floor", "corrected", "p (Holm)", "detectable"].map((name, at) =>
        h("th", { scope: "col", class: at < 3 ? "text" : null }, name)))),
      byAttribute.map(([attribute, found]) => h("tbody", {}, !measured(found) ? h("tr", { class: "grey" }, h("th", { scope: "row", class: "text" }, bdi(attribute, 40)),
        h("td", { class: "text", colspan: 7 }, bdi(found[0].row.gap.note || found[0].row.note || "not measured", 160))) : found.map((one, at) => h("tr", {},
        at ? null : h("th", { scope: "rowgroup", rowspan: found.length, class: "text" }, bdi(attribute, 40)),
        h("th", { scope: "row", class: "text" }, key(one.series, one.title, one.row.rejected)),
        h("td", { class: "text" }, one.row.worst_group === null ? NONE : bdi(one.row.worst_group, 40)),
        h("td", {}, valued(one.row.gap.v, places, one.row.gap.note)), h("td", {}, number(one.row.gap.floor, places)),
        h("td", {}, number(one.row.gap.corrected, places)), h("td", {}, chance(one.row.p_holm)), h("td", {}, number(one.row.detectable, places))))))));
    return [figure, table];
  }

  /** Return FAP against the overall score for all models of one protocol, with its table behind a button. */
  function against(file, rows, placeOf, titleOf, choose) {
    const drawn = rows.filter((row) => row.overall.v[0] !== null && row.fap.v[0] !== null);
    const places = decimals(file, rows);
    const missing = rows.length - drawn.length;
    if (!drawn.length) return [h("p", { class: "note" }, "No model has a FAP here.")];
    const place = h("div", { class: "drawing" });
    plots.scatter(place, {
      id: "fap", diagonal: true, choose, xLabel: `overall ${text(file.metric, 60)}`, yLabel: "FAP",
      description: `FAP against overall ${text(file.metric, 60)} of ${count(drawn.length)} models`,
      points: drawn.map((row) => ({
        key: row.model, name: text(titleOf(row.model), 60), series: placeOf(row.model), x: row.overall.v, y: row.fap.v,
        said: [
          `overall ${number(row.overall.v[0], places)} ${interval(row.overall.v, places)}`, `FAP ${number(row.fap.v[0], places)} ${interval(row.fap.v, places)}`,
          row.worst_group === null ? "no worst group" : `worst group ${text(row.worst_group, 40)}`,
        ],
      })),
    });
    const names = [...new Set(rows.map((row) => row.fap_name).filter(Boolean))];
    const details = h("details", {}, h("summary", {}, `All ${count(rows.length)} models as a table`));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(everyone(file, rows, titleOf, places));
    });
    return [
      h("figure", { class: "wide" }, place, h("figcaption", {},
        "FAP here is ", names.map((name, at) => [at ? ", " : "", h("bdi", { class: "mono" }, text(name, 80))]),
        `: the mean over groups ${file.higher_is_better ? "less" : "plus"} lambda times the spread between them. On the dashed line FAP equals the overall score; the further `
        + `${file.higher_is_better ? "below" : "above"} it, the more the groups differ. `
        + "Crosses are 95% intervals: where they overlap, the order of the models says nothing. Pointing at a model or the arrow keys say which it is; a click or Enter puts it "
        + "among those shown side by side.",
        missing ? ` Not drawn, as they have no FAP: ${count(missing)}.` : null)),
      details,
    ];
  }

  function everyone(file, rows, titleOf, places) {
    const sorted = [...rows].sort((a, b) => text(titleOf(a.model)).localeCompare(text(titleOf(b.model))));
    return scroll("All models", h("table", { class: "composites" }, h("caption", {}, "All models, by name", h("span", { class: "aside" }, testsOf(rows))), composedHead(["overall", ...COMPOSED, ...MORE]),
      h("tbody", {}, sorted.map((row) => h("tr", {}, h("th", { scope: "row", class: "text" },
        h("a", { href: address("model.html", { model: row.model, task: file.task }) }, bdi(titleOf(row.model), 40))), composed(row, places, true))))));
  }

  return { forest, groupTable, gapTable, sentences, gaps, against };
})();
