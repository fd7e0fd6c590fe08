"""Writes docs/cookbook.md, a page for each topic in docs/cookbook/, and the pictures of its recipes.

All of it comes from docs/cookbook.toml. Tests compare the pages with `pages()`, and the pictures with what
the engine makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

import cookbook_originals
from cookbook_originals import MARK
from cookbook_recipes import CookbookRecipe, Task, Topic, recipes, topics
from transformation_originals import rendered

from image_processor.domain.models import Limits
from image_processor.engine.render import render

DOCS = Path(__file__).parent
INDEX = DOCS / "cookbook.md"
FOLDER = DOCS / "cookbook"

_PICTURE = "w=240,h=240,fit=inside,q=80,fm=webp"
"""How a rendition is shown: in a format that every browser shows, and small."""

_WRITTEN_BY = (
    "<!-- Written by docs/write_cookbook.py from docs/cookbook.toml: `make docs` writes it again. -->"
)

_USE = """\
The four ways make the same image; a test compares them.

- **URL**: `CDN` is your CDN, on one machine `127.0.0.1:8000/renditions`. A URL opens what a preset of the
  recipe declares, and anything else with a [signature](urls.md#signatures).
- **Command line**: [without a server](without-a-server.md), for one file.
- **Python**: [the library](python.md), without a server or a bucket.
- **Recipe**: a preset for [your recipe](recipes.md). A rule says which uploads get it; then the rendition is
  made at upload.
"""


def pages() -> dict[Path, str]:
    """The text of every page."""
    return {INDEX: _index(), **{FOLDER / f"{topic.page}.md": _page(topic) for topic in topics()}}


def _index() -> str:
    parts = "\n".join(_contents(topic) for topic in topics())
    count = sum(len(topic.recipes) for topic in topics())
    return f"""\
# Cookbook

{_WRITTEN_BY}

{count} images that sites need, each as a URL, a command, a program and a preset.
{_USE}
{parts}"""


def _contents(topic: Topic) -> str:
    page = f"cookbook/{topic.page}.md"
    pictures = " ".join(
        f'<a href="{page}#{_anchor(recipe.title)}">'
        f'<img src="cookbook/{recipe.name}.webp" alt="{escape(recipe.title)}" width="96"></a>'
        for recipe in topic.recipes
    )
    titles = [recipe.title for recipe in topic.recipes] + [task.title for task in topic.tasks]
    entries = "".join(f"- [{title}]({page}#{_anchor(title)})\n" for title in titles)
    shown = f"{pictures}\n\n" if pictures else ""
    return f"## [{topic.title}]({page})\n\n{topic.about}\n\n{shown}{entries}"


def _page(topic: Topic) -> str:
    parts = "\n".join([*map(_recipe, topic.recipes), *map(_task, topic.tasks)])
    return f"# {topic.title}\n\n{_WRITTEN_BY}\n\n{topic.about} [All recipes](../cookbook.md)\n\n{parts}"


def _recipe(recipe: CookbookRecipe) -> str:
    blocks = _tabs(
        ("URL", "text", recipe.urls()),
        ("Command line", "sh", recipe.commands()),
        ("Python", "python", recipe.program()),
        ("Recipe", "toml", recipe.toml()),
    )
    return f"## {recipe.title}\n\n![{recipe.alt}]({recipe.name}.webp)\n\n{recipe.text}\n\n{blocks}"


def _task(task: Task) -> str:
    blocks = _tabs(
        ("API", "sh", task.request), ("Command line", "sh", task.command), ("Python", "python", task.program)
    )
    return f"## {task.title}\n\n{task.text}\n\n{blocks}"


def _tabs(*blocks: tuple[str, str, str]) -> str:
    """Blocks of code with titles, which website/stage.py turns into tabs."""
    parts = "\n".join(
        f"**{title}**\n\n```{language}\n{code.strip()}\n```\n" for title, language, code in blocks
    )
    return f"<!-- tabs -->\n\n{parts}\n<!-- /tabs -->\n"


def _anchor(title: str) -> str:
    """The anchor that code hosts and the site give a heading."""
    return "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign in "-_")


def pictures() -> Iterator[tuple[str, bytes]]:
    """Every recipe's name with its picture, which is of its first rendition."""
    for recipe in recipes():
        items = list(recipe.renditions().values())
        limits = Limits(svg=recipe.svg)
        marks = {MARK: cookbook_originals.original(MARK)}
        original = cookbook_originals.original(recipe.original)
        made = render(original, items, limits, summary=False, overlay_sources=marks).renditions[0]
        yield recipe.name, picture(made.body)


def picture(rendition: bytes) -> bytes:
    """How the pages show a rendition."""
    return rendered(rendition, _PICTURE)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    written = pages()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    drawn = {FOLDER / f"{name}.webp": body for name, body in pictures()}
    for path, body in drawn.items():
        path.write_bytes(body)
    for stale in set(FOLDER.iterdir()) - {*written, *drawn}:
        stale.unlink()
    print(f"wrote {len(written)} pages and {len(drawn)} pictures of the cookbook")


if __name__ == "__main__":
    main()
