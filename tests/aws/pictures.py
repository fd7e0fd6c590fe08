"""Small pictures, no two alike."""

from __future__ import annotations

import io
import itertools

import numpy as np
from PIL import Image

_seeds = itertools.count()


def picture(width: int = 400, height: int = 300) -> bytes:
    """A PNG with soft blobs of colour, other ones each time."""
    blobs = np.random.default_rng(next(_seeds)).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    body = io.BytesIO()
    Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC).save(body, "PNG")
    return body.getvalue()
