"""Private presets: renditions that only they declare have names that need a signed URL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.recipe import parse_recipe
from image_processor.ingest.drift import Drift
from support.ingest import IngestFixture, rendition_bytes, upload

PRIVATE = """
[presets.clean]
widths = [10, 20]
formats = ["webp"]
public = false
[presets.small]
width = 10
formats = ["webp", "jpeg"]
[[rules]]
match = "shop/**"
presets = ["clean", "small"]
cache_control = "public, max-age=7"
[[rules]]
match = "**"
presets = ["clean"]
"""
RECIPE = parse_recipe(PRIVATE)


def test_a_rendition_of_a_public_and_a_private_preset_is_public() -> None:
    ingest = IngestFixture(recipe=RECIPE)
    ingest.put("shop/1.jpg", b"1")
    ingest.put("2.jpg", b"2")
    for key in ("shop/1.jpg", "2.jpg"):
        ingest.processor().process(upload(key))
    assert sorted(ingest.processed.bodies()) == [
        "2.jpg/~w=10,fm=webp.webp",
        "2.jpg/~w=20,fm=webp.webp",
        "shop/1.jpg/w=10,fm=jpeg.jpg",
        "shop/1.jpg/w=10,fm=webp.webp",
        "shop/1.jpg/~w=20,fm=webp.webp",
    ]
    assert list(ingest.reconciler().findings()) == []


def test_a_preset_that_becomes_public_makes_its_renditions_stale() -> None:
    ingest = IngestFixture(recipe=RECIPE)
    ingest.put("2.jpg", b"2")
    ingest.processor().process(upload("2.jpg"))
    ingest.recipe = parse_recipe(PRIVATE.replace("public = false", ""))
    assert [finding.drift for finding in ingest.reconciler().findings()] == [Drift.STALE]
    ingest.processor().process(upload("2.jpg"))
    ingest.assert_converged()


def test_fingerprints_do_not_depend_on_an_explicit_public() -> None:
    public = parse_recipe(PRIVATE.replace("public = false", "public = true"))
    same = parse_recipe(PRIVATE.replace("public = false", ""))
    ingest, other = IngestFixture(recipe=public), IngestFixture(recipe=same)
    for item in (ingest, other):
        item.put("2.jpg", b"2")
        item.processor().process(upload("2.jpg"))
    record, other_record = ingest.record("2.jpg"), other.record("2.jpg")
    assert record is not None
    assert other_record is not None
    assert record.fingerprint == other_record.fingerprint


def test_the_cache_control_of_a_rule_overrides_the_default() -> None:
    ingest = IngestFixture(recipe=RECIPE)
    for key in ("shop/1.jpg", "2.jpg"):
        ingest.put(key, b"x")
        ingest.processor().process(upload(key))
    ruled = ingest.processed.head("shop/1.jpg/w=10,fm=webp.webp").attributes.cache_control
    other = ingest.processed.head("2.jpg/~w=10,fm=webp.webp").attributes.cache_control
    assert (ruled, other) == ("public, max-age=7", "public, max-age=60")


@given(
    presets=st.lists(
        st.tuples(st.booleans(), st.sets(st.integers(1, 4), min_size=1)), min_size=1, max_size=4
    ),
    chosen=st.sets(st.integers(0, 3)),
)
def test_a_private_rendition_never_has_a_public_name(
    presets: list[tuple[bool, set[int]]], chosen: set[int]
) -> None:
    names = [f"p{number}" for number in range(len(presets))]
    used = [names[number] for number in sorted(chosen) if number < len(presets)]
    tables = "".join(
        f"[presets.{name}]\nwidths = {sorted(widths)}\nformats = ['webp']\npublic = {str(public).lower()}\n"
        for name, (public, widths) in zip(names, presets, strict=True)
    )
    rules = f"[[rules]]\nmatch = 'a*'\npresets = {used}\n[[rules]]\nmatch = '**'\npresets = {names}\n"
    ingest = IngestFixture(recipe=parse_recipe(tables + rules))
    ingest.put("a.jpg", b"a")
    ingest.processor().process(upload("a.jpg"))
    public = set().union(*(presets[names.index(name)][1] for name in used if presets[names.index(name)][0]))
    every = set().union(*(presets[names.index(name)][1] for name in used))
    assert ingest.processed.bodies() == {
        f"a.jpg/{'' if width in public else '~'}{item.name}": rendition_bytes(b"a", item)
        for item in ingest.recipe.transformations_for("a.jpg")
        if (width := item.width) in every
    }
    assert list(ingest.reconciler().findings()) == []
