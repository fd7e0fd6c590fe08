"""Recipe and settings as entries of the key value store, within its quotas."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery import edge_entries
from image_processor.delivery.edge_entries import changes, entries
from image_processor.domain.errors import Invalid

SECRET = "correct-horse-battery-staple"
KEYS = Settings(signing_keys=(("new", SECRET), ("old", "staple-battery-horse")))

RECIPE = parse_recipe("""
[presets.small]
widths = [10, 20]
formats = ["webp", "jpeg"]
[presets.card]
width = 30
formats = ["jpeg"]
[presets.inner]
public = false
width = 40
formats = ["jpeg"]
[[rules]]
match = "cards/**"
presets = ["card", "small", "inner"]
[[rules]]
match = "**"
presets = ["small"]
""")


def test_published_names_are_the_public_ones() -> None:
    assert entries(RECIPE, Settings()) == {
        "names": "1",
        "p/small": "webp",
        "p/card": "some",
        "n/w=10,fm=webp.webp": "all",
        "n/w=10,fm=jpeg.jpg": "all",
        "n/w=20,fm=webp.webp": "all",
        "n/w=20,fm=jpeg.jpg": "all",
        "n/w=30,fm=jpeg.jpg": "some",
        **{f"n/w={width}": "some" for width in (10, 20, 30)},
        # The formats to negotiate.
        "n/w=10,fm=auto": "webp",
        "n/w=20,fm=auto": "webp",
        "n/w=30,fm=auto": "some",
    }


def test_names_of_lazy_presets_are_published_like_others() -> None:
    lazy = replace(RECIPE, lazy=frozenset({"small", "inner"}))
    assert entries(lazy, Settings()) == entries(RECIPE, Settings())


def test_a_name_public_for_some_originals_is_not_public_for_all() -> None:
    recipe = parse_recipe(DEFAULT_RECIPE.replace('match = "**"', 'match = "photos/**"'))
    assert set(entries(recipe, Settings()).values()) == {"some", "avif", "1"}


def test_settings_add_entries() -> None:
    assert entries(RECIPE, Settings(allow_unsigned=True)) == {"unsigned": "1"}
    assert entries(RECIPE, Settings(allow_unsigned=True, dialects=("thumbor",))) == {
        "unsigned": "1",
        "dialects": "1",
    }
    assert entries(RECIPE, Settings(dialects=("thumbor", "imgix")))["dialects"] == "imgix"
    found = entries(RECIPE, Settings(allow_unsigned=True, hints=True, signing_keys=KEYS.signing_keys))
    assert found == {
        "k/new": SECRET,
        "k/old": "staple-battery-horse",
        "unsigned": "1",
        "hints": "160,320,480,640,960,1280,1920,2560,3840",
    }


def test_quota_errors_show_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_entries, "MAX_VALUE", 20)
    with pytest.raises(Invalid, match="got a signing key"):
        entries(RECIPE, KEYS)
    monkeypatch.undo()
    monkeypatch.setattr(edge_entries, "MAX_TOTAL", 100)
    with pytest.raises(Invalid, match="expected at most 100 bytes for the CloudFront function's store, got"):
        entries(RECIPE, KEYS)


def test_a_name_that_is_too_long_is_left_out() -> None:
    text = "A" * 150
    recipe = parse_recipe(f"""
[presets.long]
width = 10
formats = ["jpeg"]
overlays = [{{text = "{text}"}}, {{text = "{text}"}}]
[[rules]]
match = "**"
presets = ["long"]
""")
    names = [key for key in entries(recipe, Settings()) if key.startswith("n/")]
    assert len(names) == 1
    assert names[0].startswith("n/long=")


def test_lists_are_complete_while_marked_complete() -> None:
    small, large = entries(RECIPE, Settings()), entries(parse_recipe(DEFAULT_RECIPE), Settings())
    for before, after in (({}, large), (small, large), (large, {}), (large, small)):
        stored = dict(before)
        for key, value in changes(after, before):
            if value is None:
                del stored[key]
            else:
                stored[key] = value
            complete = stored.keys() >= after.keys() or stored.keys() >= before.keys()
            assert complete or "names" not in stored
        assert stored == after
