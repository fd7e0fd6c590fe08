"""The peer of `bench`: sharp in a Node.js process that renders the same sizes, formats and qualities."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from image_processor.domain.errors import Unavailable
from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import AUTO, Gravity, Transformation

_PLAIN = frozenset({"w", "h", "fit", "g", "q", "fm"})
_FORMATS = frozenset({"jpeg", "webp", "avif", "png"})
_GRAVITIES = frozenset({Gravity.CENTRE, Gravity.ATTENTION, Gravity.ENTROPY})

_PROGRAM = """
const sharp = require('sharp')
const { readFileSync } = require('node:fs')
const { createInterface } = require('node:readline')
sharp.cache(false)
console.log(JSON.stringify({ version: sharp.versions.sharp }))
async function run (line) {
  const { path, renditions } = JSON.parse(line)
  const before = process.cpuUsage()
  const started = process.hrtime.bigint()
  const original = sharp(readFileSync(path)).rotate()
  const bodies = await Promise.all(renditions.map(({ resize, format, options }) =>
    original.clone().resize(resize).toFormat(format, options).toBuffer()))
  const { user, system } = process.cpuUsage(before)
  const wall = Number(process.hrtime.bigint() - started) / 1e9
  return { cpu: (user + system) / 1e6, wall, bytes: bodies.map(body => body.length) }
}
createInterface({ input: process.stdin }).on('line', line => run(line).then(
  answer => console.log(JSON.stringify(answer)),
  error => console.log(JSON.stringify({ error: String(error) }))))
"""


class Cost(Struct, frozen=True):
    """What one original took: seconds of CPU and of wall time, and the bytes of each rendition."""

    cpu: float
    wall: float
    bytes: tuple[int, ...]


def is_comparable(transformation: Transformation) -> bool:
    """Whether sharp makes the same with the same words: sizes, crops, formats and qualities."""
    names = {pair.partition("=")[0] for pair in str(transformation).split(",")}
    return (
        names <= _PLAIN
        and transformation.format in _FORMATS
        and transformation.gravity in _GRAVITIES
        and transformation.quality != AUTO
    )


class Sharp:
    """sharp, as Node.js finds it from ``folder``. A context manager. Raises Unavailable without it."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        if node is None:
            raise Unavailable("sharp is not compared: there is no node on the PATH")
        self._process = subprocess.Popen(  # noqa: S603 - a constant program
            [node, "-e", _PROGRAM],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self.version = str(self._answer()["version"])
        except Unavailable:
            self.close()
            raise Unavailable(f"sharp is not compared: run `npm install sharp` in {folder}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def render(self, path: Path, transformations: Sequence[Transformation]) -> Cost:
        """Raises Unavailable if sharp cannot render the file."""
        assert self._process.stdin
        task = {"path": str(path.resolve()), "renditions": [_task(item) for item in transformations]}
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise Unavailable(f"sharp: {answer['error']}")
        return Cost(answer["cpu"], answer["wall"], tuple(answer["bytes"]))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable("sharp has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _task(transformation: Transformation) -> dict[str, Any]:
    """The transformation in sharp's words, with our encoders' settings."""
    quality = transformation.quality or FORMATS[transformation.format].quality
    options: dict[str, Any] = {} if quality is None else {"quality": quality}
    if transformation.format == "avif":
        options |= {"effort": 0, "chromaSubsampling": "4:2:0"}
    resize = {
        "width": transformation.width,
        "height": transformation.height,
        "fit": str(transformation.fit).replace("fill-down", "cover"),
        "position": str(transformation.gravity),
        "withoutEnlargement": not transformation.enlarge,
    }
    return {
        "resize": {name: value for name, value in resize.items() if value is not None},
        "format": transformation.format,
        "options": options,
    }
