"""`bench`: what it measures and prints. It has no bar, so no time is checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pictures_for_cli import draw

from image_processor.cli.bench_peer import is_comparable
from image_processor.domain.transformation import parse

RECIPE = """
[presets.p]
widths = [8, 16]
formats = ["webp", "jpeg"]
[presets.q]
transformations = ["w=8,blur=2,fm=png"]
[[rules]]
match = "**"
presets = ["p", "q"]
"""

# With its lock for the comparison of DIT.
REAL_SHARP = Path(__file__).parents[1] / "stress" / "dit"
# Answers as sharp does, with one byte for each pixel of the width that is asked for.
SHARP = """
const answer = resize => ({ length: resize.width })
const sharp = () => ({ rotate () { return this }, clone () { return this },
  resize (resize) { return { toFormat: () => ({ toBuffer: async () => answer(resize) }) } } })
sharp.cache = () => {}
sharp.versions = { sharp: '9.9.9' }
module.exports = sharp
"""


@pytest.fixture
def bench(run):
    def call(*arguments):
        draw("in/cat.jpg")
        draw("in/dog.jpg", size=(20, 10))
        Path("in/text.jpg").write_text("hello")
        Path("r.toml").write_text(RECIPE)
        return run("bench", "in", "--recipe", "r.toml", "--runs", "2", *arguments)

    return call


def test_photographs_are_measured_without_a_peer(bench, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    status, out, err = bench("--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert (report["photographs"], report["renditions"], report["runs"]) == (2, 10, 2)
    assert report["original_bytes"] == sum(Path(f"in/{name}.jpg").stat().st_size for name in ("cat", "dog"))
    cost = report["costs"]["image-processor"]
    assert cost["wall"] > 0
    formats = report["bytes_by_format"]["image-processor"]
    assert set(formats) == {"webp", "jpeg", "png"}
    assert cost["bytes"] == [sum(formats.values())]
    assert "sharp is not compared: there is no node on the PATH" in report["left_out"]
    assert any(line.startswith("text.jpg: not-an-image") for line in report["left_out"])


@pytest.mark.skipif(shutil.which("node") is None, reason="NOT TESTED: Node.js is not installed")
def test_the_table_has_both_sides_and_their_ratio(bench):
    Path("node_modules/sharp").mkdir(parents=True)
    Path("node_modules/sharp/index.js").write_text(SHARP)
    status, out, err = bench()
    assert status == 0, err
    assert "Photographs: 2 (0 megapixels" in out
    assert "renditions: 8; runs: 2, of which the median counts" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["sharp"][1] == "9.9.9"
    assert rows["sharp"][-2:] == ["48", "B"]  # twice 8 + 16 pixels for each photograph
    assert len(rows["ratio"]) == 5
    assert "webp" in rows
    assert "png" not in rows
    assert "left out: cat.jpg: w=8,blur=2,fm=png" in err


def test_nothing_to_measure_is_an_error(run):
    Path("in").mkdir()
    Path("in/text.jpg").write_text("hello")
    status, _, err = run("bench", "in")
    assert status == 2
    assert "expected a photograph that the recipe renders for FILE|DIR" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w=640,fm=avif", True),
        ("w=640,h=480,g=attention,q=70,fm=jpeg", True),
        ("w=640,h=480,g=faces,fm=jpeg", False),
        ("w=640,q=auto,fm=jpeg", False),
        ("w=640,blur=2,fm=jpeg", False),
        ("w=640,fm=tiff", False),
    ],
)
def test_what_sharp_is_compared_in(text, expected):
    assert is_comparable(parse(text)) is expected


@pytest.mark.skipif(
    not (REAL_SHARP / "node_modules").exists(),
    reason="NOT TESTED: npm ci --prefix tests/stress/dit installs sharp",
)
def test_sharp_itself_answers(bench):
    status, out, err = bench("--json", "--sharp", REAL_SHARP)
    assert status == 0, err
    report = json.loads(out)
    ours, theirs = (report["bytes_by_format"][name] for name in ("image-processor", "sharp"))
    assert 0.5 < ours["jpeg"] / theirs["jpeg"] < 2
