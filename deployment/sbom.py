"""Deployment: writes the bills of materials (CycloneDX 1.6, JSON) of the Lambda packages and the server.

They list the pinned Python packages and the libraries inside the wheels of libvips (bundled_libraries.py) and
of additional decoders (decoder_wheels.py), and are reproducible. Both are compared with what is known of
vulnerabilities: the libraries with known-vulnerabilities.toml, the packages with python-audit.json, which
python_audit.py writes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import bundled_libraries
import decoder_wheels
import pinned
import python_audit
from bundled_libraries import as_numbers

ROOT = Path(__file__).parents[1]
KNOWN = Path(__file__).with_name("known-vulnerabilities.toml")
# The property of a library whose exact version is not known.
AT_LEAST = "image-processor:at-least"

Json = dict[str, Any]


def packages(text: str) -> Iterator[Json]:
    """The components of a hash-pinned requirements file."""
    for name, version, digests in pinned.packages(text):
        found = component(name, version, "pypi")
        found["properties"] = [{"name": "image-processor:sha256", "value": digest} for digest in digests]
        yield found


def native_libraries(binary: bytes, version: str, at_least: Mapping[str, str]) -> Iterator[Json]:
    """The libraries inside libvips' wheel; ``version`` is libvips' own. Where the binary holds no version, a
    property names the lowest that it can be."""
    yield component("libvips", version, "generic")
    for name in bundled_libraries.names(binary):
        told = bundled_libraries.reported_version(binary, name)
        found = component(name, told, "generic")
        if told is None and name in at_least:
            found["properties"] = [{"name": AT_LEAST, "value": at_least[name]}]
        yield found


def component(name: str, version: str | None, kind: str) -> Json:
    found: Json = {"type": "library", "name": name, "purl": f"pkg:{kind}/{name}"}
    if version is not None:
        found |= {"version": version, "purl": f"pkg:{kind}/{name}@{version}"}
    return found | {"bom-ref": found["purl"]}


def decoder_libraries(wheel: str) -> list[Json]:
    """The libraries inside the wheel of an additional decoder."""
    found = decoder_wheels.versions(wheel)
    return [component(name, version, "generic") for name, version in found.items()]


def bill(name: str, requirements: str, native: Mapping[str, list[Json]]) -> Json:
    """The bill of materials of one package as a CycloneDX document, with the libraries of the wheels in
    ``native`` that the package has."""
    components = list(packages(requirements))
    wheels = {item["name"] for item in components}
    components += [item for wheel, found in native.items() if wheel in wheels for item in found]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": f"image-processor-{name}"}},
        "components": components,
    }


def affected(components: Iterable[Json], known: Mapping[str, Any]) -> Iterator[str]:
    """A line for each native component that has a known vulnerability, or may have one."""
    accepted = {(item["id"], item["component"]) for item in known.get("accepted", ())}
    for item in components:
        name, version, bound = item["name"], item.get("version"), _at_least(item)
        for vulnerability in known["vulnerabilities"]:
            identifier, fixed = vulnerability["id"], vulnerability["fixed"]
            if vulnerability["component"] != name or (identifier, name) in accepted:
                continue
            if version and as_numbers(version) < as_numbers(fixed):
                yield f"{name} {version}: {identifier}, fixed in {fixed}"
            if bound and as_numbers(bound) < as_numbers(fixed):
                yield f"{name} {bound} or newer: {identifier} is not excluded, fixed in {fixed}"


def _at_least(item: Json) -> str | None:
    return next((row["value"] for row in item.get("properties", ()) if row["name"] == AT_LEAST), None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the bills of materials.")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder to write into")
    options = parser.parse_args(arguments)
    options.into.mkdir(parents=True, exist_ok=True)
    binary, wheel = bundled_libraries.installed()
    floors, audit = bundled_libraries.floors(), python_audit.load()
    native = {bundled_libraries.WHEEL: list(native_libraries(binary, wheel, floors["at_least"]))}
    native |= {decoder: decoder_libraries(decoder) for decoder in decoder_wheels.WHEELS}
    for name in pinned.REQUIREMENTS:
        document = bill(name, pinned.read(name), native)
        target = options.into / f"sbom-{name}.json"
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {target}: {len(document['components'])} components")
    print(f"compared the Python packages with {audit['source']}, newest advisory {audit['newest']}")
    problems = [
        *bundled_libraries.check(binary, wheel, floors),
        *affected(chain.from_iterable(native.values()), tomllib.loads(KNOWN.read_text(encoding="utf-8"))),
        *python_audit.check(pinned.all_pins(), audit),
    ]
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
