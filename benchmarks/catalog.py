"""`python -m benchmarks.catalog [RECORDS]`: what the SQLite catalog costs with many records.

Fills a catalog, by default with a million records of four renditions, and times each kind of call. Absolute
times depend on the machine; docs/scale.md has a run.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.keys import image_id
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, Upload, VisualSummary
from image_processor.domain.ports import Query

from .library import insert

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LEASE = timedelta(minutes=5)


def records(count: int) -> Iterator[Record]:
    """Records as processing leaves them, one a second."""
    for number in range(count):
        key = f"photos/{number % 1000:03}/{number:07}.jpg"
        hash_ = f"{random.getrandbits(64):016x}"
        metadata = ImageMetadata(640, 480, "webp", 1, False, 34_567, "ab" * 32)
        names = [f"w={width},fm=webp" for width in (320, 640, 960, 1280)]
        moment = _START + timedelta(seconds=number)
        yield Record(
            image_id("uploads", key),
            "uploads",
            key,
            moment,
            moment,
            status=Status.REFUSED if number % 1000 == 0 else Status.PROCESSED,
            version="0a1b2c",
            fingerprint="f1e2d3" * 8,
            original=metadata,
            summary=VisualSummary("#a0522d", "1QcSHQRnh493V4dIh4eXh1h4kJUI", hash_),
            renditions=tuple(Rendition(f"{key}/{name}.webp", name, metadata, "9z8y7x") for name in names),
            revision=1,
        )


def timed(name: str, call: Callable[[], object]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    result = call()
    wall, used = time.perf_counter() - started, time.process_time() - cpu
    print(f"{name:<46} {1000 * wall:>10,.1f} ms {1000 * used:>10,.1f} ms of CPU  {result}")


def main(count: int) -> None:
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "catalog.sqlite")
        catalog = SqliteCatalog(file)
        timed(f"fill with {count:,} records", lambda: insert(catalog, records(count)))
        print(f"{file.stat().st_size / count:,.0f} bytes a record")
        timed("get", lambda: catalog.get(image_id("uploads", "photos/042/0000042.jpg")) is not None)
        queries = {
            "first page of 100": Query(),
            "page of 100 refused (1 in 1,000)": Query(status=Status.REFUSED),
            "page of 100 with a prefix (1 in 1,000)": Query("photos/042/"),
            "page of 100 with a prefix that all have": Query("photos/"),
            "page without any match": Query("nothing/"),
        }
        for name, query in queries.items():
            timed(name, lambda query=query: len(catalog.list(query, limit=100).records))  # type: ignore[misc] # a default
        timed("20 nearest within 10 bits", lambda: len(catalog.near(2**63, distance=10, limit=20).records))
        timed("20 nearest of all hashes", lambda: len(catalog.near(2**63, distance=20, limit=20).records))
        timed("scan of 20,000", lambda: len(list(islice(catalog.scan(), 20_000))))
        timed("acquire and complete 1,000 new", lambda: process(catalog, count))
        catalog.close()
        timed("open", lambda: SqliteCatalog(file).close())


def process(catalog: SqliteCatalog, first: int) -> int:
    """What 1,000 uploads ask of the catalog. Returns their number."""
    for number in range(first, first + 1000):
        upload, now = Upload("uploads", f"photos/new/{number}.jpg"), _START + timedelta(seconds=number)
        lease = catalog.acquire(upload, owner="benchmark", now=now, duration=_LEASE)
        catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
    return 1000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
