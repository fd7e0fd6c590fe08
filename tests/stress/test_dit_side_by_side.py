"""sharp answers the URLs of `tests/delivery/vectors/dit.json` as DIT's handler would: its pictures and ours
agree.

`dit/handler.mjs` tells again what the handler does with a URL, in calls of the sharp that DIT pins;
`dit/package-lock.json` pins it here. Where node or npm is missing, or npm cannot install it, the test is
skipped.
Agreement is the same size and format and at least 24 dB, or that both refuse. The bars are 95 % of the URLs,
and 90 % with at least 30 dB.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import npm
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
import peer_urls

_PEER = Path(__file__).with_name("dit")
Answers = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with sharp's picture of each vector by its number, and `answers.json`."""
    node = shutil.which("node")
    if node is None or not npm.install(_PEER):
        pytest.skip("there is no node, or npm could not install sharp: nothing was compared with DIT")
    home = tmp_path_factory.mktemp("dit")
    originals = home / "originals"
    originals.mkdir()
    for name in peer_urls.ORIGINALS:
        (originals / name).write_bytes(peer_urls.original(name))
    lines = []
    for number, vector in enumerate(peer_urls.vectors_of("dit")):
        path, _, query = vector.url.partition("?")
        lines.append(json.dumps({"id": str(number), "path": path, "query": query}))
    command = [node, _PEER / "handler.mjs", originals, home]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    (home / "answers.json").write_text(json.dumps(answers))
    return home


@pytest.fixture(scope="module")
def answers(results: Path) -> Answers:
    found: Answers = json.loads((results / "answers.json").read_text())
    return found


def test_the_vectors_say_what_sharp_answers(answers: Answers) -> None:
    """They are facts, not wishes."""
    for number, vector in enumerate(peer_urls.vectors_of("dit")):
        answer = answers[str(number)]
        assert ("error" in answer) == vector.refused, (vector.shown, answer)
        if not vector.refused:
            size = (answer["width"], answer["height"]) if "width" in answer else None
            assert (size, answer["format"]) == (vector.size, vector.format), vector.shown


def test_pictures_agree_with_those_of_sharp(results: Path) -> None:
    vectors = peer_urls.vectors_of("dit")
    found = [(_psnr(vector, results / str(number)), vector.shown) for number, vector in enumerate(vectors)]
    worst = [(round(psnr, 1), shown) for psnr, shown in sorted(found)[:60]]
    assert sum(psnr >= 24 for psnr, _ in found) >= 0.95 * len(found), worst
    assert sum(psnr >= 30 for psnr, _ in found) >= 0.9 * len(found), worst


def _psnr(vector: peer_urls.Vector, theirs: Path) -> float:
    """In dB between sharp's picture and ours; 99 for equal ones and two refusals, 0 if they do not agree."""
    if peer_urls.verdict_of("dit", vector).outcome != "agrees":
        return 0.0
    if vector.refused:
        return 99.0
    ours = peer_urls.picture("dit", vector.url)
    difference = _premultiplied(ours) - _premultiplied(Image.open(io.BytesIO(theirs.read_bytes())))
    error = float((difference**2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def _premultiplied(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Red, green and blue times alpha, and alpha."""
    planes = np.asarray(image.convert("RGBA"), dtype=float)
    return np.concatenate([planes[..., :3] * planes[..., 3:] / 255, planes[..., 3:]], axis=-1)
