"""The CloudFront function parses URLs and Accept as the Python package does."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from edge_function import Host, Njs
from edge_stack import function_code
from edge_urls import Url, urls

from image_processor.delivery.http.negotiation import accepted_formats
from image_processor.delivery.url.parser import parse_url
from image_processor.domain.errors import InvalidRequest

# As the handler calls it.
_READ = """
function reading(path, query) {
  let decoded;
  try {
    decoded = decodeURIComponent(path);
  } catch (error) {
    return null;
  }
  const url = parseUrl(decoded, query, path.length + query.length);
  const given = url.signature || {};
  const orNull = value => value === undefined ? null : value;
  const signature = url.signature && [given.s || '', orNull(given.kid), orNull(given.expires)];
  if (url.error) return null;
  return [url.key, url.pairs, url.text, url.stringToSign, signature, url.named];
}
"""


def reading(url: Url) -> list[Any] | None:
    """The result of Python's parser, in the form of the JavaScript above."""
    try:
        address = parse_url(*url)
    except InvalidRequest:
        return None
    signature = address.signature
    return [
        address.key,
        [f"{name}={value}" for name, value in address.pairs],
        address.text,
        address.string_to_sign,
        None if signature is None else [signature.mac, signature.kid, signature.expires],
        address.named,
    ]


def agree(host: Host, given: list[Url]) -> list[list[Any] | None]:
    expected = [reading(url) for url in given]
    found = host.each(function_code() + _READ, "reading", given)
    wrong = [
        (url, one, other) for url, one, other in zip(given, expected, found, strict=True) if one != other
    ]
    assert wrong[:5] == []
    return expected


def test_javascript_and_python_parse_ten_thousand_urls_alike(node: Host) -> None:
    read = agree(node, list(urls(10_000)))
    # The URLs cover every kind of result.
    kinds = Counter(
        "refused" if one is None else "named" if one[5] else "sealed" if one[4] else "asked" for one in read
    )
    assert min(kinds[kind] for kind in ("refused", "named", "sealed", "asked")) > 500, kinds


def test_njs_parses_them_alike(njs: Njs) -> None:
    agree(njs, list(urls(500, seed=6)))


_RANGES = (
    "image/avif",
    "image/webp",
    "image/jpeg",
    "image/*",
    "*/*",
    "text/html",
    "IMAGE/WebP",
    "",
    "image/avif ",
)
_WEIGHTS = ("", ";q=0", ";q=1", ";q=0.9", "; q = 0.5", ";q=0.8", ";Q=0.7", ";q=2", ";q=x", ";q=-1", ";q=.5",
            ";level=1;q=0.3", ";q=0.000", ";q=1.", ";q=1e-1", ";q=", ";q=nan")  # fmt: skip


def accepts() -> list[str]:
    random = Random(7)
    result = [
        ",".join(random.choice(_RANGES) + random.choice(_WEIGHTS) for _ in range(random.randint(0, 5)))
        for _ in range(3000)
    ]
    return [
        *result,
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "image/webp;q=0,image/avif",
        "*/*",
        "image/*",
    ]


@pytest.mark.parametrize("count", [None, 300], ids=["node", "njs"])
def test_javascript_and_python_evaluate_accept_alike(
    request: pytest.FixtureRequest, count: int | None
) -> None:
    host: Host = request.getfixturevalue("node" if count is None else "njs")
    given = accepts()[:count] + accepts()[-4:]
    found = host.each(function_code(), "acceptedFormats", [[{"value": accept}] for accept in given])
    # Python also knows AVIF without WebP, which would be one more object to cache.
    headers = {(): "", ("avif",): "", ("webp",): "image/webp", ("avif", "webp"): "image/avif,image/webp"}
    assert found == [headers[accepted_formats(accept)] for accept in given]
    assert set(found) == set(headers.values())
