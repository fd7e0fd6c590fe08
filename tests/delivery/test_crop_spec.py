"""Crops and focal points in pixels of the original become regions and relative points."""

from __future__ import annotations

from typing import Any

import pytest

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import CropSpec, RenditionRequest, SizingRule
from image_processor.delivery.resolve import needs_metadata, resolve
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Fit, Flip, Gravity, RelativeLength

ORIGINAL = ImageMetadata(800, 600, "jpeg", 1, False, 1, "")
RECIPE = parse_recipe(DEFAULT_RECIPE)
WHOLE = None


def settled(**asked: Any) -> Any:
    return resolve(
        RenditionRequest("a.jpg", format="webp", **asked), ORIGINAL, {}, RECIPE, Policy()
    ).transformation


@pytest.mark.parametrize(
    ("cut", "region"),
    [
        (CropSpec(400, 300), (200, 150, 400, 300)),
        (CropSpec(400, None), (200, 0, 400, 600)),
        (CropSpec(RelativeLength(0.5), RelativeLength(0.25)), (200, 225, 400, 150)),
        (CropSpec(400, 300, Gravity.SOUTHEAST, 10, 20), (390, 280, 400, 300)),
        (CropSpec(400, 300, focal_point=(0.9, 0.1)), (400, 0, 400, 300)),
        (CropSpec(9000, 9000), WHOLE),
        (CropSpec(None, None), WHOLE),
    ],
)
def test_a_crop_becomes_a_region(cut: CropSpec, region: Any) -> None:
    assert settled(crop=cut).region == region


@pytest.mark.parametrize(
    ("values", "point"),
    [
        ({}, (0.25, 0.25)),
        ({"region": (100, 50, 400, 300)}, (0.25, 0.333)),
        ({"rotate": 90}, (0.75, 0.25)),
        ({"rotate": 180}, (0.75, 0.75)),
        ({"flip": Flip.HORIZONTAL}, (0.75, 0.25)),
        ({"flip": Flip.VERTICAL}, (0.25, 0.75)),
    ],
)
def test_a_focus_becomes_a_focal_point_after_rotation_and_flip(values: Any, point: Any) -> None:
    assert settled(values={"width": 100, "height": 100, **values}, focus=(200, 150)).focal_point == point


def test_a_focus_outside_the_image_is_clamped() -> None:
    assert settled(values={"width": 100, "height": 100}, focus=(9000, 0)).focal_point == (1, 0)


def test_original_width_and_height() -> None:
    assert (settled(values={"width": 300}, sizing=SizingRule.ORIGINAL_HEIGHT).height) == 600
    assert (settled(values={"height": 300}, sizing=SizingRule.ORIGINAL_WIDTH).width) == 800


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"rotate": 90}, (600, 800)),
        ({"rotate": 180}, (800, 600)),
        ({"region": (0, 0, 100, 400)}, (100, 400)),
        ({"region": (700, 0, 400, 400), "rotate": 270}, (400, 100)),
        ({"region": (9000, 0, 1, 1)}, (800, 600)),
    ],
)
def test_the_original_side_is_that_of_the_scaled_source(values: Any, size: tuple[int, int]) -> None:
    assert settled(values={"height": 50, **values}, sizing=SizingRule.ORIGINAL_WIDTH).width == size[0]
    assert settled(values={"width": 50, **values}, sizing=SizingRule.ORIGINAL_HEIGHT).height == size[1]


def test_sizing_rules_compare_with_the_scaled_source() -> None:
    values = {"width": 100, "height": 200, "fit": Fit.INSIDE}
    turned = settled(values={**values, "rotate": 90}, sizing=SizingRule.ADAPTIVE)
    assert (turned.width, turned.height) == (100, 200)
    cut = settled(values=values, sizing=SizingRule.ADAPTIVE, crop=CropSpec(100, 400))
    assert (cut.width, cut.height) == (100, 200)
    assert (
        settled(values={"width": 100, "height": 200, "rotate": 90}, sizing=SizingRule.FILL_OR_FIT).fit
        is Fit.COVER
    )
    assert settled(values={"width": 100, "height": 200}, sizing=SizingRule.FILL_OR_FIT).fit is Fit.INSIDE


def test_crop_focus_and_sizing_need_the_original() -> None:
    for more in ({"crop": CropSpec(1, 1)}, {"focus": (1, 1)}, {"sizing": SizingRule.ORIGINAL_WIDTH}):
        assert needs_metadata(RenditionRequest("a.jpg", format="webp", **more))
    assert not needs_metadata(RenditionRequest("a.jpg", format="webp"))
