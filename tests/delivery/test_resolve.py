"""Requests become one transformation: presets, client hints, and sizing rules."""

from __future__ import annotations

import pytest

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import RenditionRequest, SizingRule, parse_request
from image_processor.delivery.resolve import needs_metadata, resolve
from image_processor.delivery.url.parser import parse_url
from image_processor.domain.errors import InvalidRequest, InvalidTransformation
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Fit

RECIPE = parse_recipe("""
[presets.wide]
widths = [100, 200]
formats = ["avif", "jpeg"]
quality = 50
[presets.square]
width = 64
height = 64
formats = ["png"]
[[rules]]
match = "**"
presets = ["wide", "square"]
""")
LYING = ImageMetadata(400, 300, "jpeg", 1, False, 1000, "")
UPRIGHT = ImageMetadata(300, 400, "jpeg", 1, False, 1000, "")
EVEN = ImageMetadata(300, 300, "jpeg", 1, False, 1000, "")


def settled(query, original=LYING, *, hints=True, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return resolve(
        parse_request(parse_url("k", query), signed=True), original, names, RECIPE, Policy(hints=hints)
    )


@pytest.mark.parametrize(
    ("query", "headers", "text", "vary"),
    [
        ("w=10&fm=webp", {}, "w=10,fm=webp", ()),
        ("w=10&fm=webp", {"accept": "image/avif"}, "w=10,fm=webp", ()),
        ("w=10", {"accept": "image/avif"}, "w=10,fm=jpeg", ()),
        ("w=10&fm=auto", {"accept": "image/avif"}, "w=10,fm=avif", ("Accept",)),
        ("w=10&fm=auto", {}, "w=10,fm=jpeg", ("Accept",)),
        ("preset=wide", {}, "w=200,q=50,fm=jpeg", ("Accept",)),
        ("preset=wide", {"accept": "image/avif"}, "w=200,q=50,fm=avif", ("Accept",)),
        ("preset=wide", {"accept": "image/webp"}, "w=200,q=50,fm=jpeg", ("Accept",)),
        ("preset=wide&w=100", {}, "w=100,q=50,fm=jpeg", ("Accept",)),
        ("preset=wide&w=150", {}, "w=150,q=50,fm=jpeg", ("Accept",)),
        ("preset=wide&fm=avif", {}, "w=200,q=50,fm=avif", ()),
        ("preset=wide&fm=png&q=9", {}, "w=200,fm=png", ()),
        ("preset=wide&q=9", {}, "w=200,q=9,fm=jpeg", ("Accept",)),
        ("preset=square", {"accept": "image/avif"}, "w=64,h=64,fm=png", ()),
        ("preset=square&fit=contain", {}, "w=64,h=64,fit=contain,fm=png", ()),
    ],
)
def test_presets_and_formats(query, headers, text, vary):
    result = settled(query, **headers)
    assert (str(result.transformation), result.vary) == (text, vary)


def test_an_unknown_preset_error_lists_the_presets():
    with pytest.raises(InvalidRequest, match="expected one of square, wide for preset, got 'small'"):
        settled("preset=small")


WIDTH, RATIO = ("Sec-CH-Width", "Width"), ("Sec-CH-DPR", "DPR")


@pytest.mark.parametrize(
    ("query", "headers", "text", "vary"),
    [
        ("w=auto&fm=webp", {"sec_ch_width": "1"}, "w=160,fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "160"}, "w=160,fm=webp", WIDTH),
        ("w=auto&fm=webp", {"width": "161"}, "w=320,fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "99999"}, "w=3840,fm=webp", WIDTH),
        ("w=auto&fm=webp", {}, "fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "-5"}, "fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "1e3"}, "fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "0"}, "fm=webp", WIDTH),
        ("w=auto&fm=webp", {"sec_ch_width": "nan", "width": "5"}, "fm=webp", WIDTH),
        ("w=100&dpr=auto&fm=webp", {"sec_ch_dpr": "1.0"}, "w=100,fm=webp", RATIO),
        ("w=100&dpr=auto&fm=webp", {"dpr": "1.3"}, "w=200,fm=webp", RATIO),
        ("w=100&dpr=auto&fm=webp", {"dpr": "77"}, "w=400,fm=webp", RATIO),
        ("w=auto&dpr=auto&fm=webp", {"dpr": "3", "width": "200"}, "w=320,fm=webp", (*WIDTH, *RATIO)),
    ],
)
def test_client_hints_are_rounded_up(query, headers, text, vary):
    result = settled(query, **headers)
    assert (str(result.transformation), result.vary) == (text, vary)


@pytest.mark.parametrize("query", ["w=auto&fm=webp", "w=1&dpr=auto&fm=webp"])
def test_client_hints_must_be_enabled(query):
    with pytest.raises(InvalidRequest, match="client hints are not enabled"):
        settled(query, hints=False)


@pytest.mark.parametrize(
    ("box", "size", "original", "expected"),
    [
        (SizingRule.ADAPTIVE, (200, 100), LYING, (200, 100, Fit.COVER)),
        (SizingRule.ADAPTIVE, (200, 100), UPRIGHT, (100, 200, Fit.COVER)),
        (SizingRule.ADAPTIVE, (100, 200), LYING, (200, 100, Fit.COVER)),
        (SizingRule.ADAPTIVE, (200, 100), EVEN, (200, 100, Fit.COVER)),
        (SizingRule.ADAPTIVE, (100, 100), UPRIGHT, (100, 100, Fit.COVER)),
        (SizingRule.ADAPTIVE, (200, None), UPRIGHT, (200, None, Fit.COVER)),
        (SizingRule.FILL_OR_FIT, (200, 100), LYING, (200, 100, Fit.COVER)),
        (SizingRule.FILL_OR_FIT, (200, 100), UPRIGHT, (200, 100, Fit.INSIDE)),
        (SizingRule.FILL_OR_FIT, (100, 100), UPRIGHT, (100, 100, Fit.COVER)),
        (SizingRule.FILL_OR_FIT, (200, None), UPRIGHT, (200, None, Fit.COVER)),
    ],
)
def test_sizing_rules_that_depend_on_the_original(box, size, original, expected):
    asked = RenditionRequest("k", dict(zip(("width", "height"), size, strict=True)), "webp", sizing=box)
    assert needs_metadata(asked)
    result = resolve(asked, original, {}, RECIPE, Policy()).transformation
    assert (result.width, result.height, result.fit) == expected


def test_a_quality_by_format_applies_without_an_explicit_one():
    for values, quality in (({}, 40), ({"quality": 7}, 7)):
        asked = RenditionRequest("k", values, "webp", qualities={"webp": 40, "avif": 30})
        assert resolve(asked, None, {}, RECIPE, Policy()).transformation.quality == quality


def test_problems_that_depend_on_the_original_are_reported():
    with pytest.raises(InvalidTransformation):
        settled("w=10000&dpr=3&fm=webp")


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        (RenditionRequest("k"), True),
        (RenditionRequest("k", format="auto"), True),
        (RenditionRequest("k", format="webp"), False),
    ],
)
def test_metadata_is_needed_only_if_the_result_depends_on_it(asked, needs):
    assert needs_metadata(asked) == needs
