"""Deployment: the bill of materials (CycloneDX 1.6, JSON) of the Lambda package and of the server: the pinned
Python packages, and the libraries inside libvips' wheel as that binary itself tells of them.

The same input gives the same file. A library that does not say its version is listed without one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KNOWN = Path(__file__).with_name("known-vulnerabilities.toml")
REQUIREMENTS = {"lambda": "lambda.txt", "server": "server.txt"}
WHEEL = "pyvips-binary"
# What build.py takes out of the packages that it is made with, into the Lambda package: authorities.
_TAKEN_FROM = ("certifi",)

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# A line of libvips' own configuration, which the binary holds as text.
_FEATURE = re.compile(rb" with ([A-Za-z0-9.-]+): true")
# What each library that says its version says.
_SPOKEN: Mapping[str, re.Pattern[bytes]] = {
    "libaom": re.compile(rb"AOMedia Project AV1 Encoder v([0-9.]+)"),
    "mozjpeg": re.compile(rb"mozjpeg version ([0-9.]+)"),
    "libarchive": re.compile(rb"libarchive ([0-9.]+)\0"),
    "libpng": re.compile(rb"\0(1\.[0-9]+\.[0-9]+)\0vipspng\0"),
    "zlib-ng": re.compile(rb"\0([0-9.]+)\.zlib-ng\0"),
}
# The configuration's words for what has another name, or brings others with it.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "libhwy": ("highway",),
    "libjpeg": ("mozjpeg",),
    "zlib": ("zlib-ng",),
    "pangocairo": ("pango", "cairo", "harfbuzz", "freetype", "glib"),
    "imagequant": ("libimagequant",),
    "libtiff-4": ("libtiff",),
    "libheif": ("libheif", "libaom"),
    "librsvg-2.0": ("librsvg",),
}


def packages(text: str) -> Iterator[dict[str, Any]]:
    """The components that a hash-pinned requirements file names."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pin = _PIN.match(block)
        if pin is None:
            continue
        name, version = pin[1].lower(), pin[2]
        found = component(name, version, "pypi")
        # Which of its files is installed depends on the machine.
        digests = sorted(set(_HASH.findall(block)))
        found["properties"] = [{"name": "image-processor:sha256", "value": digest} for digest in digests]
        yield found


def taken() -> Iterator[dict[str, Any]]:
    """The packages of which only data is in the Lambda package."""
    text = (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8")
    return (each | {"type": "data"} for each in packages(text) if each["name"] in _TAKEN_FROM)


def natives(binary: bytes, version: str) -> Iterator[dict[str, Any]]:
    """The libraries inside libvips' wheel, whose ``version`` is libvips' own."""
    yield component("libvips", version, "generic")
    names = {
        name for word in _FEATURE.findall(binary) for name in _NAMES.get(word.decode(), (word.decode(),))
    }
    for name in sorted(names):
        spoken = _SPOKEN[name].search(binary) if name in _SPOKEN else None
        yield component(name, spoken[1].decode() if spoken else None, "generic")


def component(name: str, version: str | None, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "library", "name": name, "purl": f"pkg:{kind}/{name}"}
    if version is not None:
        found |= {"version": version, "purl": f"pkg:{kind}/{name}@{version}"}
    return found | {"bom-ref": found["purl"]}


def shipped() -> tuple[bytes, str]:
    """The installed wheel's binary, and its version."""
    wheel = distribution(WHEEL)
    (library,) = (file for file in wheel.files or () if file.name.startswith("libvips"))
    return Path(str(wheel.locate_file(library))).read_bytes(), wheel.version


def bill(name: str, requirements: str, binary: bytes, version: str) -> dict[str, Any]:
    """The bill of materials of one package."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": f"image-processor-{name}"}},
        "components": [*packages(requirements), *natives(binary, version)],
    }


def affected(components: list[dict[str, Any]], known: Mapping[str, Any]) -> Iterator[str]:
    """A line for each component that a known vulnerability is in, and for each that nobody has judged."""
    judged = known["components"]
    for each in components:
        if not each["purl"].startswith("pkg:generic/"):
            continue
        name, version = each["name"], each.get("version")
        if name not in judged:
            yield f"{name}: expected a line in {KNOWN.name}, got none"
        elif (version is not None) != judged[name]["reports_its_version"]:
            yield f"{name}: expected reports_its_version = {str(version is not None).lower()} in {KNOWN.name}"
        for hole in known["vulnerabilities"]:
            if hole["component"] == name and version and _parts(version) < _parts(hole["fixed"]):
                yield f"{name} {version}: {hole['id']}, mended in {hole['fixed']}"


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the bills of materials.")
    parser.add_argument("--into", type=Path, default=ROOT / "dist")
    given = parser.parse_args(arguments)
    known = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    binary, version = shipped()
    given.into.mkdir(parents=True, exist_ok=True)
    wrong: set[str] = set()
    for name, file in REQUIREMENTS.items():
        made = bill(name, (ROOT / "requirements" / file).read_text(encoding="utf-8"), binary, version)
        if name == "lambda":
            made["components"] += taken()
        target = given.into / f"sbom-{name}.json"
        target.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {target}: {len(made['components'])} components")
        wrong.update(affected(made["components"], known))
    for line in sorted(wrong):
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
