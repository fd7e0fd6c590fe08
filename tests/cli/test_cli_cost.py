"""`cost`: sums, what raises and lowers the estimate, and what it says about prices it does not have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.cli.cost_model import Estimate, Workload, estimate, price_file, sources
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.errors import Invalid

DOCS = Path(__file__).parents[2] / "docs"
RECIPE = parse_recipe(DEFAULT_RECIPE)
LAZY = replace(RECIPE, lazy=frozenset({"responsive"}))
REGIONS = tuple(price_file()["regions"])
WORKLOADS = st.builds(
    Workload,
    uploads=st.integers(0, 10**7),
    size=st.floats(0, 50),
    megapixels=st.floats(0.1, 100),
    views=st.integers(0, 10**9),
    hit_ratio=st.floats(0, 1),
    view_kb=st.floats(1, 1000),
    lazy_viewed=st.floats(0, 1),
    api=st.integers(0, 10**6),
    table=st.booleans(),
)


def of(workload: Workload, recipe=RECIPE, region: str = "us-east-1") -> Estimate:
    return estimate(workload, recipe, region)


def quantity(found: Estimate, price: str) -> float:
    return sum(line.quantity for line in found.lines if line.price == price)


@given(WORKLOADS, st.sampled_from(REGIONS))
def test_the_total_is_the_sum_of_all_lines_with_a_price(workload, region):
    found = of(workload, LAZY, region)
    prices = price_file()["regions"][region]
    priced = [line.quantity * prices[line.price] for line in found.lines if line.price in prices]
    assert found.total == pytest.approx(sum(priced))
    assert len(found.without_price) == len(found.lines) - len(priced)


@given(
    WORKLOADS,
    st.sampled_from(["uploads", "size", "megapixels", "views", "view_kb", "api", "lazy_viewed"]),
    st.floats(0, 1),
)
def test_more_of_anything_never_costs_less(workload, field, part):
    value = getattr(workload, field)
    high = {"lazy_viewed": 1, "megapixels": 1000}.get(field, 2 * value + 1)
    more = value + type(value)(part * (high - value))
    assert of(replace(workload, **{field: more}), LAZY).total >= of(workload, LAZY).total * (1 - 1e-9)


@given(WORKLOADS, st.floats(0, 1))
def test_a_higher_hit_ratio_never_costs_more(workload, part):
    higher = workload.hit_ratio + part * (1 - workload.hit_ratio)
    assert of(replace(workload, hit_ratio=higher)).total <= of(workload).total * (1 + 1e-9)


@given(WORKLOADS)
def test_a_lazy_rendition_is_put_only_if_it_is_viewed(workload):
    never = replace(workload, lazy_viewed=0.0)
    saved = quantity(of(never), "s3_put") - quantity(of(never, LAZY), "s3_put")
    assert saved == 8 * workload.uploads


def test_the_largest_line_of_many_uploads_are_puts_which_lazy_presets_cut():
    workload = Workload(uploads=1_000_000, views=0, size=0.1)
    found = of(workload)
    assert (found.largest.service, found.largest.price) == ("S3", "s3_put")
    assert found.largest.dollars == pytest.approx(60)
    assert "`eager = false`" in found.advice
    assert of(workload, LAZY).total < found.total / 2


@pytest.mark.parametrize("field", ["hit_ratio", "uploads", "megapixels"])
def test_a_value_out_of_range_is_an_error(field):
    with pytest.raises(Invalid, match=rf"expected 0.* for {field}, got -1"):
        Workload(**{field: -1})


def test_every_price_of_the_file_belongs_to_a_line_and_has_a_source():
    lines = {line.price for line in of(Workload(api=1, events=True)).lines}
    lines |= {line.price for line in of(Workload(api=1, architecture="x86_64")).lines}
    for region, prices in price_file()["regions"].items():
        assert set(prices) <= lines, region
        assert any(region in source for source in sources())
    assert all(re.search(r"\(20\d\d-\d\d-\d\d\)", source) for source in sources())


def test_the_command_names_the_largest_line_and_what_has_no_price(run):
    status, out, err = run("cost", "--uploads", "1000000", "--views", "0", "--size", "0.1")
    assert status == 0
    assert "largest: S3, PUT and LIST" in out
    assert "EventBridge" not in out
    assert err.count("source: ") == len(sources())
    _, out, _ = run("cost", "--uploads", "1000000", "--views", "0", "--events", "--region", "eu-central-1")
    assert "EventBridge, outcome events" in out.splitlines()[-1]
    status, out, _ = run("cost", "--json", "--no-table", "--region", "eu-central-1")
    reported = json.loads(out)
    assert status == 0
    assert reported["region"] == "eu-central-1"
    assert not any(line["service"] == "DynamoDB" for line in reported["lines"])
    assert reported["total"] == pytest.approx(sum(line["dollars"] or 0 for line in reported["lines"]))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "--region",
            "mars-1",
            "expected one of us-east-1, eu-central-1, ap-southeast-1 for region, got 'mars-1'",
        ),
        ("--hit-ratio", "2", "expected 0-1 for hit_ratio, got 2.0"),
    ],
)
def test_the_command_reports_errors(run, option, value, message):
    status, _, err = run("cost", option, value)
    assert status == 2
    assert message in err


def test_the_example_of_the_documentation_is_what_the_command_prints(run):
    text = (DOCS / "cost.md").read_text(encoding="utf-8")
    block = r"```sh\nimage-processor (cost .*) 2> sources.txt\n```\n\n```text\n((?:.|\n)*?)```"
    command, printed = re.search(block, text).groups()
    status, out, _ = run(*command.split())
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [line.split() for line in printed.splitlines()]
