"use strict";
// Draws the charts and links them: dragging over an area of one chooses trials in all of them and
// in the table; a click on a trial, in a chart or in the table, puts it in focus.
(async () => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const table = document.querySelector("#trials table");
  const names = [...(table?.tHead.rows[0].cells ?? [])].map((cell) => cell.textContent);
  const body = [...(table?.tBodies[0].rows ?? [])];
  const lines = new Map(body.map((row) => [Number(row.id.slice(1)), row]));
  const focus = document.getElementById("focus");
  const views = [];
  let picked = report.picked;
  let active = null;

  const rows = (columns) => {
    const keys = Object.keys(columns);
    return (columns[keys[0]] ?? []).map((_, i) =>
      Object.fromEntries(keys.map((key) => [key, columns[key][i]])),
    );
  };
  const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const tell = (signal, value) => {
    for (const view of views) view.signal(signal, value).runAsync();
  };

  function pick(trial) {
    lines.get(picked)?.removeAttribute("aria-current");
    picked = trial;
    const line = lines.get(trial);
    line.setAttribute("aria-current", "true");
    const facts = names.map((name, i) => [name, line.cells[i].textContent.trim()]).slice(1);
    focus.querySelector("h2").textContent = `Trial ${trial}`;
    focus.querySelector("dl").replaceChildren(
      ...facts
        .filter(([, text]) => text)
        .flatMap(([name, text]) => [element("dt", name), element("dd", text)]),
    );
    focus.querySelector("code").textContent = report.command.join(trial);
    tell("picked", trial);
  }

  // A tuple of Vega's selection names fields, and for each an interval or a list of values.
  const inside = (row, { fields, values }) =>
    fields.every(({ field, type }, i) =>
      type === "E"
        ? values[i].includes(row[field])
        : row[field] !== null && row[field] >= Math.min(...values[i]) && row[field] <= Math.max(...values[i]),
    );

  function choose(view, all, tuples) {
    if (active !== null && active !== view) {
      if (!tuples.length) return;
      const former = active;
      active = view;
      former.clear();
    }
    active = tuples.length ? view : null;
    const found = all.filter((row) => tuples.some((tuple) => inside(row, tuple)));
    const chosen = tuples.length ? Object.fromEntries(found.map((row) => [row.trial, 1])) : null;
    tell("chosen", chosen);
    for (const [trial, line] of lines) line.hidden = chosen !== null && !chosen[trial];
    document.body.classList.toggle("choosing", chosen !== null);
    document.getElementById("chosen").textContent =
      chosen === null ? "" : `${Object.keys(chosen).length} of ${lines.size} trials chosen`;
  }

  document.getElementById("clear").addEventListener("click", () => active?.clear());
  table?.addEventListener("click", (event) => {
    const line = event.target.closest("tbody tr");
    if (line) pick(Number(line.id.slice(1)));
  });
  // On a small screen it would hide the charts.
  if (focus) focus.open = matchMedia("(min-width: 64rem)").matches;
  if (lines.has(picked)) pick(picked);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = report.charts[place.dataset.chart];
    const { tables, brush } = spec.usermeta;
    spec.datasets ??= {};
    for (const name of tables) spec.datasets[name] = rows(report.tables[name]);
    for (const each of spec.params ?? []) if (each.name === "picked") each.value = picked;
    const { view } = await vegaEmbed(place, spec, report.options);
    views.push(view);
    view.addEventListener("click", (_, item) => {
      if (lines.has(item?.datum?.trial)) pick(item.datum.trial);
    });
    if (brush) {
      const all = rows(report.tables[brush.table]);
      view.clear = () => {
        for (const channel of brush.channels) view.signal(`${brush.name}_${channel}`, []);
        view.runAsync();
      };
      view.addDataListener(`${brush.name}_store`, (_, tuples) =>
        // Later: the view is still running.
        setTimeout(() => choose(view, all, tuples)),
      );
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
  document.body.dataset.drawn = views.length;
})();
