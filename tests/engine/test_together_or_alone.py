"""A rendition that is made at upload, from the decoded original that all of an upload share, and the same
one made alone for a URL: how much they may differ (docs/urls.md)."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import encoded, made, mean_difference, opened, photograph
from PIL import Image
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation

from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.render import render

WHOLE = ["w=160", "w=97", "w=40", "w=222", "h=120", "w=75,h=50,fit=contain", "w=131,fit=inside"]
CROPPED = [
    *("w=160,h=107", "w=97,h=101", "w=60,h=60", "w=50,h=120", "w=120,h=40", "w=33,h=33", "w=131,h=77"),
    *("w=90,h=90,g=northwest", "w=90,h=90,g=southeast", "w=64,h=64,fit=fill-down", "w=90,h=45,fp=0.3:0.7"),
]
BY_PIXELS = ["w=64,h=64,g=attention", "w=90,h=50,g=entropy"]
"""Slightly different pixels may choose another place."""

MAX_DIFFERENCE = 6.0
"""Of 255, the mean: decoded at another size."""
MAX_SHIFT = 0.6
"""Pixels of the rendition, as it is measured to a twentieth: half a pixel."""
MIN_SIMILARITY = 0.8
"""SSIM, of what is shifted by half a pixel."""
UNEVEN = ("chelsea.png", "jpeg")
"""Of 451 x 300: the decoder's factors divide its sides with a rest."""
MAX_SHIFT_UNEVEN, MIN_SIMILARITY_UNEVEN = 0.7, 0.79
"""Another quarter of what the decoder makes a pixel."""


def pairs(name: str, format_name: str, texts: list[str]) -> list[tuple[Image.Image, Image.Image]]:
    """Each rendition as it is made together with all others, and alone."""
    data = encoded(photograph(name), format_name, **({} if format_name == "png" else {"quality": 90}))
    texts = [f"{text},fm=png" for text in texts]
    together = render(data, [parse(text) for text in texts], Limits()).renditions
    return [
        (opened(image.body), opened(made(data, text).body))
        for image, text in zip(together, texts, strict=True)
    ]


def shift(one: Image.Image, other: Image.Image) -> float:
    grey = (np.asarray(picture.convert("L"), float) for picture in (one, other))
    return float(np.abs(phase_cross_correlation(*grey, upsample_factor=20)[0]).max())


@pytest.mark.parametrize("format_name", ["jpeg", "webp", "png"])
@pytest.mark.parametrize("name", ["chelsea.png", "astronaut.png", "coffee.png"])
def test_they_have_the_same_size_and_show_the_same_place(name: str, format_name: str) -> None:
    is_uneven = (name, format_name) == UNEVEN
    max_shift, least = (MAX_SHIFT_UNEVEN, MIN_SIMILARITY_UNEVEN) if is_uneven else (MAX_SHIFT, MIN_SIMILARITY)
    for texts, most in ((WHOLE, 0.2), (CROPPED, max_shift)):
        for text, (one, other) in zip(texts, pairs(name, format_name, texts), strict=True):
            assert one.size == other.size, text
            assert shift(one, other) <= most, text
            similarity = structural_similarity(*map(np.asarray, (one, other)), channel_axis=2)
            assert similarity >= least, text


@pytest.mark.parametrize("format_name", ["jpeg", "webp", "png"])
@pytest.mark.parametrize("name", ["chelsea.png", "astronaut.png", "coffee.png"])
def test_what_is_not_cropped_differs_little(name: str, format_name: str) -> None:
    for text, (one, other) in zip(WHOLE, pairs(name, format_name, WHOLE), strict=True):
        assert mean_difference(one, other) <= MAX_DIFFERENCE, text


@pytest.mark.parametrize("text", [text for text in (*WHOLE, *BY_PIXELS) if text != "w=40"])
def test_an_uncropped_rendition_that_is_alone_at_upload_too_is_the_same(text: str) -> None:
    """At least as large as what the visual summary of an upload is made from, which comes with it."""
    data = encoded(photograph(), "jpeg", quality=90)
    alone = render(data, [parse(f"{text},fm=png")], Limits()).renditions[0]
    assert alone.body == made(data, f"{text},fm=png").body
