"""Routes with which the studio edits the recipe, and those of its page about the server."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api import recipe_editor
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings_file import load_settings
from image_processor.standalone.storage_report import FormatStorage, StorageCount

RECIPE = """[presets.small]
widths = [10, 20]
formats = ["webp", "jpeg"]

[[rules]]
match = "ignored/**"
presets = []

[[rules]]
match = "**"
presets = ["small"]
"""
OTHER = RECIPE.replace("[10, 20]", "[10, 30, 40]")


@pytest.fixture
def file(machine: Machine, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    machine.settings = replace(machine.settings, recipe=str(path), recipe_writable=True)
    return path


@contextmanager
def machine_client(machine: Machine) -> Iterator[Client]:
    """A client of an application with the machine's settings as they are now."""
    with asyncio.Runner() as runner:
        yield Client(machine.app(), runner)


def test_the_built_in_recipe_is_shown_and_not_saved(client: Client) -> None:
    source = client.get("/recipe/source").json()
    assert (source["text"], source["file"], source["writable"]) == (DEFAULT_RECIPE, None, False)
    saved = client.post("/recipe", json={"text": RECIPE, "version": source["version"]})
    assert (saved.status_code, saved.json()["code"]) == (403, "not-writable")
    assert "IMAGE_PROCESSOR_RECIPE, got the built-in recipe" in saved.json()["detail"]


def test_a_recipe_is_saved_only_where_a_setting_allows_it(machine: Machine, file: Path) -> None:
    machine.settings = replace(machine.settings, recipe_writable=False)
    with machine_client(machine) as client:
        source = client.get("/recipe/source").json()
        assert (source["text"], source["writable"]) == (RECIPE, False)
        saved = client.post("/recipe", json={"text": OTHER, "version": source["version"]})
    assert saved.status_code == 403
    assert "IMAGE_PROCESSOR_RECIPE_WRITABLE=1" in saved.json()["detail"]
    assert file.read_text() == RECIPE


def test_every_problem_has_its_line(client: Client) -> None:
    text = """[presets.a]
width = 0
gravity = "up"

[[rules]]
match = "**"
presets = ["b"]
"""
    problems = client.post("/recipe/check", json={"text": text}).json()["problems"]
    assert {(item["line"], item["name"]) for item in problems} == {
        (2, "presets.a.width"), (3, "presets.a.gravity"), (7, "rules.1.presets"),
    }  # fmt: skip
    (syntax,) = client.post("/recipe/check", json={"text": "a = 1\nb = ="}).json()["problems"]
    assert syntax["line"] == 2
    overlay = RECIPE.replace("widths", 'overlays = [{ image = "logo.png" }]\nwidths')
    (machine,) = client.post("/recipe/check", json={"text": overlay}).json()["problems"]
    assert (machine["line"], machine["name"]) == (2, "presets.small.overlays")


def test_a_valid_recipe_is_checked_into_its_presets(client: Client) -> None:
    checked = client.post("/recipe/check", json={"text": RECIPE}).json()
    assert checked["problems"] == []
    assert checked["recipe"]["presets"]["small"][0] == "w=10,fm=webp"


def test_a_dry_run_tells_how_many_images_change_and_how_long_it_takes(
    machine: Machine, client: Client
) -> None:
    def plan(text: str) -> Any:
        return client.post("/recipe/plan", json={"text": text})

    assert plan(OTHER).json() | {"examples": []} == {
        "made_anew": 0, "renditions": 0, "removed": 0, "complete": True, "seconds": None,
        "examples": [],
    }  # fmt: skip
    for key in ("a.jpg", "b.jpg"):
        machine.ingest.put(key, key.encode())
        client.post("/images", json={"key": key})
    assert plan(RECIPE).json()["made_anew"] == 0
    found = plan(OTHER).json()
    # Each of two workers takes half a second for a rendition: the fixture says two for an image with four.
    assert (found["made_anew"], found["renditions"], found["seconds"]) == (2, 12, 3.0)
    assert found["examples"] == ["a.jpg", "b.jpg"]
    wrong = plan("[[rules]]")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid-recipe")


def test_only_one_dry_run_runs_at_a_time(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe_editor, "DRY_RUN_SECONDS", 0.01)
    slots = machine.application.state.work.dry_runs
    client.run(slots.acquire("another client"))
    busy = client.post("/recipe/plan", json={"text": OTHER})
    slots.release("another client")
    assert (busy.status_code, busy.json()["code"]) == (503, "overloaded")
    assert client.post("/recipe/plan", json={"text": OTHER}).status_code == 200


def test_a_saved_recipe_is_in_force(machine: Machine, file: Path) -> None:
    file.chmod(0o640)
    with machine_client(machine) as client:
        source = client.get("/recipe/source").json()
        assert source["writable"]
        saved = client.post("/recipe", json={"text": OTHER, "version": source["version"]})
        assert saved.status_code == 200
        assert file.read_text() == saved.json()["text"] == OTHER
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert [path.name for path in file.parent.iterdir() if "recipe" in path.name] == ["recipe.toml"]
        assert machine.live_recipe.current == parse_recipe(OTHER)
        assert "w=40,fm=webp" in client.get("/recipe").json()["presets"]["small"]

        late = client.post("/recipe", json={"text": RECIPE, "version": source["version"]})
        assert (late.status_code, late.json()["code"]) == (409, "precondition-failed")
        wrong = client.post("/recipe", json={"text": "[[rules]]", "version": saved.json()["version"]})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid-recipe")
        assert file.read_text() == OTHER


def test_a_link_to_the_recipe_stays_a_link(machine: Machine, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.toml"
    file.rename(target)
    file.symlink_to(target)
    with machine_client(machine) as client:
        version = client.get("/recipe/source").json()["version"]
        assert client.post("/recipe", json={"text": OTHER, "version": version}).status_code == 200
    assert (file.is_symlink(), target.read_text()) == (True, OTHER)


def test_activity_counts_uploads_hits_and_misses(machine: Machine, client: Client) -> None:
    machine.ingest.put("a.jpg", b"a")
    machine.ingest.put("b.jpg", b"bad")
    for key in ("a.jpg", "b.jpg"):
        client.post("/images", json={"key": key})
    for _ in range(3):
        assert client.get("/renditions/a.jpg/w=10,fm=webp.webp").status_code == 200
    machine.storage = StorageCount({"webp": FormatStorage(2, 9), "jpeg": FormatStorage(2, 11)}, 5.0)
    activity = client.get("/activity").json()
    counts = {name: sum(values) for name, values in activity["hour"]["counts"].items()}
    assert (counts["processed"], counts["refused"], counts["hits"]) == (1, 1, 3)
    assert counts["refused:not-an-image"] == 1
    assert (activity["hour"]["step"], activity["day"]["step"]) == (60, 900)
    assert [item["format"] for item in activity["storage"]["formats"]] == ["jpeg", "webp"]


def test_settings_are_shown_with_their_source_and_without_secrets(machine: Machine) -> None:
    environment = {
        "IMAGE_PROCESSOR_ICC": "embed",
        "IMAGE_PROCESSOR_SIGNING_KEYS": "a:a-secret-of-the-server",
    }
    settings = load_settings(environment, {"IMAGE_PROCESSOR_PORT": "0"})
    machine.settings = replace(settings, data=machine.settings.data)
    with machine_client(machine) as client:
        response = client.get("/settings")
    shown = {item["name"]: (item["value"], item["source"]) for item in response.json()["settings"]}
    assert shown["IMAGE_PROCESSOR_ICC"] == ("embed", "environment")
    assert shown["IMAGE_PROCESSOR_PORT"] == ("0", "command line")
    assert shown["IMAGE_PROCESSOR_HOST"] == ("127.0.0.1", "default")
    assert shown["IMAGE_PROCESSOR_SIGNING_KEYS"] == ("(set)", "environment")
    assert "a-secret-of-the-server" not in response.text
