"""docs/extending.md, kept true for the domain: one row adds an output format, one field a parameter.

Each script runs in a fresh interpreter and makes the edit that the document describes while the module
is imported. tests/test_extending_engine.py does the same for the engine's half.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from support.source_edits import EDIT

_FORMAT = """
edit(
    "image_processor.domain.formats",
    ")\\n\\nFORMATS = ",
    '    Format(name="toy", title="Toy", extension="toy", media_type="image/x-toy", aliases=("plaything",), '
    'writable=True, quality=50, encoder_options=_options("effort"), signatures=(b"TOY",)),\\n',
)
from image_processor.config.recipe import parse_recipe
from image_processor.delivery.url.parser import parse_url
from image_processor.domain.errors import FIXES, Reason
from image_processor.domain.formats import sniff
from image_processor.domain.transformation import parse

recipe = parse_recipe(
    '[presets.p]\\nwidth = 9\\nformats = ["toy"]\\nquality = { toy = 7 }\\n'
    '[[rules]]\\nmatch = "**"\\npresets = ["p"]\\n'
)
print(json.dumps({
    "canonical": str(parse("w=9,q=50,effort=3,lossless=1,fm=toy")),
    "name": parse("w=9,fm=toy").name,
    "recipe": [str(each) for each in recipe.transformations_for("cat.jpg")],
    "url": parse_url("cat.jpg", "format=plaything&w=9").text,
    "path": parse_url("cat.jpg/w=9,fm=toy.toy").text,
    "sniffed": sniff(b"TOY and more").name,
    "named in the fix": "Toy" in FIXES[Reason.NOT_AN_IMAGE],
}))
"""

_PARAMETER = """
edit(
    "image_processor.domain.transformation.transformation",
    "    # Pixels\\n",
    '    grain: Annotated[float, Parameter("grain", number(0, 100), "grain in percent", '
    '"w=160,grain=20,fm=webp", aliases=("noise",), normalise=lambda value: 0 if value < 1 else value'
    ')] = 0\\n',
)
from image_processor.config.recipe import parse_recipe
from image_processor.delivery.url.parameter_values import parse_values
from image_processor.delivery.url.parser import parse_url
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.transformation import PARAMETERS, parse

recipe = parse_recipe(
    '[presets.p]\\nwidth = 9\\nformats = ["webp"]\\ngrain = 12.5\\n'
    '[[rules]]\\nmatch = "**"\\npresets = ["p"]\\n'
)
url = parse_url("cat.jpg", "fm=webp&NOISE=20&w=9")
try:
    parse("grain=101")
except InvalidTransformation as error:
    problem = str(error)
print(json.dumps({
    "canonical": str(parse("grain=20,fm=webp,w=9")),
    "without effect": [str(parse(f"grain={value},w=9,fm=webp")) for value in ("0", "0.5")],
    "recipe": [str(each) for each in recipe.transformations_for("cat.jpg")],
    "url": url.text,
    "value": parse_values(url.pairs)[0].fields["grain"],
    "problem": problem,
    "documented": [row.meaning for row in PARAMETERS if row.name == "grain"],
}))
"""


def _run(script: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "error", "-c", "import json\n" + EDIT + script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_a_format_is_one_row() -> None:
    assert _run(_FORMAT) == {
        "canonical": "w=9,effort=3,fm=toy",
        "name": "w=9,fm=toy.toy",
        "recipe": ["w=9,q=7,fm=toy"],
        "url": "w=9,fm=toy",
        "path": "w=9,fm=toy",
        "sniffed": "toy",
        "named in the fix": True,
    }


def test_a_parameter_is_one_field() -> None:
    assert _run(_PARAMETER) == {
        "canonical": "w=9,grain=20,fm=webp",
        "without effect": ["w=9,fm=webp", "w=9,fm=webp"],
        "recipe": ["w=9,grain=12.5,fm=webp"],
        "url": "w=9,grain=20,fm=webp",
        "value": 20,
        "problem": "expected 0-100 for grain, got 101",
        "documented": ["grain in percent"],
    }
