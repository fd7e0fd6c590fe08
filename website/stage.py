"""Copies the repository's pages to where the site is built from, with links that hold there.

The pages are written to be read in the repository, too. A link to another page becomes one within the site; a
link to any other file, such as an example, leads to the repository. Only the first page is the site's own:
website/home.md, with sections of README.md and pictures of the cookbook.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILD = ROOT / "build" / "site"
CONFIG = "zensical.toml"
REPOSITORY = "https://github.com/OWNER/image-processor"
"""OWNER stands for the owner of the repository, as in pyproject.toml."""

PAGES_OF_ROOT = {
    "README.md": "index.md",
    "docs/README.md": "documentation.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASING.md": "releasing.md",
    "SECURITY.md": "security.md",
}
"""Pages that have another name in the site than in docs/."""

ADDED_TO_THEME = ("site.css", "site.js")
"""What the theme lacks for readers with a keyboard or a screen reader."""

HOME = Path(__file__).with_name("home.md")
"""The first page of the site, where README.md is that of the repository."""

_OF_HOME = "title: Every size and format from one upload\nhide:\n  - navigation\n  - toc\n"
_DESCRIPTION_CHARS = 160
"""What search engines show of a description."""

PICTURES = frozenset({".svg", ".png", ".webp", ".json"})
_LINK = re.compile(
    r"(!?\[(?:[^\]\\]|\\.|\n)*?\]\()([^)\s#]*)((?:#[^)\s]*)?\))"  # [text](target#anchor)
    r'|((?:src|srcset|href)=")([^"\s#]*)((?:#[^"\s]*)?")'  # in HTML
)
_TABS = re.compile(r"<!-- tabs -->\n(.*?)<!-- /tabs -->\n", re.DOTALL)
_TAB = re.compile(r"^\*\*([^*\n]+)\*\*\n\n(```.*?^```\n)", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"<!-- (README|gallery): (.+) -->")
_RECIPE = re.compile(
    r"^## (?P<title>[^\n]+)\n\n!\[(?P<alt>[^\n]*)\]\((?P<name>[\w-]+)\.webp\)\n.*?```text\nhttps://CDN/(?P<url>\S+)\n",
    re.MULTILINE | re.DOTALL,
)
_BLOCK = re.compile(r"^ *(`{3,})[^\n]*\n.*?^ *\1[ \t]*$", re.MULTILINE | re.DOTALL)


def files() -> Iterator[tuple[Path, Path]]:
    """Each file of the site: where it is in the repository, and its path in the site."""
    for name, page in PAGES_OF_ROOT.items():
        yield ROOT / name, Path(page)
    for name in ADDED_TO_THEME:
        yield Path(__file__).with_name(name), Path(name)
    for file in sorted(DOCS.rglob("*")):
        if file.suffix in PICTURES or (file.suffix == ".md" and file != DOCS / "README.md"):
            yield file, file.relative_to(DOCS)


def relink(text: str, source: Path, page: Path, pages: dict[Path, Path]) -> str:
    """``text`` of ``source`` with the links that hold at ``page``.

    ``pages`` are the files of the site by where they are in the repository. Blocks of code are left alone.
    Raises ValueError for a link to no file.
    """

    def link(match: re.Match[str]) -> str:
        start, target, end = match.groups()[:3] if match[1] else match.groups()[3:]
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        file = Path(os.path.normpath(source.parent / target))
        if not file.exists():
            raise ValueError(f"{source.relative_to(ROOT)}: expected a file that exists, got {target}")
        if file in pages:
            return f"{start}{os.path.relpath(pages[file], page.parent)}{end}"
        kind = "tree" if file.is_dir() else "blob"
        return f"{start}{REPOSITORY}/{kind}/main/{file.relative_to(ROOT).as_posix()}{end}"

    parts, position = [], 0
    for block in _BLOCK.finditer(text):
        parts += [_LINK.sub(link, text[position : block.start()]), block[0]]
        position = block.end()
    return "".join([*parts, _LINK.sub(link, text[position:])])


def tabbed(text: str) -> str:
    """``text`` with the titled blocks between `<!-- tabs -->` and `<!-- /tabs -->` as tabs of the site."""
    return _TABS.sub(lambda group: _TAB.sub(_as_tab, group[1]), text)


def _as_tab(block: re.Match[str]) -> str:
    title, code = block.groups()
    return f'=== "{title}"\n\n{textwrap.indent(code, "    ")}'


def front_matter(text: str, more: str = "") -> str:
    """The head of a page for the builder: ``more``, and the description that search engines show."""
    found = description(text)
    return (
        f"---\n{more}description: {json.dumps(found, ensure_ascii=False)}\n---\n\n" if found or more else ""
    )


def description(text: str) -> str:
    """The beginning of a page's first paragraph, without its markup. Empty for a page without one."""
    paragraphs = (part.strip() for part in _BLOCK.sub("", text).split("\n\n"))
    prose = next((part for part in paragraphs if part and part[0].isalnum()), "")
    prose = prose.replace('"', "'")  # the theme escapes none
    plain = " ".join(re.sub(r"[`*]", "", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", prose)).split())
    if len(plain) <= _DESCRIPTION_CHARS:
        return plain
    return plain[: _DESCRIPTION_CHARS - 1].rpartition(" ")[0] + "…"


def home(text: str) -> str:
    """The first page: ``text`` with the sections of README.md and the recipes that it names."""

    def part(match: re.Match[str]) -> str:
        kind, value = match.groups()
        return section(value) if kind == "README" else gallery(value.split(", "))

    return _PLACEHOLDER.sub(part, text)


def section(title: str) -> str:
    """A section of README.md, with links as of a page in website/. Raises ValueError if it has none."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"expected a section of README.md, got {title}")
    return _LINK.sub(_one_up, match[0]).rstrip()


def _one_up(match: re.Match[str]) -> str:
    start, target, end = match.groups()[:3] if match[1] else match.groups()[3:]
    return f"{start}{target if not target or ':' in target else f'../{target}'}{end}"


def gallery(names: Sequence[str]) -> str:
    """Pictures of the cookbook with their URLs, as links to the recipes. Raises ValueError for no recipe."""
    found = {
        recipe["name"]: (page.stem, recipe)
        for page in (DOCS / "cookbook").glob("*.md")
        for recipe in _RECIPE.finditer(page.read_text(encoding="utf-8"))
    }
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"expected names of recipes of the cookbook, got {', '.join(missing)}")
    figures = (_figure(*found[name]) for name in names)
    return '<div class="gallery">\n' + "\n".join(figures) + "\n</div>"


def _figure(page: str, recipe: re.Match[str]) -> str:
    anchor = re.sub(r"[^\w-]", "", recipe["title"].lower().replace(" ", "-"))
    picture = f'<img src="../docs/cookbook/{recipe["name"]}.webp" alt="{html.escape(recipe["alt"])}">'
    url = re.sub(r"([?&])", r"<wbr>\1", html.escape(recipe["url"]).replace("&amp;", "&"))
    caption = f"<strong>{html.escape(recipe['title'])}</strong><code>{url.replace('&', '&amp;')}</code>"
    return f'<a href="../docs/cookbook/{page}.md#{anchor}">{picture}{caption}</a>'


def stage(into: Path) -> None:
    """Write all files of the site into ``into``, which is emptied first."""
    shutil.rmtree(into, ignore_errors=True)
    pages = dict(files())
    for source, page in pages.items():
        target = into / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source == ROOT / "README.md":
            text = relink(home(HOME.read_text(encoding="utf-8")), HOME, page, pages)
            target.write_text(front_matter(text, _OF_HOME) + text, encoding="utf-8")
        elif source.suffix == ".md":
            text = relink(source.read_text(encoding="utf-8"), source, page, pages)
            target.write_text(front_matter(text) + tabbed(text), encoding="utf-8")
        else:
            shutil.copyfile(source, target)


if __name__ == "__main__":
    stage(BUILD / "pages")
    shutil.copyfile(Path(__file__).with_name(CONFIG), BUILD / CONFIG)
