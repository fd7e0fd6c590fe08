"""`srcset` prints the markup of an image, or one part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw


@pytest.fixture
def srcset(run, shared_folder, monkeypatch):
    """A library of one picture, and one that is refused."""
    monkeypatch.chdir(shared_folder)
    if not Path("data").exists():
        draw("data/uploads/a cat.jpg")
        Path("data/uploads/bad.jpg").write_text("hello")
        Path("r.toml").write_text(RECIPE)
        assert run("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 1
    return lambda *arguments: run("srcset", *arguments, "--data", "data", "--recipe", "r.toml")


def test_everything_is_printed_with_its_title(srcset):
    status, out, err = srcset("a cat.jpg")
    assert (status, err) == (0, "")
    titles = [line for line in out.splitlines() if line.startswith("# ")]
    assert [title.split()[1] for title in titles] == ["<img", "<picture>,", "a", "a", "a"]
    assert "/renditions/a%20cat.jpg/w=8,fm=webp.webp 8w" in out
    assert "preset=p&w=16&fm=auto" in out


@pytest.mark.parametrize(
    ("part", "start"),
    [
        ("img", "<img src="),
        ("picture", "<picture>\n"),
        ("loader", "// For next/image"),
        ("css", ".picture {"),
        ("placeholder", "data:image/png;base64,"),
    ],
)
def test_a_single_part_can_be_piped(srcset, part, start):
    status, out, _ = srcset("a cat.jpg", "--only", part)
    assert status == 0
    assert out.startswith(start)
    assert "# " not in out
    assert out.endswith("\n")
    assert not out.endswith("\n\n")


def test_json_is_one_object(srcset):
    printed = json.loads(srcset("a cat.jpg", "--json", "--alt", "A cat", "--sizes", "50vw")[1])
    assert (printed["width"], printed["height"], printed["left_out"]) == (16, 12, [])
    assert 'alt="A cat"' in printed["img"]
    assert 'sizes="50vw"' in printed["picture"]


def test_undeclared_widths_are_signed_with_a_key_and_left_out_without(srcset, monkeypatch):
    status, out, err = srcset("a cat.jpg", "--widths", "9,10")
    assert (status, out) == (2, "")
    assert "expected one that can be opened for widths" in err
    assert "expected a signing key in IMAGE_PROCESSOR_SIGNING_KEYS, got none" in err
    status, out, err = srcset("a cat.jpg", "--widths", "8,10", "--signed")
    assert (status, out) == (2, "")
    assert "expected a signing key, as ID:SECRET for IMAGE_PROCESSOR_SIGNING_KEYS, got none" in err
    monkeypatch.setenv("IMAGE_PROCESSOR_SIGNING_KEYS", "a:0123456789abcdef")
    status, out, err = srcset("a cat.jpg", "--widths", "8,10", "--signed", "--only", "img")
    assert (status, err) == (0, "")
    assert "/renditions/a%20cat.jpg?w=10&amp;fm=jpeg&amp;kid=a&amp;s=" in out


def test_left_out_widths_are_reported(srcset, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_SIGNING_KEYS", "a:0123456789abcdef")
    monkeypatch.setenv("IMAGE_PROCESSOR_SIZES", "10")
    status, out, err = srcset("a cat.jpg", "--widths", "10,11", "--only", "img")
    assert status == 0
    assert "11w" not in out
    assert err.startswith("left out: w=11,fm=avif")


def test_urls_start_with_the_cdn_or_the_given_base(srcset, monkeypatch):
    assert 'src="https://x.example/y/a%20cat.jpg/' in srcset("a cat.jpg", "--base", "https://x.example/y/")[1]
    monkeypatch.setenv("IMAGE_PROCESSOR_PUBLIC_URL", "https://cdn.example")
    assert 'src="https://cdn.example/a%20cat.jpg/' in srcset("a cat.jpg")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["none.jpg"], 2, "none.jpg"),
        (["bad.jpg"], 1, "expected"),
        (["a cat.jpg", "--widths", "8,x"], 2, "expected whole numbers, such as 320,640,1280 for --widths"),
        (["a cat.jpg", "--preset", "q"], 2, "expected one of p for preset, got 'q'"),
        (["a cat.jpg", "--base", "a b"], 2, "for base, got 'a b'"),
    ],
)
def test_usage_errors(srcset, arguments, status, expected):
    ended, out, err = srcset(*arguments)
    assert (ended, out) == (status, "")
    assert expected in err
