"""`similar` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage
from pictures_for_cli import RECIPE
from PIL import Image

REFUSED = "expected an original with a perceptual hash for 'bad.jpg', got"
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


@pytest.fixture
def similar(run, shared_folder, monkeypatch):
    """A library of a photograph, two copies of it, another one and a refused original."""
    monkeypatch.chdir(shared_folder)
    if not Path("data").exists():
        fill_library(run)
    return lambda *arguments: run("similar", *arguments, "--data", "data")


def fill_library(run):
    uploads = Path("data/uploads")
    uploads.mkdir(parents=True)
    cat, cup = (Image.open(PHOTOGRAPHS / name).convert("RGB") for name in ("chelsea.png", "coffee.png"))
    cat.resize((300, 200)).save(uploads / "cat.jpg")
    cat.resize((150, 100)).save(uploads / "small cat.webp")
    cat.crop((9, 6, 442, 294)).resize((200, 133)).save(uploads / "cropped cat.jpg", quality=40)
    cup.resize((300, 200)).save(uploads / "cup.jpg")
    (uploads / "bad.jpg").write_text("hello")
    Path("r.toml").write_text(RECIPE)
    assert run("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 1


def test_copies_are_found_nearest_first(similar):
    status, out, err = similar("cat.jpg")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["Distance", "Original", "Size", "Format", "Bytes"]
    names = [line for line in out.splitlines()[1:] if line.strip()]
    assert len(names) == 2
    assert "small cat.webp" in names[0]
    assert "150 x 100" in names[0]
    assert "cropped cat.jpg" in names[1]


def test_json_has_an_image_and_a_distance_per_line(similar):
    lines = [json.loads(line) for line in similar("cat.jpg", "--json", "--distance", "64")[1].splitlines()]
    assert [line["image"]["original"] for line in lines] == ["small cat.webp", "cropped cat.jpg", "cup.jpg"]
    distances = [line["distance"] for line in lines]
    assert distances == sorted(distances)
    id_ = lines[0]["image"]["id"]
    assert similar(id_, "--limit", "1", "--json")[1].count("\n") == 1


def test_no_similar_image_is_reported(similar):
    assert similar("cup.jpg") == (0, "No original is within 10 of cup.jpg.\n", "")
    assert similar("cup.jpg", "--json") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        (["cat.jpg", "--distance", "99"], ["expected 0-64 for distance, got 99"]),
        (
            ["cat.jpg", "--distance=-1", "--limit", "0"],
            ["expected 0-64 for distance, got -1", "expected 1-1000 for limit, got 0"],
        ),
        (["nobody.jpg"], ["expected the key or id of an original for KEY, got 'nobody.jpg'"]),
        (
            ["bad.jpg"],
            [f"{REFUSED} one that is refused (not-an-image)"],
        ),
    ],
)
def test_mistakes(similar, arguments, errors):
    status, out, err = similar(*arguments)
    assert (status, out, err.splitlines()) == (2, "", [f"error: {line}" for line in errors])
