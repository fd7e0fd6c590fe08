"""A running server for the clients' tests, with tokens, a signing key and a small recipe; images for it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from PIL import Image

from image_processor.config.tokens import Scope, create_token
from support.served import Served

RECIPE = """
[presets.small]
widths = [32, 64]
formats = ["webp", "jpeg"]
[[rules]]
match = "private/**"
presets = []
[[rules]]
match = "**"
presets = ["small"]
"""
SIGNING_KEY = "k1:a-secret-for-the-tests-of-clients"


class Site(Struct, frozen=True):
    """Where the server is, and what opens it."""

    address: str
    token: str
    read_token: str
    signing_key: str
    uploads: Path

    @property
    def renditions(self) -> str:
        return f"{self.address}/renditions"


@contextmanager
def site_of(folder: Path, **more: str) -> Iterator[Site]:
    """A server over a folder, with further settings."""
    token, line = create_token(Scope.WRITE, "writer")
    read_token, read_line = create_token(Scope.READ, "reader")
    settings = {
        "IMAGE_PROCESSOR_TOKENS": f"{line},{read_line}",
        "IMAGE_PROCESSOR_SIGNING_KEYS": SIGNING_KEY,
        "IMAGE_PROCESSOR_WORKERS": "1",
        "IMAGE_PROCESSOR_MAX_BYTES": "1",
        **more,
    }
    server = Served(folder, RECIPE, settings)
    try:
        server.start()
        yield Site(server.address, token, read_token, SIGNING_KEY, folder / "data" / "uploads")
    finally:
        server.close()


def jpeg(width: int = 120, height: int = 80, colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()
