"""Pinned packages are compared with advisories in OSV's format, and an uncompared pin is reported."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import python_audit

Json = dict[str, Any]


def advisory(name: str, *events: dict[str, str], identifier: str = "PYSEC-1", **more: Any) -> Json:
    ranges = [{"type": "GIT", "events": [{"introduced": "0"}]}, {"type": "ECOSYSTEM", "events": list(events)}]
    package = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges}
    return {"id": identifier, "modified": "2026-11-01T00:00:00Z", "affected": [package], **more}


@pytest.mark.parametrize(
    ("events", "affected", "unaffected"),
    [
        ([{"introduced": "0"}, {"fixed": "3.7"}], ["0.1", "3.6.9", "3.7rc1"], ["3.7", "3.10"]),
        ([{"introduced": "2.0"}, {"last_affected": "2.5"}], ["2.0", "2.5"], ["1.9", "2.5.1", "2.10"]),
        ([{"introduced": "1"}, {"fixed": "1.2"}, {"introduced": "2"}], ["1.1", "2", "9"], ["0.9", "1.2"]),
        ([{"fixed": "1.2"}, {"introduced": "1"}], ["1.1.9"], ["1.2"]),
    ],
)
def test_ranges_decide(events: list[dict[str, str]], affected: list[str], unaffected: list[str]) -> None:
    (package,) = advisory("x", *events)["affected"]
    assert [version for version in affected if not python_audit.is_affected(package, version)] == []
    assert [version for version in unaffected if python_audit.is_affected(package, version)] == []


def test_listed_versions_decide_too() -> None:
    package = {"versions": ["1.0", "1.1"]}
    assert python_audit.is_affected(package, "1.1")
    assert not python_audit.is_affected(package, "1.2")


def test_the_result_names_database_pins_and_what_affects_them() -> None:
    fixed = [{"introduced": "0"}, {"fixed": "3.7"}]
    advisories = [
        advisory("Some_Package", *fixed),
        advisory("some-package", *fixed, identifier="PYSEC-2", withdrawn="2026-01-01T00:00:00Z"),
        advisory("other", *fixed, identifier="PYSEC-3"),
        {"id": "PYSEC-4", "modified": "2026-11-20T00:00:00Z"},
    ]
    audit = python_audit.compare({"some-package==3.6", "safe==1"}, advisories, "a database")
    assert audit == {
        "source": "a database",
        "newest": "2026-11-20",
        "packages": ["safe==1", "some-package==3.6"],
        "affected": [{"package": "some-package==3.6", "id": "PYSEC-1", "fixed": ["3.7"]}],
    }
    assert list(python_audit.check({"some-package==3.6", "new==2"}, audit)) == [
        "new==2: expected it in python-audit.json, got none: run make audit DATABASE=...",
        "some-package==3.6: PYSEC-1, fixed in 3.7",
    ]
    assert list(python_audit.check({"safe==1"}, audit)) == []


def test_no_advisories_are_an_error_and_not_a_clean_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected advisories"):
        python_audit.compare({"safe==1"}, python_audit.read_database(tmp_path), "an empty folder")


def test_a_zip_and_a_folder_of_yaml_give_the_same_advisories(tmp_path: Path) -> None:
    expected = advisory("x", {"introduced": "0"})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(expected))
        archive.writestr("LICENSE", "text")
    folder = tmp_path / "vulns" / "x"
    folder.mkdir(parents=True)
    # An unquoted date is a date in YAML.
    (folder / "PYSEC-1.yaml").write_text(
        json.dumps(expected).replace('"2026-11-01T00:00:00Z"', "2026-11-01T00:00:00Z")
    )
    (folder / "README.md").write_text("text")
    assert list(python_audit.read_database(tmp_path / "all.zip")) == [expected]
    (read,) = python_audit.read_database(folder)
    assert read["modified"].startswith("2026-11-01T00:00:00")
    assert read | {"modified": expected["modified"]} == expected


def test_the_committed_result_is_of_the_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, target = tmp_path / "db", tmp_path / "python-audit.json"
    database.mkdir()
    (database / "a.json").write_text(json.dumps(advisory("msgspec", {"introduced": "0"})))
    monkeypatch.setattr(python_audit, "AUDIT", target)
    assert python_audit.main([str(database), "--source", "a test"]) == 1
    written = json.loads(target.read_text())
    monkeypatch.undo()
    assert written["packages"] == python_audit.load()["packages"]
    assert [row["id"] for row in written["affected"]] == ["PYSEC-1"]
