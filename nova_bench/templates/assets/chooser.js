// Choosing one model or a few among hundreds: a text field that searches, with a list that keys and pointers walk through (WAI-ARIA combobox).
"use strict";

const chooser = (() => {
  const SHOWN = 60;
  let made = 0;

  const plain = (value) => String(value ?? "").normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  /** Return what a model is called on a page: its card's name, or the name by which it is run. */
  function titleOf(board, slug) {
    const model = Object.hasOwn(board.models, slug) ? board.models[slug] : null;
    return model ? model.title || model.name || slug : slug;
  }

  /** Return an index of models that can be searched: [{slug, title, name, words}] in the order of their titles. */
  function indexOf(board, slugs) {
    return slugs.map((slug) => {
      const name = Object.hasOwn(board.models, slug) ? board.models[slug].name : slug;
      const title = titleOf(board, slug);
      return { slug, title, name, words: plain(`${title} ${name}`.slice(0, 400)) };
    }).sort((a, b) => (a.words < b.words ? -1 : a.words > b.words ? 1 : 0));
  }

  /** Return the models that have all words of a query, those that begin with it first. */
  function found(index, query) {
    const words = plain(query).split(/\s+/).filter(Boolean);
    const hits = index.filter((one) => words.every((word) => one.words.includes(word)));
    return words.length ? [...hits.filter((one) => one.words.startsWith(words[0])), ...hits.filter((one) => !one.words.startsWith(words[0]))] : hits;
  }

  /**
   * Return a field that finds a model.
   * @param {object} spec label; index: of `indexOf`; current: a slug or null, whose title stands in the field; taken: set of slugs that are
   *   shown as chosen already; placeholder; act: function(slug); disabled.
   */
  function search(spec) {
    const id = `chooser${++made}`;
    const title = () => text(spec.index.find((one) => one.slug === spec.current)?.title ?? "", 60);
    const input = h("input", {
      type: "text", id, role: "combobox", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list", "aria-expanded": "false",
      "aria-controls": `${id}-list`, placeholder: spec.placeholder, disabled: spec.disabled,
    });
    const list = h("div", { id: `${id}-list`, class: "options", role: "listbox", "aria-label": spec.label, hidden: true });
    const more = h("p", { class: "more", hidden: true });
    const pop = h("div", { class: "pop", hidden: true }, list, more);
    let hits = [], at = -1;
    input.value = title();

    const close = () => {
      list.hidden = pop.hidden = true;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
      at = -1;
    };
    const mark = (index) => {
      list.children[at]?.classList.remove("on");
      at = index;
      const option = list.children[at];
      if (!option) return input.removeAttribute("aria-activedescendant");
      option.classList.add("on");
      option.scrollIntoView({ block: "nearest" });
      return input.setAttribute("aria-activedescendant", option.id);
    };
    const open = (query) => {
      hits = found(spec.index, query);
      list.replaceChildren(...hits.slice(0, SHOWN).map((one, index) => h("div", {
        role: "option", id: `${id}-${index}`, class: "option", "aria-selected": String(one.slug === spec.current || Boolean(spec.taken?.has(one.slug))),
        on: { pointerdown: (event) => { event.preventDefault(); take(index); } },
      }, bdi(one.title, 60), one.name !== one.title ? bdi(one.name, 60, "mono under") : null)));
      more.hidden = hits.length > 0 && hits.length <= SHOWN;
      more.textContent = hits.length ? `${count(hits.length - SHOWN)} more: type to narrow` : "No model of this name has results here.";
      list.hidden = !hits.length;
      pop.hidden = false;
      input.setAttribute("aria-expanded", String(hits.length > 0));
      at = -1;
      if (query && hits.length) mark(0);
      announce(hits.length === 1 ? "1 model found" : `${count(hits.length)} models found`);
    };
    const take = (index) => {
      const one = hits[index];
      close();
      input.value = title();
      if (one) spec.act(one.slug);
    };

    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => { if (pop.hidden) open(""); });
    input.addEventListener("input", () => open(input.value));
    input.addEventListener("blur", () => { close(); input.value = title(); });
    input.addEventListener("keydown", (event) => {
      const last = Math.min(hits.length, SHOWN) - 1;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        if (pop.hidden) open("");
        else mark(event.key === "ArrowDown" ? (at >= last ? 0 : at + 1) : at <= 0 ? last : at - 1);
      } else if (event.key === "Enter" && !pop.hidden && at >= 0) take(at);
      else if (event.key === "Escape" && !pop.hidden) { close(); input.value = title(); }
      else return;
      event.preventDefault();
    });
    return h("div", { class: "field chooser" }, h("label", { for: id }, spec.label), h("div", { class: "anchor" }, input, pop));
  }

  /**
   * Return the chosen models as a list, each with its mark and a button that takes it away, and a field that adds one.
   * @param {object} spec board; index; chosen: slugs; most: how many may be chosen; act: function(slugs).
   */
  function several(spec) {
    const chips = spec.chosen.map((slug, place) => {
      const title = titleOf(spec.board, slug);
      const remove = h("button", { type: "button", class: "remove", "aria-label": `Remove ${text(title)}`, on: { click: () => spec.act(spec.chosen.filter((one) => one !== slug)) } }, "×");
      return h("li", { class: "chip" }, plots.mark(place), bdi(title, 40), remove);
    });
    const full = spec.chosen.length >= spec.most;
    const field = search({
      label: "Models side by side", index: spec.index, current: null, taken: new Set(spec.chosen), disabled: full,
      placeholder: full ? `At most ${spec.most}; remove one first` : `Add one of ${count(spec.index.length)}`,
      act: (slug) => spec.act(spec.chosen.includes(slug) ? spec.chosen.filter((one) => one !== slug) : [...spec.chosen, slug]),
    });
    return h("div", { class: "several" }, field, h("ul", { class: "chips", "aria-label": "Models shown" }, chips));
  }

  return { search, several, indexOf, titleOf };
})();
