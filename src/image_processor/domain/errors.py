"""The tree of errors.

Each class says whether a retry can help. The API maps classes to HTTP statuses, the CLI to exit codes;
nothing here knows of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Self

from msgspec import Struct
from msgspec.structs import force_setattr

from .formats import READABLE_TITLES
from .redaction import printable


class Reason(StrEnum):
    """Why an upload was refused. The values are stored in records and sent to clients."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_BYTES = "too-many-bytes"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_MANY_FRAMES = "too-many-frames"
    TOO_MANY_SCANS = "too-many-scans"
    OUTPUT_TOO_LARGE = "output-too-large"
    REGION_OUTSIDE = "region-outside"
    TOO_SLOW = "too-slow"
    DECODER_CRASHED = "decoder-crashed"
    ENGINE_FAILED = "engine-failed"
    OUTSIDE_ROOT = "outside-root"
    UNREADABLE = "unreadable"
    OVERLAY_MISSING = "overlay-missing"
    OVERLAY_REFUSED = "overlay-refused"
    NO_FONT = "no-font"


FIXES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.EMPTY: "Send the file's bytes; this upload had none.",
        Reason.NOT_AN_IMAGE: f"Send a {READABLE_TITLES} file; only the content counts.",
        Reason.UNSUPPORTED_FORMAT: f"Convert it to {READABLE_TITLES} first, "
        "or enable its format: HEIC and JPEG XL need a package, SVG needs IMAGE_PROCESSOR_SVG=1.",
        Reason.TRUNCATED: "Send the file again: its end is missing. IMAGE_PROCESSOR_TRUNCATED=lenient shows "
        "what there is of a JPEG, PNG, GIF or TIFF.",
        Reason.CORRUPT: "Open and save it in an image editor, then send the new file.",
        Reason.TOO_MANY_BYTES: "Send a smaller file, or raise IMAGE_PROCESSOR_MAX_BYTES.",
        Reason.TOO_MANY_PIXELS: "Send a smaller image, or raise IMAGE_PROCESSOR_MAX_PIXELS; "
        "IMAGE_PROCESSOR_MAX_MEMORY where the message is about memory. A decoder's own limits stay.",
        Reason.TOO_MANY_FRAMES: "Send a shorter animation, or raise IMAGE_PROCESSOR_MAX_FRAMES.",
        Reason.TOO_MANY_SCANS: "Save it as a baseline JPEG, or raise IMAGE_PROCESSOR_MAX_SCANS.",
        Reason.OUTPUT_TOO_LARGE: "Request smaller renditions, or raise IMAGE_PROCESSOR_MAX_OUTPUT_PIXELS; "
        "max-bytes, or soft=1, where the message is about bytes.",
        Reason.REGION_OUTSIDE: "Send a larger image, or give the region in fractions of its sides.",
        Reason.TOO_SLOW: "Send a simpler image, or raise IMAGE_PROCESSOR_CPU_SECONDS.",
        Reason.DECODER_CRASHED: "Open and save it in an image editor, then send the new file.",
        Reason.ENGINE_FAILED: "Report it with the server's log; the next version will try again.",
        Reason.OUTSIDE_ROOT: "Copy the file into the upload directory instead of linking to it.",
        Reason.UNREADABLE: "Let the processor read it: file permissions, bucket policy, KMS key, or storage "
        "class. It is then found by reconcile.",
        Reason.OVERLAY_MISSING: "Upload the image that the message names, or correct its key in the recipe.",
        Reason.OVERLAY_REFUSED: "Upload another image under the key that the message names.",
        Reason.NO_FONT: "Set IMAGE_PROCESSOR_FONTS to a directory of font files.",
    }
)
"""What the user can do about each refusal."""


class Problem(Struct, frozen=True):
    """One problem in an input: what was expected for ``name``, and what was there.

    ``line`` is the line of the file, from 1; None if the input is not a file. ``name`` and ``got`` may be
    taken from the input: what is not printable in them is escaped.
    """

    name: str
    expected: str
    got: str
    line: int | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "name", printable(self.name))
        force_setattr(self, "got", printable(self.got))

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}expected {self.expected} for {self.name}, got {self.got}"


class ImageProcessorError(Exception):
    """The root of the tree. ``code`` is stable, for machines; a ``retryable`` error may not occur again."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class Invalid(ImageProcessorError):
    """An input is invalid. ``problems`` holds every problem found, not only the first."""

    code: ClassVar[str] = "invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[Invalid], tuple[tuple[Problem, ...]]]:
        # Pickle passes the message to __init__ by default.
        return (type(self), (self.problems,))

    @classmethod
    def one(cls, name: str, expected: str, got: object) -> Self:
        """The error for a single problem; the message shows the `repr` of ``got``."""
        return cls([Problem(name, expected, repr(got))])


class InvalidKey(Invalid):
    code: ClassVar[str] = "invalid-key"


class InvalidTransformation(Invalid):
    code: ClassVar[str] = "invalid-transformation"


class InvalidRequest(Invalid):
    """The URL of a rendition is invalid."""

    code: ClassVar[str] = "invalid-request"


class InvalidRecipe(Invalid):
    code: ClassVar[str] = "invalid-recipe"


class InvalidSettings(Invalid):
    code: ClassVar[str] = "invalid-settings"


class Refused(ImageProcessorError):
    """An upload that can never become renditions. It is recorded with the reason and not retried."""

    code: ClassVar[str] = "refused"

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")

    def __reduce__(self) -> tuple[type[Refused], tuple[Any, ...]]:
        return (Refused, (self.reason, self.message))


class Unreadable(Refused):
    """A store has the object and denies reading it, but answers for others: file permissions, an object of
    another owner, a KMS key, an archived object.

    ``version`` is the object's version, None if the store does not give it.
    """

    code: ClassVar[str] = "unreadable"

    def __init__(self, message: str, version: str | None = None) -> None:
        super().__init__(Reason.UNREADABLE, message)
        self.version = version

    def __reduce__(self) -> tuple[type[Refused], tuple[Any, ...]]:
        return (Unreadable, (self.message, self.version))


class Forbidden(ImageProcessorError):
    """The URL needs a valid signature and has none."""

    code: ClassVar[str] = "forbidden"
    fix: ClassVar[str] = "Request a rendition that the recipe declares, or sign the URL."


class SignatureMissing(Forbidden):
    code: ClassVar[str] = "signature-missing"


class SignatureMismatch(Forbidden):
    code: ClassVar[str] = "signature-mismatch"
    fix: ClassVar[str] = "Sign the URL again: it, or its signature, was changed."


class SignatureExpired(Forbidden):
    code: ClassVar[str] = "signature-expired"
    fix: ClassVar[str] = "Sign the URL again, with a later expiry."


class SignatureKeyUnknown(Forbidden):
    code: ClassVar[str] = "signature-key-unknown"
    fix: ClassVar[str] = "Sign the URL with a key that is in use."


class SizeNotAllowed(Forbidden):
    code: ClassVar[str] = "size-not-allowed"
    fix: ClassVar[str] = "Request an allowed size."


class BucketNotAllowed(Forbidden):
    """A URL of another product's grammar names a bucket that is not configured."""

    code: ClassVar[str] = "bucket-not-allowed"
    fix: ClassVar[str] = "Leave the bucket out, or name it in IMAGE_PROCESSOR_BUCKETS."


class SourceNotAllowed(Forbidden):
    """A URL is not below one of the remote sources, or redirects to where none is."""

    code: ClassVar[str] = "source-not-allowed"
    fix: ClassVar[str] = "Use a URL below one of IMAGE_PROCESSOR_REMOTE_SOURCES, or add its beginning there."


class AddressNotAllowed(SourceNotAllowed):
    """The host of a remote source has an address that is not public."""

    code: ClassVar[str] = "address-not-allowed"
    fix: ClassVar[str] = "If it is a host of your own network, name it in IMAGE_PROCESSOR_REMOTE_PRIVATE."


class NotWritable(Forbidden):
    """The API may not change what the request wants to change."""

    code: ClassVar[str] = "not-writable"
    fix: ClassVar[str] = "Change the file on the server, or allow it by the setting that the message names."


class NotFound(ImageProcessorError):
    """There is no object with the key, or no record with the id."""

    code: ClassVar[str] = "not-found"


class PreconditionFailed(ImageProcessorError):
    """A conditional write expected another version of the object; nothing was written."""

    code: ClassVar[str] = "precondition-failed"
    retryable: ClassVar[bool] = True


class LeaseBusy(ImageProcessorError):
    """Another worker holds an unexpired lease on the key."""

    code: ClassVar[str] = "claim-busy"
    retryable: ClassVar[bool] = True


class LeaseLost(ImageProcessorError):
    """The lease expired and another worker acquired the key; this worker must not write its result."""

    code: ClassVar[str] = "claim-lost"
    retryable: ClassVar[bool] = True


class ChecksumMismatch(ImageProcessorError):
    """The bytes of a request are not those that its checksum was made of. They are not kept."""

    code: ClassVar[str] = "checksum-mismatch"


class Unavailable(ImageProcessorError):
    """A store, catalog or worker failed; the same call may succeed later."""

    code: ClassVar[str] = "unavailable"
    retryable: ClassVar[bool] = True


class Overloaded(Unavailable):
    """The queue is full; the work was not started."""

    code: ClassVar[str] = "overloaded"


class ShareExceeded(Overloaded):
    """One client has as much of something limited as is left for all others; the work was not started."""

    code: ClassVar[str] = "share-exceeded"


class SourceFailed(Unavailable):
    """A remote source cannot be reached, takes too long, or does not send a whole file."""

    code: ClassVar[str] = "source-failed"


class InsufficientStorage(Unavailable):
    """The store or the catalog cannot take more: its disk is full or read-only, or a quota is reached."""

    code: ClassVar[str] = "insufficient-storage"


class CatalogDamaged(Unavailable):
    """The catalog's file is damaged. Records can be made again from what the stores hold."""

    code: ClassVar[str] = "catalog-damaged"

    @classmethod
    def of(cls, file: str, reason: str) -> Self:
        """The error for ``file``, of which SQLite says ``reason``."""
        fix = "stop the server and run `image-processor doctor --repair`, or delete the file: it is rebuilt"
        return cls(f"the catalog {file} is damaged ({reason}); {fix} from originals and renditions")


class AccessDenied(Unavailable):
    """A store denies a request; ``answer`` is its code or status. If it answers other requests, the denial of
    reading one object is Unreadable instead."""

    code: ClassVar[str] = "access-denied"

    def __init__(self, message: str, answer: str = "") -> None:
        self.answer = answer
        super().__init__(message)


class UnsafeRuntime(ImageProcessorError):
    """This libvips cannot be made safe for untrusted input, so the program must not start."""

    code: ClassVar[str] = "unsafe-runtime"


class MissingExtra(ImageProcessorError):
    """The request needs an optional package that is not installed; the message says how to install it."""

    code: ClassVar[str] = "missing-extra"

    @classmethod
    def of(cls, package: str, purpose: str, extra: str) -> Self:
        """The error for ``package``, which ``purpose`` needs and the extra ``extra`` installs."""
        command = f"pip install 'image-processor[{extra}]'"
        return cls(f"expected {package} to be installed for {purpose}, got none: {command}")
