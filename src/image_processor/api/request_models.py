"""What the REST API reads, as pydantic models from which FastAPI derives the OpenAPI description."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from image_processor.delivery.markup.html import ALT, MarkupOptions
from image_processor.delivery.markup.srcset import MAX_WIDTHS, WidthSpec
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Status
from image_processor.domain.ports import Query
from image_processor.domain.similarity import DEFAULT_LIMIT, MAX_DISTANCE, MAX_LIMIT, NEAR

from .schemas import Model

# Without opt-in formats (SVG): if the bucket were public, a browser would run their scripts.
MEDIA_TYPES = tuple(format_.media_type for format_ in FORMATS.values() if not format_.opt_in)

_TIME = "a time with its zone, such as 2026-01-31T12:00:00Z, in the years 1-9999 of UTC"

EXPECTED = MappingProxyType(
    {
        "bucket": "the upload bucket's name, or nothing",
        "key": "a key: 1-1024 bytes of UTF-8 text",
        "prefix": "the first characters of a key",
        "status": " | ".join(Status),
        "since": _TIME,
        "until": _TIME,
        "content_type": " | ".join(MEDIA_TYPES),
        "limit": "1-1000",
        "distance": f"0-{MAX_DISTANCE}",
        "transformation": "a transformation such as w=640,fm=webp",
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


UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]


class ProcessRequest(Model):
    """Which original to process now."""

    bucket: str | None = _parameter("bucket", default=None)
    key: str = _parameter("key", examples=["photos/cat.jpg"])


class PresignedPostRequest(Model):
    """What to upload straight to the bucket. The default of `content_type` follows from the key's
    extension."""

    key: str = _parameter("key", examples=["photos/cat.jpg"])
    content_type: str | None = _parameter("content_type", default=None, examples=["image/jpeg"])


class ListingRequest(Model):
    """Which images to list; an omitted parameter matches any."""

    prefix: str = _parameter("prefix", default="")
    status: Status | None = _parameter("status", default=None)
    since: UtcTime | None = _parameter("since", default=None)
    until: UtcTime | None = _parameter("until", default=None)
    limit: Annotated[int, Field(ge=1, le=1000)] = _parameter("limit", default=50)
    cursor: str | None = _parameter("cursor", default=None)

    @property
    def query(self) -> Query:
        return Query(prefix=self.prefix, status=self.status, since=self.since, until=self.until)


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
    sizes: str = _parameter("sizes", default="100vw", examples=["(min-width: 60rem) 50vw, 100vw"])
    alt: str = _parameter("alt", default=ALT, examples=["A cat on a wall"])
    base: str | None = _parameter("base", default=None, examples=["https://img.example"])

    @property
    def options(self) -> MarkupOptions:
        """Raises Invalid."""
        widths = tuple(map(int, self.widths.split(","))) if self.widths else ()
        return MarkupOptions(WidthSpec(self.preset, widths), self.sizes, self.alt)


class OnDemandRequest(Model):
    """Which rendition to make, and how long its URL is valid."""

    transformation: str = _parameter("transformation", examples=["w=640,h=640,g=attention,fm=webp"])
    expires_in: Annotated[int, Field(ge=60, le=31_536_000)] = _parameter("expires_in", default=86_400)
