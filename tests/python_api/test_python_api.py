"""The public Python API: one call each for a rendition, several, a probe and a description."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import image_processor

DOCS = Path(__file__).parents[2] / "docs" / "python.md"


def encoded(width: int, height: int, format_: str = "JPEG", mode: str = "RGB") -> bytes:
    pixels = np.linspace(0, 255, width * height * len(mode)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.reshape(height, width, len(mode)), mode).save(buffer, format_)
    return buffer.getvalue()


ORIGINAL = encoded(120, 80)
LOGO = encoded(20, 20, "PNG", "RGBA")


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def test_a_rendition_has_the_requested_size_and_format() -> None:
    rendition = image_processor.transform(ORIGINAL, "fm=webp,w=60")
    image = opened(rendition.body)
    assert (image.format, image.size) == ("WEBP", (60, 40))
    assert (rendition.metadata.width, rendition.metadata.height, rendition.metadata.format) == (
        60,
        40,
        "webp",
    )
    assert rendition.metadata.sha256 == hashlib.sha256(rendition.body).hexdigest()
    assert str(rendition.transformation) == "w=60,fm=webp"


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(ORIGINAL)
    assert image_processor.transform(path, "w=30,fm=png").metadata.width == 30
    with pytest.raises(FileNotFoundError):
        image_processor.transform(tmp_path / "missing.jpg", "w=30,fm=png")


def test_several_renditions_come_in_the_order_of_the_request() -> None:
    renditions = image_processor.transform_all(ORIGINAL, ["w=20,fm=png", "w=60,fm=jpeg", "w=40,fm=avif"])
    assert [(item.metadata.width, item.metadata.format) for item in renditions] == [
        (20, "png"),
        (60, "jpeg"),
        (40, "avif"),
    ]


def test_the_batch_form_makes_the_bytes_of_the_single_form() -> None:
    (batch,) = image_processor.transform_all(ORIGINAL, ["w=50,fm=png"])
    assert batch.body == image_processor.transform(ORIGINAL, "w=50,fm=png").body


def test_overlays_are_given_by_key() -> None:
    plain = image_processor.transform(ORIGINAL, "w=60,fm=png")
    text = "w=60,over=image:logo.png;w:20;g:northwest,fm=png"
    marked = image_processor.transform(ORIGINAL, text, overlays={"logo.png": LOGO})
    assert opened(marked.body).getpixel((5, 5)) != opened(plain.body).getpixel((5, 5))
    with pytest.raises(image_processor.Refused) as refused:
        image_processor.transform(ORIGINAL, text)
    assert refused.value.reason == "overlay-missing"


def test_probe_reads_the_header() -> None:
    metadata = image_processor.probe(ORIGINAL)
    assert (metadata.format, metadata.width, metadata.height, metadata.frames) == ("jpeg", 120, 80, 1)
    assert (metadata.bytes, metadata.sha256) == (len(ORIGINAL), hashlib.sha256(ORIGINAL).hexdigest())


def test_describe_summarises_what_an_image_looks_like() -> None:
    red = io.BytesIO()
    exif = Image.Exif()
    exif[0x0110] = "Model X"
    Image.new("RGB", (40, 30), (250, 10, 10)).save(red, "JPEG", exif=exif)
    description = image_processor.describe(red.getvalue(), exif=[image_processor.ExifField.MODEL])
    assert re.fullmatch("#f[0-9a-f]0[0-9a-f]{3}", description.summary.dominant_colour)
    assert description.metadata.width == 40
    assert description.exif == {"model": "Model X"}


def test_errors_are_those_of_the_library() -> None:
    with pytest.raises(image_processor.InvalidTransformation, match=r"expected .* got"):
        image_processor.transform(ORIGINAL, "w=0,fm=webp")
    with pytest.raises(image_processor.Refused) as refused:
        image_processor.probe(b"no image at all")
    assert refused.value.reason == "not-an-image"
    assert issubclass(image_processor.Refused, image_processor.ImageProcessorError)


def test_an_engine_has_limits_of_its_own() -> None:
    limits = image_processor.Limits(max_pixels=1000)
    with (
        image_processor.Engine(limits=limits) as engine,
        pytest.raises(image_processor.Refused) as refused,
    ):
        engine.transform(ORIGINAL, "w=10,fm=png")
    assert refused.value.reason == "too-many-pixels"


def test_an_engine_is_thread_safe() -> None:
    with image_processor.Engine() as engine, ThreadPoolExecutor(3) as executor:
        bodies = executor.map(lambda _: engine.transform(ORIGINAL, "w=30,fm=png").body, range(6))
        assert len(set(bodies)) == 1


def test_every_public_name_resolves_and_unknown_ones_do_not() -> None:
    for name in image_processor.__all__:
        assert getattr(image_processor, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'resize'"):
        image_processor.resize  # noqa: B018 - the access itself raises


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys, image_processor; print([n for n in sys.modules if n.startswith('image_processor.')],"
        " 'pyvips' in sys.modules, 'msgspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False False"


EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_documentation_run(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(EXAMPLES) >= 5
    monkeypatch.chdir(tmp_path)
    exec(example, {"original": ORIGINAL, "logo": LOGO})
