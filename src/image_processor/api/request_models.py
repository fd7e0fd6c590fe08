"""What the REST API reads: parameters and bodies, as pydantic models, and what each of them expects."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import AfterValidator, AwareDatetime, Field

from image_processor.delivery.markup.html import ALT, MarkupOptions
from image_processor.delivery.markup.srcset import MAX_WIDTHS, WidthSpec
from image_processor.domain.errors import Invalid
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import (
    Focus,
    Status,
)
from image_processor.domain.ports import Query, Sort
from image_processor.domain.rounding import DECIMALS
from image_processor.domain.similarity import DEFAULT_LIMIT, MAX_DISTANCE, MAX_LIMIT, NEAR
from image_processor.domain.transformation import parse

from .models import Model
from .response_models import ImageModel

# Without opt-in formats (SVG): if the bucket were public, a browser would run their scripts.
MEDIA_TYPES = tuple(dict.fromkeys(format_.media_type for format_ in FORMATS.values() if not format_.opt_in))

MAX_IDS = 100
"""How many images one request names: DynamoDB's largest batch."""

MAX_ARCHIVED = 1000
"""How many images one archive has."""

_TIME = "a time with its zone, such as 2026-01-31T12:00:00Z, in the years 1-9999 of UTC"

EXPECTED = MappingProxyType(
    {
        "bucket": "the upload bucket's name, or nothing",
        "key": "a key: 1-1024 bytes of UTF-8 text",
        "url": "a URL like https://host/path below a remote source",
        "prefix": "the first characters of a key",
        "search": "a part of a key, in any case",
        "total": "true or false",
        "ids": f"1-{MAX_IDS} ids, comma-separated, and no other filter",
        "archived_ids": f"1-{MAX_ARCHIVED} ids, comma-separated",
        "content": "originals | renditions",
        "fields": "names of an image's fields, comma-separated",
        "status": " | ".join(Status),
        "sort": " | ".join(Sort),
        "format": " | ".join(FORMATS),
        "min_bytes": "a number of bytes, 0 or more",
        "max_bytes": "a number of bytes, 0 or more",
        "since": _TIME,
        "until": _TIME,
        "content_type": " | ".join(MEDIA_TYPES),
        "limit": "1-1000",
        "distance": f"0-{MAX_DISTANCE}",
        "transformation": "a transformation such as w=640,fm=webp",
        "x": "0-1, a fraction of the width",
        "y": "0-1, a fraction of the height",
        "expires_in": "60-31536000 seconds",
        "preset": "a preset of the image's rule",
        "widths": f"at most {MAX_WIDTHS} whole numbers, comma-separated",
        "sizes": "the displayed width, as HTML's `sizes` attribute",
        "alt": "the alternative text of the image",
        "base": "the base of URLs: an address, or a path",
        "cursor": "the `cursor` of the previous page",
    }
)
"""What each parameter expects: for the OpenAPI description and for problem documents."""


def _parameter(name: str, **options: Any) -> Any:
    return Field(description=f"Expected: {EXPECTED[name]}.", **options)


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


_MAX_BYTES = 2**53
OriginalFormat = StrEnum("OriginalFormat", {name: name for name in FORMATS})  # type: ignore[misc]
"""A format of originals."""

UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]


_ALWAYS = frozenset(name for name, field in ImageModel.model_fields.items() if field.is_required())
"""The fields that every response has."""


class ProcessRequest(Model):
    """Which original to process now."""

    bucket: str | None = _parameter("bucket", default=None)
    key: str = _parameter("key", examples=["photos/cat.jpg"])


class ImportRequest(Model):
    """Which file to fetch. The default of `key` is the one that the remote source has for the URL. Under
    another key the file is an upload like any other, which does not follow its source."""

    url: str = _parameter("url", examples=["https://cdn.example/photos/cat.jpg"])
    key: str | None = _parameter("key", default=None, examples=["photos/cat.jpg"])


class PresignedPostRequest(Model):
    """What to upload straight to the bucket. The default of `content_type` follows from the key's
    extension."""

    key: str = _parameter("key", examples=["photos/cat.jpg"])
    content_type: str | None = _parameter("content_type", default=None, examples=["image/jpeg"])


class FilterRequest(Model):
    """Which images, and in which order; an omitted filter matches any. `format`, `min_bytes`
    (inclusive) and `max_bytes` (exclusive) are about originals. On AWS the index has time, name and status
    only: other orders and filters are refused."""

    prefix: str = _parameter("prefix", default="")
    search: str = _parameter("search", default="", examples=["cat"])
    status: Status | None = _parameter("status", default=None)
    format: OriginalFormat | None = _parameter("format", default=None)
    min_bytes: Annotated[int, Field(ge=0, le=_MAX_BYTES)] | None = _parameter("min_bytes", default=None)
    max_bytes: Annotated[int, Field(ge=0, le=_MAX_BYTES)] | None = _parameter("max_bytes", default=None)
    since: UtcTime | None = _parameter("since", default=None)
    until: UtcTime | None = _parameter("until", default=None)
    sort: Sort = _parameter("sort", default=Sort.NEWEST)
    fields: str | None = _parameter("fields", default=None, examples=["facts,renditions"])

    @property
    def chosen_fields(self) -> set[str] | None:
        """The fields that the response has; None for all. Raises Invalid."""
        if self.fields is None:
            return None
        chosen = self.fields.split(",")
        if unknown := [name for name in chosen if name not in ImageModel.model_fields]:
            known = f"{EXPECTED['fields']}: {', '.join(ImageModel.model_fields)}"
            raise Invalid.one("fields", known, ", ".join(unknown))
        return {*chosen, *_ALWAYS}

    @property
    def query(self) -> Query:
        return Query(
            prefix=self.prefix,
            status=self.status,
            since=self.since,
            until=self.until,
            text=self.search,
            format=self.format,
            min_bytes=self.min_bytes,
            max_bytes=self.max_bytes,
            sort=self.sort,
        )


class ListingRequest(FilterRequest):
    """A page of images, or those with the given ids."""

    limit: Annotated[int, Field(ge=1, le=1000)] = _parameter("limit", default=50)
    cursor: str | None = _parameter("cursor", default=None)
    total: bool = _parameter("total", default=False)
    ids: str | None = _parameter("ids", default=None, examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])

    def next(self, cursor: str) -> str:
        """The relative address of the next page (RFC 3986, 4.2), which holds behind any path."""
        asked = self.model_dump(mode="json", exclude_unset=True, exclude_none=True) | {"cursor": cursor}
        return f"?{urlencode({name: str(value) for name, value in asked.items()})}"

    @property
    def chosen_ids(self) -> list[str] | None:
        """The ids without repetitions; None if the request names none. Raises Invalid."""
        if self.ids is None:
            return None
        chosen = list(dict.fromkeys(filter(None, self.ids.split(","))))
        if not 1 <= len(chosen) <= MAX_IDS:
            raise Invalid.one("ids", EXPECTED["ids"], f"{len(chosen)} ids")
        if others := sorted(self.model_fields_set - {"ids", "fields"}):
            raise Invalid.one("ids", EXPECTED["ids"], f"ids and {', '.join(others)}")
        return chosen


class FoldersRequest(Model):
    """Which folders to list."""

    prefix: str = _parameter("prefix", default="", examples=["photos/"])
    limit: Annotated[int, Field(ge=1, le=1000)] = _parameter("limit", default=200)


class SimilarRequest(Model):
    """How similar images must be, and how many to return."""

    distance: Annotated[int, Field(ge=0, le=MAX_DISTANCE)] = _parameter("distance", default=NEAR)
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = _parameter("limit", default=DEFAULT_LIMIT)


class MarkupRequest(Model):
    """How a page shows an image. The default preset is the one with the most widths."""

    preset: str | None = _parameter("preset", default=None, examples=["responsive"])
    widths: str | None = _parameter(
        "widths", default=None, pattern=r"^[0-9]{1,5}(,[0-9]{1,5})*$", examples=["320,640,1280"]
    )
    transformation: str | None = _parameter(
        "transformation", default=None, examples=["w=640,h=640,g=attention,fm=webp"]
    )
    sizes: str = _parameter("sizes", default="100vw", examples=["(min-width: 60rem) 50vw, 100vw"])
    alt: str = _parameter("alt", default=ALT, examples=["A cat on a wall"])
    base: str | None = _parameter("base", default=None, examples=["https://img.example"])

    @property
    def options(self) -> MarkupOptions:
        """Raises Invalid."""
        widths = tuple(map(int, self.widths.split(","))) if self.widths else ()
        wanted = parse(self.transformation) if self.transformation else None
        return MarkupOptions(WidthSpec(self.preset, widths, wanted), self.sizes, self.alt)


class OnDemandRequest(Model):
    """Which rendition to make, and how long its URL is valid."""

    transformation: str = _parameter("transformation", examples=["w=640,h=640,g=attention,fm=webp"])
    expires_in: Annotated[int, Field(ge=60, le=31_536_000, strict=True)] = _parameter(
        "expires_in", default=86_400
    )


class FocusRequest(Model):
    """The point that crops with `g=focus` keep in the centre, in the upright original."""

    x: Annotated[float, Field(ge=0, le=1, strict=True)] = _parameter("x", examples=[0.35])
    y: Annotated[float, Field(ge=0, le=1, strict=True)] = _parameter("y", examples=[0.25])

    def of_file(self, sha256: str) -> Focus:
        return Focus(round(self.x, DECIMALS), round(self.y, DECIMALS), sha256)


class UrlsRequest(Model):
    """Which rendition the URLs are to open."""

    transformation: str = _parameter("transformation", examples=["w=640,h=640,g=attention,fm=webp"])
    base: str | None = _parameter("base", default=None, examples=["https://img.example"])
