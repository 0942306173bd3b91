// What a row of the table opens to: the signature, the command, who judged, what the run took and what is to be said of it.
"use strict";

const TableDetails = (() => {
  const facts = (pairs) =>
    h(
      "dl",
      { class: "pairs" },
      pairs.filter(([, value]) => value !== null && value !== "").map(([term, ...value]) => [h("dt", {}, term), h("dd", {}, value)]),
    );

  const states = (counts, lines) =>
    Object.keys(counts)
      .filter((state) => counts[state] > 0)
      .map((state) => `${count(counts[state])} ${text(state, 20)} (${share(counts[state], lines)})`)
      .join(", ");

  /** Return what is behind a row of a task's table. */
  function ofRow(item, data, metric) {
    const { row, card } = item;
    const cell = TableColumns.cellOf(item, metric);
    const protocol = cell && data.protocols.find((one) => one.metric === metric && one.id === cell.id);
    const decimals = decimalsOf(data.metrics.find((one) => one.name === metric).range);
    const notes = [
      cell?.note,
      cell?.unjudged ? `${count(cell.unjudged)} answers have no verdict of the judge and are left out of ${metric}.` : null,
      cell?.n_failed ? `${count(cell.n_failed)} requests failed: run the same command again, it asks these alone.` : null,
      row.remote_code ? "Code that comes with the model's weights was run." : null,
    ].filter(Boolean);
    return h(
      "div",
      { class: "opened" },
      h(
        "div",
        {},
        facts([
          [metric, cell ? `${number(cell.v[0], decimals)} ${interval(cell.v, decimals)}` : NONE],
          ["counted", cell ? `${count(cell.n)} samples of ${count(cell.clusters)} cases` : NONE],
          ["answers", states(row.counts, row.lines)],
          [
            "judges",
            (row.judges || [])
              .map((judge) => text(judge.name, 60) + (judge.stand_in ? " (stand-in)" : "") + (judge.self ? " (the model itself)" : ""))
              .join(", "),
          ],
          ["checked", h("span", {}, badge(row.status), " ", h("span", { class: "note" }, meaning(row.status)))],
          ["tokens", row.usage?.total ? `${count(row.usage.input)} in, ${count(row.usage.output)} out` : ""],
          ["cost", row.usage ? (row.usage.cost_usd === null ? text(row.usage.cost_note, 200) : dollars(row.usage.cost_usd)) : ""],
          ["model", outside(card.url, card.url), card.license ? [card.url ? ", " : "", bdi(card.license, 60)] : ""],
        ]),
        notes.map((note) => h("p", { class: "note" }, text(note, 600))),
        h(
          "p",
          {},
          h("a", { href: address("model.html", { model: item.model, task: data.task.slug }) }, "All cells, slices and versions of this model"),
        ),
      ),
      h(
        "div",
        {},
        copyPanel("Command that makes the run again", row.reproduce || "", { lines: false }),
        protocol ? copyPanel(`Signature of ${text(metric, 40)}`, `${cell.id} ${protocol.text}`) : null,
      ),
    );
  }

  /** Return what a row of a suite's table opens to: its tasks, each a link to its own table. */
  function ofModel(item, data, spelling) {
    return h(
      "div",
      { class: "opened" },
      h(
        "ul",
        {},
        data.tasks
          .filter((task) => Object.hasOwn(item.row.cells, task.slug))
          .map((task) => {
            const cell = item.row.cells[task.slug];
            const decimals = decimalsOf(task.range);
            return h(
              "li",
              {},
              h("a", { href: address("index.html", { task: task.slug }) }, text(spelling(task.slug), 60)),
              `: ${text(task.headline, 40)} ${number(cell.v[0], decimals)} ${interval(cell.v, decimals)}`,
              cell.rank ? `, rank ${TableColumns.rank(cell.rank)} of ${cell.rank.of}` : "",
              `, signature ${text(cell.id, 20)}`,
            );
          }),
      ),
    );
  }

  return { ofRow, ofModel, facts, states };
})();
