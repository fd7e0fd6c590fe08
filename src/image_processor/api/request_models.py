"""HTTP edge: what the REST API reads, as pydantic models that make its OpenAPI."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from image_processor.delivery.markup.html import ALT, MarkupOptions
from image_processor.delivery.markup.srcset import MOST_WIDTHS, WidthSpec
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Status
from image_processor.domain.ports import Query
from image_processor.domain.similarity import MANY, MAX_DISTANCE, MAX_LIMIT, NEAR

from .schemas import View

# What is opt-in is left out: a bucket that shows it to browsers would run its scripts.
MEDIA_TYPES = tuple(each.media_type for each in FORMATS.values() if not each.opt_in)

_TIME = "a time with its zone, such as 2026-01-31T12:00:00Z, in the years 1-9999 of UTC"

EXPECTED = MappingProxyType(
    {
        "bucket": "the upload bucket's name, or nothing",
        "key": "a key: text of 1-1024 bytes of UTF-8",
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
        "widths": f"at most {MOST_WIDTHS} whole numbers, comma-separated",
        "sizes": "how wide it is shown, as HTML's `sizes`",
        "alt": "what it shows, in words",
        "base": "what URLs begin with: an address, or a path",
        "cursor": "the `cursor` of the page before",
    }
)
"""What each parameter wants: for the OpenAPI and for the answer to one who gave something else."""


def _about(name: str, **more: Any) -> Any:
    return Field(description=f"Expected: {EXPECTED[name]}.", **more)


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]


class ProcessRequest(View):
    """Which original to process now."""

    bucket: str | None = _about("bucket", default=None)
    key: str = _about("key", examples=["photos/cat.jpg"])


class PostRequest(View):
    """What a client wants to upload straight into the bucket. Without `content_type` the key's
    extension says it."""

    key: str = _about("key", examples=["photos/cat.jpg"])
    content_type: str | None = _about("content_type", default=None, examples=["image/jpeg"])


class ListingRequest(View):
    """Which images a listing wants; what is left out means any."""

    prefix: str = _about("prefix", default="")
    status: Status | None = _about("status", default=None)
    since: UtcTime | None = _about("since", default=None)
    until: UtcTime | None = _about("until", default=None)
    limit: Annotated[int, Field(ge=1, le=1000)] = _about("limit", default=50)
    cursor: str | None = _about("cursor", default=None)

    @property
    def query(self) -> Query:
        return Query(prefix=self.prefix, status=self.status, since=self.since, until=self.until)


class SimilarRequest(View):
    """How near images must look, and how many of them are wanted."""

    distance: Annotated[int, Field(ge=0, le=MAX_DISTANCE)] = _about("distance", default=NEAR)
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = _about("limit", default=MANY)


class MarkupRequest(View):
    """How a page wants to show an image. Without a preset or widths the preset with the most is taken."""

    preset: str | None = _about("preset", default=None, examples=["responsive"])
    widths: str | None = _about(
        "widths", default=None, pattern=r"^[0-9]{1,5}(,[0-9]{1,5})*$", examples=["320,640,1280"]
    )
    sizes: str = _about("sizes", default="100vw", examples=["(min-width: 60rem) 50vw, 100vw"])
    alt: str = _about("alt", default=ALT, examples=["A cat on a wall"])
    base: str | None = _about("base", default=None, examples=["https://img.example"])

    @property
    def wish(self) -> MarkupOptions:
        """Raises Invalid."""
        widths = tuple(map(int, self.widths.split(","))) if self.widths else ()
        return MarkupOptions(WidthSpec(self.preset, widths), self.sizes, self.alt)


class RenditionRequest(View):
    """Which rendition of an image to make, and for how long its URL is to work."""

    transformation: str = _about("transformation", examples=["w=640,h=640,g=attention,fm=webp"])
    expires_in: Annotated[int, Field(ge=60, le=31_536_000)] = _about("expires_in", default=86_400)
