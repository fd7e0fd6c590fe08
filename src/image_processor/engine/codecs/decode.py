"""Opens originals and yields their frames, shrunk while decoding where the format can.

Also the one place where an error of libvips while reading becomes a reason for refusal. Its text is not
passed on, since it may quote the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import Format
from image_processor.domain.geometry import Size

from .codec import Codec, DecodeOptions, FailOn, load
from .registry import CODECS

# Parts of libvips' messages, by reason; the first that occurs decides, CORRUPT where none does.
# Truncation that shows in the file's structure has been found by the codec before.
_ERROR_PATTERNS = (
    ("premature end", Reason.TRUNCATED),  # libjpeg
    ("unexpected end", Reason.TRUNCATED),  # libnsgif, libheif
    ("bad seek", Reason.TRUNCATED),  # libtiff, at an offset behind the end
    ("read error at", Reason.TRUNCATED),  # libtiff, in the last strip
    ("cannot read tiff header", Reason.TRUNCATED),
    ("io error during reading", Reason.TRUNCATED),  # libtiff, in the directory
    ("security limit", Reason.TOO_MANY_PIXELS),  # libheif's own limits on memory
)

# What libvips and its libraries report where an allocation failed.
_OUT_OF_MEMORY = ("memory", "failed to allocate")

_MESSAGES = {
    Reason.TRUNCATED: "expected a complete {0}, got one that ends early",
    Reason.TOO_MANY_PIXELS: "expected a {0} within the decoder's limits, got a larger one",
    Reason.CORRUPT: "expected a valid {0}, got one that the decoder rejects",
}


def open_original(
    data: bytes,
    format_: Format,
    *,
    shrink: int = 1,
    first: int = 0,
    count: int = 1,
    fail_on: FailOn = FailOn.ERROR,
    target: Size | None = None,
) -> pyvips.Image:
    """Open ``data`` for one sequential pass; libvips reads the header only.

    ``shrink`` (1, 2, 4, 8) divides both sides while decoding, where the decoder can: JPEG and still
    WebP. Others open at full size, except a vector drawing, which is made to cover ``target``.
    ``count`` frames of an animation, from the 0-based ``first``, are stacked from top to bottom; -1
    means all that follow. A TIFF opens one page at a time; other formats have one image.
    ``fail_on`` says what ends decoding.
    Optional packages decode here and now. Raises Refused as `translate_errors` does.
    """
    options = DecodeOptions(shrink=shrink, first=first, count=count, fail_on=fail_on, target=target)
    with translate_errors(format_, fail_on):
        return open_encoded(CODECS[format_.name], data, options)


def open_encoded(codec: Codec, data: bytes, options: DecodeOptions) -> pyvips.Image:
    """As `open_original`, but raises pyvips.Error, and leaves the messages of other threads as they are."""
    if codec.open is not None:
        return codec.open(data, options)
    assert codec.loader is not None
    return load(
        codec.loader,
        data,
        access="sequential",
        fail_on=options.fail_on,
        **codec.load_options(options),
    )


def first_warning(codec: Codec, data: bytes) -> str:
    """The first warning or error of the decoder, in lower case; empty if there is none."""
    pyvips.vips_lib.vips_error_clear()
    try:
        open_encoded(codec, data, DecodeOptions(fail_on=FailOn.WARNING)).copy_memory()
    except pyvips.Error as error:
        return str(error.detail).lower()
    return _messages()


def without_bands(opened: pyvips.Image, count: int) -> pyvips.Image:
    """``opened`` without its last ``count`` bands."""
    return opened[: opened.bands - count] if count else opened


def frames_of(opened: pyvips.Image, count: int) -> Iterator[pyvips.Image]:
    """The ``count`` frames stacked in ``opened``, in order. Use each before requesting the next: the
    file is read once, from top to bottom."""
    if count == 1:
        yield opened
        return
    height = opened.height // count
    for index in range(count):
        yield opened.crop(0, index * height, opened.width, height)


@contextmanager
def translate_errors(format_: Format, fail_on: FailOn = FailOn.ERROR) -> Iterator[None]:
    """Turn what libvips raises while it reads into Refused: TRUNCATED, TOO_MANY_PIXELS or CORRUPT, for a
    decoder's warning into DecoderWarning. For a file whose damage is known, TRUNCATED is the reason."""
    truncated = fail_on is FailOn.NONE
    # libvips accumulates messages, also those of other images, until they are read.
    pyvips.vips_lib.vips_error_clear()
    try:
        yield
        raise_late_warning(format_, fail_on)
    except pyvips.Error as error:
        reason = Reason.TRUNCATED if truncated else _reason(error.detail.lower())
        reason = Reason.TOO_MANY_PIXELS if is_out_of_memory(error) else reason
        message = _MESSAGES[reason].format(format_.name)
        if fail_on is FailOn.WARNING and reason is not Reason.TOO_MANY_PIXELS:
            raise DecoderWarning(
                Refused(reason, message), harmless=_is_harmless(error.detail.lower())
            ) from None
        raise Refused(reason, message) from None
    except UnicodeDecodeError:
        # libvips' message quotes the file, and pyvips decodes it as UTF-8.
        reason = Reason.TRUNCATED if truncated else Reason.CORRUPT
        raise Refused(reason, _MESSAGES[reason].format(format_.name)) from None


def raise_late_warning(format_: Format, fail_on: FailOn) -> None:
    """Raise DecoderWarning where pixels were decoded with a warning that did not end decoding: libvips looks
    for them before each strip of lines, so not behind the last.

    To be called within `translate_errors` as soon as pixels are in memory, since `Image.new_from_memory`
    clears the messages. They are those of all threads, but only one of a renderer decodes.
    """
    text = _messages()
    if fail_on is not FailOn.WARNING or _DAMAGE not in text:
        return
    reason = _reason(text)
    refusal = Refused(reason, _MESSAGES[reason].format(format_.name))
    raise DecoderWarning(refusal, harmless=_is_harmless(text))


def _messages() -> str:
    """What libvips has to say of its decoders, in lower case."""
    text: bytes = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return text.decode(errors="replace").lower()


_DAMAGE = "corrupt jpeg data"


class DecoderWarning(Exception):
    """The decoder has warned or failed, for `probe.decode_tolerantly`. ``harmless`` says that no pixel is
    wrong; ``refusal`` is the error if that is not tolerated."""

    def __init__(self, refusal: Refused, *, harmless: bool) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.harmless = harmless


# libjpeg's warnings about what every browser shows, and what cameras have written for decades.
_HARMLESS = ("extraneous bytes before marker", "unknown adobe color transform", "jfif revision number")


def _is_harmless(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and "load error" not in line]
    return bool(lines) and all(any(part in line for part in _HARMLESS) for line in lines)


def is_out_of_memory(error: pyvips.Error) -> bool:
    """Whether an allocation failed, in libvips or a library below it."""
    return any(part in error.detail.lower() for part in _OUT_OF_MEMORY)


def _reason(text: str) -> Reason:
    return next((reason for part, reason in _ERROR_PATTERNS if part in text), Reason.CORRUPT)
