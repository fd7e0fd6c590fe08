"""There are no remote sources: no key or overlay causes a network connection (promise 42)."""

from __future__ import annotations

import io
import socket
from urllib.parse import quote

import pytest
from PIL import Image

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache, RenditionRepository
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.errors import ImageProcessorError, NotFound, Refused
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import ImageOverlay
from image_processor.engine.render import render
from support.ingest import BUCKET, RECIPE, IngestFixture

HOSTS = (
    *("169.254.169.254", "127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "100.64.0.1", "192.168.1.1"),
    *("[::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]"),
    *("0x7f000001", "2130706433", "0177.0.0.1", "metadata.google.internal", "rebind.example", "a@127.0.0.1"),
)
KEYS = [
    *(f"http://{host}/latest/meta-data/" for host in HOSTS),
    *("https://evil.example/a.jpg", "//evil.example/a.jpg", "ftp://127.0.0.1/a", "gopher://127.0.0.1/_a"),
    *(
        "file:///etc/passwd",
        "s3://bucket/key",
        "data:image/png;base64,AAAA",
        "\\\\evil.example\\share\\a.png",
    ),
]


@pytest.fixture(autouse=True)
def _cut_off(monkeypatch):
    def dialled(*where, **_):
        pytest.fail(f"{where} was dialled")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, dialled)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, dialled)


@pytest.fixture
def photo():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def ingest():
    return IngestFixture()


def fetch(ingest, key, query, **policy):
    """The bytes of a rendition, over the whole read path without HTTP."""
    kept = RenditionRepository(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, IccPolicy.STRIP)
    maker = OnDemandRenderer(kept, render, Limits(), lambda _: "", 9)
    policy = Policy(allow_unsigned=True, **policy)
    delivery = Delivery(
        RequestResolver(RECIPE, policy, MetadataCache(kept, maker.read_metadata), lambda: 0), kept, ""
    )
    found = delivery.find(HttpRequest("GET", quote(key), query))
    return maker.render(found.ref).stored.body if found.stored is None else found.stored.body


def test_the_network_guard_detects_connections():
    with socket.socket() as one, pytest.raises(pytest.fail.Exception, match="was dialled"):
        one.connect(("127.0.0.1", 9))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("query", ["w=9&fm=webp", "w=9&fm=auto", ""])
def test_a_key_that_looks_like_a_url_is_a_key(ingest, photo, key, query):
    with pytest.raises(NotFound):
        fetch(ingest, key, query)
    ingest.put(key, photo)
    assert len(fetch(ingest, key, query)) > 40


@pytest.mark.parametrize("key", KEYS)
def test_an_overlay_that_looks_like_a_url_is_a_key(ingest, photo, key):
    ingest.put("cat.jpg", photo)
    query = f"w=32&fm=png&over={quote(str(ImageOverlay(image=key)))}"
    with pytest.raises(ImageProcessorError) as caught:
        fetch(ingest, "cat.jpg", query, overlays=key[:1])
    assert isinstance(caught.value, Refused)
    assert caught.value.reason == "overlay-missing"
    ingest.put(key, photo)
    assert len(fetch(ingest, "cat.jpg", query, overlays=key[:1])) > 40


@pytest.mark.parametrize("key", KEYS[:5])
def test_a_fallback_that_looks_like_a_url_is_a_key(ingest, key):
    with pytest.raises(NotFound):
        fetch(ingest, "none.jpg", "w=9&fm=auto", fallback=key)


@pytest.mark.parametrize("host", HOSTS[:3])
def test_an_image_that_contains_a_url_does_not_load_it(ingest, host):
    """An SVG is refused unless enabled, whatever it links to."""
    link = f'<image href="http://{host}/latest/meta-data/" width="9" height="9"/>'
    ingest.put("a.svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{link}</svg>'.encode())
    with pytest.raises(Refused):
        fetch(ingest, "a.svg", "w=9&fm=webp")
