"""Ground floor: environment -> `Settings`, once, at the start.

Every setting is one environment variable and one row of the tables in `rows`. All mistakes
are told at once, each with the variable's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from image_processor.domain.errors import InvalidSettings, Problem
from image_processor.domain.models import ExifField, IccPolicy, Limits
from image_processor.domain.redaction import redacted_repr

from .rows import AWS_ROWS, LIMIT_ROWS, ROWS, URL_ROWS, Row

__all__ = [
    "AWS_ROWS",
    "LIMIT_ROWS",
    "PREFIX",
    "ROWS",
    "URL_ROWS",
    "Row",
    "Settings",
    "from_environment",
    "in_force",
]

PREFIX = "IMAGE_PROCESSOR_"


_SECRETS = ("signing_keys", "thumbor_key", "dit_secret", "imgproxy_key", "imgproxy_salt")


class Settings(Struct, frozen=True):
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
    distribution: str | None = None
    queue: str | None = None
    dead_letters: str | None = None
    workers: int = 0
    cache_control: str = "public, max-age=3600, stale-while-revalidate=86400"
    icc: IccPolicy = IccPolicy.STRIP
    exif: tuple[ExifField, ...] = ()
    limits: Limits = field(default_factory=Limits)
    sweep_seconds: int = 300
    fonts: Path | None = None
    overlays: str | None = None
    signing_keys: tuple[tuple[str, str], ...] = ()
    allow_unsigned: bool = False
    sizes: tuple[int, ...] = ()
    hints: bool = False
    fallback: str | None = None
    cors_origin: str | None = None
    renditions_per_original: int = 200
    delivery_queue: int = 64
    cache_bytes: int = 10 * 1024**3
    dialects: tuple[str, ...] = ()
    dialect_lenient: bool = False
    buckets: tuple[str, ...] = ()
    thumbor_key: str | None = None
    dit_secret: str | None = None
    imgproxy_key: bytes | None = None
    imgproxy_salt: bytes | None = None
    imgproxy_signature_bytes: int = 32

    def __repr__(self) -> str:
        return redacted_repr(
            self, ("signing_keys", "thumbor_key", "dit_secret", "imgproxy_key", "imgproxy_salt")
        )

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


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that ``environment`` describes; raises InvalidSettings with every mistake.

    An unknown variable with our prefix is a mistake too: a misspelt limit must not be no limit.
    """
    problems = _unknown(environment)
    values = _read((*ROWS, *URL_ROWS, *AWS_ROWS), environment, problems)
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
            got = "something else" if row.secret else repr(text)
            problems.append(Problem(PREFIX + row.name, row.expected, got))
    return values


def _unknown(environment: Mapping[str, str]) -> list[Problem]:
    known = {PREFIX + row.name for row in (*ROWS, *URL_ROWS, *AWS_ROWS, *LIMIT_ROWS)}
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
        if row.secret:
            yield row, "(set)" if value else ""
        else:
            yield row, _written(value // row.unit if row.unit != 1 else value)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
