"""`srcset`, `<img>` and `<picture>` that the Python client writes without a request."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from image_processor_client import Layout, UrlBuilder, img, picture, srcset

URLS = UrlBuilder("/r")


class Tags(HTMLParser):
    """The tags of a page with their attributes, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def attributes(html: str) -> dict[str, Any]:
    ((tag, found),) = Tags(html).found
    assert tag == "img"
    return found


def test_a_fixed_width_has_a_candidate_for_each_density() -> None:
    found = attributes(img(URLS, "cat.jpg", alt="A cat", w=100, h=50))
    assert found == {
        "src": "/r/cat.jpg?w=100&h=50&fm=auto",
        "srcset": "/r/cat.jpg?w=100&h=50&fm=auto 1x, /r/cat.jpg?w=200&h=100&fm=auto 2x",
        "width": "100",
        "height": "50",
        "alt": "A cat",
    }


def test_other_lengths_in_pixels_are_multiplied_by_the_server() -> None:
    assert srcset(URLS, "cat.jpg", w=100, blur=3, layout=Layout(densities=[1, 1.5])) == (
        "/r/cat.jpg?w=100&blur=3&fm=auto 1x, /r/cat.jpg?w=100&dpr=1.5&blur=3&fm=auto 1.5x"
    )


def test_several_widths_keep_the_proportions_and_end_at_the_originals() -> None:
    layout = Layout(widths=[640, 320, 1280], sizes="50vw", original=(900, 600))
    found = attributes(img(URLS, "cat.jpg", "fm=webp", alt="", layout=layout))
    assert found == {
        "src": "/r/cat.jpg?w=900&fm=webp",
        "srcset": "/r/cat.jpg?w=320&fm=webp 320w, /r/cat.jpg?w=640&fm=webp 640w, "
        "/r/cat.jpg?w=900&fm=webp 900w",
        "sizes": "50vw",
        "width": "900",
        "height": "600",
        "alt": "",
    }
    cropped = srcset(URLS, "cat.jpg", w=4, h=3, layout=Layout(widths=[320, 640]))
    assert cropped == "/r/cat.jpg?w=320&h=240&fm=auto 320w, /r/cat.jpg?w=640&h=480&fm=auto 640w"


def test_sizes_alone_offer_common_widths() -> None:
    found = attributes(img(URLS, "cat.jpg", alt="", layout=Layout(sizes="100vw")))
    assert found["srcset"].count("w, ") == 5
    assert found["src"] == "/r/cat.jpg?w=2560&fm=auto"


def test_a_preset_alone_is_one_image() -> None:
    found = attributes(img(URLS, "cat.jpg", alt="", preset="small", layout=Layout(original=(900, 600))))
    assert found == {"src": "/r/cat.jpg?preset=small&fm=auto", "alt": ""}


def test_the_height_follows_from_the_original_unless_its_shape_changes() -> None:
    layout = Layout(original=(900, 600))
    assert attributes(img(URLS, "cat.jpg", alt="", w=300, layout=layout))["height"] == "200"
    assert "height" not in attributes(img(URLS, "cat.jpg", alt="", w=300, rot=90, layout=layout))


def test_a_picture_has_a_source_for_each_format() -> None:
    html = picture(URLS, "a&b.jpg", alt='"A" & <b>', w=10, layout=Layout(densities=[1]))
    tags = Tags(html).found
    assert [tag for tag, _ in tags] == ["picture", "source", "source", "img"]
    assert tags[1][1] == {"type": "image/avif", "srcset": "/r/a%26b.jpg?w=10&fm=avif"}
    assert tags[2][1] == {"type": "image/webp", "srcset": "/r/a%26b.jpg?w=10&fm=webp"}
    assert tags[3][1] == {"src": "/r/a%26b.jpg?w=10&fm=auto", "width": "10", "alt": '"A" & <b>'}
    with pytest.raises(ValueError, match="expected some of avif, webp, jxl for formats, got 'bmp'"):
        picture(URLS, "cat.jpg", alt="", formats=["bmp"], w=10)


def test_attributes_are_escaped_and_named() -> None:
    given = {"class": 'x" onload="alert(1)', "loading": "lazy", "hidden": True, "title": None, "inert": False}
    html = img(URLS, "cat.jpg", alt="", preset="small", attributes=given)
    found = attributes(html)
    assert found == {
        "src": "/r/cat.jpg?preset=small&fm=auto",
        "alt": "",
        "class": 'x" onload="alert(1)',
        "loading": "lazy",
        "hidden": None,
    }
    with pytest.raises(ValueError, match="expected the name of an attribute, got 'a b'"):
        img(URLS, "cat.jpg", alt="", preset="small", attributes={"a b": 1})


def test_a_height_alone_fits_no_several_widths() -> None:
    with pytest.raises(ValueError, match="expected w beside h for renditions of several widths, got h alone"):
        srcset(URLS, "cat.jpg", h=50, layout=Layout(widths=[1, 2]))


def test_every_url_is_signed_with_a_key() -> None:
    urls = UrlBuilder("/r", "k1:a-secret-for-these-tests")
    html = picture(urls, "cat.jpg", alt="", w=10)
    assert html.count("&amp;kid=k1&amp;s=") == 7
    listed = srcset(urls, "cat.jpg", w=10, expires=1_900_000_000)
    assert listed.count("&kid=k1&expires=1900000000&s=") == 2
