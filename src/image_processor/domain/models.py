"""The frozen values that pass through ingest and delivery, from upload to record.

An `Upload` says that a key may have changed, a `Plan` what should exist for it, a `Record` what
exists. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import force_setattr

from .errors import Reason
from .formats import FORMATS
from .transformation import ON_DEMAND, Transformation


class UploadKind(StrEnum):
    """Why a key is processed.

    Events are hints: the state of the upload store decides what happens. Only REPROCESS changes that: it
    renders every rendition again.
    """

    CREATED = "created"
    DELETED = "deleted"
    RECONCILE = "reconcile"
    REPROCESS = "reprocess"


class Upload(Struct, frozen=True):
    """The normalised event: the object ``key`` may have changed.

    ``sequencer`` orders the events of one key (hexadecimal, from S3). ``version`` is the object's
    version according to the source. Both are None if the source does not give them.
    """

    bucket: str
    key: str
    kind: UploadKind = UploadKind.CREATED
    version: str | None = None
    sequencer: str | None = None

    def __post_init__(self) -> None:
        # S3 compares sequencers right-aligned ("Event message structure"). Padded to one length, they
        # compare the same as strings in Python, SQL and DynamoDB.
        if self.sequencer is not None:
            force_setattr(self, "sequencer", self.sequencer.lower().rjust(32, "0"))


class TruncatedPolicy(StrEnum):
    """What to do with a file that ends early, and with a JPEG that is damaged."""

    STRICT = "strict"
    """Refuse it."""
    LENIENT = "lenient"
    """Decode what is there of a JPEG, GIF or TIFF, and of a PNG that is not interlaced."""


class Limits(Struct, frozen=True):
    """What the engine accepts; it checks an input before it spends memory or time on it.

    Pixels are width x height x frames, read from the header. ``max_memory`` is the memory that decoding may
    take, estimated from the header. ``cpu_seconds`` is the CPU time of one
    render in all its threads. Without ``svg``, SVG is refused.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frames: int = 500
    max_scans: int = 100
    max_output_pixels: int = 50_000_000
    max_memory: int = 512 * 1024 * 1024
    cpu_seconds: int = 60
    svg: bool = False
    truncated: TruncatedPolicy = TruncatedPolicy.STRICT

    def __post_init__(self) -> None:
        # The isolated child reads it from JSON, as a string.
        force_setattr(self, "truncated", TruncatedPolicy(self.truncated))


class IccPolicy(StrEnum):
    """What to do with the colour profile of an original."""

    STRIP = "strip"
    """Convert to sRGB and embed no profile: the smallest files; viewers assume sRGB."""
    EMBED = "embed"
    """Convert to sRGB and embed an sRGB profile."""
    PRESERVE = "preserve"
    """Keep RGB pixels in their own colour space and embed its profile; other spaces as EMBED."""


class SandboxPolicy(StrEnum):
    """Whether the processes that decode originals enter a sandbox."""

    AUTO = "auto"
    """As far as the system has one. What is missing is logged."""
    REQUIRED = "required"
    """Originals are decoded in a complete sandbox, or not at all."""
    OFF = "off"


class ExifField(StrEnum):
    """The EXIF fields that a record may keep, each only if the settings ask for it.

    The order is that of records. Values are text: `exposure_time` in seconds (`1/250`), `focal_length`
    in millimetres, `taken_at` in ISO 8601, `gps` as latitude and longitude in degrees.
    """

    MAKE = "make"
    MODEL = "model"
    LENS = "lens"
    TAKEN_AT = "taken_at"
    EXPOSURE_TIME = "exposure_time"
    F_NUMBER = "f_number"
    ISO = "iso"
    FOCAL_LENGTH = "focal_length"
    ORIENTATION = "orientation"
    SOFTWARE = "software"
    ARTIST = "artist"
    COPYRIGHT = "copyright"
    DESCRIPTION = "description"
    GPS = "gps"


Exif = tuple[tuple[str, str], ...]
"""EXIF fields of an original: names of ExifField with their values."""


class KeepSmaller(StrEnum):
    """What `keep_smaller` did for a rendition in its original's format and size. Either the original's coded
    data is sent, or there is a reason why it is not, although the rendition has more bytes."""

    KEPT = "kept"
    """The coded data of the original without its metadata: a new encoding has more bytes."""
    PIXELS = "pixels"
    """The rendition has other pixels: colours were converted, or a parameter changes them."""
    ORIENTATION = "orientation"
    """EXIF orientation was applied."""
    COLOUR = "colour"
    """The file has a colour space that the ICC policy does not keep, or that this format cannot be given."""
    OPTIONS = "options"
    """The transformation asks for another encoding: `prog` or `colours`."""
    DAMAGED = "damaged"
    """The file ends early or is damaged."""
    STRUCTURE = "structure"
    """The file has parts that cannot be distinguished from metadata."""
    PROFILE = "profile"
    """With the profile that the ICC policy embeds, the coded data has more bytes too."""


KEEP_SMALLER = "keep-smaller"
"""Metadata key: KeepSmaller, where it is not None."""


class ImageMetadata(Struct, frozen=True):
    """The properties of an encoded image."""

    width: int
    """Pixels of one upright frame, as ``height``."""
    height: int
    format: str
    frames: int
    alpha: bool
    """False also for an alpha channel that was decoded and found opaque."""
    bytes: int
    sha256: str
    truncated: bool = False
    """Whether the file ends early, or is damaged, and was accepted nevertheless."""
    keep_smaller: KeepSmaller | None = None
    """None for originals, and for renditions of another size or format, or of fewer bytes."""
    file_frames: int | None = None
    """How many frames an animated file has that is read as a still; None for all others."""

    @property
    def media_type(self) -> str:
        return FORMATS[self.format].media_type

    @property
    def object_metadata(self) -> dict[str, str]:
        """The metadata that a stored object has of it."""
        kept = {KEEP_SMALLER: self.keep_smaller.value} if self.keep_smaller else {}
        return {"sha256": self.sha256, **kept}


class VisualSummary(Struct, frozen=True):
    """Compact descriptions of what an original looks like.

    Records of earlier versions lack the fields with defaults until the original is processed again.
    """

    dominant_colour: str
    """`#rrggbb`."""
    thumbhash: str
    """Base64 of the ThumbHash."""
    perceptual_hash: str
    """16 hex digits of a 64-bit DCT hash. Similar images differ in few bits."""
    blurhash: str | None = None
    """The BlurHash."""
    palette: tuple[str, ...] = ()
    """Up to six colours `#rrggbb`, the most frequent first."""
    focus: tuple[float, float] | None = None
    """The most striking point: x and y as fractions (0-1) of width and height."""

    def __post_init__(self) -> None:
        # Read from JSON, tuples are lists.
        force_setattr(self, "palette", tuple(self.palette))
        if self.focus is not None:
            x, y = self.focus
            force_setattr(self, "focus", (x, y))


class RenderedImage(Struct, frozen=True):
    """One rendition before it is stored: its transformation, the encoded bytes, their properties."""

    transformation: Transformation
    body: bytes
    metadata: ImageMetadata


class Timings(Struct, frozen=True):
    """Wall-clock seconds of the parts of a render, each summed over all renditions.

    ``decode`` is the time from the header to the pixels of every level, ``render`` the operations on
    them, ``encode`` the encoders. A rendition of more than 2 megapixels is rendered while it is
    encoded, which counts as ``encode``.
    """

    decode: float = 0.0
    render: float = 0.0
    encode: float = 0.0


class Rendered(Struct, frozen=True):
    """The engine's result for one original. ``summary`` is None and ``exif`` empty unless requested."""

    original: ImageMetadata
    summary: VisualSummary | None
    renditions: tuple[RenderedImage, ...]
    exif: Exif = ()
    timings: Timings = Timings()


class Focus(Struct, frozen=True):
    """The point that a person has set for crops with `g=focus`: fractions (0-1) of width and height of the
    upright original. It applies to files with this SHA-256 alone: others show something else there."""

    x: float
    y: float
    sha256: str

    def __str__(self) -> str:
        return f"{self.x}:{self.y}@{self.sha256}"


class Rendition(Struct, frozen=True):
    """One stored rendition. ``version`` is the version of the object in the processed store."""

    key: str
    transformation: str
    metadata: ImageMetadata = field(name="facts")
    version: str


class Status(StrEnum):
    PROCESSING = "processing"
    """In work for the first time, not finished yet."""
    PROCESSED = "processed"
    REFUSED = "refused"


class Record(Struct, frozen=True):
    """The catalog's record of one original. Times are UTC."""

    id: str
    bucket: str
    key: str
    created_at: datetime
    updated_at: datetime
    status: Status = Status.PROCESSING
    version: str | None = None
    sequencer: str | None = None
    fingerprint: str | None = None
    """Identifies the plan that made the renditions. With another fingerprint they are stale."""
    reason: Reason | None = None
    message: str | None = None
    original: ImageMetadata | None = None
    summary: VisualSummary | None = None
    renditions: tuple[Rendition, ...] = ()
    revision: int = 0
    """Counts completions: 1 after the first."""
    exif: Exif = ()
    focus: Focus | None = None
    """A person's choice and no outcome of processing: only `Catalog.set_focus` changes it."""

    def focus_of(self, version: str | None) -> Focus | None:
        """The focus, if the original in ``version`` is the file that it was set for; None if the record knows
        another version."""
        if self.focus is None or self.original is None or self.version != version:
            return None
        return self.focus if self.original.sha256 == self.focus.sha256 else None

    @property
    def processed(self) -> Rendition | None:
        """The rendition to show first: the largest one, in the most widely supported format, among those that
        need no signed URL. If all need one, the largest of them."""

        def weight(rendition: Rendition) -> tuple[bool, int, int]:
            metadata = rendition.metadata
            public = not rendition.key.rpartition("/")[2].startswith(ON_DEMAND)
            return public, metadata.width * metadata.height, FORMATS[metadata.format].compatibility

        return max(self.renditions, key=weight, default=None)

    @property
    def saving(self) -> float | None:
        """The fraction of the original's bytes that its largest rendition saves, in its smallest format:
        negative if that has more. None without renditions."""
        if self.original is None or not self.original.bytes or not self.renditions:
            return None
        found = [rendition.metadata for rendition in self.renditions]
        largest = max(metadata.width * metadata.height for metadata in found)
        least = min(metadata.bytes for metadata in found if metadata.width * metadata.height == largest)
        return 1 - least / self.original.bytes


class MessageKind(StrEnum):
    """What a message of the outbox is for."""

    EVENT = "event"
    """The outcome of work on one original, for the receivers of events."""
    INVALIDATION = "invalidation"
    """The CDN must drop the renditions of one original."""


class OutboxMessage(Struct, frozen=True):
    """A message about the original ``key`` that is stored with its record until it has been sent.

    ``id`` identifies the message however often it is sent. ``body`` is the JSON of an event, and empty
    for an invalidation.
    """

    id: str
    kind: MessageKind
    key: str
    created_at: datetime
    body: str = ""


class Lease(Struct, frozen=True):
    """The right to work on one key until ``expires_at``. ``token`` is unique to this lease.

    ``record`` is the record as it was when the lease was acquired; PROCESSING for a new key. ``unsent``
    are the messages in the key's outbox at that moment.
    """

    image_id: str
    token: str
    owner: str
    expires_at: datetime
    record: Record
    unsent: tuple[OutboxMessage, ...] = ()


class Plan(Struct, frozen=True):
    """What should exist for one key: the transformations of its renditions."""

    key: str
    transformations: tuple[Transformation, ...] = ()
    fingerprint: str = ""
    """Identifies everything that decides about the pixels of the renditions."""
    skip: str | None = None
    """Why there should be no renditions; None if there should be some."""
    overlay_versions: tuple[tuple[str, str | None], ...] = ()
    """The version of each overlay image by its key; None for an image that does not exist."""
    cache_control: str = ""
    """The header that the renditions are stored with."""
    lazy: Mapping[str, Transformation] = field(default_factory=dict)
    """The renditions that are made at their first view, by stored key."""
    focus: Focus | None = None
    """That of the record, whichever file it was set for."""


class OutcomeStatus(StrEnum):
    """How work on one upload ended."""

    PROCESSED = "processed"
    REFUSED = "refused"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    SKIPPED = "skipped"


class Outcome(Struct, frozen=True):
    """The result of work on one upload. ``record`` is None after DELETED and SKIPPED. ``unsent`` are
    the messages that were in the key's outbox when the work ended."""

    key: str
    status: OutcomeStatus
    record: Record | None = None
    detail: str | None = None
    unsent: tuple[OutboxMessage, ...] = ()
