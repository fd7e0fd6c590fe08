"""docs/learn/recipe-change.md: its commands, with fewer images."""

from __future__ import annotations

from collections.abc import Callable

from tutorial import Tutorial


def test_a_recipe_is_changed_and_changed_back(tutorial: Callable[..., Tutorial]) -> None:
    followed = tutorial("recipe-change", replace={"300": "40", '"renditions":1200': '"renditions":160'})
    followed.follow(until="kill %1")
    renditions = [file.name for file in (followed.example / "data" / "processed").rglob("*,fm=*")]
    assert len(renditions) == 80
    assert {name.rpartition(".")[2] for name in renditions} == {"jpg"}
    followed.follow()
