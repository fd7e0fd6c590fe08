"""What the clients' tests know of the running server, and images for it."""

from __future__ import annotations

import io
from pathlib import Path

from msgspec import Struct
from PIL import Image

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


def jpeg(width: int = 120, height: int = 80, colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()
