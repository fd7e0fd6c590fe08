"""What the REST API returns, as pydantic models. `of` converts a value of the core to its model."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field

from image_processor.config.recipe import Recipe
from image_processor.delivery.markup.html import Markup
from image_processor.delivery.source_crop import output_size
from image_processor.domain.errors import FIXES, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import (
    KEEP_SMALLER,
    ImageMetadata,
    KeepSmaller,
    Record,
    Rendition,
)
from image_processor.domain.ports import Entry, Folder, StoredObject
from image_processor.renditions.freshness import is_on_demand
from image_processor.renditions.urls import object_url, public_url

from .models import Model


class MetadataModel(Model):
    """Metadata of an encoded image. Width and height are pixels of one frame, after EXIF orientation."""

    width: int
    height: int
    format: str = Field(examples=["jpeg"])
    media_type: str = Field(examples=["image/jpeg"])
    frames: int
    alpha: bool
    bytes: int
    sha256: str

    @classmethod
    def of(cls, metadata: ImageMetadata) -> Self:
        return cls(**_metadata(metadata))


class RenditionModel(MetadataModel):
    """A stored rendition. `transformation` is its canonical text."""

    key: str = Field(examples=["photos/cat.jpg/w=640,fm=avif.avif"])
    url: str | None = Field(
        description="The URL of the rendition; null on AWS without a CDN, and for on-demand renditions, "
        "which need a signed URL from POST /images/{id}/renditions. `v` changes with the bytes, so that a "
        "browser never shows an outdated rendition from its cache.",
        examples=["/renditions/photos/cat.jpg/w=640,fm=avif.avif?v=9f86d081884c7d65"],
    )
    transformation: str = Field(examples=["w=640,fm=avif"])
    keep_smaller: KeepSmaller | None = Field(
        default=None,
        description="In the original's format and size only: `kept` if its coded data is sent without "
        "metadata, because a new encoding has more bytes; else why it has more bytes than the original.",
    )

    @classmethod
    def of_rendition(cls, rendition: Rendition, base: str | None) -> Self:
        return cls(
            key=rendition.key,
            url=public_url(rendition, base),
            transformation=rendition.transformation,
            keep_smaller=rendition.metadata.keep_smaller,
            **_metadata(rendition.metadata),
        )


class OnDemandRenditionModel(Model):
    """A rendition that was made on request."""

    key: str = Field(examples=["photos/cat.jpg/~w=500,fm=webp.webp"])
    url: str | None = Field(
        description="A URL that opens it until its signature expires; null without a signing key "
        "(IMAGE_PROCESSOR_SIGNING_KEYS), on AWS without a CDN, or if the key contains a digest, which "
        "cannot be signed.",
        examples=["/renditions/photos/cat.jpg/~w=500,fm=webp.webp?kid=a&expires=1800000000&s=3q2-7w"],
    )
    transformation: str = Field(examples=["w=500,fm=webp"])
    media_type: str = Field(examples=["image/webp"])
    bytes: int
    sha256: str
    keep_smaller: KeepSmaller | None = Field(default=None, description="As of a rendition of an image.")

    @classmethod
    def of(cls, key: str, transformation: str, stored: StoredObject, url: str | None) -> Self:
        kept = stored.attributes.metadata.get(KEEP_SMALLER)
        return cls(
            key=key,
            url=url,
            transformation=transformation,
            media_type=stored.attributes.media_type,
            bytes=stored.entry.size,
            sha256=stored.attributes.metadata["sha256"],
            keep_smaller=KeepSmaller(kept) if kept else None,
        )


class LazyRenditionModel(Model):
    """A rendition of a preset with `eager = false`: made when its URL is first opened."""

    key: str = Field(examples=["photos/cat.jpg/w=640,fm=avif.avif"])
    url: str | None = Field(
        description="The URL that makes and opens it; null on AWS without a CDN, and for private presets, "
        "which need a signed URL from POST /images/{id}/renditions.",
        examples=["/renditions/photos/cat.jpg/w=640,fm=avif.avif?v=9f86d081884c7d65"],
    )
    transformation: str = Field(examples=["w=640,fm=avif"])
    width: int | None = Field(
        default=None, description="In pixels, like the height; null if it is known only after decoding."
    )
    height: int | None = None

    @classmethod
    def all_of(cls, record: Record, recipe: Recipe, base: str | None) -> list[Self]:
        """Those of a processed image; `v` changes with the original."""
        original = record.original
        if original is None:
            return []
        version = f"?v={original.sha256[:16]}"
        models = []
        for key, transformation in recipe.lazy_for(record.key).items():
            size = output_size(transformation, original)
            models.append(
                cls(
                    key=key,
                    url=None if base is None or is_on_demand(key) else object_url(base, key) + version,
                    transformation=str(transformation),
                    width=size.width if size else None,
                    height=size.height if size else None,
                )
            )
        return models


class ImageModel(Model):
    """An original and its renditions. `processed` is the key of the main rendition, null if every
    rendition needs a signed URL."""

    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    bucket: str = Field(examples=["uploads"])
    original: str = Field(examples=["photos/cat.jpg"])
    processed: str | None = Field(default=None, examples=["photos/cat.jpg/w=1920,fm=jpeg.jpg"])
    renditions: list[RenditionModel] = Field(default=[])
    lazy_renditions: list[LazyRenditionModel] = Field(default=[])
    status: Literal["queued", "processing", "processed", "refused"] = Field(
        description="`queued` images have no record yet: listings neither show nor filter them."
    )
    reason: Reason | None = None
    message: str | None = None
    fix: str | None = Field(default=None, description="How to solve a refusal.")
    version: str | None = None
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    revision: int = Field(default=0, description="How often it was processed to an end.")
    facts: MetadataModel | None = Field(default=None, description="Metadata of the original.")
    saving: float | None = Field(
        default=None,
        description="The fraction of the original's bytes that its largest rendition saves, in its smallest "
        "format; negative if that has more.",
        examples=[0.62],
    )
    truncated: bool = Field(
        default=False, description="Whether the file of the original ends early; the readable part was used."
    )
    file_frames: int | None = Field(
        default=None,
        description="The frames of an animated PNG, AVIF or HEIC, of which a still is used; null for others.",
    )
    dominant_colour: str | None = Field(default=None, examples=["#7a8a5c"])
    thumbhash: str | None = Field(default=None, description="ThumbHash placeholder, base64.")
    perceptual_hash: str | None = Field(default=None, examples=["d4c6b2a19f3e5870"])
    blurhash: str | None = Field(default=None, examples=["LEHV6nWB2yk8pyo0adR*.7kCMdnj"])
    palette: list[str] = Field(
        default=[], description="Up to six distinct colours, most frequent first.", examples=[["#7a8a5c"]]
    )
    focus: tuple[float, float] | None = Field(
        default=None,
        description="The most salient point: x and y as fractions (0-1) of width and height.",
        examples=[[0.352, 0.258]],
    )
    focal_point: tuple[float, float] | None = Field(
        default=None,
        description="The point that PUT /images/{id}/focus has set for this file: x and y "
        "as fractions. Crops with `g=focus` keep it; without one, they keep the most salient part.",
        examples=[[0.35, 0.25]],
    )
    exif: dict[str, str] = Field(
        default={},
        description="The EXIF fields that IMAGE_PROCESSOR_EXIF names. Times are in seconds, lengths in "
        "millimetres, positions in degrees.",
        examples=[{"make": "Canon", "taken_at": "2026-01-31T12:00:00+01:00", "exposure_time": "1/250"}],
    )

    @classmethod
    def of(cls, record: Record, base: str | None, recipe: Recipe | None = None) -> Self:
        """``base`` is the base URL of renditions, None if nothing serves them. ``recipe`` has the lazy
        presets, whose renditions no record lists."""
        summary, processed = record.summary, record.processed
        return cls(
            id=record.id,
            bucket=record.bucket,
            original=record.key,
            processed=processed.key if processed and not is_on_demand(processed.key) else None,
            renditions=[RenditionModel.of_rendition(item, base) for item in record.renditions],
            lazy_renditions=LazyRenditionModel.all_of(record, recipe, base) if recipe else [],
            status=record.status.value,
            reason=record.reason,
            message=record.message,
            fix=FIXES[record.reason] if record.reason else None,
            version=record.version,
            created_at=record.created_at,
            updated_at=record.updated_at,
            revision=record.revision,
            facts=MetadataModel.of(record.original) if record.original else None,
            saving=record.saving,
            truncated=record.original.truncated if record.original else False,
            file_frames=record.original.file_frames if record.original else None,
            dominant_colour=summary.dominant_colour if summary else None,
            thumbhash=summary.thumbhash if summary else None,
            perceptual_hash=summary.perceptual_hash if summary else None,
            blurhash=summary.blurhash if summary else None,
            palette=list(summary.palette) if summary else [],
            focus=summary.focus if summary else None,
            focal_point=(chosen.x, chosen.y) if (chosen := record.focus_of(record.version)) else None,
            exif=dict(record.exif),
        )

    @classmethod
    def queued(cls, bucket: str, key: str) -> Self:
        """An upload that no worker has started on."""
        return cls(id=image_id(bucket, key), bucket=bucket, original=key, status="queued")


class ListingModel(Model):
    """A page of images in the order of `sort`; those of `ids` in the order of the request. `cursor` requests
    the next page and is null on the last one. With `fields` an image has only these, and its id, bucket,
    original and status."""

    images: list[ImageModel]
    cursor: str | None
    total: int | None = Field(
        default=None,
        description="How many images all pages have, if `total=true` was requested. Null on AWS, where "
        "all of them would have to be read.",
    )


class FolderModel(Model):
    """A folder: the first part of keys, up to a slash. `prefix` lists its images and folders."""

    name: str = Field(examples=["photos"])
    prefix: str = Field(examples=["photos/"])
    images: int = Field(description="How many images it has, those in its folders too.")

    @classmethod
    def of(cls, folder: Folder, parent: str) -> Self:
        name = folder.prefix.removeprefix(parent).removesuffix("/")
        return cls(name=name, prefix=folder.prefix, images=folder.records)


class FoldersModel(Model):
    """The folders of a prefix, ordered by name. `complete` is false if there are more than `limit`."""

    folders: list[FolderModel]
    complete: bool


class SimilarImageModel(Model):
    """An image that looks similar. `distance` (0-64) is the Hamming distance of the perceptual hashes."""

    distance: int = Field(examples=[3])
    image: ImageModel


class SimilarImagesModel(Model):
    """Similar images, nearest first. `complete` is false if only a part of the library was searched."""

    images: list[SimilarImageModel]
    complete: bool


UploadStatus = Literal["queued", "processed", "refused"]


class UploadModel(Model):
    """A stored original. `image` is the path of its image resource. `status` is queued unless the request
    preferred to wait and that was long enough."""

    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    bytes: int
    version: str
    status: UploadStatus = "queued"
    image: str = Field(examples=["/images/k3vq2m5xw7n4c6a2yzt5b3d7he"])

    @classmethod
    def of(cls, bucket: str, entry: Entry, status: UploadStatus = "queued") -> Self:
        id_ = image_id(bucket, entry.key)
        path = f"/images/{id_}"
        return cls(id=id_, key=entry.key, bytes=entry.size, version=entry.version, status=status, image=path)


class HealthModel(Model):
    """The state of the system. `uploads` is where originals are stored: the name of a bucket, or the
    watched directory as configured."""

    status: Literal["ok"] = "ok"
    version: str
    uploads: str = Field(examples=["data/uploads"])
    max_bytes: int = Field(description="The largest accepted upload, in bytes.")


class WaitingEventsModel(Model):
    """Events that wait to be sent, and dead ones, which wait for `image-processor events redrive`."""

    waiting: int
    dead: int


class CoordinationModel(Model):
    """Of several servers over one table, the one that searches for lost work. `coordinator` is null for the
    seconds in which there is none."""

    server: str = Field(description="The name of this server.", examples=["web-1:4711-8f2a01c3"])
    coordinator: str | None = Field(examples=["web-2:4711-5b9e77d0"])
    is_own: bool = Field(description="Whether this server is the coordinator.")


class StandaloneHealthModel(HealthModel):
    """The state of the server of one machine; `detail` says what is wrong. `degraded`: it cannot reach its
    data, takes no uploads, most originals are gone, or a changed recipe or file of settings is invalid.
    `low-disk`: it will soon take no uploads."""

    status: Literal["ok", "low-disk", "degraded"] = "ok"  # type: ignore[assignment]  # more than on AWS
    detail: str | None = None
    backlog: int = Field(description="Uploads that wait or are being processed.")
    workers: int
    free_bytes: int = Field(description="Free space of the disk, in part kept for accepted uploads.")
    events: WaitingEventsModel | None = Field(
        default=None, description="Events that the receiver of webhooks has not accepted; null without one."
    )
    unreadable: int = Field(
        default=0, description="Keys that the last reconciliation could not read and passed over."
    )
    held_deletions: int = Field(
        default=0, description="Deletions that wait to be accepted, because most originals are gone."
    )
    coordination: CoordinationModel | None = Field(
        default=None, description="Which server searches for lost work; null where no other one can."
    )
    recipe_error: str | None = Field(
        default=None, description="Why the changed recipe is not used; the previous one stays in force."
    )
    remote_sources: list[str] = Field(
        default=[],
        description="Beginnings of the URLs that `POST /uploads/from-url` accepts.",
        examples=[["https://cdn.example/photos/"]],
    )


class RuleModel(Model):
    match: str = Field(examples=["**"])
    presets: list[str]


class RecipeModel(Model):
    """Presets as canonical texts of their transformations. The first rule that matches a key applies."""

    presets: dict[str, list[str]] = Field(
        examples=[{"thumbnail": ["w=200,h=200,g=attention,fm=avif", "w=200,h=200,g=attention,fm=jpeg"]}]
    )
    rules: list[RuleModel]
    private: list[str] = Field(default=[], description="Presets whose renditions need a signature.")
    lazy: list[str] = Field(default=[], description="Presets whose renditions are made at their first view.")

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        return cls(
            presets={name: list(map(str, items)) for name, items in recipe.presets.items()},
            rules=[RuleModel(match=rule.match, presets=list(rule.presets)) for rule in recipe.rules],
            private=sorted(recipe.private),
            lazy=sorted(recipe.lazy),
        )


class EventModel(Model):
    """An event of the stream: what happened to which original."""

    type: str = Field(examples=["processed"])
    id: str = Field(examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    sequence: int
    detail: dict[str, Any] = Field(default={})


class ProblemItemModel(Model):
    name: str = Field(examples=["limit"])
    expected: str = Field(examples=["1-1000"])
    got: str = Field(examples=["5000"])


class ProblemModel(Model):
    """An error as a problem document (RFC 9457). `code` is stable; `problems` names every invalid value."""

    type: str = "about:blank"
    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["expected 1-1000 for limit, got 5000"])
    code: str = Field(examples=["invalid"])
    problems: list[ProblemItemModel] = Field(default=[])
    reason: Reason | None = None
    fix: str | None = None
    image: ImageModel | None = Field(default=None, description="The record of a refused upload.")


class EquivalentModel(Model):
    """An unsigned URL of another product with the same meaning. `enabled`: this server answers such URLs."""

    dialect: str = Field(examples=["thumbor"])
    path: str = Field(examples=["/unsafe/640x640/smart/filters:format(webp)/photos/cat.jpg"])
    enabled: bool


class UrlsModel(Model):
    """The URLs of one rendition of an image."""

    transformation: str = Field(description="Its canonical text.", examples=["w=640,fm=webp"])
    canonical: str = Field(
        description="The URL in canonical form, without a signature.",
        examples=["/renditions/photos/cat.jpg?w=640&fm=webp"],
    )
    url: str | None = Field(
        description="A URL that opens the rendition: with a signature that does not expire, unless a public "
        "preset declares it. Null if the server does not allow one.",
        examples=["/renditions/photos/cat.jpg?w=640&fm=webp&kid=a&s=5b1e"],
    )
    reason: str | None = Field(
        description="Why `url` is null.",
        examples=["expected a signing key in IMAGE_PROCESSOR_SIGNING_KEYS, got none"],
    )
    public: bool = Field(description="A public preset declares the rendition, so it needs no signature.")
    equivalents: list[EquivalentModel]


class PresignedPostModel(Model):
    """A form that uploads one original. Send `fields`, followed by the file as the field `file`, as
    multipart/form-data to `url` by POST before `expires_at`."""

    id: str = Field(description="The image's id.", examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])
    key: str = Field(examples=["photos/cat.jpg"])
    url: str = Field(examples=["https://my-uploads.s3.eu-west-1.amazonaws.com"])
    fields: dict[str, str] = Field(examples=[{"key": "photos/cat.jpg", "Content-Type": "image/jpeg"}])
    expires_at: AwareDatetime
    max_bytes: int = Field(description="The largest accepted file, in bytes.")


class DownloadModel(Model):
    """Where an original can be downloaded until `expires_at`, without a login."""

    url: str = Field(examples=["https://my-uploads.s3.eu-west-1.amazonaws.com/photos/cat.jpg?X-Amz-Date=..."])
    expires_at: AwareDatetime


class MarkupModel(Model):
    """Markup that shows one image, each kind with the same set of widths."""

    img: str = Field(
        description="HTML: an `<img>` in the format that every browser shows.",
        examples=['<img src="/renditions/cat.jpg/w=640,fm=jpeg.jpg" srcset="..." sizes="100vw">'],
    )
    picture: str = Field(
        description="HTML: a `<picture>` with every format.",
        examples=['<picture>\n  <source type="image/avif" srcset="..." sizes="100vw">\n  ...\n</picture>'],
    )
    loader: str | None = Field(
        description="JavaScript: a loader for next/image that lets the server choose the format; null if "
        "its URLs are not allowed.",
        examples=["export default function imageLoader({ src, width }) { ... }"],
    )
    css: str = Field(
        description="CSS: a background with an image-set, half as wide as the widest rendition.",
        examples=['.picture { background-image: image-set(url("...") type("image/avif") 2x, ...) }'],
    )
    placeholder: str | None = Field(
        description="An image to show while the rendition loads: a data URI of about 300 characters.",
        examples=["data:image/png;base64,iVBORw0KGgo="],
    )
    width: int = Field(description="Width of the widest rendition, in pixels.")
    height: int
    left_out: list[str] = Field(
        description="Renditions that are left out, and why.",
        examples=[["w=641,fm=webp: expected a signing key in IMAGE_PROCESSOR_SIGNING_KEYS, got none"]],
    )

    @classmethod
    def of(cls, markup: Markup) -> Self:
        return cls(
            **{name: getattr(markup, name) for name in cls.model_fields if name != "left_out"},
            left_out=list(markup.left_out),
        )


def _metadata(metadata: ImageMetadata) -> dict[str, Any]:
    return {name: getattr(metadata, name) for name in MetadataModel.model_fields}
