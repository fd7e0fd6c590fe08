"""Deployment: the libraries inside libvips' wheel (pyvips-binary) and their versions.

The binary tells which libraries it holds, and of some the version. No file of the wheel has the others: they
are read from `versions.properties` of libvips-packaging, which builds the wheel, at the tag of the wheel's
libvips or the last one before. Builds only raise them, so each is a lower bound; of a library that is built
from a commit, the bound is its last release that was built. `python deployment/bundled_libraries.py FILE
--tag TAG` writes them into wheel-versions.json, once per raised wheel.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

WHEEL = "pyvips-binary"
FLOORS = Path(__file__).with_name("wheel-versions.json")

# A line of libvips' build configuration, which the binary holds as text.
_FEATURE = re.compile(rb" with ([A-Za-z0-9.-]+): true")
# The version texts of the libraries that have one.
_VERSION_TEXTS: Mapping[str, re.Pattern[bytes]] = {
    "glib": re.compile(rb"<!-- GDBus ([0-9.]+) -->"),
    "libaom": re.compile(rb"AOMedia Project AV1 Encoder v([0-9.]+)"),
    "libarchive": re.compile(rb"libarchive ([0-9.]+)\0"),
    "libpng": re.compile(rb"\0(1\.[0-9]+\.[0-9]+)\0vipspng\0"),
    "mozjpeg": re.compile(rb"mozjpeg version ([0-9.]+)"),
    "zlib-ng": re.compile(rb"\0([0-9.]+)\.zlib-ng\0"),  # the version of the zlib that it replaces
}
# Names in the configuration that differ from the library's, or stand for several libraries.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "libhwy": ("highway",),
    "libjpeg": ("mozjpeg",),
    "zlib": ("zlib-ng",),
    "fontconfig": ("fontconfig", "expat"),
    "pangocairo": ("pango", "cairo", "pixman", "harfbuzz", "fribidi", "freetype", "glib", "libffi"),
    "imagequant": ("libimagequant",),
    "libtiff-4": ("libtiff",),
    "libheif": ("libheif", "libaom"),
    "librsvg-2.0": ("librsvg", "libxml2"),
}
# Names in versions.properties that differ. The rest is the same in lower case, or lacks "lib".
_PROPERTIES: Mapping[str, str] = {"imagequant": "libimagequant", "lcms": "lcms2", "rsvg": "librsvg"}
_PROPERTY = re.compile(r"^VERSION_([A-Z0-9_]+)=(\S+)$", re.MULTILINE)
_RELEASE = re.compile(r"[0-9]+(\.[0-9]+)+")  # a commit's abbreviated hash is no version


def installed() -> tuple[bytes, str]:
    """The installed wheel's binary and version, which is libvips'."""
    wheel = distribution(WHEEL)
    (library,) = (file for file in wheel.files or () if file.name.startswith("libvips"))
    return Path(str(wheel.locate_file(library))).read_bytes(), wheel.version


def names(binary: bytes) -> list[str]:
    """The libraries that the binary holds beside libvips, sorted."""
    features = (word.decode() for word in _FEATURE.findall(binary))
    return sorted({name for feature in features for name in _NAMES.get(feature, (feature,))})


def reported_version(binary: bytes, name: str) -> str | None:
    """The version that the binary tells of one of its libraries, if it does."""
    text = _VERSION_TEXTS[name].search(binary) if name in _VERSION_TEXTS else None
    return text[1].decode() if text else None


def floors() -> dict[str, Any]:
    """wheel-versions.json: ``wheel``, ``tag``, and ``at_least`` by library."""
    found: dict[str, Any] = json.loads(FLOORS.read_text(encoding="utf-8"))
    return found


def check(binary: bytes, wheel: str, known: Mapping[str, Any]) -> Iterator[str]:
    """A line for each library whose version is not told by the binary or by ``known``, and for each that
    contradicts it."""
    if known["wheel"] != wheel:
        yield f"{WHEEL} {wheel}: expected its versions in {FLOORS.name}, got those of {known['wheel']}"
    for name in names(binary):
        told, floor = reported_version(binary, name), known["at_least"].get(name)
        if name in _VERSION_TEXTS and told is None:
            yield f"{name}: expected its version in the wheel's binary, got none"
        if told is None and floor is None:
            yield f"{name}: expected a version in {FLOORS.name}, got none"
        # zlib-ng reports the version of the zlib that it replaces.
        if told and floor and name != "zlib-ng" and as_numbers(told) < as_numbers(floor):
            yield f"{name} {told}: expected {floor} or newer, as {FLOORS.name} says"


def as_numbers(version: str) -> tuple[int, ...]:
    """``version`` for comparisons: 1.6.37 is before 1.6.9 as text and after it as numbers."""
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def read_properties(text: str, libraries: list[str]) -> dict[str, str]:
    """The released versions of ``libraries`` in a versions.properties file, by our names.

    Raises ValueError if it holds none.
    """
    found: dict[str, str] = {}
    for word, version in _PROPERTY.findall(text):
        name = word.lower().replace("_", "-")
        candidates = {_PROPERTIES.get(name, name), f"lib{name}"} & set(libraries)
        if candidates and _RELEASE.fullmatch(version):
            found[candidates.pop()] = version
    if not found:
        raise ValueError("expected lines such as VERSION_HEIF=1.23.0, got none")
    return dict(sorted(found.items()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=f"Write {FLOORS.name} for the installed wheel.")
    parser.add_argument("file", type=Path, help="versions.properties of libvips-packaging")
    parser.add_argument("--tag", required=True, help="the tag that it is of, such as v8.18.3")
    options = parser.parse_args(arguments)
    binary, wheel = installed()
    libraries = names(binary)
    known = {**floors()["at_least"], **read_properties(options.file.read_text(encoding="utf-8"), libraries)}
    at_least = {name: known[name] for name in sorted(known) if name in libraries}
    document = {"wheel": wheel, "tag": options.tag, "at_least": at_least}
    FLOORS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    problems = list(check(binary, wheel, document))
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
