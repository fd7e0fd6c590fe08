"""Quality `auto`: lower where artefacts are invisible, higher where they are visible, deterministic."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
from drawing import flat, photograph
from PIL import Image
from test_encode import level_of

from image_processor.domain.formats import FORMATS
from image_processor.engine import auto_quality as module
from image_processor.engine.auto_quality import HIGHEST, LOWEST, Sample, auto_quality, differences
from image_processor.engine.codecs.registry import CODECS

LOSSY = ["jpeg", "webp", "avif"]
CAT = photograph("chelsea.png").resize((300, 200))
SMOOTH = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
NOISY = Image.fromarray(np.random.default_rng(7).integers(0, 256, (200, 300, 3), dtype=np.uint8))


@pytest.mark.parametrize("format_name", LOSSY)
def test_the_quality_is_within_bounds_and_always_the_same(format_name: str) -> None:
    for picture in (CAT, SMOOTH, NOISY, flat("red"), flat((1, 2, 3, 0), "RGBA")):
        chosen = auto_quality(level_of(picture), format_name)
        assert LOWEST <= chosen <= HIGHEST
        assert auto_quality(level_of(picture), format_name) == chosen


@pytest.mark.parametrize("format_name", LOSSY)
def test_every_image_comes_near_the_target(format_name: str) -> None:
    names = ("chelsea.png", "coffee.png", "astronaut.png", "brick.png", "gravel.png")
    pictures = [level_of(photograph(name).resize((256, 256))) for name in names]

    def missed(picture: pyvips.Image, quality: int) -> float:
        found = differences(Sample.of(picture), format_name, quality)
        return abs(module._score(CODECS[format_name].quality_fit, found) - module.TARGET)

    chosen = [auto_quality(picture, format_name) for picture in pictures]
    assert len(set(chosen)) > 2
    fixed = FORMATS[format_name].quality
    assert fixed is not None
    by_target = [missed(picture, quality) for picture, quality in zip(pictures, chosen, strict=True)]
    assert max(by_target) < 3
    assert sum(by_target) < sum(missed(picture, fixed) for picture in pictures) / 2


@pytest.mark.parametrize("format_name", LOSSY)
def test_a_higher_quality_makes_every_difference_smaller(format_name: str) -> None:
    sample = Sample.of(level_of(CAT))
    low, high = (differences(sample, format_name, quality) for quality in (40, 90))
    assert all(better < worse for better, worse in zip(high, low, strict=True))


def test_similarity_equals_an_independent_implementation() -> None:
    """Compared with NumPy, for whole blocks."""
    one, other = (np.asarray(each.convert("L"), dtype=float) for each in (CAT, CAT.rotate(2)))

    def blocks(pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(25, 8, -1, 8).swapaxes(1, 2).reshape(-1, 64)

    one, other = one[:, :296], other[:, :296]
    first, second = blocks(one), blocks(other)
    covariance = ((first - first.mean(1, keepdims=True)) * (second - second.mean(1, keepdims=True))).mean(1)
    expected = (2 * covariance + 58.5) / (first.var(1) + second.var(1) + 58.5)

    def as_picture(pixels: np.ndarray) -> pyvips.Image:
        return pyvips.Image.new_from_array(pixels).cast("float")

    assert module._similarity(as_picture(one), as_picture(other), 8) == pytest.approx(
        expected.mean(), abs=1e-3
    )


def test_the_cost_is_bounded() -> None:
    large = level_of(CAT.resize((2400, 1800)))
    sample = Sample.of(large).image
    assert (sample.width, sample.height) == (768, 768)
    assert sample.crop(0, 0, 256, 256).numpy().tolist() == large.crop(0, 0, 256, 256).numpy().tolist()
    corner = large.crop(2400 - 256, 1800 - 256, 256, 256)
    assert sample.crop(512, 512, 256, 256).numpy().tolist() == corner.numpy().tolist()
    narrow = Sample.of(level_of(Image.new("RGB", (9000, 20)))).image
    assert narrow.width * narrow.height <= 768 * 768


def test_few_encodings_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def counted(sample: Sample, name: str, quality: int) -> tuple[float, ...]:
        tried.append(quality)
        return differences(sample, name, quality)

    monkeypatch.setattr(module, "differences", counted)
    for picture in (CAT, SMOOTH, NOISY):
        tried.clear()
        auto_quality(level_of(picture), "jpeg")
        assert 1 <= len(tried) <= 3
        assert len(set(tried)) == len(tried)


@pytest.mark.parametrize("format_name", ["jpeg", "webp", "avif"])
def test_images_that_are_too_small_to_compare_get_the_default(format_name: str) -> None:
    """A placeholder of a pixel was an error."""
    for size in ((1, 1), (6, 40), (40, 6), (15, 15), (16, 16), (17, 40)):
        image = pyvips.Image.black(*size, bands=3).copy(interpretation="srgb")
        found = auto_quality(image, format_name)
        assert LOWEST <= found <= HIGHEST
        if min(size) < 16:
            assert found == FORMATS[format_name].quality
