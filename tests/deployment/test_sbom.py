"""The bills of materials say what ships, and nothing of it has a hole that the list knows."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import sbom

KNOWN = tomllib.loads(sbom.KNOWN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bills")
    assert sbom.main(["--into", str(folder)]) == 0
    return {name: json.loads((folder / f"sbom-{name}.json").read_text()) for name in sbom.REQUIREMENTS}


def test_they_have_what_cyclonedx_demands(bills: dict[str, Any]) -> None:
    for made in bills.values():
        assert (made["bomFormat"], made["specVersion"], made["version"]) == ("CycloneDX", "1.6", 1)
        refs = [each["bom-ref"] for each in made["components"]]
        assert len(refs) == len(set(refs))
        for each in made["components"]:
            assert each["type"] == ("data" if each["name"] == "certifi" else "library")
            assert each["name"]
            assert each["purl"].startswith(("pkg:pypi/", "pkg:generic/"))


def test_every_pinned_package_is_listed_with_its_hashes(bills: dict[str, Any]) -> None:
    for name, file in sbom.REQUIREMENTS.items():
        pins = [line for line in (sbom.ROOT / "requirements" / file).read_text().splitlines() if "==" in line]
        mine = [each for each in bills[name]["components"] if each["type"] == "library"]
        listed = [each for each in mine if each["purl"].startswith("pkg:pypi/")]
        assert len(listed) == len(pins) > 2
        assert all(each["properties"] and each["version"] for each in listed)


def test_whose_list_the_authorities_in_the_package_are_from_is_told(bills: dict[str, Any]) -> None:
    (certifi,) = (each for each in bills["lambda"]["components"] if each["type"] == "data")
    pin = f"certifi=={certifi['version']} "
    assert pin in (sbom.ROOT / "requirements" / "build.txt").read_text()
    assert not [each for each in bills["server"]["components"] if each["type"] == "data"]


def test_the_codecs_inside_the_wheel_are_listed(bills: dict[str, Any]) -> None:
    made = {each["name"]: each.get("version") for each in bills["lambda"]["components"]}
    for name in ("libvips", "libaom", "mozjpeg", "libpng"):
        assert made[name], name
    assert {"libheif", "libwebp", "librsvg", "libtiff", "cgif", "libimagequant"} <= made.keys()


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        sbom.main(["--into", str(tmp_path / folder)])
    for name in sbom.REQUIREMENTS:
        first, second = (tmp_path / folder / f"sbom-{name}.json" for folder in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_an_affected_version_and_a_codec_that_nobody_judged_are_seen() -> None:
    old = [sbom.component("libaom", "3.8.3", "generic"), sbom.component("libnew", None, "generic")]
    assert list(sbom.affected(old, KNOWN)) == [
        "libaom 3.8.3: CVE-2024-5171, mended in 3.9.1",
        "libnew: expected a line in known-vulnerabilities.toml, got none",
    ]
    mended = [sbom.component("libaom", "3.9.1", "generic")]
    assert list(sbom.affected(mended, KNOWN)) == []
    silent = deepcopy(KNOWN)
    silent["components"]["libaom"]["reports_its_version"] = False
    assert list(sbom.affected(mended, silent)) == [
        "libaom: expected reports_its_version = true in known-vulnerabilities.toml"
    ]
