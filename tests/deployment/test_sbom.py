"""The bills of materials list what ships, without a component of a known vulnerability."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import bundled_libraries
import decoder_wheels
import pillow_heif
import pinned
import pytest
import sbom

Json = dict[str, Any]

KNOWN = tomllib.loads(sbom.KNOWN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("sbom")
    assert sbom.main(["--into", str(folder)]) == 0
    return {name: json.loads((folder / f"sbom-{name}.json").read_text()) for name in pinned.REQUIREMENTS}


def test_they_have_the_fields_that_cyclonedx_requires(documents: dict[str, Any]) -> None:
    for document in documents.values():
        assert (document["bomFormat"], document["specVersion"], document["version"]) == (
            "CycloneDX",
            "1.6",
            1,
        )
        refs = [item["bom-ref"] for item in document["components"]]
        assert len(refs) == len(set(refs))
        for item in document["components"]:
            assert item["type"] == "library"
            assert item["name"]
            assert item["purl"].startswith(("pkg:pypi/", "pkg:generic/"))


def test_every_pinned_package_is_listed_with_its_hashes(documents: dict[str, Any]) -> None:
    for name, file in pinned.REQUIREMENTS.items():
        pins = [line for line in (sbom.ROOT / "requirements" / file).read_text().splitlines() if "==" in line]
        components = documents[name]["components"]
        listed = [item for item in components if item["purl"].startswith("pkg:pypi/")]
        assert len(listed) == len(pins) > 2
        assert all(item["properties"] and item["version"] for item in listed)
        assert "msgspec" in {item["name"] for item in listed}


def test_the_codecs_inside_the_wheel_are_listed(documents: dict[str, Any]) -> None:
    versions = {item["name"]: item.get("version") for item in documents["lambda"]["components"]}
    for name in ("libvips", "libaom", "mozjpeg", "libpng"):
        assert versions[name], name
    assert {"libheif", "libwebp", "librsvg", "libtiff", "cgif", "libimagequant"} <= versions.keys()


def test_the_libraries_of_additional_decoders_are_listed_and_compared(documents: dict[str, Any]) -> None:
    for package, names in {"lambda-heic": ("libheif", "libde265", "x265"), "lambda-jxl": ("libjxl",)}.items():
        items = documents[package]["components"]
        versions = {item["name"]: item["version"] for item in items if "version" in item}
        assert set(versions) >= set(names)
        assert all(re.fullmatch(r"[0-9]+(\.[0-9]+)+", versions[name]) for name in names)
    assert decoder_wheels.versions("pillow-heif")["libheif"] == pillow_heif.libheif_info()["libheif"]
    old = sbom.component("libjxl", "0.11.0", "generic")
    assert list(sbom.affected([old], KNOWN)) == [
        "libjxl 0.11.0: CVE-2024-11403, fixed in 0.11.1",
        "libjxl 0.11.0: CVE-2024-11498, fixed in 0.11.1",
    ]


def test_a_decoder_whose_version_is_not_told_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = decoder_wheels.Library(re.compile("pillow_heif.libs/.*"), re.compile(rb"never ([0-9])"))
    monkeypatch.setitem(decoder_wheels.WHEELS, "pillow-heif", {"libheif": nothing, "libde265": nothing})
    with pytest.raises(ValueError, match="expected one version of libheif"):
        decoder_wheels.versions("pillow-heif")
    monkeypatch.setitem(decoder_wheels.WHEELS, "pillow-heif", {"libheif": nothing})
    with pytest.raises(ValueError, match=r"got \['libde265'\]"):
        decoder_wheels.versions("pillow-heif")


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        sbom.main(["--into", str(tmp_path / folder)])
    for name in pinned.REQUIREMENTS:
        first, second = (tmp_path / folder / f"sbom-{name}.json" for folder in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_every_library_inside_the_wheel_has_a_version_or_a_lower_bound(documents: Json) -> None:
    native = [item for item in documents["lambda"]["components"] if item["purl"].startswith("pkg:generic/")]
    assert len(native) > 20
    for item in native:
        assert item.get("version") or sbom._at_least(item), item["name"]


def test_a_vulnerable_version_is_reported_and_one_that_may_be() -> None:
    old = sbom.component("libaom", "3.8.3", "generic")
    bound = sbom.component("libheif", None, "generic") | {
        "properties": [{"name": sbom.AT_LEAST, "value": "1.22.0"}]
    }
    assert list(sbom.affected([old, bound], KNOWN)) == [
        "libaom 3.8.3: CVE-2024-5171, fixed in 3.9.1",
        "libheif 1.22.0 or newer: CVE-2026-49271 is not excluded, fixed in 1.22.1",
    ]
    assert list(sbom.affected([sbom.component("libaom", "3.9.1", "generic")], KNOWN)) == []


def test_what_is_accepted_is_still_needed_and_says_why() -> None:
    binary, version = bundled_libraries.installed()
    native = list(sbom.native_libraries(binary, version, bundled_libraries.floors()["at_least"]))
    found = list(sbom.affected(native, KNOWN | {"accepted": []}))
    assert len(found) == len(KNOWN["accepted"])
    for row in KNOWN["accepted"]:
        assert any(row["id"] in line and line.startswith(row["component"]) for line in found), row["id"]
        assert row["reason"]
