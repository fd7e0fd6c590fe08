"""A data directory of version 0.1 opens with this version: same answers, same bytes, nothing to redo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opened_library import (
    assert_no_file_is_lost_or_written_again,
    assert_same_answer,
    listed,
    restored,
    run,
    served,
    unpack,
)

FIXTURE = Path(__file__).parent / "library_0_1"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
# `fix` is advice in prose that each version words anew; it is not stored. The other fields are new.
NOT_COMPARED = {"fix", "lazy_renditions", "saving", "focal_point", "revision"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings that version 0.1 ran with, over an unpacked copy of its data directory."""
    data = tmp_path_factory.mktemp("library") / "data"
    unpack(FIXTURE, data, EXPECTED["times"])
    return {
        **os.environ,
        "IMAGE_PROCESSOR_DATA": str(data),
        "IMAGE_PROCESSOR_RECIPE": str(FIXTURE / "recipe.toml"),
        "IMAGE_PROCESSOR_SIGNING_KEYS": "a:an-old-secret-of-thirty-two-bytes",
        "IMAGE_PROCESSOR_EXIF": "make,orientation",
        "IMAGE_PROCESSOR_DIALECTS": "thumbor,imgproxy,dit",
    }


def test_reconcile_finds_only_refused_files_that_this_version_may_read(environment: dict[str, str]) -> None:
    """And originals whose pixels it corrects, of which there are none."""
    found = [json.loads(line) for line in run(environment, "reconcile", "--dry-run", "--json").splitlines()]
    assert found == [{"key": key, "why": "stale"} for key in ("broken.jpg", "notes.txt")]


def test_the_cli_lists_the_same_records(environment: dict[str, str]) -> None:
    assert list(map(stable, listed(environment))) == list(map(stable, EXPECTED["list"]))


@pytest.fixture(scope="module")
def client(environment: dict[str, str]) -> Iterator[httpx.Client]:
    with served(environment) as http:
        yield http


def test_the_api_shows_the_same_images(client: httpx.Client) -> None:
    shown = client.get("/images", params={"limit": 50}).json()
    assert stable(shown) == stable(EXPECTED["images"])


@pytest.mark.parametrize("image_id", EXPECTED["image"])
def test_the_api_shows_the_same_image(client: httpx.Client, image_id: str) -> None:
    assert stable(client.get(f"/images/{image_id}").json()) == stable(EXPECTED["image"][image_id])


@pytest.mark.parametrize("url", EXPECTED["urls"])
def test_a_url_gets_the_same_answer(client: httpx.Client, url: str) -> None:
    assert_same_answer(client.get(url), EXPECTED["urls"][url])


def test_no_file_is_lost_or_written_again(client: httpx.Client, environment: dict[str, str]) -> None:
    """Neither by the server, which reconciles when it starts, nor by the command."""
    assert client.get("/health").json()["status"] == "ok"
    run(environment, "reconcile")
    data = Path(environment["IMAGE_PROCESSOR_DATA"])
    assert_no_file_is_lost_or_written_again(FIXTURE, data, EXPECTED["times"])


def test_a_backup_of_version_0_1_is_restored(environment: dict[str, str], tmp_path: Path) -> None:
    """Its catalog is copied as `backup` of that version did, and migrated when it is opened."""
    elsewhere = restored(FIXTURE, environment, tmp_path)
    assert list(map(stable, listed(elsewhere))) == list(map(stable, EXPECTED["list"]))


def stable(value: Any) -> Any:
    """``value`` without what versions may word anew, and with `processed` only if anybody may fetch it.

    Version 0.1 also named renditions whose URL needs a signature.
    """
    if isinstance(value, dict):
        # What version 0.1 refused is tried once more, because later versions read more.
        left_out = {"updated_at"} if value.get("status") == "refused" else set()
        return {
            name: stable(item)
            for name, item in value.items()
            if name not in left_out and not _is_left_out(name, item)
        }
    return [stable(item) for item in value] if isinstance(value, list) else value


NEW_FIELDS = {"keep_smaller": None, "file_frames": None, "total": None}
"""What later versions tell, and what they tell of records that version 0.1 wrote."""


def _is_left_out(name: str, item: Any) -> bool:
    if name in NEW_FIELDS:
        return item == NEW_FIELDS[name]
    return name in NOT_COMPARED or (name == "processed" and (item is None or "/~" in item))
