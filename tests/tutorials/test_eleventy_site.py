"""docs/learn/eleventy-site.md: what it makes of photos; with Eleventy installed, all of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import httpx
import pytest
from tutorial import ROOT, Tutorial, photograph

from support.plain_http import NO_CERTIFICATES

EXAMPLE = ROOT / "examples" / "eleventy-site"
MARKUP = """
import {{picture, renditions}} from {module};
const found = renditions({folder});
const html = [...found].map(([name, list]) => [name, picture(list, '/photos/', {options})]);
console.log(JSON.stringify(Object.fromEntries(html)));
"""


def pictures(folder: Path, options: dict[str, str]) -> Any:
    """The HTML of each photo whose renditions are in ``folder``."""
    script = MARKUP.format(
        module=json.dumps((EXAMPLE / "renditions.mjs").as_uri()),
        folder=json.dumps(str(folder)),
        options=json.dumps(options),
    )
    command = ["node", "--input-type=module", "-e", script]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_photos_become_files_and_markup(tutorial: Callable[..., Tutorial]) -> None:
    followed = tutorial("eleventy-site")
    followed.follow(until="npm run pages")
    (followed.example / "photos" / "trip").mkdir()
    photograph().resize((400, 266)).save(followed.example / "photos" / "trip" / "small & odd.jpg")
    followed.run("npm run photos")
    found = pictures(followed.example / "_site" / "photos", {"alt": 'A "cat" & <b>', "sizes": "50vw"})
    assert sorted(found) == ["cat", "trip/small & odd"]
    picture, small = (ET.fromstring(found[name].replace('">', '"/>')) for name in sorted(found))
    source, image = picture
    assert [part.split()[1] for part in source.attrib["srcset"].split(", ")] == ["320w", "640w", "1280w"]
    assert (source.attrib["type"], source.attrib["sizes"]) == ("image/avif", "50vw")
    shown = {name: image.attrib[name] for name in ("alt", "width", "height", "loading")}
    assert shown == {"alt": 'A "cat" & <b>', "width": "1280", "height": "851", "loading": "lazy"}
    widths = [part.split()[1] for part in small[1].attrib["srcset"].split(", ")]
    assert widths == ["320w", "400w"]
    for address in re.findall(r"/photos/(\S+)", " ".join(found.values())):
        assert (followed.example / "_site" / "photos" / unquote(address.rstrip('",'))).is_file()


def test_the_site_is_built(tutorial: Callable[..., Tutorial]) -> None:
    modules = EXAMPLE / "node_modules"
    if not modules.is_dir():
        assert os.environ.get("CI") != "true", "expected npm ci in examples/eleventy-site"
        pytest.skip("ELEVENTY WAS NOT RUN: npm ci --prefix examples/eleventy-site")
    followed = tutorial("eleventy-site")
    (followed.example / "node_modules").symlink_to(modules)
    followed.follow(until="kill %1")
    with httpx.Client(base_url=followed.address(8080), verify=NO_CERTIFICATES) as client:
        addresses = re.findall(r"/photos/[^\s\"]+", client.get("/").text)
        assert len(addresses) == 7
        assert {client.get(address).status_code for address in addresses} == {200}
    followed.follow()
