"""CHANGELOG.md is in the format of Keep a Changelog, and names the version of the package."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from image_processor import __version__

TEXT = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
GROUPS = ("Changed", "Added", "Deprecated", "Removed", "Fixed", "Security")
"""In the order of this file: what an update may break comes first."""


def sections() -> dict[str, str]:
    """The text below each heading of a version."""
    parts = re.split(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_each_version_has_a_number_and_a_date_and_the_newest_is_first():
    unreleased, *released = sections()
    assert unreleased == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)] - (\d{4}-\d\d-\d\d)", title) for title in released]
    assert all(found), released
    versions = [tuple(map(int, match.groups()[:3])) for match in found if match]
    dates = [dt.date.fromisoformat(match[4]) for match in found if match]
    assert versions == sorted(versions, reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_the_newest_release_is_the_version_of_the_package_or_the_one_before():
    newest = numbers(list(sections())[1].partition("]")[0].strip("["))
    version, _, development = __version__.partition(".dev")
    assert newest < numbers(version) if development else newest == numbers(version)


def test_changes_are_grouped_by_kind_in_order():
    for title, text in sections().items():
        kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
        assert kinds == [kind for kind in GROUPS if kind in kinds], title
        groups = re.split(r"^### .*$", text, flags=re.MULTILINE)[1:]
        assert all(re.search(r"^- ", group, re.MULTILINE) for group in groups), title
