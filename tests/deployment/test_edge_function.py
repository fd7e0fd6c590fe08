"""The CloudFront function, run as CloudFront runs it: with nothing but the language around it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import playwright
import pytest
from judges import Json, translated

# The Node that Playwright brings. A new context has JavaScript's own globals and no others.
NODE = Path(playwright.__file__).parent / "driver" / "node"
RUN = """
const {code, event} = JSON.parse(require('fs').readFileSync(0));
const world = require('vm').createContext({});
process.stdout.write(JSON.stringify(
  require('vm').runInContext(`${code}; handler(${JSON.stringify(event)})`, world)));
"""


def code() -> str:
    found: str = translated()["Resources"]["EdgeFunction"]["Properties"]["FunctionCode"]
    return found


def answer(uri: str) -> Json:
    """What the function makes of a GET for ``uri``: the request, changed or not, or a response."""
    event = {"version": "1.0", "request": {"method": "GET", "uri": uri, "querystring": {}, "headers": {}}}
    done = subprocess.run(
        [str(NODE), "-e", RUN],
        input=json.dumps({"code": code(), "event": event}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: Json = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "uri",
    [
        "/photos/cat.jpg/w=640,fm=webp.webp",
        "/" + quote("Über uns/日本.jpg/w=64,fm=avif.avif"),
        "/a%2Fb.jpg/w=64,fm=avif.avif",
        "/100%25.jpg/w=64,fm=avif.avif",
        "/.image-processors/a.jpg/w=64,fm=avif.avif",
        "/photos/.image-processor/a.jpg/w=64,fm=avif.avif",
        "/",
    ],
)
def test_a_rendition_passes_unchanged(uri: str) -> None:
    assert answer(uri) == {"method": "GET", "uri": uri, "querystring": {}, "headers": {}}


def test_a_plus_stays_a_plus() -> None:
    assert answer("/a+b%2Bc%20d.jpg/w=64,fm=avif.avif")["uri"] == "/a%2Bb%2Bc%20d.jpg/w=64,fm=avif.avif"


@pytest.mark.parametrize(
    "uri",
    [
        "/.image-processor/records/abc.json",
        "/%2Eimage-processor/records/abc.json",
        "/.image%2dprocessor%2Frecords/abc.json",
        "//.image-processor/records/abc.json",
        "/%2F.image-processor/records/abc.json",
        "/.image-processor",
    ],
)
def test_records_are_hidden_however_they_are_spelt(uri: str) -> None:
    found = answer(uri)
    assert (found["statusCode"], found["headers"]) == (404, {"cache-control": {"value": "no-store"}})


@pytest.mark.parametrize("uri", ["/%", "/%zz", "/%ff.jpg"])
def test_what_is_no_utf8_is_refused(uri: str) -> None:
    assert answer(uri)["statusCode"] == 400


def test_it_fits_into_what_cloudfront_takes() -> None:
    assert len(code().encode()) < 10_000
