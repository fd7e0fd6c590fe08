"""The focus of an original as a focal point of the image that is cropped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from image_processor.domain.geometry import Size
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import Focus, ImageMetadata, Record, RenderedImage
from image_processor.domain.transformation import parse
from image_processor.renditions.focus import FocusedPlan, with_focus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOCUS = Focus(0.2, 0.6, "v1")
SIZE = Size(400, 200)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("w=9,h=9,g=focus,fm=webp", "w=9,h=9,fp=0.2:0.6,fm=webp"),
        ("w=9,h=9,g=faces,fm=webp", "w=9,h=9,g=faces,fm=webp"),
        ("flip=h,w=9,h=9,g=focus,fm=webp", "flip=h,w=9,h=9,fp=0.8:0.6,fm=webp"),
        ("flip=v,w=9,h=9,g=focus,fm=webp", "flip=v,w=9,h=9,fp=0.2:0.4,fm=webp"),
        ("flip=hv,w=9,h=9,g=focus,fm=webp", "rot=180,w=9,h=9,fp=0.8:0.4,fm=webp"),
        ("rect=0.1:0.5:0.5:0.5,w=9,h=9,g=focus,fm=webp", "rect=0.1:0.5:0.5:0.5,w=9,h=9,fp=0.2:0.2,fm=webp"),
        ("rect=40:100:200:100,w=9,h=9,g=focus,fm=webp", "rect=40:100:200:100,w=9,h=9,fp=0.2:0.2,fm=webp"),
        ("rot=90,w=9,h=9,g=focus,fm=webp", "rot=90,w=9,h=9,fp=0.4:0.2,fm=webp"),
        ("rot=-90,w=9,h=9,g=focus,fm=webp", "rot=270,w=9,h=9,fp=0.6:0.8,fm=webp"),
        # A region ends with the image.
        ("rect=40:100:900:900,w=9,h=9,g=focus,fm=webp", "rect=40:100:900:900,w=9,h=9,fp=0.111:0.2,fm=webp"),
        # Not known, or outside: as attention.
        ("rect=0.5:0.5:0.5:0.5,w=9,h=9,g=focus,fm=webp", "rect=0.5:0.5:0.5:0.5,w=9,h=9,g=attention,fm=webp"),
        ("trim=1,w=9,h=9,g=focus,fm=webp", "trim=1,w=9,h=9,g=attention,fm=webp"),
        ("rot=9,w=9,h=9,g=focus,fm=webp", "rot=9,w=9,h=9,g=attention,fm=webp"),
        ("orient=0,w=9,h=9,g=focus,fm=webp", "orient=0,w=9,h=9,g=attention,fm=webp"),
    ],
)
def test_a_focus_is_where_the_cropped_image_has_it(text: str, rendered: str) -> None:
    assert str(with_focus(parse(text), FOCUS, SIZE)) == rendered


def test_without_a_focus_a_crop_keeps_the_most_salient_part() -> None:
    assert str(with_focus(parse("w=9,h=9,g=focus,fm=webp"), None, SIZE)) == "w=9,h=9,g=attention,fm=webp"


def test_pixels_of_an_original_of_unknown_size_are_not_guessed() -> None:
    item = parse("rect=40:100:200:100,w=9,h=9,g=focus,fm=webp")
    assert "g=attention" in str(with_focus(item, FOCUS, None))
    relative = parse("rect=0.1:0.5:0.5:0.5,w=9,h=9,g=focus,fm=webp")
    assert "fp=0.2:0.2" in str(with_focus(relative, FOCUS, None))


def test_what_is_the_same_picture_is_rendered_once_and_written_as_each() -> None:
    wanted = [
        parse(text) for text in ("w=9,h=9,g=focus,fm=webp", "w=9,h=9,fp=0.2:0.6,fm=webp", "w=9,fm=webp")
    ]
    body = b"a cat"
    focus = replace(FOCUS, sha256=sha256_hex(body))
    record = Record("", "", "", NOW, NOW, focus=focus)
    assert "g=attention" in str(FocusedPlan(wanted, record, b"another").rendered[0])
    plan = FocusedPlan(wanted, record, body)
    assert list(map(str, plan.rendered)) == ["w=9,h=9,fp=0.2:0.6,fm=webp", "w=9,fm=webp"]
    written: list[RenderedImage] = []
    metadata = ImageMetadata(9, 9, "webp", 1, alpha=False, bytes=1, sha256="")
    for item in plan.rendered:
        plan.restore(RenderedImage(item, b"a", metadata), written.append)
    assert [image.transformation for image in written] == wanted
