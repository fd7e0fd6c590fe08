"""docs/learn/next-photos.md: its loader and its recipe; with Next.js installed (tests/stress), all of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from tutorial import ROOT, Tutorial

EXAMPLE = ROOT / "examples" / "next-photos"
WIDTHS = """
import config from {module};
console.log(JSON.stringify([...config.images.imageSizes, ...config.images.deviceSizes]));
"""


def test_the_loader_names_what_the_recipe_declares(tutorial: Callable[..., Tutorial]) -> None:
    followed = tutorial("next-photos")
    followed.follow(until="npm run build")
    script = WIDTHS.format(module=json.dumps((EXAMPLE / "next.config.mjs").as_uri()))
    command = ["node", "--input-type=module", "-e", script]
    widths = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(widths) == 4
    for width in widths:
        status = followed.run(f'curl -s -o image -w "%{{http_code}}" "${{url/640/{width}}}"')
        assert status.strip() == "200", width


def test_the_loader_escapes_keys() -> None:
    module = json.dumps((EXAMPLE / "image-loader.mjs").as_uri())
    script = f"import load from {module}; console.log(load({{src: 'a/b c?&#%.jpg', width: 320}}))"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().partition("/")[2] == "a/b%20c%3F%26%23%25.jpg?w=320&fm=auto"
