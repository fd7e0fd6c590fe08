"""Presets that are not public: what only they declare never lies under a name that opens unsigned."""

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


def test_what_a_public_preset_declares_too_is_public() -> None:
    room = IngestFixture(recipe=RECIPE)
    room.put("shop/1.jpg", b"1")
    room.put("2.jpg", b"2")
    for key in ("shop/1.jpg", "2.jpg"):
        room.processor().process(upload(key))
    assert sorted(room.processed.bodies()) == [
        "2.jpg/~w=10,fm=webp.webp",
        "2.jpg/~w=20,fm=webp.webp",
        "shop/1.jpg/w=10,fm=jpeg.jpg",
        "shop/1.jpg/w=10,fm=webp.webp",
        "shop/1.jpg/~w=20,fm=webp.webp",
    ]
    assert list(room.reconciler().findings()) == []


def test_a_preset_that_becomes_public_is_found_and_made_so() -> None:
    room = IngestFixture(recipe=RECIPE)
    room.put("2.jpg", b"2")
    room.processor().process(upload("2.jpg"))
    room.recipe = parse_recipe(PRIVATE.replace("public = false", ""))
    assert [finding.drift for finding in room.reconciler().findings()] == [Drift.STALE]
    room.processor().process(upload("2.jpg"))
    room.assert_converged()


def test_a_recipe_without_private_presets_has_the_fingerprints_it_always_had() -> None:
    public = parse_recipe(PRIVATE.replace("public = false", "public = true"))
    same = parse_recipe(PRIVATE.replace("public = false", ""))
    room, other = IngestFixture(recipe=public), IngestFixture(recipe=same)
    for each in (room, other):
        each.put("2.jpg", b"2")
        each.processor().process(upload("2.jpg"))
    record, twin = room.record("2.jpg"), other.record("2.jpg")
    assert record is not None
    assert twin is not None
    assert record.fingerprint == twin.fingerprint


def test_a_rule_says_how_long_its_renditions_are_kept() -> None:
    room = IngestFixture(recipe=RECIPE)
    for key in ("shop/1.jpg", "2.jpg"):
        room.put(key, b"x")
        room.processor().process(upload(key))
    ruled = room.processed.head("shop/1.jpg/w=10,fm=webp.webp").attributes.cache_control
    other = room.processed.head("2.jpg/~w=10,fm=webp.webp").attributes.cache_control
    assert (ruled, other) == ("public, max-age=7", "public, max-age=60")


@given(
    presets=st.lists(
        st.tuples(st.booleans(), st.sets(st.integers(1, 4), min_size=1)), min_size=1, max_size=4
    ),
    chosen=st.sets(st.integers(0, 3)),
)
def test_no_private_rendition_ever_lies_under_a_plain_name(
    presets: list[tuple[bool, set[int]]], chosen: set[int]
) -> None:
    names = [f"p{number}" for number in range(len(presets))]
    used = [names[number] for number in sorted(chosen) if number < len(presets)]
    tables = "".join(
        f"[presets.{name}]\nwidths = {sorted(widths)}\nformats = ['webp']\npublic = {str(public).lower()}\n"
        for name, (public, widths) in zip(names, presets, strict=True)
    )
    rules = f"[[rules]]\nmatch = 'a*'\npresets = {used}\n[[rules]]\nmatch = '**'\npresets = {names}\n"
    room = IngestFixture(recipe=parse_recipe(tables + rules))
    room.put("a.jpg", b"a")
    room.processor().process(upload("a.jpg"))
    public = set().union(*(presets[names.index(name)][1] for name in used if presets[names.index(name)][0]))
    every = set().union(*(presets[names.index(name)][1] for name in used))
    assert room.processed.bodies() == {
        f"a.jpg/{'' if width in public else '~'}{each.name}": rendition_bytes(b"a", each)
        for each in room.recipe.transformations_for("a.jpg")
        if (width := each.width) in every
    }
    assert list(room.reconciler().findings()) == []
