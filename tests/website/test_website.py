"""The site: links hold in it, and its pages load nothing from elsewhere."""

from __future__ import annotations

import functools
import html.parser
import http.server
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import stage
from playwright.sync_api import Browser

from support.chromium import axe_script, chromium, violations_in_both_schemes

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


def test_the_first_page_has_the_sections_of_the_readme_and_pictures_of_the_cookbook(
    pages: dict[Path, Path],
) -> None:
    text = stage.relink(stage.home(stage.HOME.read_text()), stage.HOME, Path("index.md"), pages)
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^## (.+)$", readme, re.MULTILINE)) <= set(
        re.findall(r"^## (.+)$", text, re.MULTILINE)
    )
    assert "[on one machine](start.md)" in text
    assert (
        '<a href="cookbook/people.md#a-round-avatar"><img src="cookbook/round-avatar.webp" alt="A portrait of'
        in text
    )
    assert "<code>portrait.png<wbr>?w=160<wbr>&amp;h=160<wbr>&amp;g=faces<wbr>&amp;ellipse=1" in text
    assert "<!--" not in text


def test_what_the_first_page_names_and_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected a section of README\.md, got None such"):
        stage.home("<!-- README: None such -->")
    with pytest.raises(ValueError, match="expected names of recipes of the cookbook, got none-such"):
        stage.home("<!-- gallery: round-avatar, none-such -->")


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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def test_all_pages_are_built(built: Path, pages: dict[Path, Path]) -> None:
    expected = {page.with_suffix("") for page in pages.values() if page.suffix == ".md"}
    found = {file.parent.relative_to(built) for file in built.rglob("index.html")}
    assert {Path() if page == Path("index") else page for page in expected} <= found


def test_pages_have_titles_and_descriptions_of_their_own(built: Path) -> None:
    found = {}
    for file in built.rglob("index.html"):
        text = file.read_text(encoding="utf-8")
        (title,) = re.findall(r"<title>(.+?)</title>", text)
        (found[file],) = re.findall(r'<meta name="description" content="([^"]+)">', text)
        assert title != "Image processor - Image processor"
    common = tomllib.loads(CONFIG.read_text())["project"]["site_description"]
    assert [file for file, text in found.items() if text == common] == []
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '# A\n\n<!-- b -->\n\n![c](d.svg)\n\nSome `code` and [a\nlink](e.md): "f".\n\nMore.',
            "Some code and a link: 'f'.",
        ),
        ("# A\n\n```sh\nb\n```\n\n| c |\n| --- |\n", ""),
        ("# A\n\n" + "word " * 60, "word " * 30 + "word…"),
    ],
)
def test_a_description_is_the_beginning_of_the_text(text: str, expected: str) -> None:
    assert stage.description(text) == expected
    assert len(expected) <= 160


def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    loaded = {match for file in built.rglob("*.html") for match in _LOADED.findall(file.read_text())}
    loaded |= {match for file in built.rglob("*.css") for match in _LOADED_BY_CSS.findall(file.read_text())}
    assert loaded == set()


def test_no_page_asks_the_code_host_for_its_stars(built: Path) -> None:
    """The theme's script does so where a page has the box of a repository."""
    assert [file for file in built.rglob("*.html") if 'data-md-component="source"' in file.read_text()] == []


def test_the_site_can_be_searched_without_a_service(built: Path) -> None:
    index = (built / "search.json").read_text()
    assert "Any rendition by URL" in index


def test_the_ways_of_a_recipe_are_tabs(built: Path) -> None:
    page = (built / "cookbook" / "people" / "index.html").read_text()
    assert page.count('class="tabbed-set') == page.count("<h2")


class _Links(html.parser.HTMLParser):
    """The addresses and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.links.add(value)
            elif name in {"id", "name"} and value:
                self.anchors.add(value)
            elif name == "srcset" and value:
                self.links |= {part.split()[0] for part in value.split(",")}


def parsed(file: Path) -> _Links:
    page = _Links()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def test_every_link_of_the_built_pages_leads_to_a_file_and_an_anchor(built: Path) -> None:
    """The builder checks the sources; this, what came of them, the theme's links and pictures included."""
    pages = {file: parsed(file) for file in built.rglob("*.html") if file.name != "404.html"}
    broken = []
    for file, page in pages.items():
        here = f"/{file.parent.relative_to(built).as_posix()}/".replace("/./", "/")
        for link in page.links:
            target = urlsplit(urljoin(here, link))
            if target.scheme or target.netloc:
                continue
            found = built / unquote(target.path).lstrip("/")
            found = found / "index.html" if found.is_dir() else found
            anchor = unquote(target.fragment)
            if not found.exists() or (anchor and found in pages and anchor not in pages[found].anchors):
                broken.append(f"{here}: {link}")
    assert broken == []


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """The built site, served."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(built))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


REPRESENTATIVE = (
    "",
    "start/",
    "transformations/",
    "cookbook/people/",
    "settings/",
    "scale/",
    "upgrading/",
    "adr/0001-packages-and-import-direction/",
)
"""The first page, one to begin with, pictures in tables, tabs, a reference, tables, steps, a decision."""

WIDE = """[...document.querySelectorAll(".md-typeset table")].filter((table) =>
        table.getBoundingClientRect().right > table.closest("article").getBoundingClientRect().right
    ).map((table) => table.innerText.slice(0, 60))"""
"""Tables that are wider than the page, which a reader has to scroll."""


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_are_accessible_and_fit_the_window(address: str, browser: Browser, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="light")
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: request.url.startswith(address) or elsewhere.append(request.url))
    found = []
    for path in REPRESENTATIVE:
        page.goto(address + path)
        page.evaluate(axe_script())
        found += [f"/{path} {violation}" for violation in violations_in_both_schemes(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"/{path} is wider than the window")
        found += [f"/{path} has a table that is cut off: {text}" for text in page.evaluate(WIDE)]
    context.close()
    assert found == []
    assert elsewhere == []


@pytest.mark.parametrize("system", ["light", "dark"])
def test_pictures_follow_the_scheme_that_the_reader_chooses(
    address: str, browser: Browser, system: Literal["light", "dark"]
) -> None:
    page = browser.new_page(color_scheme=system)
    shown = "document.querySelector('picture img').currentSrc.split('/').pop()"
    names = {"light": "architecture-diagram.png", "dark": "architecture-diagram-dark.png"}
    for path in ("aws/", "start-on-aws/"):
        page.goto(address + path)
        page.wait_for_function(f"name => {shown} === name", arg=names[system])
        for choice in ("light", "dark"):  # the first button says: as the system
            page.get_by_title(f"Switch to {choice} mode").first.click()
            page.wait_for_function(f"name => {shown} === name", arg=names[choice])
        page.evaluate("localStorage.clear()")
    page.close()


def test_a_reader_finds_a_page_by_its_words_without_a_service(address: str, browser: Browser) -> None:
    page = browser.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: request.url.startswith(address) or elsewhere.append(request.url))
    page.goto(f"{address}start/")
    page.get_by_role("button", name="Search").first.click()
    page.keyboard.type("lazy presets")
    page.get_by_role("option", name="Lazy presets").first.click()
    page.wait_for_url(f"{address}urls/**")
    page.close()
    assert elsewhere == []
