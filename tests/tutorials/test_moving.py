"""docs/learn/moving.md: its commands, what the comparison reports, and how each proxy divides URLs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
import pyvips
from tutorial import ROOT, Tutorial

EXAMPLE = ROOT / "examples" / "moving"
SELECTED = "image-processor"


def test_both_products_run_side_by_side(tutorial: Callable[..., Tutorial]) -> None:
    followed = tutorial("moving")
    if shutil.which("nginx") is None:
        followed.follow(until="nginx -p")
        pytest.skip("nginx is not installed: THE PROXY WAS NOT TESTED")
    followed.follow(until="kill %1")
    lines = (followed.example / "images.log").read_text().splitlines()
    sides = {line.split()[1] for line in lines}
    assert sides == {f"127.0.0.1:{followed.port(port)}" for port in (8000, 8888)}
    by_url: dict[str, set[str]] = {}
    for line in lines[:12]:  # before the share is raised
        by_url.setdefault(line.split()[4], set()).add(line.split()[1])
    assert all(len(found) == 1 for found in by_url.values())
    followed.follow()


COMPARE = """
import base64, json, runpy, sys
compare = runpy.run_path(sys.argv[1])
given = json.load(sys.stdin)
answers = (compare["Answer"](status, type_, base64.b64decode(body)) for status, type_, body in given)
print(json.dumps(compare["compare"](*answers, 25)))
"""


def picture(colour: int, width: int = 40, format_: str = "png", status: int = 200) -> Any:
    body = (pyvips.Image.black(width, 30, bands=3) + colour).cast("uchar").write_to_buffer(f".{format_}")
    return status, f"image/{format_}", body


@pytest.mark.parametrize(
    ("new", "verdict", "figures"),
    [
        (picture(100), "same", "40x30, inf dB, "),
        (picture(110), "same", "40x30, 28.1 dB, "),
        (picture(140), "pixels", "40x30, 16.1 dB, "),
        (picture(100, width=41), "size", "40x30 -> 41x30, "),
        (picture(100, format_="webp"), "format", "image/png -> image/webp, 40x30, "),
        ((403, "", b""), "status", "200 -> 403"),
    ],
)
def test_the_comparison_says_what_differs(new: Any, verdict: str, figures: str) -> None:
    answers = [(status, type_, b64encode(body).decode()) for status, type_, body in (picture(100), new)]
    # In a process of its own: the engine blocks loaders in those that it has started in.
    program = [sys.executable, "-c", COMPARE, str(EXAMPLE / "compare.py")]
    printed = subprocess.run(program, input=json.dumps(answers), capture_output=True, text=True, check=True)
    found = json.loads(printed.stdout)
    assert found[0] == verdict
    assert found[1].startswith(figures)


def test_the_cloudfront_function_sends_its_share_of_the_urls() -> None:
    source = (EXAMPLE / "cloudfront.js").read_text().replace("import cf from 'cloudfront';", "")
    percent = int(re.findall(r"PERCENT = (\d+)", source)[0])
    assert len(source.encode()) < 10_000
    script = f"""
        let selected = 0;
        const cf = {{selectRequestOriginById: (id) => {{ selected += id === '{SELECTED}'; }}}};
        {source}
        const found = [];
        for (let n = 0; n < 20000; n++) {{
            const request = {{uri: `/photos/${{n}}.jpg`}};
            const before = selected;
            if (handler({{request}}) !== request) throw new Error('expected the request');
            found.push(selected - before);
            handler({{request}});
            if (selected - before !== 2 * found[n]) throw new Error('expected the same side again');
        }}
        console.log(JSON.stringify(found.reduce((a, b) => a + b) / found.length));
    """
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == pytest.approx(percent / 100, abs=0.01)


@pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed")
def test_the_caddyfile_divides_by_the_first_character() -> None:
    command = ["caddy", "adapt", "--config", "Caddyfile"]
    adapted = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=True).stdout
    (pattern,) = set(re.findall(r'"pattern":"([^"]+)"', adapted))
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert sum(bool(re.match(pattern, f"/{character}")) for character in characters) == 32
    assert re.findall(r'"dial":"([^"]+)"', adapted) == ["127.0.0.1:8000", "127.0.0.1:8888"]
