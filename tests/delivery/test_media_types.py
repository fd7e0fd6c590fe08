"""The media type of a rendition always matches its bytes."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from PIL import Image

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.formats import FORMATS, WRITABLE, sniff
from image_processor.domain.models import IccPolicy, Limits
from image_processor.engine.render import render
from image_processor.storage.directory import DirectoryStore
from support.ingest import BUCKET, RECIPE, IngestFixture


@pytest.fixture
def ingest(tmp_path):
    ingest = IngestFixture(processed=DirectoryStore(tmp_path))
    file = io.BytesIO()
    Image.new("RGBA", (40, 30), "teal").save(file, "PNG")
    ingest.put("cat.jpg", file.getvalue())  # whatever it is called
    return ingest


@pytest.mark.parametrize("format_", WRITABLE)
def test_the_bytes_match_the_content_type(ingest, tmp_path, format_):
    kept = RenditionRepository(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, IccPolicy.STRIP)
    maker = OnDemandRenderer(kept, render, Limits(), lambda _: "", 9)
    reader = RequestResolver(RECIPE, Policy(allow_unsigned=True), lambda _: None, lambda: 0)
    delivery = Delivery(reader, kept, "")
    get = HttpRequest("GET", "cat.jpg", f"w=20&fm={format_}")
    found = delivery.find(get)
    result = maker.render(found.ref).stored
    reported = delivery.http_response(get, replace(found, stored=result)).headers
    assert reported["content-type"] == FORMATS[format_].media_type
    assert sniff(result.body) is FORMATS[FORMATS[format_].read_as or format_]
    assert reported["content-disposition"] == f'inline; filename="cat.{FORMATS[format_].extension}"'
    # An object that was put in its place is served with its own type, or rendered again.
    (tmp_path / result.entry.key).write_bytes(b"<script>alert(1)</script>")
    again = delivery.find(get)
    if found.ref.declared:
        assert delivery.http_response(get, again).headers["content-type"] == "application/octet-stream"
    else:
        assert again.stored is None
