// Which rows a table shows: what can be filtered by, the controls for it, and the test of a row. What is chosen is in the page's address.
"use strict";

const TableFilters = (() => {
  /** Return the text in which a search looks. */
  const words = (item) => {
    if (item.reference) return `${item.reference.label} published`.toLowerCase();
    const card = item.card;
    return [card.title, card.name, card.license, card.parameters, card.supervision, ...(card.trained_on || [])].join(" ").toLowerCase();
  };

  const EXPOSED = new Map([
    ["no", false],
    ["yes", true],
    ["unknown", null],
  ]);

  /** Return a test of items for what is chosen: a Map of q, weights, from, to, exposed, supervision, judge, verified, published. */
  function tester(chosen) {
    const query = (chosen.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const from = parseFloat(chosen.get("from"));
    const to = parseFloat(chosen.get("to"));
    const tests = [];
    if (query.length) tests.push((item) => query.every((word) => item.words.includes(word)));
    if (chosen.get("weights")) tests.push((item) => item.card && item.card.weights === chosen.get("weights"));
    if (from >= 0) tests.push((item) => item.card && item.card.size_b !== null && item.card.size_b >= from);
    if (to >= 0) tests.push((item) => item.card && item.card.size_b !== null && item.card.size_b <= to);
    if (EXPOSED.has(chosen.get("exposed"))) {
      tests.push((item) => item.row && (item.row.exposed ?? null) === EXPOSED.get(chosen.get("exposed")));
    }
    if (chosen.get("supervision")) tests.push((item) => item.card && item.card.supervision === chosen.get("supervision"));
    if (chosen.get("judge")) tests.push((item) => item.row && (item.row.judges || []).some((judge) => judge.name === chosen.get("judge")));
    if (chosen.get("verified")) tests.push((item) => item.row && item.row.status === "verified");
    if (chosen.get("published") === "0") tests.push((item) => !item.reference);
    return (item) => tests.every((test) => test(item));
  }

  const KEYS = ["weights", "from", "to", "exposed", "supervision", "judge", "verified", "published"];

  /** Return how many filters beside the search are set. */
  const active = (chosen) => KEYS.filter((key) => chosen.get(key)).length;

  const distinct = (values) => [...new Set(values.filter((value) => value !== null && value !== undefined && value !== ""))].sort();

  /**
   * Fill a panel with the controls that could leave something out of these items: one value for all rows is no choice.
   * `change(key, value)` is called with what is chosen, "" for anything.
   */
  function fill(panel, items, chosen, change) {
    const choice = (key, label, options) =>
      field(
        label,
        picker([["", "any"], ...options], chosen.get(key) || "", (value) => change(key, value), { id: `filter-${key}` }),
      );
    const values = (key, label, found, show = (value) => text(value, 60)) =>
      found.length > 1 || chosen.get(key)
        ? choice(
            key,
            label,
            found.map((value) => [value, show(value)]),
          )
        : null;
    const tick = (key, label, on, off) => {
      const box = h("input", { type: "checkbox", id: `filter-${key}`, checked: (chosen.get(key) || "") === on });
      box.addEventListener("change", () => change(key, box.checked ? on : off));
      return h("label", { class: "check" }, box, label);
    };
    const models = items.filter((item) => item.card);
    const rows = models.filter((item) => item.row && item.row.counts);
    const judges = distinct(rows.flatMap((item) => (item.row.judges || []).map((judge) => judge.name)));
    const sizes = models.some((item) => item.card.size_b !== null);
    panel.replaceChildren(
      h("div", { class: "controls" }, [
        values("weights", "Weights", distinct(models.map((item) => item.card.weights))),
        sizes || chosen.get("from") || chosen.get("to") ? size(chosen, change) : null,
        rows.length
          ? choice("exposed", "Trained on this data", [
              ["no", "no"],
              ["yes", "yes"],
              ["unknown", "not stated"],
            ])
          : null,
        values("supervision", "Supervision", distinct(models.map((item) => item.card.supervision))),
        values("judge", "Judge", judges),
        rows.length ? tick("verified", "verified only", "1", "") : null,
        items.some((item) => item.reference) ? tick("published", "published values", "", "0") : null,
      ]),
    );
  }

  function size(chosen, change) {
    const bound = (key, label) => {
      const input = h("input", {
        type: "number",
        min: "0",
        step: "any",
        id: `filter-${key}`,
        placeholder: label,
        "aria-label": `Size ${label}, billions of parameters`,
        value: chosen.get(key) || null,
      });
      input.addEventListener("input", () => change(key, input.value));
      return input;
    };
    return h("fieldset", { class: "field size" }, h("legend", {}, "Size, billions"), h("div", {}, bound("from", "from"), "–", bound("to", "to")));
  }

  return { tester, words, fill, active, KEYS };
})();
