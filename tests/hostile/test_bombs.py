"""Bombs through the real isolated renderer: what each costs, and with which reason it is refused."""

from __future__ import annotations

import pytest

from image_processor.domain.errors import Reason
from image_processor.domain.models import Limits

from .bombs import DIMENSIONS, jpeg_of
from .campaign import Victim, cpu_seconds, forget_peak
from .fat import BESIDE

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
def test_what_announces_too_much_costs_next_to_nothing(name: str) -> None:
    data = DIMENSIONS[name]()
    assert len(data) < 10_000
    with Victim() as victim:
        child, before = victim.pid, cpu_seconds(victim.pid)
        forget_peak(child)
        assert victim.try_one(name, data) in _TOO_LARGE
        assert victim.pid == child, "the child lives on"
        assert cpu_seconds(child) - before <= 0.5
    assert victim.told.peak_mebibytes <= 100
    assert victim.told.wrong == []


def test_most_of_them_are_refused_for_their_size() -> None:
    """The others contradict themselves, which their decoders notice first."""
    with Victim() as victim:
        found = {name: victim.try_one(name, make()) for name, make in DIMENSIONS.items()}
    others = {name: reason for name, reason in found.items() if reason != Reason.TOO_MANY_PIXELS}
    assert others == {
        "png 2^31": Reason.CORRUPT,
        "webp canvas": Reason.CORRUPT,
        "avif 2^31": Reason.TRUNCATED,
        "tiff": Reason.CORRUPT,
    }


@pytest.mark.parametrize("name", list(BESIDE))
def test_what_stands_beside_the_pixels_stays_within_bounds(name: str) -> None:
    with Victim() as victim:
        outcome = victim.try_one(name, BESIDE[name]())
        assert outcome in _MAY_BE | {"rendered"}
        # The next one is served, whatever became of the child.
        assert victim.try_one("next", jpeg_of(2, 16)) == "rendered"
    assert victim.told.wrong == []


def test_hundreds_of_scans_are_too_many_and_with_a_higher_limit_too_slow() -> None:
    with Victim() as victim:
        assert victim.try_one("scans", jpeg_of(694, 3_000)) == Reason.TOO_MANY_SCANS
        assert victim.try_one("scans", jpeg_of(100, 500)) == "rendered"
    with Victim(Limits(max_scans=10_000, cpu_seconds=1)) as victim:
        assert victim.try_one("scans", jpeg_of(8_000, 3_000)) == Reason.TOO_SLOW
        assert victim.try_one("next", jpeg_of(2, 16)) == "rendered"
    assert victim.told.children == 2
    assert victim.told.wrong == []
