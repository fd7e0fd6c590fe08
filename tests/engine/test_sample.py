"""The sample image has the size and the detail of a real photo."""

from __future__ import annotations

import numpy as np
from drawing import as_floats, opened

from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.render import render
from image_processor.engine.sample import draw_sample


def test_the_sample_is_small_and_large_enough_and_has_its_boat_in_the_thumbnail() -> None:
    data = draw_sample()
    assert len(data) < 1_000_000
    rendered = render(data, [parse("w=200,h=200,g=attention,fm=png"), parse("w=1920,fm=jpeg")], Limits())
    assert (rendered.original.width, rendered.original.height) == (2400, 1600)
    pixels = as_floats(opened(rendered.renditions[0].body))
    hull = (np.abs(pixels - (196, 44, 40)).max(axis=2) < 40).mean()
    # The hull is 0.2 % of the image; a crop without the boat contains none of it.
    assert hull > 0.002
    assert draw_sample() == data
