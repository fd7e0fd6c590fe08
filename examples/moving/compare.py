"""Compares what two servers answer to the same URLs: status, format, size, bytes and pixels.

    python compare.py access.log --old http://127.0.0.1:8888 --new http://127.0.0.1:8000

The file is an access log, or has one URL a line. Exits with 1 if an answer differs, or its pixels more than
--min-psnr allows. Other encoders and filters give 28-40 dB; another crop gives less than 20.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyvips

REQUEST = re.compile(r'"(?:GET|HEAD) (\S+)|^(https?://\S+|/\S+)$')
OK = 200
SECONDS = 60
MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Answer:
    status: int
    media_type: str
    body: bytes


def paths_of(file: Path, limit: int) -> list[str]:
    """The paths and queries in ``file``, each once, at most ``limit`` of them."""
    found: dict[str, None] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := REQUEST.search(line.strip()):
            parts = urlsplit(match[1] or match[2])
            found[parts.path + (f"?{parts.query}" if parts.query else "")] = None
    return list(found)[:limit]


def fetch(url: str, accept: str) -> Answer:
    request = urllib.request.Request(url, headers={"accept": accept})  # noqa: S310 - addresses are arguments
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return Answer(response.status, response.headers.get_content_type(), response.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        return Answer(error.code, "", b"")
    except OSError as error:
        sys.exit(f"expected an answer from {url}, got: {error}")


def decode(body: bytes) -> pyvips.Image:
    """The pixels on white, in sRGB."""
    image = pyvips.Image.new_from_buffer(body, "").colourspace("srgb")
    return image.flatten(background=255) if image.hasalpha() else image


def psnr(old: pyvips.Image, new: pyvips.Image) -> float:
    """How alike two images of one size are, in dB; infinite for equal ones."""
    error = ((old.cast("float") - new.cast("float")) ** 2).avg()
    return 10 * math.log10(255**2 / error) if error else math.inf


def compare(old: Answer, new: Answer, min_psnr: float) -> tuple[str, str]:
    """What differs, or `same`; and the figures."""
    if old.status != new.status:
        return "status", f"{old.status} -> {new.status}"
    if old.status != OK:
        return "same", str(old.status)
    one, other = decode(old.body), decode(new.body)
    figures = f"{len(old.body)} -> {len(new.body)} bytes"
    if (one.width, one.height) != (other.width, other.height):
        return "size", f"{one.width}x{one.height} -> {other.width}x{other.height}, {figures}"
    likeness = psnr(one, other)
    figures = f"{one.width}x{one.height}, {likeness:.1f} dB, {figures}"
    if old.media_type != new.media_type:
        return "format", f"{old.media_type} -> {new.media_type}, {figures}"
    return "same" if likeness >= min_psnr else "pixels", figures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="an access log, or one URL a line")
    parser.add_argument("--old", required=True, help="address of the product that you come from")
    parser.add_argument("--new", required=True, help="address of the image processor")
    parser.add_argument("--min-psnr", type=float, default=25, help="dB below which pixels differ (25)")
    parser.add_argument("--limit", type=int, default=1000, help="the most URLs to compare (1000)")
    parser.add_argument("--accept", default="image/avif,image/webp,*/*", help="the header Accept")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    paths = paths_of(asked.file, asked.limit)
    if not paths:
        sys.exit(f"expected an access log or one URL a line, got none in {asked.file}")
    with ThreadPoolExecutor(4) as pool:
        urls = [side.rstrip("/") + path for path in paths for side in (asked.old, asked.new)]
        answers = list(pool.map(lambda url: fetch(url, asked.accept), urls))
    counts: dict[str, int] = {}
    for path, old, new in zip(paths, answers[::2], answers[1::2], strict=True):
        verdict, figures = compare(old, new, asked.min_psnr)
        counts[verdict] = counts.get(verdict, 0) + 1
        print(f"{verdict:8}{path}\n        {figures}")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    old_bytes, new_bytes = (sum(len(answer.body) for answer in answers[n::2]) for n in (0, 1))
    print(f"bytes: {old_bytes} -> {new_bytes}")
    return 0 if counts.keys() == {"same"} else 1


if __name__ == "__main__":
    sys.exit(main())
