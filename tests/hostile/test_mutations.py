"""Mutations of every readable format through the real isolated renderer: no crash, no excessive memory, and
every refusal has a reason. `make stress` runs 100,000.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from image_processor.domain.formats import FORMATS

from . import campaign
from .mutate import mutation
from .originals import chunk_ends, format_of, originals

CUTS = 200 if os.environ.get("STRESS") else 10

SEED = 4_000_000
COUNT = 300


def inputs(numbers: range) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for number in numbers:
        yield f"mutation({number})", lambda number=number: mutation(number)[1]


def test_every_format_is_among_the_originals_and_renders() -> None:
    missing = set(FORMATS) - {format_of(name) for name in originals()}
    assert all(FORMATS[name].extra for name in missing)
    if missing:
        pytest.skip(f"{missing} ARE NOT TESTED: install requirements/dev.txt, which has their packages")
    report = campaign.run((name, lambda name=name: originals()[name]) for name in originals())
    assert report.reasons == {"rendered": len(originals())}
    assert report.failures == []


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_mutations_are_refused_or_rendered(*, lenient: bool) -> None:
    start = SEED + COUNT * lenient
    report = campaign.run(inputs(range(start, start + COUNT)), campaign.limits_of(int(lenient)))
    assert report.failures == [], f"hostile.mutate.mutation replays each by its number; {report}"
    assert sum(report.reasons.values()) == COUNT
    # Some are rendered, most refused: the mutations are neither harmless nor mere noise.
    assert report.reasons["rendered"] > COUNT // 20
    assert len(report.reasons) >= 5
    assert report.children == 1


def test_mutations_are_deterministic() -> None:
    assert [mutation(number) for number in range(40)] == [mutation(number) for number in range(40)]
    assert len({mutation(number)[1] for number in range(40)}) > 35


@pytest.fixture(scope="module")
def renderer() -> Iterator[campaign.MeasuredRenderer]:
    """One for the parts of all files."""
    with campaign.MeasuredRenderer() as renderer:
        yield renderer


@pytest.mark.parametrize("name", list(originals()))
def test_truncation_anywhere_is_refused_or_loses_no_pixels(
    renderer: campaign.MeasuredRenderer, name: str
) -> None:
    """A part may only be missing without a refusal if no pixel depends on it, such as a later page."""
    data = originals()[name]
    dice = random.Random(name)
    size = len(data)
    ends = {0, 1, 2, 3, 8, 12, size - 1, size - 2, *(dice.randrange(size) for _ in range(CUTS))}
    ends |= {end + by for end in chunk_ends(data, name) for by in (-1, 0, 1, 4)}
    seen = set()
    renderer.report.failures.clear()
    renderer.try_input(name, data)
    whole = renderer.bodies
    for end in sorted(end for end in ends if 0 <= end < len(data)):
        reason = renderer.try_input(f"{name}[:{end}]", data[:end])
        assert reason in _REASONS
        assert reason != "rendered" or renderer.bodies == whole, end
        seen.add(reason)
    assert renderer.report.failures == []
    assert "truncated" in seen


_REASONS = {"empty", "not-an-image", "unsupported-format", "truncated", "corrupt", "rendered"}
