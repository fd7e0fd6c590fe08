"""The catalog of one machine with 1,000, 100,000 and 1,000,000 records, multiplied from one by SQL, and the
search of such libraries for lost events: CPU time of each, and how it grows.

The search merges three listings. Those of originals and renditions come from memory here, without files, so
what the file system takes is left out: benchmarks/library.py measures it with files.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from image_processor.bootstrap.reconciler import build_reconciler
from image_processor.catalog.rows import COLUMNS, to_row
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.config.settings import Settings, from_environment
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, VisualSummary
from image_processor.domain.ports import Entry, ObjectStore, Stores
from image_processor.ingest.plan import plan_upload, processed_fingerprint

from .records import SLACK_MILLISECONDS, measure, milliseconds
from .table import Row

_SIZES = (1_000, 100_000, 1_000_000)
_SEARCHES = 2
_BUCKET = "uploads"
_RECIPE = """
[presets.all]
widths = [320, 640, 960, 1280]
formats = ["webp"]

[[rules]]
match = "**"
presets = ["all"]
"""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000  # of the microseconds of the catalog
_METADATA = ImageMetadata(640, 480, "webp", 1, False, 34_567, "ab" * 32)
_VERSION, _HASH = "0a1b2c", "0123456789abcdef"
_FOLDERS = 1_000
_BATCH = 100_000
_CACHE_KIB = 512 * 1024
"""For filling: the keys of most indexes come in no order."""


def rows() -> list[Row]:
    """It takes some minutes and 3 GB of disk."""
    settings, recipe = from_environment({}), parse_recipe(_RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        measured = [_measure(Path(folder, f"{size}.sqlite"), size, settings, recipe) for size in _SIZES]
    return [_row(call, [of_size[call] for of_size in measured]) for call in measured[0]]


def _row(call: str, figures: Sequence[float]) -> Row:
    small, large, huge = figures
    growth = (huge + SLACK_MILLISECONDS) / (large + SLACK_MILLISECONDS)
    return Row(f"a million records: {call}", f"{huge:,.1f} ms", f"{large:,.1f}, {small:,.1f} ms", growth)


def _measure(file: Path, size: int, settings: Settings, recipe: Recipe) -> Mapping[str, float]:
    """Milliseconds of CPU by call."""
    example = _example(settings, recipe)
    with closing(SqliteCatalog(file)) as catalog:
        _multiply(catalog, example, size)
        uploads, processed = (cast("ObjectStore", _Listed(names, size)) for names in _names(example))
        stores = Stores(uploads, processed, catalog)
        search = build_reconciler(settings, recipe, stores, _BUCKET)
        return {
            "search of all": min(milliseconds(lambda: _search(search.findings)) for _ in range(_SEARCHES)),
            **measure(catalog, size),
        }


def _search(findings: Callable[[], Iterator[object]]) -> None:
    if found := next(findings(), None):
        raise RuntimeError(f"expected an unchanged library, got {found}")


def _key(number: int) -> str:
    return f"photos/{number % _FOLDERS:03}/{number:07}.jpg"


def _example(settings: Settings, recipe: Recipe) -> Record:
    """The record of the first original, as processing leaves it."""
    key = _key(0)
    plan = plan_upload(key, recipe, settings.icc, settings.exif, {}, settings.cache_control)
    names = [
        (rendition_prefix(key) + recipe.stored_name(key, transformation), str(transformation))
        for transformation in plan.transformations
    ]
    return Record(
        *(image_id(_BUCKET, key), _BUCKET, key, _START, _START),
        status=Status.PROCESSED,
        version=_VERSION,
        fingerprint=processed_fingerprint(plan),
        original=_METADATA,
        summary=VisualSummary("#a0522d", "1QcSHQRnh493V4dIh4eXh1h4kJUI", _HASH),
        renditions=tuple(Rendition(name, text, _METADATA, _VERSION) for name, text in names),
        revision=1,
    )


def _multiply(catalog: SqliteCatalog, example: Record, count: int) -> None:
    """Fill the catalog with ``count`` records like ``example``, each with a key and a hash of its own, one a
    second."""
    connection = catalog._connection  # noqa: SLF001 - to fill it quickly
    hashes = random.Random(1)  # noqa: S311 - not a secret
    connection.create_function("id_of", 1, lambda key: image_id(_BUCKET, key))
    connection.create_function("new_hash", 0, lambda: f"{hashes.getrandbits(64):016x}")
    moved = {
        "id": "id_of(new_key)",
        "key": "new_key",
        "created_at": f":created_at + n * {_SECOND}",
        "updated_at": f":updated_at + n * {_SECOND}",
        "look": f"replace(:look, '{_HASH}', hash)",
        "renditions": "replace(:renditions, :key, new_key)",
    }
    values = ", ".join(moved.get(name, f":{name}") for name in COLUMNS)
    statement = f"""
        WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end),
        originals AS MATERIALIZED (
            SELECT n, printf('photos/%03d/%07d.jpg', n % {_FOLDERS}, n) AS new_key, new_hash() AS hash
            FROM numbers
        )
        INSERT INTO records ({", ".join(COLUMNS)}, perceptual_hash) SELECT {values}, hash FROM originals
    """  # noqa: S608 - constants
    row = to_row(example)
    cache = connection.execute("PRAGMA cache_size").fetchone()["cache_size"]
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    for first in range(0, count, _BATCH):
        connection.execute("BEGIN")
        connection.execute(statement, {**row, "first": first, "end": min(first + _BATCH, count)})
        connection.execute("COMMIT")
    connection.execute(f"PRAGMA cache_size = {cache}")


def _names(example: Record) -> tuple[Sequence[str], Sequence[str]]:
    """What follows an original's key in the names of the objects of both sides, in the order of listings."""
    return [""], sorted(rendition.key.removeprefix(example.key) for rendition in example.renditions)


class _Listed(Struct, frozen=True):
    """As much of an ObjectStore as a search of an unchanged library uses: ``names`` of each of the first
    ``count`` originals."""

    names: Sequence[str]
    count: int

    def list(self, prefix: str = "", **_options: Any) -> Iterator[Entry]:
        """All entries, or those of the original whose key and a slash are ``prefix``."""
        for key in [prefix.removesuffix("/")] if prefix else self._keys():
            for name in self.names:
                yield Entry(key + name, 1, _VERSION, _START)

    def _keys(self) -> Iterator[str]:
        for folder in range(_FOLDERS):
            yield from map(_key, range(folder, self.count, _FOLDERS))
