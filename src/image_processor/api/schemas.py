"""HTTP edge: what the REST API shows, as pydantic models that make its OpenAPI.

A *view* is what a client sees of a value of the core; `of` makes it.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from image_processor.config.recipe import Recipe
from image_processor.delivery.url.builder import url_of
from image_processor.domain.errors import FIXES, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import ImageMetadata, Record, Rendition
from image_processor.domain.ports import Entry
from image_processor.renditions.freshness import is_on_demand


class View(BaseModel):
    """The root of the models: frozen, and strict about names that do not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FactsView(View):
    """What is true of encoded image bytes; width and height in pixels of one upright frame."""

    width: int
    height: int
    format: str = Field(examples=["jpeg"])
    media_type: str = Field(examples=["image/jpeg"])
    frames: int
    alpha: bool
    bytes: int
    sha256: str

    @classmethod
    def of(cls, facts: ImageMetadata) -> Self:
        return cls(**_facts(facts))


class RenditionView(FactsView):
    """One stored output. `transformation` says how it was made, `url` opens it."""

    key: str = Field(examples=["photos/cat.jpg/w=640,fm=avif.avif"])
    url: str | None = Field(
        description="Opens it; null where nothing serves renditions (on AWS without a CDN), and where only "
        "a signature opens it: POST /images/{id}/renditions makes one. `v` names "
        "the bytes, so that a browser never shows those of an earlier original from its cache.",
        examples=["/renditions/photos/cat.jpg/w=640,fm=avif.avif?v=9f86d081884c7d65"],
    )
    transformation: str = Field(examples=["w=640,fm=avif"])

    @classmethod
    def of_rendition(cls, rendition: Rendition, base: str | None) -> Self:
        return cls(
            key=rendition.key,
            url=_opening(rendition, base),
            transformation=rendition.transformation,
            **_facts(rendition.metadata),
        )


class MadeView(View):
    """A rendition that was made because somebody asked for it."""

    key: str = Field(examples=["photos/cat.jpg/~w=500,fm=webp.webp"])
    url: str | None = Field(
        description="Opens it until its signature ends; null where no key signs URLs "
        "(IMAGE_PROCESSOR_SIGNING_KEYS), where nothing serves renditions, or where the key is a digest "
        "that cannot be signed.",
        examples=["/renditions/photos/cat.jpg/~w=500,fm=webp.webp?kid=a&expires=1800000000&s=3q2-7w"],
    )
    transformation: str = Field(examples=["w=500,fm=webp"])
    media_type: str = Field(examples=["image/webp"])
    bytes: int
    sha256: str


def _opening(rendition: Rendition, base: str | None) -> str | None:
    if base is None or is_on_demand(rendition.key):
        return None
    return f"{url_of(base, rendition.key)}?v={rendition.metadata.sha256[:16]}"


class ImageView(View):
    """An original and what became of it. `processed` is the key of the rendition to show first."""

    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    bucket: str = Field(examples=["uploads"])
    original: str = Field(examples=["photos/cat.jpg"])
    processed: str | None = Field(default=None, examples=["photos/cat.jpg/w=1920,fm=jpeg.jpg"])
    renditions: list[RenditionView] = []
    status: Literal["queued", "processing", "processed", "refused"] = Field(
        description="`queued` is known from the upload alone: listings neither show nor filter it."
    )
    reason: Reason | None = None
    message: str | None = None
    fix: str | None = Field(default=None, description="What can be done about a refusal.")
    version: str | None = None
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    facts: FactsView | None = Field(default=None, description="Facts of the original.")
    truncated: bool = Field(
        default=False, description="Whether the original ends early and what was there was taken."
    )
    dominant_colour: str | None = Field(default=None, examples=["#7a8a5c"])
    thumbhash: str | None = Field(default=None, description="ThumbHash placeholder, base64.")
    perceptual_hash: str | None = Field(default=None, examples=["d4c6b2a19f3e5870"])
    blurhash: str | None = Field(default=None, examples=["LEHV6nWB2yk8pyo0adR*.7kCMdnj"])
    palette: list[str] = Field(
        default=[], description="Up to six distinct colours, the most frequent first.", examples=[["#7a8a5c"]]
    )
    focus: tuple[float, float] | None = Field(
        default=None,
        description="Where the eye goes: x and y as parts (0-1) of width and height.",
        examples=[[0.352, 0.258]],
    )
    exif: dict[str, str] = Field(
        default={},
        description="What IMAGE_PROCESSOR_EXIF asks for and the original says. Times are in seconds, "
        "lengths in millimetres, positions in degrees.",
        examples=[{"make": "Canon", "taken_at": "2026-01-31T12:00:00+01:00", "exposure_time": "1/250"}],
    )

    @classmethod
    def of(cls, record: Record, base: str | None) -> Self:
        """``base`` is what the renditions' keys are put behind in their URLs."""
        look, processed = record.summary, record.processed
        return cls(
            id=record.id,
            bucket=record.bucket,
            original=record.key,
            processed=processed.key if processed else None,
            renditions=[RenditionView.of_rendition(each, base) for each in record.renditions],
            status=record.status.value,
            reason=record.reason,
            message=record.message,
            fix=FIXES[record.reason] if record.reason else None,
            version=record.version,
            created_at=record.created_at,
            updated_at=record.updated_at,
            facts=FactsView.of(record.original) if record.original else None,
            truncated=record.original.truncated if record.original else False,
            dominant_colour=look.dominant_colour if look else None,
            thumbhash=look.thumbhash if look else None,
            perceptual_hash=look.perceptual_hash if look else None,
            blurhash=look.blurhash if look else None,
            palette=list(look.palette) if look else [],
            focus=look.focus if look else None,
            exif=dict(record.exif),
        )

    @classmethod
    def queued(cls, bucket: str, key: str) -> Self:
        """An upload that nobody has begun to work on."""
        return cls(id=image_id(bucket, key), bucket=bucket, original=key, status="queued")


class ListingView(View):
    """Some images, newest first; `cursor` asks for the following page and is null at the end."""

    images: list[ImageView]
    cursor: str | None


class SimilarView(View):
    """An image that looks like the one asked about: in `distance` (0-64) bits the hashes differ."""

    distance: int = Field(examples=[3])
    image: ImageView


class SimilarListView(View):
    """The images that look like one, nearest first."""

    images: list[SimilarView]


class UploadView(View):
    """A stored original that now waits for its renditions; `image` is where they will be told."""

    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    bytes: int
    version: str
    status: Literal["queued"] = "queued"
    image: str = Field(examples=["/images/k3vq2m5xw7n4c6a2yzt5b3d7he"])

    @classmethod
    def of(cls, bucket: str, entry: Entry) -> Self:
        id_ = image_id(bucket, entry.key)
        return cls(id=id_, key=entry.key, bytes=entry.size, version=entry.version, image=f"/images/{id_}")


class HealthView(View):
    """How the system is. `uploads` is where originals go: a bucket's name, or the watched
    directory as it was configured."""

    status: Literal["ok"] = "ok"
    version: str
    uploads: str = Field(examples=["data/uploads"])
    max_bytes: int = Field(description="The largest upload, in bytes.")


class MachineHealthView(HealthView):
    """How the server on one machine is. Degraded, it cannot reach its data: `detail` says why."""

    status: Literal["ok", "degraded"] = "ok"  # type: ignore[assignment]  # more than on AWS
    detail: str | None = None
    backlog: int = Field(description="Uploads that wait or are in work.")
    workers: int


class RuleView(View):
    match: str = Field(examples=["**"])
    presets: list[str]


class RecipeView(View):
    """Presets as transformations in their canonical text; of the rules, the first that fits decides."""

    presets: dict[str, list[str]] = Field(
        examples=[{"thumbnail": ["w=200,h=200,g=attention,fm=avif", "w=200,h=200,g=attention,fm=jpeg"]}]
    )
    rules: list[RuleView]
    private: list[str] = Field(default=[], description="Presets whose renditions need a signature.")

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        return cls(
            presets={name: list(map(str, made)) for name, made in recipe.presets.items()},
            rules=[RuleView(match=rule.match, presets=list(rule.presets)) for rule in recipe.rules],
            private=sorted(recipe.private),
        )


class EventView(View):
    """One event of the stream: what happened to which original."""

    type: str = Field(examples=["processed"])
    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    sequence: int
    detail: dict[str, Any] = {}


class ProblemItem(View):
    name: str = Field(examples=["limit"])
    expected: str = Field(examples=["1-1000"])
    got: str = Field(examples=["5000"])


class ProblemView(View):
    """An error as RFC 9457 says it; `code` is stable, `problems` names every mistake found."""

    type: str = "about:blank"
    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["expected 1-1000 for limit, got 5000"])
    code: str = Field(examples=["invalid"])
    problems: list[ProblemItem] = []
    reason: Reason | None = None
    fix: str | None = None
    image: ImageView | None = Field(default=None, description="What is on record of a refused upload.")


class PostView(View):
    """A form that uploads one original: send `fields`, and behind them the file as the field
    `file`, as multipart/form-data to `url` by POST, before `expires_at`."""

    id: str = Field(description="The image's id.", examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    url: str = Field(examples=["https://my-uploads.s3.eu-west-1.amazonaws.com"])
    fields: dict[str, str] = Field(examples=[{"key": "photos/cat.jpg", "Content-Type": "image/jpeg"}])
    expires_at: AwareDatetime
    max_bytes: int = Field(description="The largest file that is taken, in bytes.")


def _facts(facts: ImageMetadata) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in FactsView.model_fields}
