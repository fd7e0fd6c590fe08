"""Ground floor: environment -> `Settings`, once, at the start.

Every setting is one environment variable and one row of `ROWS`. All mistakes are told at once,
each with the variable's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import InvalidSettings, Problem
from .frozen import field, frozen
from .model import ExifField, IccPolicy, Limits, TruncatedPolicy

PREFIX = "IMAGE_PROCESSOR_"

_MEBIBYTE = 1024 * 1024


@frozen
class Settings:
    """What a deployment may choose. The defaults are safe on one machine."""

    data: Path = Path("data")
    upload_bucket: str | None = None
    processed_bucket: str | None = None
    upload_prefix: str = ""
    table: str | None = None
    recipe: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    workers: int = 0
    cache_control: str = "public, max-age=3600, stale-while-revalidate=86400"
    icc: IccPolicy = IccPolicy.STRIP
    exif: tuple[ExifField, ...] = ()
    limits: Limits = field(default_factory=Limits)
    sweep_seconds: int = 300
    fonts: Path | None = None
    overlays: str | None = None

    @property
    def lease_seconds(self) -> int:
        """How long a claim lasts: longer than the slowest render that the limits allow, so that
        two workers rarely do the same work, and short enough that a queue's next delivery of a
        dead worker's message finds the key free."""
        return 4 * self.limits.cpu_seconds + 60

    @property
    def worker_count(self) -> int:
        """``workers``, or one per core where it is 0."""
        return self.workers or os.cpu_count() or 1


@frozen
class Row:
    """One setting: its variable without the prefix, what it means, and how its text is read.

    ``unit`` is how many of the field's unit one of the variable's unit is.
    """

    name: str
    meaning: str
    expected: str
    read: Callable[[str], Any]
    unit: int = 1


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(text)
    return text == "1"


def _line(text: str) -> str:
    if not text.isprintable() or not text.isascii() or not text:
        raise ValueError(text)
    return text


def _bucket(text: str) -> str:
    # "General purpose bucket naming rules": 3-63 lower-case letters, digits, dots and hyphens.
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError(text)
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#\s]+(/[!-~]*)?", text, re.ASCII) or "?" in text or "#" in text:
        raise ValueError(text)
    return text.rstrip("/")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _exif(text: str) -> tuple[ExifField, ...]:
    """In the order of ExifField: how they were written makes no difference."""
    wanted = set(map(ExifField, _names(text)))
    return tuple(field for field in ExifField if field in wanted)


# The name of a row is the name of the field it sets, in capitals.
ROWS = (
    Row("DATA", "directory of uploads, renditions and catalog", "a path", Path),
    Row("RECIPE", "recipe file, on AWS also s3://BUCKET/KEY; else the built-in recipe", "a path", _line),
    Row("HOST", "address the server listens on", "an address or name", _line),
    Row("PORT", "port the server listens on", "0-65535", _whole(0, 65535)),
    Row("ALLOWED_HOSTS", "further Host names that the server answers to", "names, comma-separated", _names),
    Row("WORKERS", "images processed at the same time; 0 means one per core", "0-256", _whole(0, 256)),
    Row("CACHE_CONTROL", "Cache-Control of renditions made from now on", "a line of ASCII", _line),
    Row("ICC", "what becomes of colour profiles", " | ".join(IccPolicy), IccPolicy),
    Row(
        "OVERLAYS",
        "what keys of originals begin with that overlays may show; else none may",
        "a key's beginning",
        _line,
    ),
    Row("FONTS", "directory of fonts for texts; else the machine's own", "a path", Path),
    Row("EXIF", "what of the EXIF of originals is recorded", f"some of {','.join(ExifField)}", _exif),
    Row("SWEEP_SECONDS", "pause between searches for lost uploads", "1-86400", _whole(1, 86400)),
)

AWS_ROWS = (
    Row("UPLOAD_BUCKET", "S3 bucket of originals", "a bucket's name", _bucket),
    Row("PROCESSED_BUCKET", "S3 bucket of renditions", "a bucket's name", _bucket),
    Row("UPLOAD_PREFIX", "what keys begin with that clients may upload", "a key's beginning", _line),
    Row("TABLE", "DynamoDB table of records; else objects beside the renditions", "a table's name", _line),
    Row("PUBLIC_URL", "the CDN's address", "an address like https://img.example", _address),
)

LIMIT_ROWS = (
    Row("MAX_BYTES", "largest upload, in MiB", "1-4096", _whole(1, 4096), _MEBIBYTE),
    Row(
        "MAX_PIXELS",
        "most pixels of an upload, frames counted, in millions",
        "1-10000",
        _whole(1, 10_000),
        10**6,
    ),
    Row("MAX_FRAMES", "most frames of an upload", "1-100000", _whole(1, 100_000)),
    Row("MAX_SCANS", "most scans of a progressive JPEG", "1-10000", _whole(1, 10_000)),
    Row("MAX_OUTPUT_PIXELS", "most pixels of one rendition, in millions", "1-1000", _whole(1, 1000), 10**6),
    Row("CPU_SECONDS", "CPU time one upload may take", "1-3600", _whole(1, 3600)),
    Row("SVG", "whether SVG is drawn", "0 or 1", _flag),
    Row(
        "TRUNCATED",
        "what becomes of a file that ends early",
        " | ".join(TruncatedPolicy),
        TruncatedPolicy,
    ),
)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that ``environment`` describes; raises InvalidSettings with every mistake.

    An unknown variable with our prefix is a mistake too: a misspelt limit must not be no limit.
    """
    problems = _unknown(environment)
    values = _read((*ROWS, *AWS_ROWS), environment, problems)
    limits = _read(LIMIT_ROWS, environment, problems)
    if problems:
        raise InvalidSettings(problems)
    return Settings(**values, limits=Limits(**limits))


def _read(rows: tuple[Row, ...], environment: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for row in rows:
        text = environment.get(PREFIX + row.name)
        if text is None:
            continue
        try:
            value = row.read(text)
            values[row.name.lower()] = value * row.unit if row.unit != 1 else value
        except ValueError:
            problems.append(Problem(PREFIX + row.name, row.expected, repr(text)))
    return values


def _unknown(environment: Mapping[str, str]) -> list[Problem]:
    known = {PREFIX + row.name for row in (*ROWS, *AWS_ROWS, *LIMIT_ROWS)}
    return [
        Problem(name, "a setting that exists", "an unknown one")
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]


def in_force(settings: Settings, rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Each of ``rows`` with its value, as its variable would be written."""
    values = settings.limits if rows is LIMIT_ROWS else settings
    for row in rows:
        value = getattr(values, row.name.lower())
        yield row, _written(value // row.unit if row.unit != 1 else value)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
