"""Golden files: any change of a pixel shows up in a review.

Each rendition is a file in golden/, named by its canonical text with `_` for `:`. After an intended change
run `GOLDEN=write pytest tests/engine/test_golden.py` and review the changed files.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from drawing import corners, encoded, picture_of
from PIL import Image

from image_processor.domain.transformation import parse

GOLDEN = Path(__file__).parent / "golden"
MEAN, MOST = 0.5, 6
"""Of 255: what another processor's or another build's arithmetic may make of the same thing."""

TEXTS = (
    "w=48,fm=png",
    "rect=0.25:0.25:0.5:0.5,fm=png",
    "rot=30,w=56,fm=png",
    "rot=90,flip=h,w=48,fm=png",
    "w=48,h=48,g=northeast,fm=png",
    "w=48,h=48,g=entropy,fm=png",
    "w=56,h=56,fit=contain,bg=204060,fm=png",
    "w=64,h=56,fit=contain,edge=blur,fm=png",
    "w=48,pad=6,edge=mirror,fm=png",
    "w=48,linear=1,fm=png",
    "w=48,norm=1,fm=png",
    "w=48,equal=1,fm=png",
    "w=48,gam=2,con=20,sat=50,fm=png",
    "w=48,hue=90,fm=png",
    "w=48,sepia=80,fm=png",
    "w=48,grey=1,tint=ff8800,fm=png",
    "w=48,duo=101040:ffe0a0,neg=1,fm=png",
    "w=48,blur=2.5,fm=png",
    "w=48,sharp=1:2,fm=png",
    "w=48,median=5,px=6,fm=png",
    "w=48,over=image:mark;w:0.25;g:southeast;x:2;y:2;o:70;rotate:20,fm=png",
    "w=48,round=12:0.25:0:4,pad=3,fm=png",
    "w=48,h=48,ellipse=1,op=80,bg=ffffff,fm=png",
)


@cache
def original() -> bytes:
    """Two gradients, waves of increasing frequency, and a hard square: 96 x 64."""
    y, x = np.mgrid[:64, :96]
    waves = 127.5 + 100 * np.sin(x**2 / 90)
    planes = np.dstack([x * 255 / 95, y * 255 / 63, waves])
    planes[12:28, 60:84] = (250, 240, 30)
    return encoded(Image.fromarray(planes.round().astype("uint8")))


def path_of(text: str) -> Path:
    return GOLDEN / f"{str(parse(text)).replace(':', '_')}.png"


@pytest.mark.parametrize("text", TEXTS)
def test_renditions_equal_the_golden_files(text: str) -> None:
    got = picture_of(original(), text, overlay_sources={"mark": encoded(corners(24, 16))})
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        got.save(path_of(text), optimize=True)
    expected = Image.open(path_of(text))
    assert (got.size, got.mode) == (expected.size, expected.mode)
    difference = np.abs(visible(got) - visible(expected))
    assert difference.mean() <= MEAN
    assert difference.max() <= MOST


def test_every_golden_file_is_used() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {path_of(text).name for text in TEXTS}


def visible(picture: Image.Image) -> np.ndarray:
    """Colours premultiplied by alpha: transparent pixels may have any colour."""
    planes = np.asarray(picture.convert("RGBA"), dtype=float)
    return np.dstack([planes[..., :3] * planes[..., 3:] / 255, planes[..., 3]])
