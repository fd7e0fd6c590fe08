"""Next.js, Vercel and Netlify URLs: the documented parameters, their allow-lists, and what is refused."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import Dialect, DialectOptions, load_dialects
from image_processor.delivery.dialects.platforms import Netlify, NextImage, VercelImage
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import BucketNotAllowed, Forbidden, Invalid, InvalidRequest
from image_processor.domain.transformation import Fit, Gravity, Transformation

BUCKETS = frozenset({"images.example.com=web/", "cdn.example.com:8443"})
NEXT, VERCEL, NETLIFY = load_dialects(
    ("next", "vercel", "netlify"), {"vercel_widths": (320, 640)}, DialectOptions(buckets=BUCKETS)
)
PATHS = {"next": "_next/image", "vercel": "_vercel/image", "netlify": ".netlify/images"}


def ask(dialect: Dialect, **parameters: object) -> RenditionRequest:
    return dialect.parse(PATHS[dialect.name], urlencode(parameters), now=0)


@pytest.mark.parametrize("dialect", [NEXT, VERCEL])
def test_next_and_vercel(dialect: Dialect) -> None:
    request = ask(dialect, url="/photos/cat.jpg", w=640, q=75)
    assert request == RenditionRequest("photos/cat.jpg", {"width": 640, "quality": 75}, AUTO)
    assert not request.signed


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ({}, {}),
        ({"w": 50}, {"width": 50}),
        ({"h": 50, "fit": "cover"}, {"height": 50}),
        ({"w": 50, "h": 40}, {"width": 50, "height": 40, "fit": Fit.INSIDE}),
        ({"w": 50, "h": 40, "fit": "fill", "position": "top"}, {"width": 50, "height": 40, "fit": Fit.FILL}),
        (
            {"fit": "cover", "w": 50, "h": 50, "position": "left", "fm": "webp", "q": 80},
            {"width": 50, "height": 50, "fit": Fit.COVER, "gravity": Gravity.WEST, "quality": 80},
        ),
    ],
)
def test_netlify(parameters: dict[str, Any], values: dict[str, Any]) -> None:
    request = ask(NETLIFY, url="/owl.jpeg", **parameters)
    assert request == RenditionRequest("owl.jpeg", values, parameters.get("fm", AUTO))
    Transformation(**request.values)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("/photos/cat.jpg", "photos/cat.jpg"),
        ("photos/cat.jpg", "photos/cat.jpg"),
        ("/a%20b.jpg", "a b.jpg"),
        ("/a b.jpg?v=2#top", "a b.jpg"),
        ("/_next/static/media/logo.4884563a.png", "_next/static/media/logo.4884563a.png"),
        ("https://images.example.com/a/b.jpg?size=2", "web/a/b.jpg"),
        ("HTTPS://Images.Example.COM/a.jpg", "web/a.jpg"),
        ("//cdn.example.com:8443/a%C3%A9.jpg", "aé.jpg"),
        ("s3://images.example.com/a.jpg", "web/a.jpg"),
    ],
)
@pytest.mark.parametrize("dialect", [NEXT, VERCEL, NETLIFY])
def test_the_key_that_a_url_names(dialect: Dialect, url: str, key: str) -> None:
    assert ask(dialect, url=url, w=640, q=75).key == key


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "https://example.com/a.jpg",
        "https://images.example.com.evil.test/a.jpg",
        "https://images.example.com@evil.test/a.jpg",
        "https://images.example.com:8080/a.jpg",
        "//evil.test/a.jpg",
        "ftp://images.example.com/a.jpg",
        "data://a",
        "/../a.jpg",
        "/%00.jpg",
        "/%FF.jpg",
    ],
)
@pytest.mark.parametrize("dialect", [NEXT, VERCEL, NETLIFY])
def test_urls_that_are_refused(dialect: Dialect, url: str) -> None:
    with pytest.raises(InvalidRequest, match="for url"):
        ask(dialect, url=url, w=640, q=75)


def test_an_endpoint_is_no_image() -> None:
    for dialect in (NEXT, VERCEL, NETLIFY):
        with pytest.raises(InvalidRequest, match="not a URL that resizes one"):
            ask(dialect, url=f"/{PATHS[dialect.name]}?url=%2Fa.jpg", w=640, q=75)


def test_a_bucket_that_is_not_listed_is_forbidden() -> None:
    with pytest.raises(BucketNotAllowed):
        ask(NEXT, url="s3://other/a.jpg", w=640, q=75)


@pytest.mark.parametrize(
    "query",
    [
        "url=%2Fa.jpg&w=640",
        "url=%2Fa.jpg&q=75",
        "url=%2Fa.jpg&w=0&q=75",
        "url=%2Fa.jpg&w=640px&q=75",
        "url=%2Fa.jpg&w=640&q=0",
        "url=%2Fa.jpg&w=640&q=101",
        "url=%2Fa.jpg&w=640&w=750&q=75",
        "url=%2Fa.jpg&url=%2Fb.jpg&w=640&q=75",
        "url=%2Fa.jpg&w=1000&q=75",
        "url=%FF&w=640&q=75",
        "w=640&q=75",
    ],
)
@pytest.mark.parametrize("dialect", [NEXT, VERCEL])
def test_queries_that_next_and_vercel_refuse(dialect: Dialect, query: str) -> None:
    with pytest.raises(InvalidRequest):
        dialect.parse(PATHS[dialect.name], query, now=0)


def test_widths_and_qualities_are_those_of_the_settings() -> None:
    assert ask(NextImage(), url="/a.jpg", w=1000, q=75).values["width"] == 1000
    assert load_dialects(("next",), {}, DialectOptions())[0] == NextImage(
        DIALECTS["next"].settings[0].default
    )
    listed = VercelImage((320,), (50, 75))
    assert ask(listed, url="/a.jpg", w=320, q=50).values == {"width": 320, "quality": 50}
    with pytest.raises(InvalidRequest, match="expected one of 320 for w, got 640"):
        ask(listed, url="/a.jpg", w=640, q=50)
    with pytest.raises(InvalidRequest, match="expected one of 50, 75 for q, got 80"):
        ask(listed, url="/a.jpg", w=320, q=80)


@pytest.mark.parametrize(
    "parameters",
    [{"fit": "crop"}, {"position": "north"}, {"fm": "blurhash"}, {"w": 0}, {"h": "x"}, {"q": 0}],
)
def test_what_netlify_refuses(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        ask(NETLIFY, url="/a.jpg", **parameters)


def test_unknown_parameters_are_ignored() -> None:
    """Vercel adds the id of the deployment."""
    assert ask(NEXT, url="/a.jpg", w=640, q=75, dpl="dpl_5BYG").values == {"width": 640, "quality": 75}


def test_matches() -> None:
    for dialect in (NEXT, VERCEL, NETLIFY):
        assert dialect.matches(PATHS[dialect.name], "url=a")
        assert not dialect.matches(f"{PATHS[dialect.name]}/a.jpg", "")
        assert dialect.error_body(400, "invalid-request", "no") is None
    assert NEXT.matches("docs/_next/image", "url=a")
    assert not NEXT.matches("my_next/image", "url=a")


@given(st.text(max_size=60), st.sampled_from([NEXT, VERCEL, Netlify(lenient=True)]))
def test_arbitrary_text_raises_expected_errors_only(text: str, dialect: Dialect) -> None:
    with contextlib.suppress(Invalid, Forbidden):
        assert dialect.parse(PATHS[dialect.name], f"url={quote(text)}&w=640&q=75&{text}", now=0).key
