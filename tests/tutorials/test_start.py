"""The pages of the start, and others that need no account, are followed command by command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tutorial import ROOT, Tutorial, photograph, to_follow

from support.command_blocks import FOLLOWED

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
_PROCESSED = f"{_LIBRARY}; {_PHOTO} data/uploads/photos; image-processor reconcile"
_SERVER = f"{_LIBRARY}; {_PHOTO} data/uploads/photos; make run"
_LIBRARY_0_1 = ROOT / "tests" / "compatibility" / "library_0_1"
_STOP = 'kill "$(cat server.pid)"; while kill -0 "$(cat server.pid)" 2>&-; do sleep 0.2; done'
PREPARED: Mapping[str, str] = {
    "README.md": f"{_PHOTO} .",
    "docs/api.md": _SERVER,
    "docs/backup.md": f"{_PROCESSED}; mkdir backups",
    "docs/html.md": _PROCESSED,
    "docs/migrating-from-imgix.md": "echo 'https://yours.imgix.net/photos/cat.jpg?w=300' > access.log",
    "docs/migrating.md": f"cp {ROOT}/examples/moving/access.log .; export IMAGE_PROCESSOR_DIALECTS=thumbor",
    "docs/operations.md": _PROCESSED,
    "docs/recipes.md": _LIBRARY,
    "docs/troubleshooting.md": _SERVER,
    "docs/upgrading.md": f"mkdir data backups; tar -xJf {_LIBRARY_0_1}/library.tar.xz -C data;"
    " rm data/uploads/broken.jpg data/uploads/notes.txt;"
    f" cp {_LIBRARY_0_1}/recipe.toml .; export IMAGE_PROCESSOR_RECIPE=recipe.toml",
    "docs/urls.md": "export IMAGE_PROCESSOR_SIGNING_KEYS=a:a-secret-of-16-signs",
    "docs/without-a-server.md": f"mkdir photos; {_PHOTO} cat.jpg; {_PHOTO} cat.png; {_PHOTO} photos",
}
"""What a reader of a page has already."""

REPLACED: Mapping[str, Mapping[str, str]] = {
    "docs/backup.md": {"/backups/": "backups/"},
    "docs/upgrading.md": {
        "/backups/": "backups/",
        "image-processor serve\n": "make run\n",
        "image-processor restore": f"{_STOP}; image-processor restore",
    },
}
"""Texts of a page, and what stands there instead. Who reads it stops the server by Ctrl-C."""

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
        super().__init__(folder, "../start", REPLACED.get(name))
        self.page = ROOT / name
        self._left = to_follow(self.page)
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
