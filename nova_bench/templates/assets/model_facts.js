// What is known of a model and of one of its entries beside the numbers: its card, how the run was made, what checked it, where its bundle lies.
"use strict";

const ModelFacts = (() => {
  const WORDS = new Map([
    ["open", "open weights"],
    ["closed", "weights not published"],
    ["none", "no weights"],
  ]);

  /** Return pairs of terms and what is known; those of which nothing is known are left out. */
  function list(pairs) {
    return h(
      "dl",
      { class: "pairs" },
      pairs
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
    );
  }

  /** Return a document of a stranger's as text: JSON without what nobody reads. */
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const filled = (value) => value && Object.keys(value).length > 0;

  /** Return the line under a model's name. */
  function line(card) {
    const parts = [
      h("bdi", { class: "mono" }, text(card.name, 80)),
      card.parameters ? bdi(card.parameters, 30) : null,
      WORDS.get(card.weights) || bdi(card.weights, 30),
      card.license ? bdi(card.license, 60) : null,
      card.url ? outside(card.url, card.url) : null,
    ];
    return h(
      "p",
      { class: "lead" },
      parts.filter(Boolean).flatMap((part, at) => (at ? [" · ", part] : [part])),
    );
  }

  /** Return the card as the entry has it. */
  function card(model) {
    const known = model.card;
    return list([
      ["adapter", h("bdi", { class: "mono" }, text(model.name, 120))],
      ["weights", known.weights ? bdi(known.weights, 60) : ""],
      ["parameters", known.parameters ? bdi(known.parameters, 60) : ""],
      ["supervision", known.supervision ? prose(known.supervision, 200) : "not stated"],
      ["trained on", (known.trained_on || []).length ? prose(known.trained_on.join(", "), 300) : "not stated"],
      ["license", known.license ? bdi(known.license, 120) : "not stated"],
      ["answers go", known.sends === "local" ? "nowhere: it runs locally" : known.sends ? bdi(known.sends, 120) : ""],
      ["outputs", (known.outputs || []).length ? bdi(known.outputs.join(", "), 120) : ""],
      ["box frame", model.frame ? bdi(model.frame, 60) : ""],
      ["options", filled(model.options) ? prose(shown(model.options), 300) : ""],
      ["parameters sent", filled(model.params) ? prose(shown(model.params), 300) : ""],
      ["repeats", model.repeats > 1 ? count(model.repeats) : ""],
      ["answered as", filled(model.answered_as) ? prose(shown(model.answered_as), 300) : ""],
      ["code of the weights", model.remote_code ? ["was run: ", prose(shown(model.remote_code), 200)] : ""],
      ["source", h("bdi", { class: "mono" }, text(model.source, 64).slice(0, 16))],
    ]);
  }

  /** Return what checked an entry, with the meaning of its mark as text. */
  function checked(verification) {
    const status = verification ? verification.status : null;
    const said = [h("p", {}, badge(status), " ", meaning(status))];
    if (verification) {
      const cells = verification.cells;
      said.push(
        h(
          "p",
          { class: "note" },
          `${day(verification.date)}, by nova-bench ${text(verification.nova_bench, 30)}, ` +
            `${verification.with_data ? "with" : "without"} the data set` +
            (cells && cells.recomputed !== undefined ? `; ${count(cells.recomputed)} of ${count(cells.stated)} cells computed again` : "") +
            ".",
        ),
      );
      for (const [label, found] of [
        ["Reasons", verification.reasons],
        ["Notes", verification.notes],
      ]) {
        if (found && found.length) said.push(h("p", { class: "note" }, `${label}: `, prose(found.map(shown).join("; "), 400)));
      }
      if (verification.rerun) said.push(h("p", { class: "note" }, "Asked again: ", prose(shown(verification.rerun), 400)));
    }
    return h("div", { class: "checked" }, said);
  }

  function answers(counts) {
    const found = Object.keys(counts.states).filter((state) => counts.states[state] > 0);
    return (
      `${count(counts.lines)} of ${count(counts.samples)} samples, ${count(counts.clusters)} cases: ` +
      found.map((state) => `${count(counts.states[state])} ${text(state, 20)} (${share(counts.states[state], counts.lines)})`).join(", ")
    );
  }

  function judge(one) {
    const marks = [
      one.stand_in ? h("span", { class: "badge warn" }, "stand-in") : null,
      one.self ? h("span", { class: "badge warn" }, "the model itself") : null,
    ];
    const facts = [
      `${count(one.verdicts)} verdicts`,
      one.unjudged ? `${count(one.unjudged)} answers without one` : null,
      one.repeats > 1 ? `${count(one.repeats)} repeats` : null,
      (one.rubrics || []).length ? `rubric ${text(one.rubrics.join(", "), 120)}` : null,
      one.calibration && one.calibration.length ? `calibrated: ${text(shown(one.calibration), 300)}` : "not calibrated against people",
    ];
    return h(
      "div",
      {},
      bdi(one.name, 80),
      marks.filter(Boolean).flatMap((mark) => [" ", mark]),
      h("span", { class: "note" }, ` ${facts.filter(Boolean).join(", ")}`),
    );
  }

  function usage(used) {
    return Object.keys(used).map((who) => {
      const one = used[who];
      const tokens = one.tokens && one.tokens.total ? `, ${count(one.tokens.input)} tokens in, ${count(one.tokens.output)} out` : "";
      const cost = one.cost_usd === null ? (one.cost_note ? `, ${text(one.cost_note, 200)}` : "") : `, ${dollars(one.cost_usd)}`;
      return h(
        "div",
        {},
        Object.keys(used).length > 1 ? [bdi(who, 60), ": "] : "",
        `${count(one.requests)} requests`,
        one.failed ? `, ${count(one.failed)} failed` : "",
        tokens,
        one.seconds ? `, ${duration(one.seconds)}` : "",
        cost,
      );
    });
  }

  const counted = (found) =>
    Object.keys(found)
      .map((key) => `${text(key, 120)}: ${count(found[key])}`)
      .join("; ");

  function started(dates) {
    const [first, last] = [day(dates.first_start), day(dates.last_start)];
    const commit = dates.commit ? `, commit ${text(dates.commit, 64).slice(0, 8)}${dates.dirty ? " with changes" : ""}` : "";
    return `${first}${last === first ? "" : ` to ${last}`}, ${count(dates.starts)} ${dates.starts === 1 ? "start" : "starts"}${commit}`;
  }

  /** Return how an entry's run was made. */
  function run(entry, bundles, model) {
    const { data, dates } = entry;
    const from = bundles ? `${bundles}${encodeURIComponent(model)}/${encodeURIComponent(entry.bundle.file)}` : null;
    return list([
      [
        "data",
        [
          bdi(data.name, 60),
          data.kind && data.kind !== "full" ? ` (${text(data.kind, 20)})` : "",
          data.gated ? ", gated" : "",
          data.synthetic ? ", made up" : "",
          h(
            "span",
            { class: "note" },
            ` digest ${text(data.digest, 64).slice(0, 12)}${data.revision ? `, revision ${text(data.revision, 64).slice(0, 12)}` : ""}`,
          ),
        ],
      ],
      ["answers", answers(entry.counts)],
      ["judges", entry.judges.length ? entry.judges.map(judge) : ""],
      ["usage", usage(entry.usage)],
      ["intervals", `95%, ${count(entry.resampling.resamples)} resamples of cases, seed ${entry.resampling.seed}`],
      ["warnings", filled(entry.warnings) ? prose(counted(entry.warnings), 300) : ""],
      ["dropped", filled(entry.dropped) ? prose(counted(entry.dropped), 300) : ""],
      ["run", started(dates)],
      [
        "bundle",
        [
          from ? h("a", { href: from }, text(entry.bundle.file, 120)) : text(entry.bundle.file, 120),
          `, ${brief(entry.bundle.bytes)}B`,
          entry.bundle.with_answers ? ", with answers" : ", without answers",
          entry.bundle.masked ? ", rows masked" : "",
          h("div", { class: "note mono" }, `sha256 ${text(entry.bundle.sha256, 64)}`),
        ],
      ],
      [
        "versions",
        h(
          "details",
          {},
          h(
            "summary",
            {},
            Object.keys(entry.versions)
              .slice(0, 2)
              .map((name) => `${text(name, 30)} ${text(entry.versions[name], 30)}`)
              .join(", "),
            " …",
          ),
          h(
            "p",
            { class: "note" },
            Object.keys(entry.versions)
              .map((name) => `${text(name, 40)} ${text(entry.versions[name], 40)}`)
              .join(", "),
          ),
        ),
      ],
    ]);
  }

  return { line, card, checked, run };
})();
