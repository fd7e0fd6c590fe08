"""docs/cookbook: its pages and pictures are current, and the four ways of each recipe make the same image."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cookbook_originals
import numpy as np
import pytest
import write_cookbook
from cookbook_originals import MARK
from cookbook_recipes import CookbookRecipe, Task, recipes, topics
from msgspec.structs import replace
from PIL import Image

import image_processor
from image_processor.__main__ import main
from image_processor.bootstrap.commands import Commands
from image_processor.bootstrap.delivery import (
    build_delivery,
    build_on_demand_renderer,
    build_rendition_repository,
)
from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.repository import MetadataCache
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.models import Limits
from image_processor.domain.ports import Stores
from image_processor.engine.worker.isolation import IsolatedRenderer
from support.ingest import BUCKET, IngestFixture, upload
from support.served import RECIPE, Served

DOCS = Path(__file__).parents[1] / "docs"
RECIPES = recipes()
TASKS = [task for topic in topics() for task in topic.tasks]
SETTINGS = Settings(signing_keys=(("1", "a secret of 16 bytes"),), overlays="logos/", limits=Limits(svg=True))
NO_RECIPE = Recipe({}, ())
SAME_DECIBELS = 45
"""As in test_transformations_doc: processors round some operations otherwise."""
SIMILAR_DECIBELS = 30
"""An upload, and several renditions of one call, are resized in a pyramid: a little unlike one by one."""


# Pages ---------------------------------------------------------------------------------------------


def test_the_pages_are_what_the_script_writes() -> None:
    written = write_cookbook.pages()
    assert {path: path.read_text(encoding="utf-8") for path in written} == written, "run `make docs`"
    assert set(write_cookbook.FOLDER.glob("*.md")) == {*written} - {write_cookbook.INDEX}


def test_there_are_forty_recipes_with_names_of_their_own() -> None:
    assert len(RECIPES) >= 40
    assert len({entry.name for entry in (*RECIPES, *TASKS)}) == len(RECIPES) + len(TASKS)


def test_every_picture_is_there_and_small_and_there_is_no_other() -> None:
    pictures = {path.stem: path.stat().st_size for path in write_cookbook.FOLDER.glob("*.webp")}
    assert set(pictures) == {recipe.name for recipe in RECIPES}
    assert {name: size for name, size in pictures.items() if size > 12_000} == {}


# The four ways -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def renderer() -> Iterator[IsolatedRenderer]:
    """The one child that renders for URLs, commands and recipes."""
    with IsolatedRenderer() as renderer:
        yield renderer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that recipes name."""
    (tmp_path / MARK).parent.mkdir()
    (tmp_path / MARK).write_bytes(cookbook_originals.original(MARK))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_four_ways_make_the_same_image(
    recipe: CookbookRecipe, renderer: IsolatedRenderer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / recipe.original).write_bytes(cookbook_originals.original(recipe.original))
    made = {
        "program": by_program(recipe, folder),
        "command": by_commands(recipe, folder, renderer, monkeypatch),
        "recipe": by_ingest(recipe, renderer),
        "URL": by_urls(recipe, renderer),
    }
    expected = made.pop("program")
    by_pyramid = {"recipe"} if len(expected) == 1 else set(made)
    assert len(expected) == len(recipe.renditions())
    for way, bodies in made.items():
        assert list(map(header, bodies)) == list(map(header, expected)), way
        for body, other in zip(bodies, expected, strict=True):
            assert decibels(body, other) > (SIMILAR_DECIBELS if way in by_pyramid else SAME_DECIBELS), way
    shown = (write_cookbook.FOLDER / f"{recipe.name}.webp").read_bytes()
    drawn = write_cookbook.picture(expected[0])
    assert header(drawn) == header(shown), "run `make docs`"
    if "text:" not in recipe.urls():  # fonts are those of the machine
        assert decibels(drawn, shown) > SAME_DECIBELS, "run `make docs`"


def by_program(recipe: CookbookRecipe, folder: Path) -> list[bytes]:
    exec(recipe.program(), {})
    return taken(recipe, folder)


def by_commands(
    recipe: CookbookRecipe, folder: Path, renderer: IsolatedRenderer, monkeypatch: pytest.MonkeyPatch
) -> list[bytes]:
    @contextmanager
    def shared(*_: object) -> Iterator[object]:
        yield renderer.render

    monkeypatch.setattr(Commands, "start_renderer", lambda _: None)
    monkeypatch.setattr(Commands, "open_renderer", shared)
    for line in recipe.commands().splitlines():
        words = shlex.split(line)
        while "=" in words[0]:
            monkeypatch.setenv(*words.pop(0).split("=", 1))
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line
    return taken(recipe, folder)


def taken(recipe: CookbookRecipe, folder: Path) -> list[bytes]:
    """The files that the recipe's renditions have now, which are then gone."""
    files = [folder / name for name in recipe.renditions()]
    bodies = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    return bodies


def library(recipe: CookbookRecipe, rules: Recipe, renderer: IsolatedRenderer) -> IngestFixture:
    ingest = IngestFixture(recipe=rules, render=renderer.render, limits=SETTINGS.limits)
    for key in (MARK, recipe.original):
        ingest.put(key, cookbook_originals.original(key))
    return ingest


def by_ingest(recipe: CookbookRecipe, renderer: IsolatedRenderer) -> list[bytes]:
    """What an upload becomes; its public URLs then find the same."""
    ingest = library(recipe, recipe.recipe(), renderer)
    ingest.processor().process(upload(recipe.original))
    stored = ingest.processed.bodies()
    bodies = [stored[f"{recipe.original}/{item.name}"] for item in recipe.renditions().values()]
    found = served(recipe, ingest, renderer, signed=False)
    assert found == (bodies[:1] if recipe.auto else bodies)
    assert ingest.processed.bodies() == stored, "a URL has made what was there"
    return bodies


def by_urls(recipe: CookbookRecipe, renderer: IsolatedRenderer) -> list[bytes]:
    """What signed URLs make where no recipe declares it."""
    ingest = library(recipe, NO_RECIPE, renderer)
    return served(replace(recipe, auto=False), ingest, renderer, signed=True)


def served(
    recipe: CookbookRecipe, ingest: IngestFixture, renderer: IsolatedRenderer, *, signed: bool
) -> list[bytes]:
    stores = Stores(ingest.uploads, ingest.processed, ingest.catalog)
    repository = build_rendition_repository(SETTINGS, BUCKET, stores)
    on_demand = build_on_demand_renderer(SETTINGS, lambda: ingest.recipe, repository, renderer.render)
    metadata_of = MetadataCache(repository, on_demand.read_metadata)
    delivery = build_delivery(SETTINGS, ingest.recipe, repository, metadata_of, None)
    bodies = []
    for line in recipe.urls().splitlines():
        url = urlsplit(line)
        path, query = url.path.removeprefix("/"), url.query
        if signed:
            query += "&" + signature_query(delivery.policy.keyring.sign(parse_url(path, query)))
        request = HttpRequest("GET", path, query, {"accept": "image/avif,image/webp,*/*"})
        lookup = delivery.serve(request, on_demand.render)
        assert lookup.error is None
        bodies.append(ingest.processed.get(lookup.ref.stored_key).body)
    return bodies


def header(body: bytes) -> tuple[object, ...]:
    with Image.open(io.BytesIO(body)) as picture:
        return picture.format, picture.size, getattr(picture, "n_frames", 1)


def decibels(body: bytes, other: bytes) -> float:
    """The peak signal-to-noise ratio of all frames; infinite for equal images."""
    error = float(((pixels(body) - pixels(other)) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def pixels(body: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(body)) as picture:
        frames = []
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGBA"), dtype=np.float64))
        return np.stack(frames)


# In a library --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server with the cat and a copy of it, and the cat's id."""
    folder = tmp_path_factory.mktemp("library")
    cat = cookbook_originals.original("cat.png")
    copy = image_processor.transform(cat, "w=300,q=50,fm=jpeg").body
    (folder / "data" / "uploads").mkdir(parents=True)
    for name, body in (("cat.png", cat), ("copy.jpg", copy)):
        (folder / name).write_bytes(body)
        (folder / "data" / "uploads" / name).write_bytes(body)
    server = Served(folder, RECIPE)
    try:
        server.start()
        server.wait_until(lambda: len(server.get("/images?status=processed")["images"]) == 2)
        yield server, server.get("/images?search=cat.png")["images"][0]["id"]
    finally:
        server.close()


def outcome(task: Task, site: tuple[Served, str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, dict]:
    """What request and command print, and the variables of the program."""
    server, id_ = site
    monkeypatch.chdir(server.folder)
    bin_ = Path(sys.executable).parent
    recipe = str(server.folder / "recipe.toml")
    environment = {
        **os.environ,
        "ID": id_,
        "IMAGE_PROCESSOR_RECIPE": recipe,
        "PATH": f"{bin_}:{os.environ['PATH']}",
    }
    request = task.request.replace("http://127.0.0.1:8000", server.address)
    printed = [
        subprocess.run(
            ["sh", "-ec", line], env=environment, check=True, capture_output=True, text=True
        ).stdout
        for line in (request, task.command)
    ]
    names: dict[str, object] = {}
    exec(task.program, names)
    return printed[0], printed[1], names


@pytest.fixture
def outcomes(site: tuple[Served, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str, dict]]:
    return {task.name: outcome(task, site, monkeypatch) for task in TASKS}


def test_the_ways_of_each_task_find_the_same(outcomes: dict[str, tuple[str, str, dict]]) -> None:
    request, command, names = outcomes.pop("copies")
    assert "copy.jpg" in request
    assert "copy.jpg" in command
    assert names["is_copy"] is True

    request, command, names = outcomes.pop("dominant-colour")
    colour = json.loads(request)["dominant_colour"]
    assert json.loads(command)["dominant_colour"] == colour
    assert names["style"] == f"background: {colour}"

    request, command, names = outcomes.pop("placeholder")
    placeholder = command.strip()
    assert placeholder.startswith("data:image/png;base64,")
    assert placeholder in request
    assert all(names["hashes"])

    request, command, names = outcomes.pop("markup")
    assert json.loads(request)["picture"].strip() == command.strip()
    assert names["srcset"] == "cat-160.webp 160w, cat-320.webp 320w"
    assert outcomes == {}
