"""Ground floor: the one tree of errors. It knows nothing of HTTP or exit codes;
one table at each edge maps a class to a status. Each class says whether a retry can help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Self

from msgspec import Struct


class Reason(StrEnum):
    """Why an upload was refused: a closed list, stored in records and told to clients."""

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
    OVERLAY_MISSING = "overlay-missing"
    OVERLAY_REFUSED = "overlay-refused"
    NO_FONT = "no-font"


FIXES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.EMPTY: "Send the file's bytes; this upload had none.",
        Reason.NOT_AN_IMAGE: "Send a JPEG, PNG, WebP, AVIF, GIF or TIFF file; only the content counts.",
        Reason.UNSUPPORTED_FORMAT: "Convert it to JPEG, PNG, WebP, AVIF, GIF or TIFF first, "
        "or make it readable: HEIC and JPEG XL need a package, SVG needs IMAGE_PROCESSOR_SVG=1.",
        Reason.TRUNCATED: "Send the file again: its end is missing.",
        Reason.CORRUPT: "Open and save it in an image editor, then send the new file.",
        Reason.TOO_MANY_BYTES: "Send a smaller file, or raise IMAGE_PROCESSOR_MAX_BYTES.",
        Reason.TOO_MANY_PIXELS: "Send a smaller picture, or raise IMAGE_PROCESSOR_MAX_PIXELS.",
        Reason.TOO_MANY_FRAMES: "Send a shorter animation, or raise IMAGE_PROCESSOR_MAX_FRAMES.",
        Reason.TOO_MANY_SCANS: "Save it as a baseline JPEG, or raise IMAGE_PROCESSOR_MAX_SCANS.",
        Reason.OUTPUT_TOO_LARGE: "Ask for smaller renditions, or raise IMAGE_PROCESSOR_MAX_OUTPUT_PIXELS.",
        Reason.REGION_OUTSIDE: "Send a larger picture, or ask for a region in shares of its sides.",
        Reason.TOO_SLOW: "Send a simpler picture, or raise IMAGE_PROCESSOR_CPU_SECONDS.",
        Reason.DECODER_CRASHED: "Open and save it in an image editor, then send the new file.",
        Reason.ENGINE_FAILED: "Report it with the server's log; the next version tries it again.",
        Reason.OUTSIDE_ROOT: "Copy the file into the upload directory instead of linking to it.",
        Reason.OVERLAY_MISSING: "Upload the image that the message names, or correct its key in the recipe.",
        Reason.OVERLAY_REFUSED: "Upload another image under the key that the message names.",
        Reason.NO_FONT: "Set IMAGE_PROCESSOR_FONTS to a directory of font files.",
    }
)
"""What can be done about each refusal."""


class Problem(Struct, frozen=True):
    """One mistake in what somebody wrote: where, what was expected, what came.

    ``line`` is the 1-based line of a file, or None where there is no file.
    """

    name: str
    expected: str
    got: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}expected {self.expected} for {self.name}, got {self.got}"


class ImageProcessorError(Exception):
    """Root of the tree. ``code`` is stable and machine-readable; ``retryable`` decides the queue."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class Invalid(ImageProcessorError):
    """Something a caller wrote is wrong; ``problems`` holds every mistake found, not only the first."""

    code: ClassVar[str] = "invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[Invalid], tuple[tuple[Problem, ...]]]:
        # By default an exception is pickled by its message, which is not what __init__ takes.
        return (type(self), (self.problems,))

    @classmethod
    def one(cls, name: str, expected: str, got: object) -> Self:
        """The error for a single mistake; ``got`` is shown as Python would show it."""
        return cls([Problem(name, expected, repr(got))])


class InvalidKey(Invalid):
    code: ClassVar[str] = "invalid-key"


class InvalidTransformation(Invalid):
    code: ClassVar[str] = "invalid-transformation"


class InvalidRequest(Invalid):
    """A URL that asks for a rendition says something that cannot be."""

    code: ClassVar[str] = "invalid-request"


class InvalidRecipe(Invalid):
    code: ClassVar[str] = "invalid-recipe"


class InvalidSettings(Invalid):
    code: ClassVar[str] = "invalid-settings"


class Refused(ImageProcessorError):
    """These bytes will never become renditions; recorded with its reason and not retried."""

    code: ClassVar[str] = "refused"

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")

    def __reduce__(self) -> tuple[type[Refused], tuple[Reason, str]]:
        # As for Invalid: what __init__ takes is not the message.
        return (Refused, (self.reason, self.message))


class Forbidden(ImageProcessorError):
    """A URL asks for what only a signature opens, and brings none that does."""

    code: ClassVar[str] = "forbidden"
    fix: ClassVar[str] = "Ask for a rendition that the recipe declares, or sign the URL."


class SignatureMissing(Forbidden):
    code: ClassVar[str] = "signature-missing"


class SignatureMismatch(Forbidden):
    code: ClassVar[str] = "signature-mismatch"
    fix: ClassVar[str] = "Sign the URL again: it, or its signature, was changed."


class SignatureExpired(Forbidden):
    code: ClassVar[str] = "signature-expired"
    fix: ClassVar[str] = "Sign the URL again, with a later end."


class SignatureKeyUnknown(Forbidden):
    code: ClassVar[str] = "signature-key-unknown"
    fix: ClassVar[str] = "Sign the URL with a key that is in use."


class SizeNotAllowed(Forbidden):
    code: ClassVar[str] = "size-not-allowed"
    fix: ClassVar[str] = "Ask for a size that is allowed."


class BucketNotAllowed(Forbidden):
    """A URL of a dialect names a bucket that is not ours to show."""

    code: ClassVar[str] = "bucket-not-allowed"
    fix: ClassVar[str] = "Leave the bucket out, or name it in IMAGE_PROCESSOR_BUCKETS."


class NotFound(ImageProcessorError):
    """No object under that key, or no record under that id."""

    code: ClassVar[str] = "not-found"


class PreconditionFailed(ImageProcessorError):
    """A conditional write found another version than the one it named; nothing was written."""

    code: ClassVar[str] = "precondition-failed"
    retryable: ClassVar[bool] = True


class LeaseBusy(ImageProcessorError):
    """Another worker holds a live claim on the key."""

    code: ClassVar[str] = "claim-busy"
    retryable: ClassVar[bool] = True


class LeaseLost(ImageProcessorError):
    """The claim expired and somebody else took the key over; this worker's result must not count."""

    code: ClassVar[str] = "claim-lost"
    retryable: ClassVar[bool] = True


class Unavailable(ImageProcessorError):
    """A store, catalog or worker could not answer now; the same call may succeed later."""

    code: ClassVar[str] = "unavailable"
    retryable: ClassVar[bool] = True


class Overloaded(Unavailable):
    """Too much is waiting already; nothing was begun."""

    code: ClassVar[str] = "overloaded"


class UnsafeRuntime(ImageProcessorError):
    """This libvips cannot be made safe for untrusted input; the program must not start."""

    code: ClassVar[str] = "unsafe-runtime"


class MissingExtra(ImageProcessorError):
    """What was asked for needs an optional package that is not installed; the message tells the cure."""

    code: ClassVar[str] = "missing-extra"

    @classmethod
    def of(cls, package: str, purpose: str, extra: str) -> Self:
        """``extra`` is the group of pyproject.toml that brings ``package``, for ``purpose``."""
        cure = f"pip install 'image-processor[{extra}]'"
        return cls(f"expected {package} to be installed for {purpose}, got none: {cure}")
