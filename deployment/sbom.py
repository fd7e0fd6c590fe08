"""Deployment: writes the bills of materials (CycloneDX 1.6, JSON) of the Lambda packages and the server.

They list the pinned Python packages and the libraries inside libvips' wheel, as text in that binary
names them, and are reproducible. A library whose binary holds no version is listed without one.
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
REQUIREMENTS = {
    "lambda": "lambda.txt",
    "lambda-api": "lambda-api.txt",
    "lambda-publish": "lambda-publish.txt",
    "server": "server.txt",
}
WHEEL = "pyvips-binary"

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# A line of libvips' build configuration, which the binary holds as text.
_FEATURE = re.compile(rb" with ([A-Za-z0-9.-]+): true")
# The version texts of the libraries that have one.
_VERSION_TEXTS: Mapping[str, re.Pattern[bytes]] = {
    "libaom": re.compile(rb"AOMedia Project AV1 Encoder v([0-9.]+)"),
    "mozjpeg": re.compile(rb"mozjpeg version ([0-9.]+)"),
    "libarchive": re.compile(rb"libarchive ([0-9.]+)\0"),
    "libpng": re.compile(rb"\0(1\.[0-9]+\.[0-9]+)\0vipspng\0"),
    "zlib-ng": re.compile(rb"\0([0-9.]+)\.zlib-ng\0"),
}
# Names in the configuration that differ from the library's, or stand for several libraries.
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
    """The components of a hash-pinned requirements file."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pin = _PIN.match(block)
        if pin is None:
            continue
        name, version = pin[1].lower(), pin[2]
        found = component(name, version, "pypi")
        # All hashes: which file is installed depends on the machine.
        digests = sorted(set(_HASH.findall(block)))
        found["properties"] = [{"name": "image-processor:sha256", "value": digest} for digest in digests]
        yield found


def native_libraries(binary: bytes, version: str) -> Iterator[dict[str, Any]]:
    """The libraries inside libvips' wheel; ``version`` is libvips' own."""
    yield component("libvips", version, "generic")
    names = {
        name for word in _FEATURE.findall(binary) for name in _NAMES.get(word.decode(), (word.decode(),))
    }
    for name in sorted(names):
        text = _VERSION_TEXTS[name].search(binary) if name in _VERSION_TEXTS else None
        yield component(name, text[1].decode() if text else None, "generic")


def component(name: str, version: str | None, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "library", "name": name, "purl": f"pkg:{kind}/{name}"}
    if version is not None:
        found |= {"version": version, "purl": f"pkg:{kind}/{name}@{version}"}
    return found | {"bom-ref": found["purl"]}


def installed_binary() -> tuple[bytes, str]:
    """The installed wheel's binary and version."""
    wheel = distribution(WHEEL)
    (library,) = (file for file in wheel.files or () if file.name.startswith("libvips"))
    return Path(str(wheel.locate_file(library))).read_bytes(), wheel.version


def bill(name: str, requirements: str, binary: bytes, version: str) -> dict[str, Any]:
    """The bill of materials of one package as a CycloneDX document, with libvips' libraries if the
    package has its wheel."""
    components = list(packages(requirements))
    if any(item["name"] == WHEEL for item in components):
        components += native_libraries(binary, version)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": f"image-processor-{name}"}},
        "components": components,
    }


def affected(components: list[dict[str, Any]], known: Mapping[str, Any]) -> Iterator[str]:
    """A line for each component with a known vulnerability, and for each that is not assessed."""
    assessed = known["components"]
    for item in components:
        if not item["purl"].startswith("pkg:generic/"):
            continue
        name, version = item["name"], item.get("version")
        if name not in assessed:
            yield f"{name}: expected a line in {KNOWN.name}, got none"
        elif (version is not None) != assessed[name]["reports_its_version"]:
            yield f"{name}: expected reports_its_version = {str(version is not None).lower()} in {KNOWN.name}"
        for vulnerability in known["vulnerabilities"]:
            if vulnerability["component"] != name or not version:
                continue
            if _parts(version) < _parts(vulnerability["fixed"]):
                yield f"{name} {version}: {vulnerability['id']}, fixed in {vulnerability['fixed']}"


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the bills of materials.")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder to write into")
    options = parser.parse_args(arguments)
    known = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    binary, version = installed_binary()
    options.into.mkdir(parents=True, exist_ok=True)
    problems: set[str] = set()
    for name, file in REQUIREMENTS.items():
        document = bill(name, (ROOT / "requirements" / file).read_text(encoding="utf-8"), binary, version)
        target = options.into / f"sbom-{name}.json"
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {target}: {len(document['components'])} components")
        problems.update(affected(document["components"], known))
    for line in sorted(problems):
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
