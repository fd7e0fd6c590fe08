// What axe misses in the theme: landmarks of the same name, and tables that only a mouse can scroll.
// The theme wraps tables and adds buttons to code after the page has loaded.
function label() {
  document.querySelector("nav.md-path")?.setAttribute("aria-label", "Breadcrumbs");
  for (const nav of document.querySelectorAll("nav.md-code__nav")) nav.setAttribute("role", "none");
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0;
}
new MutationObserver(label).observe(document.body, { childList: true, subtree: true });
label();
