"""The pages of the start, and others that need no account, are followed command by command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tutorial import ROOT, Tutorial, photograph

from support.command_blocks import FOLLOWED, blocks

# `make run` serves until Ctrl-C in a terminal; here it returns once the server answers. `open` is a browser,
# which waits for the rendition.
MAKEFILE = """\
run:
\t@.venv/bin/image-processor serve > server.log 2>&1 & echo $$! > server.pid
\t@curl -s --fail --retry 120 --retry-delay 1 --retry-connrefused http://127.0.0.1:8000/health
"""
OPEN = "#!/bin/sh\nexec curl -s --fail --retry 60 --retry-delay 1 --retry-all-errors -o opened.jpg $1\n"

_LIBRARY = "mkdir -p data/uploads/photos"
_PHOTO = "cp ~/Pictures/cat.jpg"
_SERVER = f"{_LIBRARY}; {_PHOTO} data/uploads/photos; make run"
PREPARED: Mapping[str, str] = {
    "README.md": f"{_PHOTO} .",
    "docs/api.md": _SERVER,
    "docs/html.md": f"{_LIBRARY}; {_PHOTO} data/uploads/photos; image-processor reconcile",
    "docs/recipes.md": _LIBRARY,
    "docs/troubleshooting.md": _SERVER,
    "docs/urls.md": "export IMAGE_PROCESSOR_SIGNING_KEYS=a:a-secret-of-16-signs",
    "docs/without-a-server.md": f"mkdir photos; {_PHOTO} cat.jpg; {_PHOTO} cat.png; {_PHOTO} photos",
}
"""What a reader of a page has already."""

LEFT: Mapping[str, tuple[str, ...]] = {
    "README.md": ("opened.jpg",),
    "docs/recipes.md": ("my.toml",),
    "docs/start.md": ("small.jpg",),
    "docs/without-a-server.md": ("renditions/cat.jpg/w=640,fm=avif.avif", "cat.webp", "small.jpg"),
}
"""Files that a page leaves behind."""


class Page(Tutorial):
    """A page of README or docs/, followed in a folder as `make venv` leaves it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / "image-processor"
        self.folder.mkdir()
        super().__init__(folder, "../start")
        self.page = ROOT / name
        self._left = [(block.kind, block.content) for block in blocks(self.page) if not block.not_run]
        (self.folder / "Makefile").write_text(self.local(MAKEFILE))
        program = folder / "home" / "bin"
        program.mkdir()
        (program / "open").write_text(OPEN)
        (program / "open").chmod(0o755)
        self.run('export PATH="$HOME/bin:$PWD/.venv/bin:$PATH"')

    def close(self) -> None:
        if (self.folder / "server.pid").exists():
            with suppress(ProcessLookupError):
                os.kill(int((self.folder / "server.pid").read_text()), signal.SIGTERM)
        super().close()


@pytest.fixture(params=FOLLOWED)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    with closing(Page(tmp_path, request.param)) as page:
        yield page


def test_the_commands_of_a_page_do_what_it_says(page: Page) -> None:
    name = page.page.relative_to(ROOT).as_posix()
    page.run(PREPARED.get(name, ":"))
    page.follow()
    assert [file for file in LEFT.get(name, ()) if not (page.folder / file).stat().st_size] == []


def test_the_photograph_of_the_pages_is_large_enough() -> None:
    """Else pages would show renditions that are not those of a photo."""
    assert min(photograph().size) >= 640
