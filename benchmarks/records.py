"""The catalog of one machine with 1,000, 100,000 and 1,000,000 records: CPU time of each kind of call.

The bars are for 100,000 records beside 1,000. The catalogs are filled by script; each figure is the least of
five runs.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.keys import image_id
from image_processor.domain.ports import Query

from .catalog import process, records
from .library import insert
from .table import Row

_SIZES = (1_000, 100_000, 1_000_000)
_RUNS = 5
_FLAT = 1.5
_SLACK_MILLISECONDS = 0.5
"""Added to both sides of a ratio: a call of a tenth of a millisecond is mostly the clock's noise."""

_PAGES = 10


def rows() -> list[Row]:
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        small, large, huge = (_measure(Path(name, f"{size}.sqlite"), size) for size in _SIZES)
    found = []
    for call in small:
        ratio = (large[call] + _SLACK_MILLISECONDS) / (small[call] + _SLACK_MILLISECONDS)
        shown = f"{large[call]:.1f} ms", f"{small[call]:.1f} ms"
        found.append(Row(f"catalog, {call}: 100,000 against 1,000", *shown, ratio, _FLAT))
        more = huge[call] / large[call]
        found.append(Row("... a million against 100,000", f"{huge[call]:.1f} ms", shown[0], more))
    return found


def _measure(file: Path, size: int) -> Mapping[str, float]:
    """Milliseconds of CPU by call."""
    with closing(SqliteCatalog(file)) as catalog:
        insert(catalog, records(size))
        numbers = count(size, 1000)
        one = image_id("uploads", f"photos/{42:03}/{42:07}.jpg")
        calls: dict[str, Callable[[], object]] = {
            "first page": lambda: catalog.list(Query(), limit=100),
            "10 pages": lambda: _pages(catalog),
            "page of a rare prefix": lambda: catalog.list(Query("photos/042/"), limit=100),
            "one record": lambda: catalog.get(one),
            "similar within 10 bits": lambda: catalog.near(2**63, distance=10, limit=20),
            "1,000 uploads": lambda: process(catalog, next(numbers)),
        }
        return {name: min(_milliseconds(call) for _ in range(_RUNS)) for name, call in calls.items()}


def _pages(catalog: SqliteCatalog) -> None:
    cursor = None
    for _ in range(_PAGES):
        page = catalog.list(Query(), limit=100, cursor=cursor)
        cursor = page.cursor


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return 1000 * (time.process_time() - started)
