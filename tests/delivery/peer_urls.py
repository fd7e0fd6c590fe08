"""URLs of other products with the results that their documents, their tests or they themselves gave.

`vectors/PEER.json` holds the facts: a URL, the original that it names, and the size and format of the
result, or that the peer refuses it. In place of a URL a row may have the JSON ``request`` that the path is
the base64 of, and a ``query``. `judge` parses, resolves and renders such a URL here and compares. The
originals are drawn here with the sizes and colours of the peers' test images.

    python tests/delivery/peer_urls.py      prints the table of docs/dialects.md and every difference
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image, ImageDraw

from image_processor.config.recipe import parse_recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import Dialect
from image_processor.delivery.dialects.cloudflare import Cloudflare
from image_processor.delivery.dialects.cloudinary import Cloudinary
from image_processor.delivery.dialects.dit import Dit
from image_processor.delivery.dialects.imgix import Imgix
from image_processor.delivery.dialects.imgproxy import Imgproxy
from image_processor.delivery.dialects.platforms import Netlify, NextImage, VercelImage
from image_processor.delivery.dialects.thumbor import Thumbor
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.resolve import resolve
from image_processor.domain.errors import Forbidden, Invalid, InvalidTransformation, NotFound, Refused
from image_processor.domain.models import ImageMetadata, Limits
from image_processor.domain.transformation import AUTO, Transformation
from image_processor.engine.render import render
from image_processor.renditions.originals import overlay_keys

VECTORS = Path(__file__).with_name("vectors")
NOW = 1_800_000_000.0
_PRESETS = {
    "test1": [["resizing_type", "fill"]],
    "test2": [["blur", "0.2"], ["quality", "50"]],
    "default": [["quality", "70"]],
    "sharp": [["sharpen", "0.5"]],
}


class Vector(Struct, frozen=True):
    """One URL. ``image`` names the original; ``size`` and ``format`` are the peer's, None where not known.
    ``refused`` says that the peer answers with an error. ``accept`` is the request's header.
    ``decoded`` is what a path in base64 says."""

    url: str
    image: str | None = None
    size: tuple[int, int] | None = None
    format: str | None = None
    refused: bool = False
    accept: str = ""
    decoded: str = ""

    @property
    def shown(self) -> str:
        return self.decoded or self.url


class Verdict(Struct, frozen=True):
    """``outcome`` is `agrees`, `refused` (only here) or `differs`; ``reason`` says what happened."""

    vector: Vector
    outcome: str
    reason: str = ""


class Peer(Struct, frozen=True):
    """A product: its name in the table, the dialect of its URLs, and the share that has to agree."""

    title: str
    dialect: Callable[[], Dialect]
    bar: float


PEERS: Mapping[str, Peer] = {
    "thumbor": Peer("thumbor 7.8", lambda: Thumbor(unsafe=True), 0.95),
    "imgproxy": Peer(
        "imgproxy 4.0",
        lambda: Imgproxy(unsafe=True, presets=_PRESETS, watermark="geometry.png"),
        0.97,
    ),
    "dit": Peer("DIT 8.0", lambda: Dit(unsafe=True, buckets=frozenset({"images"})), 0.95),
    "cloudinary": Peer(
        "Cloudinary",
        lambda: Cloudinary(
            named={"media_lib_thumb": "c_limit,w_100/c_fill,h_100,w_100"}, buckets=frozenset({"example.com"})
        ),
        0.8,
    ),
    "cloudflare": Peer("Cloudflare", Cloudflare, 0.9),
    "next": Peer("Next.js", lambda: NextImage(DIALECTS["next"].settings[0].default), 0.95),
    "vercel": Peer("Vercel", lambda: VercelImage(DIALECTS["next"].settings[0].default), 0.95),
    "netlify": Peer("Netlify", Netlify, 0.95),
    "imgix": Peer("imgix", Imgix, 0.85),
}


def vectors_of(peer: str) -> list[Vector]:
    rows = json.loads((VECTORS / f"{peer}.json").read_text(encoding="utf-8"))
    return [_vector(**row) for row in rows]


def _vector(
    *, request: Mapping[str, Any] | None = None, query: str = "", size: Sequence[int] = (), **row: Any
) -> Vector:
    if request is not None:
        text, end = json.dumps(request), f"?{query}" if query else ""
        row |= {"url": base64.b64encode(text.encode()).decode() + end, "decoded": text + end}
    return Vector(**row, size=(size[0], size[1]) if size else None)


def judge(vector: Vector, dialect: Dialect) -> Verdict:
    """Compare what this program makes of the URL with what the peer makes of it."""
    path, _, query = vector.url.partition("?")
    try:
        request = dialect.parse(path, query, now=NOW)
        metadata = metadata_of(request.key)
        transformation = transformation_of(request, metadata, vector.accept)
        # The search for a quality takes most of the time and does not change the size.
        fixed = {"quality": None} if transformation.quality == AUTO else {}
        result = rendered(request.key, replace(transformation, **fixed))
    except (Invalid, Forbidden, NotFound, Refused) as error:
        if vector.refused:
            return Verdict(vector, "agrees")
        return Verdict(vector, "refused", f"refused: {error}")
    if vector.refused:
        return Verdict(vector, "differs", "accepted, but the peer refuses it")
    size = (result.width, result.height)
    if vector.size is not None and size != vector.size:
        return Verdict(
            vector, "differs", f"{size[0]} x {size[1]} in place of {vector.size[0]} x {vector.size[1]}"
        )
    if vector.format is not None and result.format != vector.format:
        return Verdict(vector, "differs", f"{result.format} in place of {vector.format}")
    return Verdict(vector, "agrees")


def transformation_of(request: RenditionRequest, metadata: ImageMetadata, accept: str = "") -> Transformation:
    recipe = parse_recipe('[presets.p]\nwidth = 1\n[[rules]]\nmatch = "none"\npresets = ["p"]\n')
    try:
        return resolve(
            request, metadata, {"accept": accept}, recipe, Policy(allow_unsigned=True)
        ).transformation
    except InvalidTransformation as error:
        raise Invalid(error.problems) from error


@lru_cache(maxsize=4096)
def rendered(key: str, transformation: Transformation) -> ImageMetadata:
    return render_bytes(key, transformation)[1]


def render_bytes(key: str, transformation: Transformation) -> tuple[bytes, ImageMetadata]:
    """The rendition of the original ``key``, and its metadata."""
    overlays = {name: original(name) for name in overlay_keys([transformation])}
    result = render(
        original(key), [transformation], Limits(svg=True), summary=False, overlay_sources=overlays
    ).renditions[0]
    return result.body, result.metadata


@cache
def metadata_of(key: str) -> ImageMetadata:
    return render(original(key), [], Limits(svg=True), summary=False).original


# Originals -----------------------------------------------------------------------------------------


@cache
def original(key: str) -> bytes:
    """The bytes of a drawn original. Raises NotFound."""
    name = key.rpartition("/")[2]
    if name not in ORIGINALS:
        raise NotFound(f"expected one of {', '.join(ORIGINALS)}, got {key!r}")
    drawn = ORIGINALS[name]()
    if isinstance(drawn, bytes):
        return drawn
    buffer = io.BytesIO()
    drawn.save(buffer, {"jpg": "jpeg"}.get(name.rpartition(".")[2], name.rpartition(".")[2]))
    return buffer.getvalue()


def _scene(width: int, height: int) -> Image.Image:
    """Colour ramps with shapes: smooth and sharp parts, from which a wrong crop or flip can be told."""
    image = Image.new("RGB", (width, height))
    ramp = [
        (60 + 150 * x // width, 40 + 160 * y // height, 200 - 120 * x // width)
        for y in range(height)
        for x in range(width)
    ]
    image.putdata(ramp)
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.55, height * 0.15, width * 0.85, height * 0.6), fill=(240, 220, 60))
    draw.rectangle((width * 0.1, height * 0.5, width * 0.35, height * 0.85), fill=(30, 120, 50))
    draw.polygon(
        [(width * 0.4, height * 0.9), (width * 0.5, height * 0.3), (width * 0.6, height * 0.9)], (180, 40, 40)
    )
    return image


def _nested() -> Image.Image:
    """Frames of grey: 10 pixels each at the left and top, 20 at the right and bottom."""
    image = Image.new("RGB", (350, 250), "white")
    draw = ImageDraw.Draw(image)
    for number, grey in enumerate((204, 153, 102, 51, 0), 1):
        box = (10 * number, 10 * number, 350 - 20 * number - 1, 250 - 20 * number - 1)
        draw.rectangle(box, fill=(grey,) * 3)
    return image


def _striped(*, transparent: bool) -> Image.Image:
    image = Image.new("RGBA", (200, 200), (0, 255, 0, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 199, 29), fill=(255, 0, 0, 255))
    draw.rectangle((0, 130, 199, 199), fill=(0, 0, 0, 0) if transparent else (0, 0, 255, 255))
    return image if transparent else image.convert("RGB")


def _halves() -> Image.Image:
    """Red above blue."""
    image = Image.new("RGB", (20, 20), "red")
    image.paste((0, 0, 255), (0, 10, 20, 20))
    return image


def _with_alpha() -> Image.Image:
    image = _scene(200, 100).convert("RGBA")
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((10, 5, 190, 95), fill=255)
    image.putalpha(mask)
    return image


_SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">
<rect width="200" height="100" fill="#248"/>
<circle cx="60" cy="50" r="40" fill="#fc4"/></svg>"""


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=92, subsampling=0)
    return buffer.getvalue()


def _tiff(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "tiff")
    return buffer.getvalue()


def _animation() -> bytes:
    frames = [_scene(492, 229), _scene(492, 229).rotate(180)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


ORIGINALS: Mapping[str, Callable[[], Image.Image | bytes]] = {
    "geometry.png": lambda: _scene(200, 100),
    "photo.jpg": lambda: _jpeg(_scene(480, 320)),
    "cmyk.jpg": lambda: _jpeg(_scene(480, 320).convert("CMYK")),
    "gradient.tif": lambda: _tiff(_scene(200, 100)),
    "large.png": lambda: _scene(1080, 902),
    "docs.jpg": lambda: _jpeg(_scene(300, 200)),
    "tall.jpg": lambda: _jpeg(_scene(532, 800)),
    "wide.jpg": lambda: _jpeg(_scene(900, 270)),
    "watermark.png": lambda: Image.new("RGBA", (20, 10), (255, 0, 0, 255)),
    "halves.png": _halves,
    "white.png": lambda: Image.new("RGB", (200, 100), "white"),
    "grey.png": lambda: _scene(200, 100).convert("L"),
    "alpha.png": _with_alpha,
    "trim1.png": _nested,
    "trim2.png": lambda: _striped(transparent=False),
    "trim3.png": lambda: _striped(transparent=True),
    "gif.gif": _animation,
    "drawing.svg": lambda: _SVG,
}


# The table -----------------------------------------------------------------------------------------


@cache
def verdicts(peer: str) -> tuple[Verdict, ...]:
    dialect = PEERS[peer].dialect()
    return tuple(judge(vector, dialect) for vector in vectors_of(peer))


def verdict_of(peer: str, vector: Vector) -> Verdict:
    return judge(vector, PEERS[peer].dialect())


def picture(peer: str, url: str) -> Image.Image:
    """The rendition of a URL."""
    path, _, query = url.partition("?")
    request = PEERS[peer].dialect().parse(path, query, now=NOW)
    transformation = transformation_of(request, metadata_of(request.key))
    body, _ = render_bytes(request.key, transformation)
    return Image.open(io.BytesIO(body))


def share(found: Iterable[Verdict]) -> float:
    """The share of the verdicts that agree."""
    counts = Counter(verdict.outcome for verdict in found)
    return counts["agrees"] / counts.total()


def table() -> str:
    """The table of docs/dialects.md."""
    rows = [
        "| Product | URLs tried | Agree | Refused here only | Differ | Share |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, peer in PEERS.items():
        found = verdicts(name)
        counts = Counter(verdict.outcome for verdict in found)
        rows.append(
            f"| {peer.title} | {len(found)} | {counts['agrees']} | {counts['refused']} | {counts['differs']} "
            f"| {100 * share(found):.1f} % |"
        )
    return "\n".join(rows)


def differences(peer: str) -> list[tuple[str, str]]:
    """URL, decoded, and reason of everything that does not agree."""
    return [
        (verdict.vector.shown, verdict.reason) for verdict in verdicts(peer) if verdict.outcome != "agrees"
    ]


def main(peers: list[str]) -> None:
    lines = [table()]
    for peer in peers or PEERS:
        lines += [f"{peer}: {url}: {reason}" for url, reason in differences(peer)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
