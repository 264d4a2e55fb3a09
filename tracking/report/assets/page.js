"use strict";
// Draws the charts and links them. Dragging over an area of a chart chooses trials in all charts and
// tables. A click on a trial, in a chart or in a table, puts the trial in focus.
(async () => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const table = document.querySelector("#trials table");
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const body = [...table.tBodies[0].rows];
  const lines = new Map(body.map((row) => [Number(row.id.slice(1)), row]));
  const focus = document.getElementById("focus");
  const list = document.getElementById("choose");
  const views = [];
  const behind = [];
  const mostRows = 1000;
  let picked = report.picked;
  // The source of the chosen trials: the view of a chart, or the list.
  let active = null;
  let chosen = null;

  const rows = (columns) => {
    const keys = Object.keys(columns);
    return (columns[keys[0]] ?? []).map((_, i) =>
      Object.fromEntries(keys.map((key) => [key, columns[key][i]])),
    );
  };
  const element = (tag, text, ...attributes) => {
    const node = Object.assign(document.createElement(tag), { textContent: text });
    for (const [name, value] of attributes) node.setAttribute(name, value);
    return node;
  };
  const tell = (signal, value) => {
    for (const view of views) view.signal(signal, value).runAsync();
  };
  const fillOpen = () => behind.filter(({ details }) => details.open).forEach(({ fill }) => fill());

  function pick(trial) {
    lines.get(picked)?.removeAttribute("aria-current");
    picked = trial;
    const line = lines.get(trial);
    line.setAttribute("aria-current", "true");
    reach(line);
    const facts = names.map((name, i) => [name, line.cells[i].textContent.trim()]).slice(1);
    focus.querySelector("h2").textContent = `Trial ${trial}`;
    focus.querySelector("dl").replaceChildren(
      ...facts
        .filter(([, text]) => text)
        .flatMap(([name, text]) => [element("dt", name), element("dd", text)]),
    );
    const words = report.command.join(trial).split(" ");
    focus.querySelector("code").replaceChildren(...words.flatMap((word, i) => [i ? " " : "", element("span", word)]));
    tell("picked", trial);
    fillOpen();
  }

  // The key Tab reaches one of the table's buttons, the arrow keys reach the other buttons.
  const button = (line) => line.cells[0].firstElementChild;
  let reached = null;
  function reach(line) {
    if (reached) button(reached).tabIndex = -1;
    reached = line ?? null;
    if (reached) button(reached).tabIndex = 0;
  }
  function move(event) {
    const shown = body.filter((line) => !line.hidden);
    const last = shown.length - 1;
    const at = shown.indexOf(event.target.closest("tr"));
    const to = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last };
    if (at < 0 || to[event.key] === undefined) return;
    event.preventDefault();
    reach(shown[to[event.key]]);
    button(reached).focus();
  }

  // A tuple of Vega's selection has fields, and for each field an interval or a list of values.
  const inside = (row, { fields, values }) =>
    fields.every(({ field, type }, i) =>
      type === "E"
        ? values[i].includes(row[field])
        : row[field] !== null && row[field] >= Math.min(...values[i]) && row[field] <= Math.max(...values[i]),
    );

  function show(trials) {
    chosen = trials && Object.fromEntries(trials.map((row) => [row.trial, 1]));
    tell("chosen", chosen);
    for (const [trial, line] of lines) line.hidden = chosen !== null && !chosen[trial];
    if (!reached || reached.hidden) reach(body.find((line) => !line.hidden));
    document.body.classList.toggle("choosing", chosen !== null);
    document.getElementById("chosen").textContent =
      chosen === null ? "" : `${Object.keys(chosen).length} of ${lines.size} trials chosen`;
    fillOpen();
  }

  function choose(view, all, tuples) {
    if (active !== view) {
      if (!tuples.length) return;
      const former = active;
      active = view;
      former?.clear();
    }
    if (!tuples.length) active = null;
    show(tuples.length ? all.filter((row) => tuples.some((tuple) => inside(row, tuple))) : null);
  }

  function clear() {
    const former = active;
    active = null;
    former?.clear();
    show(null);
  }

  // The list chooses trials without dragging, e.g. by keyboard.
  function fillList() {
    const trials = rows(report.tables.trials);
    const valued = trials.filter((row) => row.rank !== null);
    const tenth = Math.ceil(valued.length / 10);
    const kinds = [
      ["all trials", null],
      ["the best", (row) => row.rank === 1],
      ["the 10 best", (row) => row.rank !== null && row.rank <= 10],
      ["the best tenth", (row) => row.rank !== null && row.rank <= tenth],
      ...[...new Set(trials.map((row) => row.state))].map((state) => [state, (row) => row.state === state]),
    ].filter(([, test]) => !test || trials.some(test));
    list.replaceChildren(...kinds.map(([name], i) => element("option", name, ["value", i])));
    list.clear = () => (list.value = 0);
    list.addEventListener("change", () => {
      const test = kinds[list.value][1];
      if (!test) return clear();
      if (active !== list) active?.clear();
      active = list;
      show(trials.filter(test));
    });
    list.parentElement.hidden = false;
  }

  // Adds a table of the chart's data, and buttons that save the chart.
  function offer(place, spec, view) {
    const title = place.closest("figure")?.querySelector("h3").textContent ?? "trial in focus";
    // MLflow's frame for artifacts allows no downloads.
    const kinds = window.parent === window ? ["SVG", "PNG"] : [];
    const what = ["Table", ...kinds].join(", ");
    const details = element("details", "", ["class", "behind"]);
    const inner = element("div", "", ["class", "scroll"], ["tabindex", "0"], ["role", "region"], ["aria-label", `Table: ${title}`]);
    const fill = () => inner.replaceChildren(...tablesOf(spec).flatMap((name) => lookUp(spec.datasets[name], focus?.contains(place))));
    details.append(element("summary", what, ["aria-label", `${what}: ${title}`]), inner);
    details.addEventListener("toggle", () => details.open && fill());
    behind.push({ details, fill });
    for (const kind of kinds) {
      const save = element("button", `Save as ${kind}`, ["type", "button"]);
      save.addEventListener("click", () => download(view, kind, place.dataset.chart));
      details.append(save, " ");
    }
    place.after(details);
  }

  const read = (value) => (typeof value === "number" ? Number(value.toPrecision(6)) : (value ?? ""));

  // Returns the names of the tables with the chart's data: tables of the page, or tables that only
  // this chart has.
  const tablesOf = ({ usermeta: { tables }, datasets }) => (tables.length ? tables : Object.keys(datasets));

  // These columns have positions on an axis, which people don't read.
  const unread = /_unit$/;

  function lookUp(drawn, ofPicked) {
    const all = drawn.filter((row) =>
      ofPicked ? row.trial === picked : !(chosen && "trial" in row) || chosen[row.trial],
    );
    const full = [...new Set(all.flatMap(Object.keys))]
      .filter((field) => !unread.test(field) && all.some((row) => (row[field] ?? "") !== ""))
      .map((field) => [field, report.headings[field] ?? field.replaceAll("_", " ")]);
    const node = element("table", "");
    const head = node.createTHead().insertRow();
    for (const [, heading] of full) head.append(element("th", heading, ["scope", "col"]));
    const lower = node.createTBody();
    for (const row of all.slice(0, mostRows)) {
      const line = lower.insertRow();
      for (const [field] of full) line.append(element("td", read(row[field])));
    }
    const cut = `The first ${mostRows.toLocaleString("en")} of ${all.length.toLocaleString("en")} rows.`;
    return all.length > mostRows ? [node, element("p", cut)] : [node];
  }

  async function download(view, kind, name) {
    const style = getComputedStyle(document.documentElement);
    // Files can't use the page's CSS variables.
    const drawn = (await view.toSVG())
      .replace(/var\((--\w+)\)/g, (_, variable) => style.getPropertyValue(variable).trim())
      .replace("<svg ", `<svg style="background:${style.getPropertyValue("--paper").trim()}" `);
    let file = new Blob([drawn], { type: "image/svg+xml" });
    if (kind === "PNG") {
      const image = new Image();
      image.src = URL.createObjectURL(file);
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), {
        width: 2 * image.naturalWidth,
        height: 2 * image.naturalHeight,
      });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(image.src);
      file = await new Promise((resolve) => canvas.toBlob(resolve));
    }
    const link = element("a", "", ["href", URL.createObjectURL(file)], ["download", `${name}.${kind.toLowerCase()}`]);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  document.getElementById("clear").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen !== null) clear();
  });
  table.addEventListener("click", (event) => {
    const line = event.target.closest("tbody tr");
    if (line) pick(Number(line.id.slice(1)));
  });
  table.addEventListener("keydown", move);
  for (const [trial, line] of lines) {
    button(line).setAttribute("aria-label", `Trial ${trial}`);
    button(line).tabIndex = -1;
  }
  // The details are printed, too.
  addEventListener("beforeprint", () => document.querySelectorAll(".details details").forEach((each) => (each.open = true)));
  // On a small screen, the open panel would hide the charts.
  if (focus) focus.open = matchMedia("(min-width: 64rem)").matches;
  fillList();
  if (lines.has(picked)) pick(picked);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = report.charts[place.dataset.chart];
    const { tables, brush } = spec.usermeta;
    spec.datasets ??= {};
    for (const name of tables) spec.datasets[name] = rows(report.tables[name]);
    const state = { picked, chosen };
    for (const each of spec.params ?? []) if (each.name in state) each.value = state[each.name];
    // Screen readers read the label of the place, not the chart in it.
    const drawn = place.appendChild(element("div", "", ["aria-hidden", "true"]));
    const { view } = await vegaEmbed(drawn, spec, report.options);
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
        // The timeout lets the view finish first.
        setTimeout(() => choose(view, all, tuples)),
      );
    }
    offer(place, spec, view);
    await new Promise((resolve) => setTimeout(resolve));
  }
  document.body.dataset.drawn = views.length;
})();
