"""What a month on AWS costs: workload, recipe and list prices in, one line per service and item out.

Pure. Prices and measured milliseconds come from prices.toml, with their dates and sources. A line without a
price is listed and is not part of the total.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.delivery.source_crop import output_size
from image_processor.domain.errors import Invalid, Problem
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Transformation

MEGA = 1_000_000
_SAMPLE_KEY = "photo.jpg"
_ASPECT = 4 / 3

# Requests per upload, as tests/ingest/test_io_calls.py counts them.
_LISTS, _READS = 1, 2
_VIEW_READS = 6
"""GET and HEAD requests of the first view of a lazy rendition."""
_MESSAGES = 3
"""SQS requests per upload: sent, received, deleted, if each batch has one message."""
_RECORD_WRITES = 2
"""Writes of a record per upload: the lease, and its completion; each also writes the index `newest`."""
_RECORD_BYTES, _RECORD_BYTES_PER_RENDITION = 800, 300
"""About the size of a record; units of DynamoDB are whole kilobytes."""


class Workload(Struct, frozen=True):
    """One month. Raises Invalid, naming every value that is out of range."""

    uploads: int = 100_000
    """How many originals are uploaded."""
    size: float = 3.0
    """Megabytes of an original."""
    megapixels: float = 12.0
    """Of an original."""
    views: int = 1_000_000
    """How many renditions are requested from the CDN."""
    hit_ratio: float = 0.9
    """The part of the views that the CDN answers by itself."""
    view_kb: float = 60.0
    """Kilobytes of a rendition."""
    lazy_viewed: float = 0.1
    """The part of the lazy renditions that anybody ever looks at."""
    api: int = 0
    """How many requests the REST API answers."""
    memory: int = 1769
    """Megabytes of the functions."""
    architecture: str = "arm64"
    table: bool = True
    """Whether records are in DynamoDB, and not objects in S3."""
    events: bool = False
    """Whether each upload also puts an event on a bus."""

    def __post_init__(self) -> None:
        problems = [
            Problem(name, expected, repr(getattr(self, name)))
            for name, low, high, expected in _RANGES
            if not low <= getattr(self, name) <= high
        ]
        if self.architecture not in {"arm64", "x86_64"}:
            problems.append(Problem("architecture", "arm64 or x86_64", repr(self.architecture)))
        if problems:
            raise Invalid(problems)


_RANGES = (
    ("uploads", 0, 10**12, "0 to 10^12"),
    ("size", 0, 10_000, "0-10,000 MB"),
    ("megapixels", 0.01, 1_000, "0.01-1,000"),
    ("views", 0, 10**15, "0 to 10^15"),
    ("hit_ratio", 0, 1, "0-1"),
    ("view_kb", 0, 100_000, "0-100,000 kB"),
    ("lazy_viewed", 0, 1, "0-1"),
    ("api", 0, 10**15, "0 to 10^15"),
    ("memory", 128, 10_240, "128-10,240 MB"),
)


class Line(Struct, frozen=True):
    """``quantity`` of one item, and its ``dollars``; None if there is no ``price`` of that name."""

    service: str
    item: str
    quantity: float
    price: str
    dollars: float | None


class Estimate(Struct, frozen=True):
    """The lines, the milliseconds of an upload and of a first view, and what would cut the largest line."""

    region: str
    as_of: str
    lines: tuple[Line, ...]
    upload_milliseconds: float
    view_milliseconds: float

    @property
    def total(self) -> float:
        return sum(line.dollars or 0 for line in self.lines)

    @property
    def largest(self) -> Line | None:
        """The most expensive line; None if nothing costs anything."""
        most = max(self.lines, key=lambda line: line.dollars or 0)
        return most if most.dollars else None

    @property
    def advice(self) -> str:
        return _ADVICE.get(self.largest.price, "") if self.largest else ""

    @property
    def without_price(self) -> tuple[str, ...]:
        return tuple(f"{line.service}, {line.item}" for line in self.lines if line.dollars is None)


_LAZY = "presets that few visitors ask for can be lazy: `eager = false`, made at their first view"
_ADVICE = {
    "s3_put": f"{_LAZY}; and fewer formats or widths are fewer PUTs",
    "lambda_gb_second_arm64": f"{_LAZY}; and WebP costs more CPU time than AVIF",
    "lambda_gb_second_x86_64": f"arm64 costs less for a second; {_LAZY}",
    "s3_gb_month": f"a lifecycle rule can move or delete originals; {_LAZY}",
    "dynamodb_write_unit": "records as objects (objects://) cost one PUT each",
    "cloudfront_gb": "AVIF and narrower widths are fewer bytes: add them to `srcset`, and use quality auto",
    "cloudfront_request": "a longer max-age in `CacheControl` lets browsers ask less often",
    "s3_get": "a longer max-age in `CacheControl` raises the CDN's hit ratio; so does Origin Shield",
}


@cache
def price_file() -> Mapping[str, Any]:
    """The dated prices and measured milliseconds that the package carries."""
    return tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))


def estimate(workload: Workload, recipe: Recipe, region: str, key: str = _SAMPLE_KEY) -> Estimate:
    """What ``workload`` costs a month if all uploads match the rule of ``key``. Raises Invalid for a region
    that the price file does not have."""
    data = price_file()
    prices = data["regions"].get(region)
    if prices is None:
        raise Invalid.one("region", "one of " + ", ".join(data["regions"]), region)
    original = _sample(workload)
    eager, lazy = recipe.eager_for(key), tuple(recipe.lazy_for(key).values())
    decode = data["measured"]["decode"] + data["measured"]["decode_per_megapixel"] * workload.megapixels
    per_upload = decode + sum(_encode(item, original) for item in eager)
    per_view = decode + (sum(_encode(item, original) for item in lazy) / len(lazy) if lazy else 0)
    lines = tuple(
        Line(service, item, quantity, price, quantity * prices[price] if price in prices else None)
        for service, item, quantity, price in _quantities(
            workload, len(eager), len(lazy), per_upload, per_view
        )
        if quantity
    )
    as_of = data["as_of"].isoformat()
    return Estimate(region, as_of, lines or (Line("S3", "PUT", 0, "s3_put", 0.0),), per_upload, per_view)


def _sample(workload: Workload) -> ImageMetadata:
    height = max(1, round((workload.megapixels * MEGA / _ASPECT) ** 0.5))
    return ImageMetadata(max(1, round(height * _ASPECT)), height, "jpeg", 1, False, 1, "")


def _encode(transformation: Transformation, original: ImageMetadata) -> float:
    """Milliseconds of one rendition. A format that was not measured counts as the slowest one; a size that
    depends on pixels counts as the original's."""
    measured = price_file()["measured"]["encode_per_megapixel"]
    size = output_size(transformation, original)
    area = size.area if size else original.width * original.height
    per_megapixel: float = measured.get(transformation.format, max(measured.values()))
    return per_megapixel * area / MEGA


def _quantities(
    workload: Workload, eager: int, lazy: int, upload_ms: float, view_ms: float
) -> Iterator[tuple[str, str, float, str]]:
    uploads, views = workload.uploads, workload.views
    viewed = uploads * lazy * workload.lazy_viewed
    missed = views * (1 - workload.hit_ratio)
    stored = uploads * eager + viewed
    gigabytes = (uploads * workload.size + stored * workload.view_kb / 1000) / 1000
    seconds = (uploads * upload_ms + viewed * view_ms) / 1000
    records_as_objects = 0 if workload.table else _RECORD_WRITES * uploads
    yield (
        "S3",
        "PUT and LIST",
        stored + (1 + _LISTS) * uploads + records_as_objects,
        "s3_put",
    )
    yield "S3", "GET and HEAD", _READS * uploads + _VIEW_READS * viewed + missed, "s3_get"
    yield "S3", "GB-months", gigabytes, "s3_gb_month"
    duration = f"lambda_gb_second_{workload.architecture}"
    yield "Lambda", f"GB-seconds, {workload.architecture}", seconds * workload.memory / 1024, duration
    yield "Lambda", "requests", uploads + viewed + workload.api, "lambda_request"
    yield "SQS", "requests", _MESSAGES * uploads, "sqs_request"
    if workload.table:
        size = _RECORD_BYTES + _RECORD_BYTES_PER_RENDITION * eager
        writes = 2 * _RECORD_WRITES * ceil(size / 1024) * uploads
        yield "DynamoDB", "write units", writes, "dynamodb_write_unit"
        yield "DynamoDB", "read units", viewed + workload.api, "dynamodb_read_unit"
        yield "DynamoDB", "GB-months", 2 * uploads * size / 1e9, "dynamodb_gb_month"
    yield "CloudFront", "requests", views, "cloudfront_request"
    yield "CloudFront", "GB to viewers", views * workload.view_kb / MEGA, "cloudfront_gb"
    yield "CloudFront", "function calls", views, "cloudfront_function"
    yield "CloudFront", "KeyValueStore reads, one or more a view", views, "cloudfront_key_value_read"
    yield "API Gateway", "requests", workload.api, "api_request"
    yield "CloudWatch", "GB of logs", (uploads + viewed + workload.api) / MEGA, "log_gb"
    if workload.events:
        yield "EventBridge", "outcome events", uploads, "event"


def sources() -> Sequence[str]:
    """Each source with its date and what was taken from it."""
    return [
        f"{source['title']} ({source['date']}): {'; '.join(source['prices'])}"
        for source in price_file()["sources"]
    ]
