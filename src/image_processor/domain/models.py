"""Ground floor: the frozen values that flow through the picture, from upload to record.

An `Upload` says that a key may have changed; a `Plan` says what should exist; a `Record` says
what does. Nothing here does I/O.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import force_setattr

from .errors import Reason
from .formats import FORMATS
from .transformation import Transformation


class UploadKind(StrEnum):
    """Why somebody thinks a key needs a look. Told to people, not obeyed: the store's state
    decides. Only REPROCESS asks for something else: every rendition anew, whatever is there."""

    CREATED = "created"
    DELETED = "deleted"
    RECONCILE = "reconcile"
    REPROCESS = "reprocess"


class Upload(Struct, frozen=True):
    """The normalised event: something may have happened to ``key``.

    ``sequencer`` orders events of one key (S3's, hexadecimal); None where the source has none.
    ``version`` is what the source claims to be the object's version; None where it does not say.
    """

    bucket: str
    key: str
    kind: UploadKind = UploadKind.CREATED
    version: str | None = None
    sequencer: str | None = None

    def __post_init__(self) -> None:
        # S3 compares sequencers right-aligned ("Event message structure"); padded, plain string
        # comparison does the same in Python, SQL and DynamoDB.
        if self.sequencer is not None:
            force_setattr(self, "sequencer", self.sequencer.lower().rjust(32, "0"))


class TruncatedPolicy(StrEnum):
    """What becomes of a file that ends early."""

    STRICT = "strict"
    """Refuse it: half a picture is worse than none."""
    LENIENT = "lenient"
    """Take what is there of a JPEG, GIF or TIFF, and of a PNG that is not interlaced."""


class Limits(Struct, frozen=True):
    """What the engine accepts before it spends memory or time on an input.

    Pixels are width x height x frames, read from the header. ``cpu_seconds`` is CPU time of one
    render over all its threads. ``svg`` lets SVG be drawn at all.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frames: int = 500
    max_scans: int = 100
    max_output_pixels: int = 50_000_000
    cpu_seconds: int = 60
    svg: bool = False
    truncated: TruncatedPolicy = TruncatedPolicy.STRICT

    def __post_init__(self) -> None:
        # The isolated child reads it from JSON, as text.
        force_setattr(self, "truncated", TruncatedPolicy(self.truncated))


class IccPolicy(StrEnum):
    """What becomes of the input's colour profile."""

    STRIP = "strip"
    """Convert to sRGB, embed no profile: smallest, and right wherever untagged means sRGB."""
    EMBED = "embed"
    """Convert to sRGB and embed an sRGB profile."""
    PRESERVE = "preserve"
    """Keep RGB pixels in the input's own space and embed its profile; other spaces as EMBED."""


class ExifField(StrEnum):
    """What may be kept of an original's EXIF, each only on request. The order is that of records.

    Values are text: `exposure_time` in seconds (`1/250`), `focal_length` in millimetres, `taken_at`
    in ISO 8601, `gps` as latitude and longitude in degrees.
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
"""What was kept of an original's EXIF: names of ExifField with their values."""


class ImageMetadata(Struct, frozen=True):
    """What is true of encoded image bytes. Sizes are pixels of one upright frame. ``truncated`` says
    that they end early and that what was there was taken all the same."""

    width: int
    height: int
    format: str
    frames: int
    alpha: bool
    bytes: int
    sha256: str
    truncated: bool = False

    @property
    def media_type(self) -> str:
        return FORMATS[self.format].media_type


class VisualSummary(Struct, frozen=True):
    """Cheap facts about what an original looks like.

    ``dominant_colour`` is `#rrggbb`; ``thumbhash`` is base64 of the ThumbHash bytes;
    ``perceptual_hash`` is 16 hex digits of a 64-bit DCT hash (near pictures differ in few bits);
    ``palette`` holds up to six colours `#rrggbb`, the most frequent first; ``focus`` is where the
    eye goes, x and y as parts (0-1) of width and height. Records of earlier versions lack the
    fields that have defaults, until the original is processed again.
    """

    dominant_colour: str
    thumbhash: str
    perceptual_hash: str
    blurhash: str | None = None
    palette: tuple[str, ...] = ()
    focus: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        # JSON, in which looks travel and are kept, has lists where we have tuples.
        force_setattr(self, "palette", tuple(self.palette))
        if self.focus is not None:
            x, y = self.focus
            force_setattr(self, "focus", (x, y))


class RenderedImage(Struct, frozen=True):
    """One rendition before it is stored: what was asked for, the encoded bytes, the facts."""

    transformation: Transformation
    body: bytes
    metadata: ImageMetadata


class Timings(Struct, frozen=True):
    """Wall-clock seconds that the parts of a render took, each added up over all renditions.

    ``decode`` is from the header to the pixels of every level, ``render`` all steps on them, ``encode``
    the encoders. A rendition of more than 2 megapixels is rendered while it is encoded: its steps
    count as encoding.
    """

    decode: float = 0.0
    render: float = 0.0
    encode: float = 0.0


class Rendered(Struct, frozen=True):
    """What the engine made of one original. ``summary`` is None and ``exif`` empty where they were
    not asked for."""

    original: ImageMetadata
    summary: VisualSummary | None
    renditions: tuple[RenderedImage, ...]
    exif: Exif = ()
    timings: Timings = Timings()


class Rendition(Struct, frozen=True):
    """One stored output. ``version`` is the processed store's version of the object."""

    key: str
    transformation: str
    metadata: ImageMetadata = field(name="facts")
    version: str


class Status(StrEnum):
    PROCESSING = "processing"
    """Claimed for the first time and not finished yet."""
    PROCESSED = "processed"
    REFUSED = "refused"


class Record(Struct, frozen=True):
    """The catalog's row of one original.

    ``fingerprint`` names the plan it was made by; another fingerprint means stale work.
    ``revision`` counts completions: 1 after the first. Times are UTC.
    """

    id: str
    bucket: str
    key: str
    created_at: datetime
    updated_at: datetime
    status: Status = Status.PROCESSING
    version: str | None = None
    sequencer: str | None = None
    fingerprint: str | None = None
    reason: Reason | None = None
    message: str | None = None
    original: ImageMetadata | None = None
    summary: VisualSummary | None = None
    renditions: tuple[Rendition, ...] = ()
    revision: int = 0
    exif: Exif = ()

    @property
    def processed(self) -> Rendition | None:
        """The rendition to show first: the largest one in the format most widely read."""

        def weight(rendition: Rendition) -> tuple[int, int]:
            facts = rendition.metadata
            return facts.width * facts.height, FORMATS[facts.format].compatibility

        return max(self.renditions, key=weight, default=None)


class Lease(Struct, frozen=True):
    """The right to work on one key until ``expires_at``; ``token`` is unique to this claim.

    ``record`` is the row as it stood when the claim was taken: PROCESSING for a new key.
    """

    image_id: str
    token: str
    owner: str
    expires_at: datetime
    record: Record


class Plan(Struct, frozen=True):
    """What should exist for one key: renditions by transformation, or why nothing should.

    ``overlay_versions`` holds the version of each overlay image by its key; None if it does not exist."""

    key: str
    transformations: tuple[Transformation, ...] = ()
    fingerprint: str = ""
    skip: str | None = None
    overlay_versions: tuple[tuple[str, str | None], ...] = ()


class OutcomeStatus(StrEnum):
    """How work on one upload ended."""

    PROCESSED = "processed"
    REFUSED = "refused"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    SKIPPED = "skipped"


class Outcome(Struct, frozen=True):
    """What became of one upload. ``record`` is None after DELETED and SKIPPED."""

    key: str
    status: OutcomeStatus
    record: Record | None = None
    detail: str | None = None
