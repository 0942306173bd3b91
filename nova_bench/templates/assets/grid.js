// A sortable table on DataTables: it gets elements to show and plain values to sort by, never a string of a stranger's, which it would take
// for HTML. What has no value stands last in either direction.
"use strict";

const Grid = (() => {
  function compare(one, other, sign = 1) {
    if (one === other) return 0;
    if (one === null || one === undefined) return 1;
    if (other === null || other === undefined) return -1;
    return (one < other ? -1 : 1) * sign;
  }

  DataTable.type("nova", { order: { asc: (one, other) => compare(one, other, 1), desc: (one, other) => compare(one, other, -1) } });
  DataTable.ext.errMode = "throw";

  const tests = new WeakMap();
  DataTable.ext.search.push((context, _, __, item) => !tests.get(context.table) || tests.get(context.table)(item));

  const classes = (column) => [column.className, column.kind === "text" ? "text" : null].filter(Boolean).join(" ");

  function heading(column) {
    return h(
      "th",
      {
        scope: "col",
        class: classes(column) || null,
        title: column.about ? text(column.about, 400) : null,
        "data-dt-order": column.still ? "disable" : null,
      },
      column.header ? [h("span", { class: "unseen" }, column.title), column.header] : h("span", {}, column.title),
      column.small ? h("span", { class: "small" }, column.small) : null,
    );
  }

  /** Return what DataTables shall show: always an element. */
  function shown(column, item) {
    const made = column.show(item);
    return made instanceof Element ? made : h("span", {}, made);
  }

  const PAGE = 60; // Rows of one page: more take longer to lay out than a reader waits.

  /**
   * Make a table in a place and return its DataTable.
   *
   * A column is {key, title, about, kind ("text" or none), className, first ("asc" or "desc"), head (is the row's header), still (cannot be sorted),
   * sort(item) -> number, text or null, show(item) -> text, element or list of both}.
   * `order` is [column, direction]; `ordered(column, direction)` hears what the reader chose; `drawn()` hears of every drawing.
   */
  function make(place, { caption, columns, items, order, test, ordered, drawn, rowClass, nothing }) {
    const table = h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, columns.map(heading))));
    const long = items.length > PAGE;
    place.replaceChildren(table);
    if (test) tests.set(table, test);
    const grid = new DataTable(table, {
      data: items,
      autoWidth: false,
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: long ? "paging" : null },
      pageLength: PAGE,
      paging: long,
      order: [[columns.indexOf(order[0]), order[1]]],
      orderMulti: false,
      language: {
        emptyTable: nothing,
        zeroRecords: nothing,
        aria: { orderable: ": sort", orderableReverse: ": sort the other way round", orderableRemove: ": sort the other way round" },
      },
      columns: columns.map((column) => ({
        data: null,
        type: "nova",
        searchable: false,
        orderable: !column.still,
        cellType: column.head ? "th" : "td",
        className: classes(column),
        orderSequence: column.first === "desc" ? ["desc", "asc"] : ["asc", "desc"],
        render: (_, kind, item) => (kind === "display" ? shown(column, item) : kind === "filter" || column.still ? "" : column.sort(item)),
        createdCell: column.head ? (node) => node.setAttribute("scope", "row") : undefined,
      })),
      createdRow: (row, item) => {
        const name = rowClass && rowClass(item);
        if (name) row.classList.add(name);
      },
    });
    grid.on("order", () => {
      const [at, way] = grid.order()[0] || [];
      if (at !== undefined && ordered) ordered(columns[at], way);
    });
    grid.on("draw", () => drawn && drawn(grid));
    grid.on("page", () => place.scrollTo(0, 0));
    if (drawn) drawn(grid);
    return grid;
  }

  /** Show only the rows whose items pass a test. */
  function filter(grid, test) {
    tests.set(grid.table().node(), test);
    grid.draw();
  }

  /** Return a button that opens what is behind its row: `content()` makes it when it is asked for. */
  function toggle(label, content, gridOf) {
    const button = h("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-label": label });
    button.addEventListener("click", () => {
      const row = gridOf().row(button.closest("tr"));
      const open = !row.child.isShown();
      if (open) row.child(content(), "details").show();
      else row.child.remove();
      button.setAttribute("aria-expanded", String(open));
    });
    return button;
  }

  return { make, filter, toggle, compare };
})();
