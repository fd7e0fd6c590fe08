"""A data directory of version 0.2 opens with this version: same answers, same bytes, nothing to redo."""

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

FIXTURE = Path(__file__).parent / "library_0_2"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
LAZY = "/renditions/photos/a.jpg/w=12,fm=webp.webp"
NEW_FIELDS: dict[str, object] = {}
"""What later versions add, and what they say of records that version 0.2 wrote."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings that 0.2.0 ran with, over an unpacked copy of its data directory, without a webhook."""
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


@pytest.fixture(scope="module")
def client(environment: dict[str, str]) -> Iterator[httpx.Client]:
    with served(environment) as http:
        yield http


def test_reconcile_finds_nothing(environment: dict[str, str]) -> None:
    assert run(environment, "reconcile", "--dry-run", "--json") == ""


def test_the_cli_lists_the_same_records(environment: dict[str, str]) -> None:
    assert list(map(stable, listed(environment))) == list(map(stable, EXPECTED["list"]))


def test_events_that_were_not_sent_are_still_there(environment: dict[str, str]) -> None:
    """Also years later, when they have been waiting for too long: then they are dead, and may be redriven."""
    lines = run(environment, "events", "list", "--json").splitlines()
    assert [json.loads(line)["event"] for line in lines] == EXPECTED["events"]
    assert len(lines) == 8


def test_the_api_shows_the_same_images(client: httpx.Client) -> None:
    assert stable(client.get("/images", params={"limit": 50}).json()) == stable(EXPECTED["images"])


@pytest.mark.parametrize("image_id", EXPECTED["image"])
def test_the_api_shows_the_same_image(client: httpx.Client, image_id: str) -> None:
    assert stable(client.get(f"/images/{image_id}").json()) == stable(EXPECTED["image"][image_id])


def test_focus_points_are_kept(client: httpx.Client) -> None:
    found = {image["original"]: image for image in client.get("/images").json()["images"]}
    assert found["photos/a.jpg"]["focal_point"] == [0.25, 0.75]


@pytest.mark.parametrize("url", EXPECTED["urls"])
def test_a_url_gets_the_same_answer(client: httpx.Client, url: str) -> None:
    assert_same_answer(client.get(url), EXPECTED["urls"][url])


def test_lazy_signed_and_focused_renditions_are_among_them() -> None:
    urls = {url for url, answer in EXPECTED["urls"].items() if answer["status"] == 200}
    assert LAZY in urls
    assert sum("&s=" in url for url in urls) == 2
    assert sum("g=focus" in url for url in urls) == 4


def test_no_file_is_lost_or_written_again(client: httpx.Client, environment: dict[str, str]) -> None:
    """Neither by the server, which reconciles when it starts, nor by the command."""
    assert client.get("/health").json()["status"] == "ok"
    run(environment, "reconcile")
    data = Path(environment["IMAGE_PROCESSOR_DATA"])
    assert_no_file_is_lost_or_written_again(FIXTURE, data, EXPECTED["times"])


def test_a_backup_of_version_0_2_is_restored(environment: dict[str, str], tmp_path: Path) -> None:
    """Its catalog is copied as `backup` of that version did."""
    elsewhere = restored(FIXTURE, environment, tmp_path)
    assert list(map(stable, listed(elsewhere))) == list(map(stable, EXPECTED["list"]))


def stable(value: Any) -> Any:
    """``value`` without advice, which each version may word in its own way, and without new fields."""
    if isinstance(value, dict):
        return {
            name: stable(item)
            for name, item in value.items()
            if name != "fix" and not (name in NEW_FIELDS and item == NEW_FIELDS[name])
        }
    return [stable(item) for item in value] if isinstance(value, list) else value
