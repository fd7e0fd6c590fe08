"""What delivery decides about an original without a record, with the real engine."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache, RenditionRepository
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.source_crop import output_size
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.render import render
from support.ingest import BUCKET, RECIPE, IngestFixture

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16"><rect width="9" height="9"/></svg>'


def png(alpha: Image.Image) -> bytes:
    picture = Image.radial_gradient("L").resize(alpha.size).convert("RGBA")
    picture.putalpha(alpha)
    body = io.BytesIO()
    picture.save(body, "PNG")
    return body.getvalue()


def with_corner(side: int) -> Image.Image:
    alpha = Image.new("L", (600, 400), 255)
    alpha.paste(0, (0, 0, side, side))
    return alpha


@pytest.mark.parametrize(
    ("alpha", "format_"),
    [
        (Image.new("L", (60, 40), 255), "JPEG"),
        (Image.linear_gradient("L"), "PNG"),
        (with_corner(3), "PNG"),
        (Image.new("L", (60, 40), 254), "PNG"),
    ],
)
def test_an_opaque_alpha_channel_is_no_transparency(alpha: Image.Image, format_: str) -> None:
    ingest = IngestFixture()
    ingest.put("a.png", png(alpha))
    stored = RenditionRepository(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, IccPolicy.STRIP)
    renderer = OnDemandRenderer(stored, render, Limits(), lambda _: "", 9)
    policy = Policy(allow_unsigned=True)
    resolver = RequestResolver(RECIPE, policy, MetadataCache(stored, renderer.read_metadata), lambda: 0.0)
    request = HttpRequest("GET", "a.png", "w=30&fm=auto", {"accept": "image/*"})
    body = Delivery(resolver, stored, "").serve(request, renderer.render).stored
    assert body is not None
    assert Image.open(io.BytesIO(body.body)).format == format_


@pytest.mark.parametrize(
    "text",
    ["fm=png", "w=100,fm=png", "h=90,fm=png", "rect=0:0:12:8,w=60,fm=png", "w=70,h=70,fit=inside,fm=png",
     "min-w=50,fm=png", "zoom=2,fm=png", "rot=90,w=40,fm=png"],
)  # fmt: skip
def test_the_announced_size_of_a_drawing_is_that_of_its_rendition(text: str) -> None:
    rendered = render(SVG, [parse(text)], Limits(svg=True))
    announced = output_size(parse(text), rendered.original)
    assert announced is not None
    result = rendered.renditions[0].metadata
    assert (announced.width, announced.height) == (result.width, result.height)
