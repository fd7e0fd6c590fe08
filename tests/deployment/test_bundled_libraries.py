"""The versions of the libraries inside libvips' wheel are known for the wheel that is pinned."""

from __future__ import annotations

import json
from pathlib import Path

import bundled_libraries
import pytest

WHEEL = (
    b" with libpng: true\n with libheif: true\n with OpenEXR: false\n\0001.6.58\0vipspng\0AV1 Encoder v3.15.1"
)
KNOWN = {"wheel": "8.18.7", "at_least": {"libpng": "1.6.50", "libheif": "1.23.0", "libaom": "3.14.1"}}
COMPLETE = WHEEL.replace(b"AV1", b"AOMedia Project AV1")


def test_the_installed_wheel_is_the_one_whose_versions_are_recorded() -> None:
    binary, wheel = bundled_libraries.installed()
    assert list(bundled_libraries.check(binary, wheel, bundled_libraries.floors())) == []


def test_names_and_versions_are_read_from_the_binary() -> None:
    assert bundled_libraries.names(COMPLETE) == ["libaom", "libheif", "libpng"]
    assert bundled_libraries.reported_version(COMPLETE, "libpng") == "1.6.58"
    assert bundled_libraries.reported_version(COMPLETE, "libaom") == "3.15.1"
    assert bundled_libraries.reported_version(COMPLETE, "libheif") is None
    assert list(bundled_libraries.check(COMPLETE, "8.18.7", KNOWN)) == []


def test_another_wheel_a_missing_and_a_contradicted_version_are_reported() -> None:
    assert list(bundled_libraries.check(COMPLETE, "8.19.0", KNOWN)) == [
        "pyvips-binary 8.19.0: expected its versions in wheel-versions.json, got those of 8.18.7"
    ]
    assert list(bundled_libraries.check(WHEEL, "8.18.7", KNOWN)) == [
        "libaom: expected its version in the wheel's binary, got none"
    ]
    unknown = {"wheel": "8.18.7", "at_least": {"libpng": "1.7.0"}}
    assert list(bundled_libraries.check(COMPLETE, "8.18.7", unknown)) == [
        "libheif: expected a version in wheel-versions.json, got none",
        "libpng 1.6.58: expected 1.7.0 or newer, as wheel-versions.json says",
    ]


def test_versions_are_read_under_our_names_and_commits_are_not_versions() -> None:
    text = """
VERSION_HEIF=1.24.0
VERSION_ZLIB_NG=2.3.3
VERSION_RSVG=2.62.3
VERSION_TIFF=072ca92
VERSION_X=1.0
"""
    libraries = ["libheif", "librsvg", "libtiff", "zlib-ng"]
    assert bundled_libraries.read_properties(text, libraries) == {
        "libheif": "1.24.0",
        "librsvg": "2.62.3",
        "zlib-ng": "2.3.3",
    }
    with pytest.raises(ValueError, match="expected lines such as VERSION_HEIF"):
        bundled_libraries.read_properties("VERSION_TIFF=072ca92\n", libraries)


def test_a_version_that_was_known_stays_where_the_file_has_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, file = tmp_path / "wheel-versions.json", tmp_path / "versions.properties"
    before = {"wheel": "8.18.0", "tag": "v8.18.0", "at_least": {"libheif": "1.22.0", "libpng": "1.6.50"}}
    target.write_text(json.dumps(before))
    file.write_text("VERSION_PNG=072ca92\nVERSION_HEIF=1.23.0\nVERSION_AOM=3.14.1\n")
    monkeypatch.setattr(bundled_libraries, "FLOORS", target)
    monkeypatch.setattr(bundled_libraries, "installed", lambda: (COMPLETE, "8.18.7"))
    assert bundled_libraries.main([str(file), "--tag", "v8.18.7"]) == 0
    assert json.loads(target.read_text()) == {
        "wheel": "8.18.7",
        "tag": "v8.18.7",
        "at_least": {"libaom": "3.14.1", "libheif": "1.23.0", "libpng": "1.6.50"},
    }
