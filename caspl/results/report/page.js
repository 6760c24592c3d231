"use strict";

// Everything here only rearranges what the page says already; without it nothing is missing.
const found = (selector, inside = document) => [...inside.querySelectorAll(selector)];

function made(kind, text, action) {
  const element = document.createElement(kind);
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", action);
  return element;
}

// ------------------------------------------------------------ tables
const MISSING = "-";

/** The number that a cell begins with, behind a "<" or "p = "; null: it begins with none. */
function number(text) {
  const match = /^(?:p\s*)?[<>=≤≥~]*\s*([-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)/i.exec(text);
  return match ? parseFloat(match[1].replaceAll(",", "").replace("−", "-")) : null;
}

/** Rows with the published ones behind them, which stay with their row. */
function blocks(body) {
  const all = [];
  for (const row of body.rows) {
    if (row.classList.contains("published") && all.length) all.at(-1).rows.push(row);
    else all.push({ rows: [row], average: row.classList.contains("average") });
  }
  return all;
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const first = blocks(body);
  heads.forEach((head, column) => {
    const button = made("button", head.textContent, () => {
      const text = (block) => block.rows[0].cells[column].textContent.trim();
      const empty = (block) => ["", MISSING].includes(text(block));
      const given = first.filter((block) => !empty(block));
      const numbers = given.length > 0 && given.every((block) => number(text(block)) !== null);
      const turns = numbers ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
      const turn = turns[(turns.indexOf(head.getAttribute("aria-sort")) + 1) % turns.length];
      const sign = turn === "ascending" ? 1 : -1;
      const compare = numbers
        ? (a, b) => number(text(a)) - number(text(b))
        : (a, b) => text(a).localeCompare(text(b), "en", { numeric: true });
      const order = (a, b) =>
        a.average - b.average || (turn === "none" ? 0 : empty(a) - empty(b) || (empty(a) ? 0 : sign * compare(a, b)));
      body.append(...[...first].sort(order).flatMap((block) => block.rows));
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? turn : "none"));
    });
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
  });
}

// ------------------------------------------------------------ commands
function copyable(block) {
  const text = block.querySelector("pre");
  const button = made("button", "copy", async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "copied" : "selected";
    setTimeout(() => (button.textContent = "copy"), 2000);
  });
  button.setAttribute("aria-live", "polite");
  block.append(button);
}

// ------------------------------------------------------------ runs
function filtered(section) {
  const rows = found("details.row", section).map((row) => ({
    row,
    text: `${row.closest(".group").querySelector("h3").textContent} ${row.querySelector("summary").textContent}`.toLowerCase(),
  }));
  const label = document.createElement("label");
  const field = document.createElement("input");
  field.type = "search";
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    rows.forEach(({ row, text }) => (row.hidden = !words.every((word) => text.includes(word))));
    found(".group", section).forEach((group) => (group.hidden = !group.querySelector("details.row:not([hidden])")));
  });
  label.append("Show only ", field);
  label.className = "filter";
  section.querySelector(".group").before(label);
}

/** What a link leads to is open, and so is all that it lies in. */
function reveal() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let place = target; place; place = place.parentElement) {
    if (place.matches("details")) place.open = true;
    place.hidden = false;
  }
  target.scrollIntoView();
}

found("table.sortable").forEach(sortable);
found(".command").forEach(copyable);
found("#runs").filter((section) => section.querySelector(".group")).forEach(filtered);
addEventListener("hashchange", reveal);
found('a[href^="#"]').forEach((link) => link.addEventListener("click", () => setTimeout(reveal)));
reveal();
