"""Accept and the original decide the format: headers of real clients, and malformed ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.delivery.http.negotiation import (
    MODERN,
    accepted_formats,
    preferred_formats,
    source_format,
)
from image_processor.domain.models import ImageMetadata

CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
SAFARI = (
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,"
    "image/svg+xml,image/*;q=0.8,*/*;q=0.5"
)
SAFARI_14 = "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
SAFARI_13 = "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
FIREFOX_64 = "*/*"
EDGE_18 = "image/png, image/svg+xml, image/*; q=0.8, */*; q=0.5"
IE = "image/png, image/svg+xml, image/jxr, image/*;q=0.8, */*;q=0.5"
CHROME_PAGE = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
)
PHOTO = ImageMetadata(400, 300, "jpeg", 1, False, 1000, "")
LOGO = replace(PHOTO, format="png", alpha=True)
MOVING = replace(PHOTO, format="gif", frames=5)


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        (CHROME, "avif webp"),
        (FIREFOX, "avif webp"),
        (SAFARI, "avif webp"),
        (CHROME_PAGE, "avif webp"),
        (SAFARI_14, "webp"),
        (SAFARI_13, ""),
        (FIREFOX_64, ""),
        (EDGE_18, ""),
        (IE, ""),
        (None, ""),
        ("", ""),
        ("image/*", ""),
        ("image/webp", "webp"),
        ("IMAGE/WEBP", "webp"),
        ("image/webp;q=0", ""),
        ("image/webp;q=0.0, image/avif", "avif"),
        ("image/avif;q=0,image/webp,*/*", "webp"),
        ("image/avif;q=0.5,image/webp;q=0.9", "webp"),
        ("image/avif;q=0.9,image/webp;q=0.5", "avif webp"),
        ("image/avif;q=0.5,image/jpeg", ""),
        ("image/webp;q=0.5,image/jpeg;q=0.5", "webp"),
        ("image/webp;q=0.4,image/*;q=0.5", ""),
        ("image/webp;q=0.4,*/*;q=0.5", ""),
        ("image/avif , image/webp ; q=0.5 ", "avif webp"),
        ("image/webp;level=1;q=0.5", "webp"),
        ("image/webp;q=2", ""),
        ("image/webp;q=-1", ""),
        ("image/webp;q=nan", ""),
        ("image/webp;q=inf", ""),
        ("image/webp;q=high", ""),
        ("image/webp;q=", ""),
        ("image/webpx, ximage/avif, webp, avif", ""),
        (",;,;=,,", ""),
        ("image/webp;q=0_1", ""),
    ],
)
def test_a_modern_format_must_be_named(accept, formats):
    assert accepted_formats(accept) == tuple(formats.split())


@given(st.text(max_size=200) | st.text("image/webpavf*;q=0.1, ", max_size=60))
def test_arbitrary_accept_headers_never_raise(accept):
    assert set(accepted_formats(accept)) <= set(MODERN)
    assert preferred_formats(accept, PHOTO, {})[-1] == "jpeg"


@pytest.mark.parametrize(
    ("original", "values", "accept", "formats"),
    [
        (PHOTO, {}, CHROME, "avif webp jpeg"),
        (PHOTO, {}, None, "jpeg"),
        (LOGO, {}, CHROME, "avif webp png"),
        (LOGO, {}, None, "png"),
        (LOGO, {"background": "white"}, None, "jpeg"),
        (PHOTO, {"round": (1, 1, 1, 1)}, None, "png"),
        (PHOTO, {"ellipse": True}, None, "png"),
        (PHOTO, {"padding": (1, 1, 1, 1)}, None, "png"),
        (PHOTO, {"rotate": 12}, None, "png"),
        (PHOTO, {"rotate": 90}, None, "jpeg"),
        (PHOTO, {"opacity": 50}, None, "png"),
        (MOVING, {}, CHROME, "webp gif"),
        (MOVING, {}, "image/avif", "gif"),
        (MOVING, {}, None, "gif"),
        (MOVING, {"frame": 2}, CHROME, "avif webp jpeg"),
        (MOVING, {"frames": 1}, None, "jpeg"),
        (MOVING, {"frames": 3}, None, "gif"),
        (replace(MOVING, format="tiff"), {}, None, "jpeg"),
    ],
)
def test_animation_and_transparency_are_preserved(original, values, accept, formats):
    assert preferred_formats(accept, original, values) == tuple(formats.split())


@pytest.mark.parametrize(
    ("original", "values", "format_"),
    [
        (PHOTO, {}, "jpeg"),
        (LOGO, {}, "png"),
        (MOVING, {}, "gif"),
        (PHOTO, {"ellipse": True}, "png"),
        (replace(PHOTO, format="webp"), {}, "webp"),
        (replace(PHOTO, format="avif"), {}, "avif"),
        (replace(PHOTO, format="tiff"), {}, "tiff"),
        (replace(PHOTO, format="heic"), {}, "jpeg"),
        (replace(PHOTO, format="svg", alpha=True), {}, "png"),
        (replace(PHOTO, format="jxl"), {"background": "white"}, "jpeg"),
    ],
)
def test_the_source_format_is_kept_if_it_can_be_written(original, values, format_):
    assert source_format(original, values) == format_
