"""Deployment: the pinned Python packages of what ships, read from requirements/*.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What ships, and its requirements file.
REQUIREMENTS = {
    "lambda": "lambda.txt",
    "lambda-api": "lambda-api.txt",
    "lambda-heic": "lambda-heic.txt",
    "lambda-jxl": "lambda-jxl.txt",
    "lambda-publish": "lambda-publish.txt",
    "server": "server.txt",
    "container": "container.txt",
}

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def read(name: str) -> str:
    """The requirements of one of REQUIREMENTS, as text."""
    return (ROOT / "requirements" / REQUIREMENTS[name]).read_text(encoding="utf-8")


def packages(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 digests of each pin. Which file is installed depends on the machine, so all
    digests are listed."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pin = _PIN.match(block)
        if pin is not None:
            yield pin[1].lower(), pin[2], sorted(set(_HASH.findall(block)))


def all_pins() -> set[str]:
    """``name==version`` of every package that ships."""
    return {f"{name}=={version}" for file in REQUIREMENTS for name, version, _ in packages(read(file))}
