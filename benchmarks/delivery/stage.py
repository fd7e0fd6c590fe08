"""The stage of the read path: the same originals before our server and thumbor, both running."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.photographs import make_photograph

from . import servers
from .servers import Server
from .targets import Target, all_targets

# As telephones and cameras make them; sides that no shrinking divides are among them. With smaller
# originals, thumbor comes nearer: what is left is the encoder, and libwebp is the same in both.
_PHOTOGRAPHS = {
    "coffee": (4000, 3000, "coffee.png"),
    "motorcycle": (4032, 2721, "motorcycle_left.png"),
    "astronaut": (3024, 3024, "astronaut.png"),
    "hubble": (2725, 2225, "hubble_deep_field.jpg"),
}
_COPIES = 16
"""Each photograph lies under so many keys, so that there are enough URLs that nobody has asked for."""

_THUMBORS_PROCESSES = 2
"""One for each core: with threads of its engine, or with more processes, it made no more a second."""

_QUIET_SECONDS = 1.5
"""What is given up half done at the end of a run is worked off in the meantime."""


SIDES = ("ours", "thumbor")


@dataclass(slots=True)
class Stage:
    """``servers`` are by side. ``plain`` is the folder behind our server's /static. ``targets`` nobody
    has asked for yet; each side takes them in the same order."""

    servers: Mapping[str, Server]
    originals: Path
    plain: Path
    targets: Sequence[Target]
    taken: Counter[str] = field(default_factory=Counter)

    @property
    def photographs(self) -> list[str]:
        """One key of each."""
        return [f"{name}-0.jpg" for name in _PHOTOGRAPHS]

    def get(self, side: str, target: Target) -> bytes:
        return self.servers[side].get(target.path(side))

    def cold(self, side: str, count: int) -> Sequence[Target]:
        """The next ``count`` that ``side`` has not been asked for; `used` says how many really were."""
        at = self.taken[side]
        found = self.targets[at : at + count]
        if len(found) < count:
            raise RuntimeError(f"expected {count} more targets that nobody has asked for, got {len(found)}")
        return found

    def used(self, side: str, count: int) -> None:
        """Note that ``count`` more of them have been asked for, and wait until it is quiet."""
        self.taken[side] += count
        time.sleep(_QUIET_SECONDS)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Everything in ``folder``, for as long as the context lasts."""
    originals, plain, theirs = (folder / name for name in ("ours/uploads", "plain", "thumbor"))
    for each in (originals, plain, theirs):
        each.mkdir(parents=True)
    keys = [key for name in _PHOTOGRAPHS for key in _copies(folder, originals, name)]
    with (
        servers.ours(folder / "ours", plain) as ours,
        servers.thumbor(theirs, originals, _THUMBORS_PROCESSES) as thumbor,
    ):
        servers.wait_until_idle(ours)
        yield Stage({"ours": ours, "thumbor": thumbor}, originals, plain, all_targets(keys))


def _copies(folder: Path, originals: Path, name: str) -> Iterator[str]:
    width, height, source = _PHOTOGRAPHS[name]
    photograph = make_photograph(folder / f"{name}.jpg", width, height, source)
    for number in range(_COPIES):
        key = f"{name}-{number}.jpg"
        os.link(photograph, originals / key)
        yield key
