"""Deployment: compares the pinned Python packages with a database of advisories, and keeps the result.

`python deployment/python_audit.py DATABASE --source TEXT` reads advisories in OSV's format: an export of
OSV's ecosystem PyPI (a zip), or a checkout of pypa/advisory-database, which pip-audit uses. It writes
python-audit.json: the database, the date of its newest advisory, every pin, and the advisories that affect
one. `make sbom` reads this file only, so it needs no network, and fails for a pin that was not compared.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pinned

AUDIT = Path(__file__).with_name("python-audit.json")

Json = dict[str, Any]


def load() -> Json:
    found: Json = json.loads(AUDIT.read_text(encoding="utf-8"))
    return found


def check(pins: Iterable[str], audit: Mapping[str, Any]) -> Iterator[str]:
    """A line for each pin that was not compared, and for each that an advisory affects."""
    for pin in sorted(set(pins) - set(audit["packages"])):
        yield f"{pin}: expected it in {AUDIT.name}, got none: run make audit DATABASE=..."
    for row in audit["affected"]:
        if row["package"] in pins:
            yield f"{row['package']}: {row['id']}, fixed in {', '.join(row['fixed']) or 'no version'}"


def compare(pins: Iterable[str], advisories: Iterable[Json], source: str) -> Json:
    """The document of python-audit.json. Raises ValueError if there is no advisory."""
    by_name: dict[str, list[str]] = {}
    for pin in sorted(set(pins)):
        by_name.setdefault(_normalised(pin.partition("==")[0]), []).append(pin)
    newest, affected = "", []
    for advisory in advisories:
        newest = max(newest, advisory["modified"])
        if "withdrawn" in advisory:
            continue
        for package in advisory.get("affected", ()):
            for pin in by_name.get(_normalised(package.get("package", {}).get("name", "")), ()):
                if is_affected(package, pin.partition("==")[2]):
                    row = {"package": pin, "id": advisory["id"], "fixed": _fixed(package)}
                    affected.append(row)
    if not newest:
        raise ValueError("expected advisories in OSV's format, got none")
    packages = [pin for rows in by_name.values() for pin in rows]
    return {
        "source": source,
        "newest": newest[:10],
        "packages": sorted(packages),
        "affected": sorted(affected, key=lambda row: (row["package"], row["id"])),
    }


def is_affected(package: Json, version: str) -> bool:
    """Whether an entry of OSV's ``affected`` names ``version``, in its list or in its ranges."""
    from packaging.version import Version  # noqa: PLC0415 - `make sbom` runs without it

    if version in package.get("versions", ()):
        return True
    for bounds in package.get("ranges", ()):
        if bounds["type"] != "ECOSYSTEM":
            continue
        # The last event at or below the version decides. OSV does not promise an order.
        state = False
        for kind, limit in sorted(_events(bounds), key=lambda event: Version(event[1])):
            if kind == "last_affected":
                state = state and Version(version) <= Version(limit)
            elif Version(limit) <= Version(version):
                state = kind == "introduced"
        if state:
            return True
    return False


def _events(bounds: Json) -> list[tuple[str, str]]:
    """(kind, version) of a range's events; the kinds are OSV's."""
    return [(kind, limit) for event in bounds["events"] for kind, limit in event.items() if kind != "limit"]


def _fixed(package: Json) -> list[str]:
    return sorted(
        limit
        for bounds in package.get("ranges", ())
        if bounds["type"] == "ECOSYSTEM"
        for kind, limit in _events(bounds)
        if kind == "fixed"
    )


def _normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_database(database: Path) -> Iterator[Json]:
    """Every advisory of a zip of JSON files, or of a folder of JSON or YAML files."""
    if database.is_file():
        with zipfile.ZipFile(database) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield json.loads(archive.read(name))
        return
    for file in sorted(database.rglob("*")):
        if file.suffix == ".json":
            yield json.loads(file.read_bytes())
        elif file.suffix == ".yaml":
            yield _read_yaml(file.read_bytes())


def _read_yaml(data: bytes) -> Json:
    """An advisory with its dates as text, as in JSON."""
    import yaml  # noqa: PLC0415 - `make sbom` runs without it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    parsed = yaml.load(data, loader)  # noqa: S506 - a safe loader
    found: Json = json.loads(json.dumps(parsed, default=lambda date: date.isoformat()))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=f"Write {AUDIT.name}.")
    parser.add_argument("database", type=Path, help="advisories in OSV's format: a zip, or a folder")
    parser.add_argument("--source", required=True, help="what the database is, and its revision")
    options = parser.parse_args(arguments)
    pins = pinned.all_pins()
    audit = compare(pins, read_database(options.database), options.source)
    AUDIT.write_text(json.dumps(audit, indent=1) + "\n", encoding="utf-8")
    problems = list(check(pins, audit))
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
