"""The default distance of `similar` separates copies of a photo from other photos."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest
from drawing import encoded, photograph
from PIL import Image

from image_processor.catalog.dynamodb.similar import index_key, ranges_around
from image_processor.domain.models import Limits
from image_processor.domain.similarity import NEAR
from image_processor.engine.render import render

SCENES = (
    *("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "camera.png", "moon.png"),
    *("ihc.png", "motorcycle_left.png", "retina.jpg", "gravel.png", "coins.png"),
)


def hash_of(data: bytes) -> int:
    seen = render(data, [], Limits()).summary
    assert seen is not None
    return int(seen.perceptual_hash, 16)


@cache
def known(scene: str) -> int:
    return hash_of(encoded(small(scene)))


def small(scene: str) -> Image.Image:
    picture = photograph(scene)
    picture.thumbnail((600, 600))
    return picture


def trimmed(picture: Image.Image) -> Image.Image:
    """Cropped by 2 % at each edge."""
    across, down = round(picture.width * 0.02), round(picture.height * 0.02)
    return picture.crop((across, down, picture.width - across, picture.height - down))


@cache
def copies_of(scene: str) -> dict[str, int]:
    """The hashes of copies, by how they were made."""
    picture = small(scene)
    copies = {
        "smaller": encoded(picture.resize((picture.width // 3, picture.height // 3))),
        "recompressed": encoded(picture, "jpeg", quality=30),
        "another format": encoded(picture, "webp", quality=50),
        "cropped": encoded(trimmed(picture)),
        "all of it": encoded(trimmed(picture).resize((150, 100)), "jpeg", quality=50),
    }
    return {how: hash_of(copy) for how, copy in copies.items()}


@pytest.mark.parametrize("scene", SCENES)
def test_a_copy_is_near(scene: str) -> None:
    distances = {how: (value ^ known(scene)).bit_count() for how, value in copies_of(scene).items()}
    assert {how: away for how, away in distances.items() if away > NEAR} == {}


@pytest.mark.parametrize(("radius", "recall"), [(1, 0.9), (2, 0.96), (3, 0.98)])
def test_the_part_of_an_index_that_a_search_reads_holds_nearly_all_copies(radius: int, recall: float) -> None:
    """0.3, 2 and 7 % of a large index. A comparison with all hashes would find every copy."""
    found = []
    for scene in SCENES:
        ranges = ranges_around(known(scene), radius)
        for value in copies_of(scene).values():
            group, text = index_key(f"{value:016x}")
            found.append(any(part.group == group and part.low <= text <= part.high for part in ranges))
    assert len(found) == 5 * len(SCENES)
    assert sum(found) / len(found) >= recall


def test_other_photographs_are_far() -> None:
    distances = [(known(one) ^ known(other)).bit_count() for one, other in combinations(SCENES, 2)]
    assert min(distances) >= 2 * NEAR
