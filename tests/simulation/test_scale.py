"""The model of docs/scale.md throttles where arithmetic says it must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.scale import DAY, Demand, Limits, first_limit, run, sustained

from image_processor.catalog.dynamodb.schema import SHARDS

TEXT = Path(__file__).parents[2].joinpath("docs", "scale.md").read_text(encoding="utf-8")
UNLIMITED = 10**9


def only(**limits: int) -> Limits:
    """No limit but these."""
    names = ("partition_units", "table_units", "warm_units", "puts", "concurrency", "added_concurrency")
    return Limits(**(dict.fromkeys(names, UNLIMITED) | limits))


@pytest.mark.parametrize(("shards", "most"), [(1, 500), (16, 8_000)])
def test_an_index_throttles_at_500_new_originals_a_second_and_partition(shards: int, most: int) -> None:
    limits = only(shards=shards, partition_units=1_000)
    below = run(most * 0.8, 5, limits)
    assert below.throttled["partition"] == 0
    assert below.backlog <= most  # those of the last second
    above = run(most * 1.3, 5, limits)
    assert above.throttled["partition"] > 0
    assert above.peak_per_second <= most
    assert above.peak_per_second > most * 0.98


def test_the_code_has_as_many_partitions_as_the_model() -> None:
    assert Limits().shards == SHARDS


@pytest.mark.parametrize(
    ("limit", "limits", "most"),
    [
        ("table", only(warm_units=4_000), 666),
        ("table", only(table_units=40_000), 6_666),
        ("prefix", only(puts=3_500), 291),
        ("prefix", only(puts=3_500, prefixes=4), 1_166),
        ("concurrency", only(concurrency=1_000), 1_000),
    ],
)
def test_each_limit_throttles_at_its_rate(limit: str, limits: Limits, most: int) -> None:
    assert run(most * 0.9, 5, limits).throttled[limit] == 0
    above = run(most * 1.5, 5, limits)
    assert above.throttled[limit] > 0
    assert abs(above.peak_per_second - most) <= 1
    assert int(sustained(limits)[limit]) == most


def test_a_queue_takes_minutes_to_reach_a_thousand_invocations() -> None:
    limits = Limits(prefixes=1_000)
    assert run(1_000, 60, limits).peak_per_second <= 5 + 60 * 5
    assert run(1_000, 220, limits).peak_per_second == 1_000


def test_what_is_throttled_is_done_later() -> None:
    limits = only(shards=1, partition_units=1_000)
    report = run(600, 30, limits, Demand(seconds=1))
    assert report.done + report.backlog == 600 * 30
    assert report.done / 30 == pytest.approx(500, rel=0.05)


def test_the_table_of_the_document_is_what_the_model_says() -> None:
    rows = re.findall(r"^\| 10\^(\d) \| ([\d,]+) \| ([\w-]+) \| ([\w-]+) \| ([\w-]+) \|", TEXT, re.MULTILINE)
    assert [int(power) for power, *_ in rows] == [6, 7, 8, 9]
    for power, rate, *names in rows:
        per_second = 10 ** int(power) / DAY
        assert rate == f"{per_second:,.0f}"
        stages = (Limits(concurrency=10, warm_units=4_000), Limits(warm_units=4_000), Limits(prefixes=100))
        assert names == [first_limit(per_second, limits) or "none" for limits in stages]
