"""Set-up of the read path's benchmark: our server and its peers, running on the same originals."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.photographs import make_photograph

from . import servers
from .servers import Server
from .targets import IPX_KINDS, KINDS, Target, all_targets, page_targets

# Sizes of phones and cameras, some with sides that no shrink factor divides. With smaller originals the
# encoder dominates, and both sides use the same libwebp, so that the ratio is smaller.
_PHOTOGRAPHS = {
    "coffee": (4000, 3000, "coffee.png"),
    "motorcycle": (4032, 2721, "motorcycle_left.png"),
    "astronaut": (3024, 3024, "astronaut.png"),
    "hubble": (2725, 2225, "hubble_deep_field.jpg"),
}
_COPIES = 16
"""Keys per photograph, so that there are enough URLs for misses."""

_THUMBORS_PROCESSES = 2
"""One per core. With threads of its engine, or more processes, it rendered no more a second."""

_QUIET_SECONDS = 1.5
"""Time in which a server finishes the work of aborted requests after a run."""


SIDES = ("ours", "thumbor")


@dataclass(slots=True)
class Setup:
    """``servers`` are by side. ``plain`` is the folder of the files that nginx sends. Each side takes the
    ``targets`` in the same order, each once."""

    servers: Mapping[str, Server]
    originals: Path
    plain: Path
    targets: Sequence[Target]
    used: Counter[str] = field(default_factory=Counter)

    @property
    def photographs(self) -> list[str]:
        """One key of each photograph."""
        return [f"{name}-0.jpg" for name in _PHOTOGRAPHS]

    def get(self, side: str, target: Target) -> bytes:
        return self.servers[side].get(target.path(side))

    def cold(self, side: str, count: int) -> Sequence[Target]:
        """The next ``count`` targets that ``side`` has not rendered. `mark_used` counts them."""
        start = self.used[side]
        found = self.targets[start : start + count]
        if len(found) < count:
            raise RuntimeError(f"expected {count} more unused targets, got {len(found)}")
        return found

    def mark_used(self, side: str, count: int) -> None:
        """Count ``count`` more targets as requested, and wait until the server is idle."""
        self.used[side] += count
        time.sleep(_QUIET_SECONDS)


@contextmanager
def running_servers(folder: Path) -> Iterator[Setup]:
    """All servers but ipx, with all their data in ``folder``."""
    names = ("ours/uploads", "plain", "thumbor", "nginx")
    originals, plain, theirs, nginx = (folder / name for name in names)
    for path in (originals, plain, theirs, nginx):
        path.mkdir(parents=True)
    keys = [key for name in _PHOTOGRAPHS for key in _copies(folder, originals, name)]
    with (
        servers.ours(folder / "ours") as ours,
        servers.thumbor(theirs, originals, _THUMBORS_PROCESSES) as thumbor,
        servers.nginx(nginx, plain) as files,
    ):
        servers.wait_until_idle(ours)
        running = {"ours": ours, "thumbor": thumbor, "nginx": files}
        yield Setup(running, originals, plain, all_targets(keys, KINDS))


@contextmanager
def beside_ipx(setup: Setup) -> Iterator[Setup]:
    """Our server and ipx, with targets of the settings that ipx has."""
    keys = sorted(path.name for path in setup.originals.glob("*.jpg"))
    with servers.ipx(setup.originals) as ipx:
        yield Setup(
            {"ours": setup.servers["ours"], "ipx": ipx},
            setup.originals,
            setup.plain,
            all_targets(keys, IPX_KINDS),
        )


@contextmanager
def decoding_each(setup: Setup) -> Iterator[Setup]:
    """thumbor, and a server of ours that keeps no decoded originals: each rendition costs as much as the
    first of its photograph. The targets are the next ones of ``setup``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(setup.originals, folder / "uploads")
        with servers.ours(folder, DECODED_BYTES="0") as ours:
            servers.wait_until_idle(ours)
            running = {**setup.servers, "ours": ours}
            yield Setup(running, setup.originals, setup.plain, setup.targets, setup.used)


def for_pages(setup: Setup) -> Setup:
    """The same servers, with targets in the order of pages."""
    keys = sorted(path.name for path in setup.originals.glob("*.jpg"))
    return Setup(setup.servers, setup.originals, setup.plain, page_targets(keys))


def _copies(folder: Path, originals: Path, name: str) -> Iterator[str]:
    width, height, source = _PHOTOGRAPHS[name]
    photograph = make_photograph(folder / f"{name}.jpg", width, height, source)
    for number in range(_COPIES):
        key = f"{name}-{number}.jpg"
        shutil.copy(photograph, originals / key)  # no link: ours knows a file that it has decoded just now
        yield key
