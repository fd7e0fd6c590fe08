"""A large library of one machine for benchmarks: files of a few bytes, and records as processing leaves them.

`python -m benchmarks.library [ORIGINALS]` fills one and measures what a search of it costs.

The files have no pixels, because searches and listings read none. Everything else is as in a library whose
uploads were processed: keys, versions, fingerprints, renditions.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from image_processor.bootstrap.local_library import open_stores
from image_processor.bootstrap.reconciler import build_reconciler
from image_processor.catalog.rows import COLUMNS, to_row
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import Settings, from_environment
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, VisualSummary
from image_processor.ingest.plan import plan_upload, processed_fingerprint, uncorrected_fingerprints
from image_processor.standalone import BUCKET
from image_processor.storage.directory.object_files import entry_from_stat

_START = datetime(2026, 1, 1, tzinfo=UTC)
_BODY = b"image"
_BATCH = 2_000
_PER_FOLDER = 1_000
_THUMBHASH = "1QcSHQRnh493V4dIh4eXh1h4kJUI"
_METADATA = ImageMetadata(640, 480, "webp", 1, False, len(_BODY), "ab" * 32)


def fill(settings: Settings, recipe: Recipe, count: int, first: int = 0) -> None:
    """Add ``count`` originals with their renditions and records to the library below ``settings.data``."""
    catalog = SqliteCatalog(settings.data / "catalog.sqlite")
    insert(catalog, _records(settings, recipe, range(first, first + count)))
    catalog.close()


def insert(catalog: SqliteCatalog, records: Iterator[Record]) -> None:
    """Add records, in large transactions."""
    names = ", ".join((*COLUMNS, "perceptual_hash"))
    values = ", ".join(f":{name}" for name in COLUMNS) + ", json_extract(:look, '$.perceptual_hash')"
    connection = catalog._connection  # noqa: SLF001 - to fill it quickly
    while rows := [to_row(record) for record in islice(records, _BATCH)]:
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO records ({names}) VALUES ({values})", rows)  # noqa: S608 - constants
        connection.execute("COMMIT")


def key_of(number: int) -> str:
    """The key of an original; each folder has 1,000."""
    return f"photos/{number // _PER_FOLDER:04}/{number:07}.jpg"


def _records(settings: Settings, recipe: Recipe, numbers: range) -> Iterator[Record]:
    hashes = random.Random(numbers.start)  # noqa: S311 - not a secret
    uploads, processed = settings.data / "uploads", settings.data / "processed"
    for number in numbers:
        key = key_of(number)
        plan = plan_upload(key, recipe, settings.icc, settings.exif, {}, settings.cache_control)
        version = _write(uploads / key)
        renditions = tuple(
            Rendition(name, str(transformation), _METADATA, _write(processed / name))
            for transformation in plan.transformations
            for name in [rendition_prefix(key) + recipe.stored_name(key, transformation)]
        )
        moment = _START + timedelta(seconds=number)
        yield Record(
            *(image_id(BUCKET, key), BUCKET, key, moment, moment),
            status=Status.PROCESSED,
            version=version,
            fingerprint=processed_fingerprint(plan),
            original=_METADATA,
            summary=VisualSummary("#a0522d", _THUMBHASH, f"{hashes.getrandbits(64):016x}"),
            renditions=renditions,
            revision=1,
        )


def _write(file: Path) -> str:
    """Write a file; returns its version."""
    try:
        file.write_bytes(_BODY)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_BODY)
    return entry_from_stat(file.name, file.stat()).version


def search_seconds(settings: Settings, recipe: Recipe) -> tuple[float, float]:
    """Seconds of CPU and of wall time of one search of an unchanged library."""
    with open_stores(settings) as stores:
        reconciler = build_reconciler(settings, recipe, stores, BUCKET)
        cpu, started = time.process_time(), time.perf_counter()
        findings = sum(1 for _ in reconciler.findings())
        assert not findings
        return time.process_time() - cpu, time.perf_counter() - started


def _age(settings: Settings, recipe: Recipe) -> None:
    """Give all records the fingerprint that they had before the last correction of pixels."""
    plan = plan_upload(key_of(0), recipe, settings.icc, settings.exif, {}, settings.cache_control)
    with closing(SqliteCatalog(settings.data / "catalog.sqlite")) as catalog:
        statement = "UPDATE records SET fingerprint = ?, format = 'jpeg'"
        catalog._connection.execute(statement, [uncorrected_fingerprints(plan)[0]])  # noqa: SLF001


def main(count: int) -> None:
    """Make a library of ``count`` originals by the built-in recipe, and search it three times."""
    recipe = load_recipe(None)
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(from_environment({}), data=Path(folder))
        fill(settings, recipe, count)
        for _ in range(3):
            cpu, wall = search_seconds(settings, recipe)
            print(f"search of {count:,} unchanged originals: {cpu:.2f} s of CPU, {wall:.2f} s")
        _age(settings, recipe)
        cpu, wall = search_seconds(settings, recipe)
        print(f"the same, processed before the last correction: {cpu:.2f} s of CPU, {wall:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
