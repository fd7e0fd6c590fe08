"""A dry run counts what another recipe would change, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.domain.models import Upload, UploadKind
from image_processor.ingest.dry_run import DryRun, dry_run
from support.ingest import BUCKET, IngestFixture


def recipe(width: int, match: str = "**") -> str:
    return f"""[presets.p]
widths = [{width}, 20]
formats = ["webp"]
[[rules]]
match = "{match}"
presets = ["p"]
"""


def tried(ingest: IngestFixture, text: str, should_stop: Callable[[], bool] = lambda: False) -> DryRun:
    current = ingest.reconciler()
    return dry_run(current, replace(current, recipe=parse_recipe(text)), should_stop)


def library(count: int) -> IngestFixture:
    ingest = IngestFixture(recipe=parse_recipe(recipe(10)))
    for number in range(count):
        key = f"{'old' if number % 2 else 'new'}/{number}.jpg"
        ingest.put(key, b"%d" % number)
        ingest.processor().process(Upload(BUCKET, key, UploadKind.CREATED))
    return ingest


def test_what_a_recipe_would_change_is_counted_and_nothing_changed() -> None:
    ingest = library(5)
    before = ingest.processed.bodies()
    assert tried(ingest, recipe(10)) == DryRun()
    assert tried(ingest, recipe(11)) == DryRun(
        made_anew=5,
        renditions=10,
        examples=tuple(
            f"{p}/{n}.jpg" for p, n in (("new", 0), ("new", 2), ("new", 4), ("old", 1), ("old", 3))
        ),
    )
    some = tried(ingest, recipe(10, "old/**"))
    assert (some.made_anew, some.removed, some.examples[0]) == (0, 3, "new/0.jpg")
    assert ingest.processed.bodies() == before


def test_originals_that_no_rule_matched_so_far_are_counted_and_refused_ones_are_not() -> None:
    ingest = library(3)
    for key, body in (("bad.jpg", b"bad"), ("zebra.jpg", b"bad")):
        ingest.put(key, body)
        ingest.processor().process(Upload(BUCKET, key, UploadKind.CREATED))
    assert tried(ingest, recipe(11)).made_anew == 3
    ingest.recipe = parse_recipe(recipe(10, "old/**"))
    ingest.put("new/late.jpg", b"late")  # without a record
    found = tried(ingest, recipe(10))
    assert (found.made_anew, found.removed, found.examples) == (
        3, 0, ("new/0.jpg", "new/2.jpg", "new/late.jpg")
    )  # fmt: skip


def test_a_dry_run_that_takes_too_long_ends_after_a_page() -> None:
    ingest = library(2)
    found = tried(ingest, recipe(11), lambda: True)
    assert (found.made_anew, found.complete) == (2, False)
