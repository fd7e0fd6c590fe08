"""Bombs through the real isolated renderer: the cost and the reason of each refusal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from image_processor.domain.errors import Reason
from image_processor.domain.models import Limits

from .bombs import DIMENSIONS, jpeg_of
from .campaign import MeasuredRenderer, cpu_seconds, reset_peak
from .oversized import METADATA_BOMBS

_TOO_LARGE = {Reason.TOO_MANY_PIXELS, Reason.TOO_MANY_FRAMES, Reason.CORRUPT, Reason.TRUNCATED}
_MAY_BE = {
    Reason.CORRUPT,
    Reason.TRUNCATED,
    Reason.UNSUPPORTED_FORMAT,
    Reason.TOO_MANY_PIXELS,
    Reason.TOO_MANY_FRAMES,
    Reason.TOO_SLOW,
}


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_an_announced_bomb_is_refused_cheaply(name: str) -> None:
    data = DIMENSIONS[name]()
    assert len(data) < 10_000
    with MeasuredRenderer() as renderer:
        child, before = renderer.pid, cpu_seconds(renderer.pid)
        reset_peak(child)
        assert renderer.try_input(name, data) in _TOO_LARGE
        assert renderer.pid == child, "the child survives"
        assert cpu_seconds(child) - before <= 0.5
    assert renderer.report.peak_mebibytes <= 100
    assert renderer.report.failures == []


def test_most_dimension_bombs_are_refused_for_their_size() -> None:
    """The others are inconsistent, which their decoders notice first."""
    with MeasuredRenderer() as renderer:
        found = {name: renderer.try_input(name, make()) for name, make in DIMENSIONS.items()}
    others = {name: reason for name, reason in found.items() if reason != Reason.TOO_MANY_PIXELS}
    assert others == {
        "png 2^31": Reason.CORRUPT,
        "webp canvas": Reason.CORRUPT,
        "avif 2^31": Reason.TRUNCATED,
        "tiff": Reason.CORRUPT,
    }


@pytest.mark.parametrize(
    "size", ['width="1000000" height="1000000"', 'viewBox="0 0 1e12 1e12"', 'width="90000"']
)
def test_a_huge_svg_costs_what_is_asked_of_it(size: str) -> None:
    data = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="100%" height="100%"/></svg>'.encode()
    with MeasuredRenderer(Limits(svg=True)) as renderer:
        renderer.try_input(size, data)
        before = cpu_seconds(renderer.pid)
        assert renderer.try_input(size, data) == "rendered"
        assert cpu_seconds(renderer.pid) - before <= 0.5
    assert renderer.report.peak_mebibytes <= 100
    assert renderer.report.failures == []


@pytest.fixture(scope="module")
def renderer() -> Iterator[MeasuredRenderer]:
    """One for all metadata bombs: a child for each would take more CPU than the bomb."""
    with MeasuredRenderer() as renderer:
        yield renderer


@pytest.mark.parametrize("name", list(METADATA_BOMBS))
def test_metadata_bombs_stay_within_limits(renderer: MeasuredRenderer, name: str) -> None:
    renderer.report.failures.clear()
    outcome = renderer.try_input(name, METADATA_BOMBS[name]())
    assert outcome in _MAY_BE | {"rendered"}
    # The next input is rendered, whether or not the child survived.
    assert renderer.try_input("next", jpeg_of(2, 16)) == "rendered"
    assert renderer.report.failures == []


def test_many_scans_are_refused_or_exceed_the_cpu_limit() -> None:
    with MeasuredRenderer() as renderer:
        assert renderer.try_input("scans", jpeg_of(694, 3_000)) == Reason.TOO_MANY_SCANS
        assert renderer.try_input("scans", jpeg_of(100, 500)) == "rendered"
    with MeasuredRenderer(Limits(max_scans=10_000, cpu_seconds=1)) as renderer:
        assert renderer.try_input("scans", jpeg_of(8_000, 3_000)) == Reason.TOO_SLOW
        assert renderer.try_input("next", jpeg_of(2, 16)) == "rendered"
    assert renderer.report.children == 2
    assert renderer.report.failures == []
