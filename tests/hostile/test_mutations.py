"""Mutations of every readable format, through the real isolated renderer: nothing crashes, nothing takes
too much, and whatever is refused has its reason. `make stress` runs 100,000.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from image_processor.domain.formats import FORMATS

from . import campaign
from .mutate import mutation
from .originals import chunk_ends, format_of, originals

SEED = 4_000_000
COUNT = 800


def inputs(numbers: range) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for number in numbers:
        yield f"mutation({number})", lambda number=number: mutation(number)[1]


def test_every_format_is_among_the_originals_and_renders() -> None:
    assert {format_of(name) for name in originals()} == set(FORMATS)
    told = campaign.run((name, lambda name=name: originals()[name]) for name in originals())
    assert told.reasons == {"rendered": len(originals())}
    assert told.wrong == []


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_mutations_are_survived(*, lenient: bool) -> None:
    start = SEED + COUNT * lenient
    told = campaign.run(inputs(range(start, start + COUNT)), campaign.limits_of(int(lenient)))
    assert told.wrong == [], f"hostile.mutate.mutation replays each by its number; {told}"
    assert sum(told.reasons.values()) == COUNT
    # Some get through and most do not: the mutations are neither harmless nor mere noise.
    assert told.reasons["rendered"] > COUNT // 20
    assert len(told.reasons) >= 5
    assert told.children == 1


def test_one_number_is_one_mutation() -> None:
    assert [mutation(number) for number in range(40)] == [mutation(number) for number in range(40)]
    assert len({mutation(number)[1] for number in range(40)}) > 35


@pytest.mark.parametrize("name", list(originals()))
def test_an_early_end_at_every_kind_of_place_is_refused_or_takes_nothing(name: str) -> None:
    """What may be missing without a refusal is what no pixel depends on, such as a later page."""
    data = originals()[name]
    dice = random.Random(name)
    ends = {0, 1, 2, 3, 8, 12, len(data) - 1, len(data) - 2, *(dice.randrange(len(data)) for _ in range(30))}
    ends |= {end + by for end in chunk_ends(data, name) for by in (-1, 0, 1, 4)}
    seen = set()
    with campaign.Victim() as victim:
        victim.try_one(name, data)
        whole = victim.bodies
        for end in sorted(end for end in ends if 0 <= end < len(data)):
            reason = victim.try_one(f"{name}[:{end}]", data[:end])
            assert reason in _REASONS
            assert reason != "rendered" or victim.bodies == whole, end
            seen.add(reason)
    assert victim.told.wrong == []
    assert "truncated" in seen


_REASONS = {"empty", "not-an-image", "unsupported-format", "truncated", "corrupt", "rendered"}
