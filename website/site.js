// What axe misses in the theme: landmarks of the same name, and tables that only a mouse can scroll.
// The theme wraps tables and adds buttons to code after the page has loaded.
const ROLES = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", th: "columnheader", td: "cell" };

const SHORT = 32; // characters of a value that fits half the width

function label() {
  document.querySelector("nav.md-path")?.setAttribute("aria-label", "Breadcrumbs");
  for (const nav of document.querySelectorAll("nav.md-code__nav")) nav.setAttribute("role", "none");
  // Parts of a page's contents are lists in one landmark, and may be named as a part of the navigation.
  for (const nav of document.querySelectorAll(".md-nav--secondary nav[aria-label]")) {
    nav.removeAttribute("aria-label");
    nav.setAttribute("role", "none");
  }
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0;
  for (const table of document.querySelectorAll(".md-typeset table:not([class], [data-cards])")) makeCards(table);
}

// On a narrow window, site.css shows the rows of a table with more than two columns as cards. It stays a table for
// screen readers, whose roles `display: block` would take away.
function makeCards(table) {
  const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  if (heads.length < 3) return;
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => (cell.dataset.head = heads[column]));
    if (/^[\d^,.\s]+$/.test(row.cells[0].textContent)) row.cells[0].dataset.number = "";
  }
  for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")]) {
    part.setAttribute("role", ROLES[part.localName]);
  }
  const values = [...table.querySelectorAll("tbody td:not(:first-child)")];
  table.dataset.cards = values.every((cell) => cell.textContent.length < SHORT && !cell.querySelector("img")) ? "short" : "";
}

const DARK = "(prefers-color-scheme: dark)";

// Pictures for dark pages follow the reader's choice of scheme, not that of the system alone.
function choosePictures() {
  const isDark = document.body.dataset.mdColorScheme === "slate";
  for (const source of document.querySelectorAll(`picture > source[media="${DARK}"]`)) source.dataset.dark = "";
  for (const source of document.querySelectorAll("source[data-dark]")) source.media = isDark ? "all" : "not all";
}

function update() {
  label();
  choosePictures();
}

new MutationObserver(update).observe(document.body, { childList: true, subtree: true });
new MutationObserver(choosePictures).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
update();
