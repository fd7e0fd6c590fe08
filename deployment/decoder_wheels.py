"""Deployment: the libraries inside the wheels of the additional decoders, for HEIC (pillow-heif) and JPEG XL
(pillow-jxl-plugin), with the versions that their files tell.

The wheels hold a file for each library, or one with all of them. A file that tells no version is an error:
then the wheel has changed, and the patterns here must follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from msgspec import Struct


class Library(Struct, frozen=True):
    """Where a wheel tells the version of one of its libraries: in the text ``version`` of the file whose path
    matches ``file``. Without ``version`` it is in the name of the file."""

    file: re.Pattern[str]
    version: re.Pattern[bytes] | None = None


WHEELS: Mapping[str, Mapping[str, Library]] = {
    "pillow-heif": {
        "libheif": Library(re.compile(r"pillow_heif\.libs/libheif-[0-9a-f]+\.so\.([0-9]+\.[0-9]+\.[0-9]+)")),
        "libde265": Library(
            re.compile(r"pillow_heif\.libs/libde265-.*"), re.compile(rb"\0([0-9]+\.[0-9]+\.[0-9]+)\0")
        ),
        "x265": Library(
            re.compile(r"pillow_heif\.libs/libx265-.*"),
            re.compile(rb"\0([0-9]+\.[0-9]+)\+[0-9]+-[0-9a-f]+\0"),
        ),
    },
    "pillow-jxl-plugin": {
        "libjxl": Library(
            re.compile(r"pillow_jxl/pillow_jxl\..*\.so"), re.compile(rb"\+libjxl-([0-9]+\.[0-9]+\.[0-9]+)/")
        ),
    },
}
"""The libraries of each wheel that decode what users upload."""

_BUNDLED = re.compile(r"pillow_heif\.libs/lib([a-z]+[0-9]*)-.*")


def versions(wheel: str) -> dict[str, str]:
    """The version of each library of an installed wheel. Raises ValueError for one that is not told, and for
    a library in the wheel that is not listed here."""
    installed = distribution(wheel)
    unknown = {f"lib{name}" for name in _bundled(installed)} - {"libx265", *WHEELS[wheel]}
    if unknown:
        raise ValueError(f"{wheel}: expected only libraries that are listed here, got {sorted(unknown)}")
    return {name: _version(installed, wheel, name) for name in WHEELS[wheel]}


def _bundled(installed: Distribution) -> Iterator[str]:
    for file in installed.files or ():
        if match := _BUNDLED.fullmatch(str(file)):
            yield match[1]


def _version(installed: Distribution, wheel: str, name: str) -> str:
    library = WHEELS[wheel][name]
    for file in installed.files or ():
        match = library.file.fullmatch(str(file))
        if match is None:
            continue
        if library.version is None:
            return match[1]
        told = set(library.version.findall(Path(str(installed.locate_file(file))).read_bytes()))
        if len(told) == 1:
            return str(told.pop().decode())
    raise ValueError(f"{wheel}: expected one version of {name} in its files, got none or several")
