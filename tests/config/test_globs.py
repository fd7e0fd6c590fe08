"""Globs on keys."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config import globs
from image_processor.config.globs import matches

CASES = [
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
    ("**/a*/**/b*.{jp*g,png}", "x/ab/c/bb.jpeg", True),
    ("**/a*/**/b*.{jp*g,png}", "x/ab/c/cb.jpeg", False),
    ("{a,b*}*{c,,d}*", "bxd/", False),
    ("{a,b*}*{c,,d}*", "bxd", True),
]


@pytest.fixture(params=["regular expression", "states"])
def matcher(request, monkeypatch):
    """Both ways to match, for any number of stars."""
    globs._compile.cache_clear()
    monkeypatch.setattr(globs, "MAX_STARS", 99 if request.param == "regular expression" else -1)
    yield request.param
    globs._compile.cache_clear()


@pytest.mark.usefixtures("matcher")
@pytest.mark.parametrize(("glob", "key", "expected"), CASES)
def test_a_glob_matches_a_key(glob, key, expected):
    assert matches(glob, key) is expected


PIECES = st.sampled_from(
    ["*", "**", "**/", "?", "a", "b", "/", "[ab]", "[!a]", "{a,*b}", "{**/,,b}", ".", ","]
)


@given(st.lists(PIECES, max_size=6).map("".join), st.text("ab/.,", max_size=8))
def test_both_ways_to_match_agree(glob, key):
    pieces = globs._pieces(glob)
    expression = re.compile("".join(globs._translate(*piece) for piece in pieces), re.DOTALL)
    assert globs._States.of(pieces).match(key) == bool(expression.fullmatch(key))


@pytest.mark.parametrize("glob", ["**/" * 12 + "a", "*a" * 12 + "b", "**" * 3 + "{*a,*b}*" * 8 + "c"])
def test_many_stars_take_no_time_that_grows_with_their_power(glob):
    """A regular expression would not end within years."""
    assert not matches(glob, "a/" * 400)


@pytest.mark.parametrize("glob", ["{a", "a}", "{a,{b}}"])
def test_unbalanced_braces_are_an_error(glob):
    with pytest.raises(ValueError, match="brace"):
        matches(glob, "a")
