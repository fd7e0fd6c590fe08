"""Animations that are read as stills are counted: Pillow writes them, and tells how many frames they have."""

from __future__ import annotations

import pytest
from drawing import animated, corners, encoded, made

from image_processor.domain.models import Limits
from image_processor.engine.codecs.sequences import heif_frames, png_frames
from image_processor.engine.render import render

FRAMES = [corners(48, 32).rotate(degrees) for degrees in (0, 90, 180)]


@pytest.mark.parametrize("format_name", ["png", "avif", "gif", "webp", "jpeg", "tiff"])
def test_a_still_has_no_frames_to_tell(format_name: str) -> None:
    assert render(encoded(FRAMES[0], format_name), [], Limits()).original.file_frames is None


@pytest.mark.parametrize("format_name", ["gif", "webp", "png", "avif"])
def test_an_animation_that_moves_has_none_either(format_name: str) -> None:
    metadata = render(animated(FRAMES, format_name, [40, 80, 120]), [], Limits()).original
    assert (metadata.frames, metadata.file_frames) == (3, None)


def test_damaged_structures_count_as_stills() -> None:
    for format_name, count in (("png", png_frames), ("avif", heif_frames)):
        data = animated(FRAMES, format_name, [9] * 3)
        assert all(1 <= count(data[:length]) <= 3 for length in range(len(data)))
        assert count(b"") == count(bytes(64)) == count(b"\xff" * 64) == 1


def test_equal_frames_may_become_a_still() -> None:
    """libwebp joins all of them into a file without animation."""
    data = animated([corners(48, 32)] * 2, "png", [40, 80], disposal=1)
    assert render(data, [], Limits()).original.frames == 2
    assert made(data, "fm=webp").metadata.frames == 1
