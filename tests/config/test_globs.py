"""Globs on keys."""

from __future__ import annotations

import pytest

from image_processor.config.globs import matches


@pytest.mark.parametrize(
    ("glob", "key", "expected"),
    [
        ("**", "any/thing", True),
        ("*", "cat.jpg", True),
        ("*", "a/cat.jpg", False),
        ("*.jpg", "cat.jpg", True),
        ("*.jpg", "cat.JPG", True),
        ("*.JPG", "cat.jpg", True),
        ("**/*.{jpg,jpeg}", "a/IMG_1.JPEG", True),
        ("**/*.{jpg,jpeg}", "a/IMG_1.GIF", False),
        ("{a.jpg,b.png}", "a.JPG", True),
        ("{a.jpg,b.png}", "A.jpg", False),
        ("{a.jpg,b}", "B", False),
        ("cat.j*", "cat.JPG", True),
        ("cat.jp?g", "cat.JPEG", True),
        ("cat*", "CAT.jpg", False),
        ("a.b/cat", "A.B/cat", False),
        ("a.b/cat", "a.B/cat", False),
        ("a.b/**/cat.png", "a.B/x/cat.png", False),
        ("a.b/**/cat.png", "a.b/x/cat.PNG", True),
        ("a.b/*.c/d", "a.b/x.C/d", False),
        ("cat", "CAT", False),
        ("a/cat", "a/CAT", False),
        ("**/*.jpg", "cat.jpg", True),
        ("**/*.jpg", "a/b/cat.jpg", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/bz", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("c?t", "cat", True),
        ("c?t", "c/t", False),
        ("c[ao]t", "cot", True),
        ("c[!a]t", "cat", False),
        ("c[!a]t", "c/t", False),
        ("c[a-c]t", "cbt", True),
        ("*.{jpg,png}", "cat.png", True),
        ("*.{jpg,png}", "cat.gif", False),
        ("a,b", "a,b", True),
        ("a.b", "axb", False),
        ("a(b)+", "a(b)+", True),
        ("line\nbreak*", "line\nbreak\n", True),
    ],
)
def test_a_glob_matches_a_key(glob, key, expected):
    assert matches(glob, key) is expected


@pytest.mark.parametrize("glob", ["{a", "a}", "{a,{b}}"])
def test_unbalanced_braces_are_an_error(glob):
    with pytest.raises(ValueError, match="brace"):
        matches(glob, "a")
