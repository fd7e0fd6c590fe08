"""The site: links hold in it, and its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import stage

ROOT = Path(__file__).parents[2]
ZENSICAL = ROOT / ".venv-site" / "bin" / "zensical"
CONFIG = ROOT / "website" / stage.CONFIG
_LOADED = re.compile(
    r"<(?:link|script|img|iframe|source|video)\b[^>]*?\b(?:href|src|srcset)=[\"']?(https?:[^\"' >]+)"
)
_LOADED_BY_CSS = re.compile(r"url\([\"']?(https?:[^)]+)|@import")


@pytest.fixture
def pages() -> dict[Path, Path]:
    return dict(stage.files())


def relink(
    text: str, pages: dict[Path, Path], source: str = "docs/adr/0001-packages-and-import-direction.md"
) -> str:
    return stage.relink(text, ROOT / source, pages[ROOT / source], pages)


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("docs/urls.md", "[a](aws.md#parameters)", "[a](aws.md#parameters)"),
        ("docs/urls.md", "[a](../README.md)", "[a](index.md)"),
        ("README.md", "![a](docs/architecture.svg)", "![a](architecture.svg)"),
        ("README.md", "[a](docs/README.md)", "[a](documentation.md)"),
        ("README.md", "[`a` [b]](docs/urls.md)", "[`a` [b]](docs/urls.md)"),
        ("README.md", '<img src="docs/architecture.svg" alt="b">', '<img src="architecture.svg" alt="b">'),
        ("README.md", "[a](examples)", f"[a]({stage.REPOSITORY}/tree/main/examples)"),
        ("docs/aws.md", "[a](../samconfig.toml)", f"[a]({stage.REPOSITORY}/blob/main/samconfig.toml)"),
        ("docs/urls.md", "[a](https://example.com/b.md)", "[a](https://example.com/b.md)"),
        ("docs/urls.md", "[a](#below)", "[a](#below)"),
        ("docs/urls.md", "```sh\n[a](../README.md)\n```", "```sh\n[a](../README.md)\n```"),
    ],
)
def test_links_lead_to_pages_or_to_the_repository(
    pages: dict[Path, Path], source: str, link: str, expected: str
) -> None:
    assert relink(link, pages, source) == expected


def test_a_link_to_no_file_is_an_error(pages: dict[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"expected a file that exists, got no-such\.md"):
        relink("[a](no-such.md)", pages)


def test_titled_blocks_become_tabs() -> None:
    blocks = "**URL**\n\n```text\nb\n```\n\n**CLI**\n\n```sh\nc\n```\n\n"
    expected = (
        'a\n\n=== "URL"\n\n    ```text\n    b\n    ```\n\n=== "CLI"\n\n    ```sh\n    c\n    ```\n\n**d**\n'
    )
    assert stage.tabbed(f"a\n<!-- tabs -->\n\n{blocks}<!-- /tabs -->\n**d**\n") == expected


def entries(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    found = nav.values() if isinstance(nav, dict) else nav
    return [page for part in found for page in entries(part)]


def test_every_page_is_in_the_navigation(pages: dict[Path, Path]) -> None:
    """Decisions are linked from their list."""
    linked = entries(tomllib.loads(CONFIG.read_text())["project"]["nav"])
    written = {str(page) for page in pages.values() if page.suffix == ".md" and page.parts[0] != "adr"}
    assert sorted(linked) == sorted(written)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it: strict, so that a broken link or anchor ends it."""
    if not ZENSICAL.exists():
        pytest.skip("THE SITE WAS NOT BUILT: make site installs what builds it")
    folder = tmp_path_factory.mktemp("site")
    stage.stage(folder / "pages")
    (folder / CONFIG.name).write_bytes(CONFIG.read_bytes())
    done = subprocess.run(
        [ZENSICAL, "build", "--strict", "--clean"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_all_pages_are_built(html: Path, pages: dict[Path, Path]) -> None:
    expected = {page.with_suffix("") for page in pages.values() if page.suffix == ".md"}
    built = {file.parent.relative_to(html) for file in html.rglob("index.html")}
    assert {Path() if page == Path("index") else page for page in expected} <= built


def test_nothing_is_loaded_from_elsewhere(html: Path) -> None:
    loaded = {match for file in html.rglob("*.html") for match in _LOADED.findall(file.read_text())}
    loaded |= {match for file in html.rglob("*.css") for match in _LOADED_BY_CSS.findall(file.read_text())}
    assert loaded == set()


def test_no_page_asks_the_code_host_for_its_stars(html: Path) -> None:
    """The theme's script does so where a page has the box of a repository."""
    assert [file for file in html.rglob("*.html") if 'data-md-component="source"' in file.read_text()] == []


def test_the_site_can_be_searched_without_a_service(html: Path) -> None:
    index = (html / "search.json").read_text()
    assert "Any rendition by URL" in index


def test_the_ways_of_a_recipe_are_tabs(html: Path) -> None:
    page = (html / "cookbook" / "people" / "index.html").read_text()
    assert page.count('class="tabbed-set') == page.count("<h2")
