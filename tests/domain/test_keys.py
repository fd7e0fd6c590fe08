"""Valid keys, and prefixes that keep the renditions of different originals apart."""

from __future__ import annotations

import hashlib
import re

import pytest
from domain_strategies import HASH, KEYS, LONGEST_NAME, TRANSFORMATIONS, is_legal
from hypothesis import assume, example, given
from hypothesis import strategies as st

from image_processor.domain.errors import InvalidKey
from image_processor.domain.keys import (
    MAX_KEY_BYTES,
    check_key,
    climbs_above_root,
    image_id,
    original_of,
    rendition_prefix,
)
from image_processor.domain.transformation import Transformation


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "/",
        "//",
        "a//b",
        "a/",
        "photos/katze 😺.jpg",
        "x" * 1024,
        "é" * 512,
        ".",
        "./a",
        "a/./b",
        "..a",
        "a/..b/c..",
        "a/..",
        "a/../b",
        "videos/2014/../../video.wmv",  # legal by the example in S3's user guide
        "\x01\x7f",
        "\\..\\..",
    ],
)
def test_keys_that_s3_accepts_are_valid(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "expected 1-1024 bytes of UTF-8 for key, got '0 bytes'"),
        ("x" * 1025, "expected 1-1024 bytes of UTF-8 for key, got '1025 bytes'"),
        ("é" * 513, "expected 1-1024 bytes of UTF-8 for key, got '1026 bytes'"),
        ("\ud800", "expected valid Unicode for key, got '\\ud800'"),
        ("a\0b", "expected a key without a NUL character for key, got 'a\\x00b'"),
        ("..", "expected a key inside the bucket's root for key, got '..'"),
        ("../a", "expected a key inside the bucket's root for key, got '../a'"),
        ("a/../../b", "expected a key inside the bucket's root for key, got 'a/../../b'"),
    ],
)
def test_keys_that_s3_rejects_are_invalid(key: str, message: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        check_key(key)
    assert str(caught.value) == message


@pytest.mark.parametrize("key", ["./..", "/..", "//../a", "a//../..", "a/./../..", "v/../../2014/video.wmv"])
def test_dot_and_empty_segments_do_not_count_for_climbing(key: str) -> None:
    """A file system reads these as the parent of the root."""
    assert climbs_above_root(key)


@given(KEYS, KEYS)
@example("a", "a/")
@example("x" * 700, "x" * 701)
@example("x" * 701, "x" * 702)
@example("x" * 635 + f"~{HASH}", "x" * 701)
def test_two_originals_have_different_prefixes(one: str, other: str) -> None:
    assume(one != other)
    assert rendition_prefix(one) != rendition_prefix(other)


@given(KEYS)
@example("é" * 351)
@example("🐈" * 256)
@example("x" * 699 + "é")
def test_a_prefix_starts_with_the_key_cut_to_the_limit(key: str) -> None:
    prefix = rendition_prefix(key)
    if len(key.encode()) <= 700:
        assert prefix == f"{key}/"
        return
    kept, _, rest = prefix.rpartition("~")
    assert key.startswith(kept)
    assert len(kept.encode()) > 700 - 4  # less than one character was lost at the cut
    assert rest == hashlib.sha256(key.encode()).hexdigest() + "/"


@given(KEYS, TRANSFORMATIONS)
def test_a_rendition_key_is_always_valid(key: str, transformation: Transformation) -> None:
    assert is_legal(rendition_prefix(key) + transformation.name)


@pytest.mark.parametrize("key", ["x" * 700, "x" * 701, "x" * 1024, "é" * 512, "🐈" * 175])
def test_the_longest_rendition_name_fits(key: str) -> None:
    assert len((rendition_prefix(key) + LONGEST_NAME).encode()) <= MAX_KEY_BYTES


@given(KEYS, KEYS, TRANSFORMATIONS)
@example("a", "a/w=1,fm=jpeg.jpg", Transformation(width=1))
@example("a", "a/", Transformation(width=1))
@example("a", "a/b", Transformation(width=1))
def test_a_direct_child_of_one_prefix_belongs_to_no_other(
    one: str, other: str, transformation: Transformation
) -> None:
    """Deletion removes the direct children of a prefix, and must not remove those of another original."""
    assume(one != other)
    rendition = rendition_prefix(one) + transformation.name
    prefix = rendition_prefix(other)
    assert not (rendition.startswith(prefix) and "/" not in rendition.removeprefix(prefix))


@given(KEYS)
def test_the_prefix_gives_the_key_unless_it_was_cut(key: str) -> None:
    expected = key if len(key.encode()) <= 700 else None
    assert original_of(rendition_prefix(key)) == expected


@pytest.mark.parametrize("key", [f"~{HASH}", f"a~{HASH}", "x" * 635 + f"~{HASH}", f"{'x' * 630}/b~{HASH}"])
def test_a_key_that_looks_like_a_hashed_prefix_is_a_plain_key(key: str) -> None:
    assert rendition_prefix(key) == f"{key}/"
    assert original_of(f"{key}/") == key


def test_a_key_like_the_hashed_prefix_of_another_does_not_collide() -> None:
    victim = "x" * 900
    imitation = rendition_prefix(victim).removesuffix("/")
    assert rendition_prefix(imitation) != rendition_prefix(victim)


def test_an_image_id_is_pinned() -> None:
    """Clients and catalogs store ids: they must never change."""
    assert image_id("uploads", "photos/cat.jpg") == "rt3bavriaxcnibd5nm6smcf4iu"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), KEYS)
def test_an_image_id_has_26_characters(bucket: str, key: str) -> None:
    assert re.fullmatch(r"[a-z2-7]{26}", image_id(bucket, key))


@given(KEYS, KEYS)
def test_two_originals_have_different_ids(one: str, other: str) -> None:
    assume(one != other)
    assert image_id("uploads", one) != image_id("uploads", other)


def test_bucket_and_key_are_hashed_separately() -> None:
    assert image_id("ab", "c") != image_id("a", "bc")
