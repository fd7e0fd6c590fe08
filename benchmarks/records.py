"""The catalog of one machine with 1,000 and 100,000 records: CPU time of each call. `million` goes further.

The bars are for 100,000 records beside 1,000. The catalogs are filled by script; each figure is the least of
five runs.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.keys import image_id
from image_processor.domain.ports import Query

from .catalog import process, records
from .library import insert
from .table import Row

_RUNS = 5
_FLAT = 1.5
SLACK_MILLISECONDS = 0.5
"""Added to both sides of a ratio: a call of a tenth of a millisecond is mostly the clock's noise."""

_PAGES = 10


_BARS = {"a selective prefix": 5.0, "similar within 10 bits": 50.0}
"""Milliseconds with 100,000 records, for the calls that have a bar of their own."""

_SELECTIVE = {1_000: "photos/0"}
"""Prefixes that 100 records have, so that each catalog finds as much."""


def rows() -> list[Row]:
    measured = _measure_all(1_000, 100_000)
    return [
        *(
            Row(f"catalog, {call}: 100,000 against 1,000", *_shown(large, small), _ratio(large, small), _FLAT)
            for call, (small, large) in measured.items()
        ),
        *(
            Row(f"catalog, {call}: 100,000", "", "", measured[call][1], bar, " ms")
            for call, bar in _BARS.items()
        ),
    ]


def _measure_all(*sizes: int) -> Mapping[str, Sequence[float]]:
    """Milliseconds of CPU by call, one for each size."""
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        measured = [_measure(Path(name, f"{size}.sqlite"), size) for size in sizes]
    return {call: [of_size[call] for of_size in measured] for call in measured[0]}


def _shown(ours: float, other: float) -> tuple[str, str]:
    return f"{ours:.1f} ms", f"{other:.1f} ms"


def _ratio(ours: float, other: float) -> float:
    return (ours + SLACK_MILLISECONDS) / (other + SLACK_MILLISECONDS)


def _measure(file: Path, size: int) -> Mapping[str, float]:
    with closing(SqliteCatalog(file)) as catalog:
        insert(catalog, records(size))
        return measure(catalog, size)


def measure(catalog: SqliteCatalog, size: int) -> Mapping[str, float]:
    """Milliseconds of CPU by call, of a catalog of that size."""
    numbers = count(size, 1000)
    one = image_id("uploads", f"photos/{42:03}/{42:07}.jpg")
    selective = Query(_SELECTIVE.get(size, "photos/042/00"))
    calls: dict[str, Callable[[], object]] = {
        "first page": lambda: catalog.list(Query(), limit=100),
        "10 pages": lambda: _pages(catalog),
        "a selective prefix": lambda: catalog.list(selective, limit=100),
        "one record": lambda: catalog.get(one),
        "similar within 10 bits": lambda: catalog.near(2**63, distance=10, limit=20),
        "1,000 uploads": lambda: process(catalog, next(numbers)),
    }
    return {name: min(milliseconds(call) for _ in range(_RUNS)) for name, call in calls.items()}


def _pages(catalog: SqliteCatalog) -> None:
    cursor = None
    for _ in range(_PAGES):
        page = catalog.list(Query(), limit=100, cursor=cursor)
        cursor = page.cursor


def milliseconds(call: Callable[[], object]) -> float:
    """Milliseconds of CPU of one call."""
    started = time.process_time()
    call()
    return 1000 * (time.process_time() - started)
