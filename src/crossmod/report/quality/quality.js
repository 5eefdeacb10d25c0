"use strict";
// Sorts the table of sessions and collects lines for the exclusion list.
// Without it the table stands as it was written, flagged sessions first.
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[1].cells];

  const valueOf = (row, column) => {
    if (column === 0) return row.dataset.key;
    const text = row.cells[column].dataset.value;
    return text === "" ? null : Number(text);
  };

  const sort = (column) => {
    const head = heads[column];
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      // What has no value comes last in either direction.
      if (x === null || y === null) return (x === null) - (y === null);
      const order = x < y ? -1 : x > y ? 1 : 0;
      return up ? order : -order;
    });
    body.append(...rows);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  const lines = document.getElementById("lines");
  const collect = () => {
    const chosen = [...body.rows].filter((row) => row.querySelector("input").checked);
    const texts = chosen.map((row) => `${row.dataset.key}\t${row.dataset.reason || "REASON"}`);
    lines.value = texts.length ? ["session\treason", ...texts.sort(), ""].join("\n") : "";
  };
  for (const row of body.rows) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Exclude ${row.dataset.key}`);
    box.addEventListener("change", collect);
    row.cells[0].prepend(box);
  }
  document.getElementById("exclusion").hidden = false;
})();
