"""docs/tour.md: every stop of a walk is a function that the walk calls, in the order of the list."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_processor.aws_lambda import deliver_function, process_function
from image_processor.bootstrap.delivery import (
    build_delivery,
    build_on_demand_renderer,
    build_rendition_repository,
)
from image_processor.bootstrap.recipe import check_recipe
from image_processor.config.recipe import DEFAULT_RECIPE, load_recipe, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.repository import MetadataCache
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.ports import Stores
from image_processor.engine.render import render
from image_processor.ingest import process
from image_processor.ingest.drift import Drift
from support.ingest import BUCKET, IngestFixture, upload
from support.inline_executor import InlineExecutor

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
SOURCE = str(ROOT / "src" / "image_processor") + "/"
MAX_STOPS = 25
STOP = re.compile(r"^(\d+)\. `([\w/]+\.py): ([\w.]+)` (.+)$", re.MULTILINE)

Prepare = Callable[[pytest.MonkeyPatch], Callable[[], object]]
"""Sets a walk up and returns the call that is traced."""

WALKS: dict[str, Prepare] = {}
"""The sections of the tour by their titles."""


def walk(title: str) -> Callable[[Prepare], Prepare]:
    def register(prepare: Prepare) -> Prepare:
        WALKS[title] = prepare
        return prepare

    return register


@walk("One upload")
def one_upload(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    monkeypatch.setattr(process, "ThreadPoolExecutor", InlineExecutor)
    monkeypatch.setattr(process_function.log, "line", lambda *_args, **_fields: None)
    monkeypatch.setattr(process_function.log, "metrics", lambda *_args: None)
    recipe = parse_recipe(
        '[presets.small]\nwidth = 32\nformats = ["webp"]\n[[rules]]\nmatch = "**"\npresets = ["small"]'
    )
    ingest = IngestFixture(recipe=recipe, render=render)
    ingest.put("cat.jpg", jpeg())
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": "cat.jpg", "sequencer": "1"}},
    }
    message = {"eventSource": "aws:sqs", "messageId": "1", "body": json.dumps({"Records": [record]})}
    processor = ingest.processor()

    def run() -> None:
        answer = process_function.handle({"Records": [message]}, processor.process, BUCKET, lambda: 60_000)
        assert answer == {"batchItemFailures": []}
        assert list(ingest.processed.bodies()) == ["cat.jpg/w=32,fm=webp.webp"]

    return run


@walk("One URL")
def one_url(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    monkeypatch.setattr(deliver_function.log, "metrics", lambda *_args: None)
    settings = Settings(signing_keys=(("1", "a secret of 16 bytes"),))
    recipe = parse_recipe(DEFAULT_RECIPE)
    ingest = IngestFixture(recipe=recipe, render=render)
    ingest.put("cat.jpg", jpeg())
    stores = Stores(ingest.uploads, ingest.processed, ingest.catalog)
    repository = build_rendition_repository(settings, BUCKET, stores)
    renderer = build_on_demand_renderer(settings, lambda: recipe, repository, render)
    metadata_of = MetadataCache(repository, renderer.read_metadata)
    delivery = build_delivery(settings, recipe, repository, metadata_of, None)
    signature = delivery.policy.keyring.sign(parse_url("cat.jpg", "w=32&fm=auto"))
    event = {
        "requestContext": {"http": {"method": "GET"}},
        "rawPath": "/cat.jpg",
        "rawQueryString": f"w=32&fm=auto&{signature_query(signature)}",
        "headers": {"accept": "image/webp,*/*;q=0.8"},
    }

    def run() -> None:
        response = deliver_function.handle(event, delivery, renderer.render)
        assert (response["statusCode"], response["headers"]["content-type"]) == (200, "image/webp")
        assert list(ingest.processed.bodies()) == ["cat.jpg/~w=32,fm=webp.webp"]
        assert base64.b64decode(response["body"]) in ingest.processed.bodies().values()

    return run


@walk("One recipe")
def one_recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    del monkeypatch
    before = '[presets.old]\nwidth = 16\nformats = ["png"]\n[[rules]]\nmatch = "**"\npresets = ["old"]'
    ingest = IngestFixture(recipe=parse_recipe(before), render=render)
    ingest.put("photos/cat.jpg", jpeg())
    ingest.processor().process(upload("photos/cat.jpg"))
    file = Path(tempfile.mkdtemp()) / "recipe.toml"
    file.write_text(
        '[presets.card]\nwidths = [32, 64]\nheight = 24\nformats = ["webp"]\nquality = 80\n'
        '[[rules]]\nmatch = "photos/**"\npresets = ["card"]\n'
    )

    def run() -> None:
        recipe = load_recipe(str(file))
        check_recipe(recipe, Settings())
        ingest.recipe = recipe
        (finding,) = ingest.reconciler().findings()
        assert (finding.key, finding.drift) == ("photos/cat.jpg", Drift.STALE)

    return run


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


def traced(call: Callable[[], object]) -> list[tuple[str, str]]:
    """The package's functions that ``call`` calls on any thread, each once: file and qualified name."""
    calls: dict[tuple[str, str], None] = {}

    def note(frame: Any, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCE):
            calls.setdefault((code.co_filename.removeprefix(SOURCE), code.co_qualname))

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
    return list(calls)


def stops(title: str) -> list[tuple[str, str]]:
    """The stops of a section: file and qualified name."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    listed = STOP.findall(section)
    assert [int(number) for number, *_ in listed] == list(range(1, len(listed) + 1))
    assert len(listed) == len(re.findall(r"^\d+\.", section, re.MULTILINE)), "a stop has another form"
    return [(path, name) for _, path, name, _ in listed]


def test_every_section_is_a_walk() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == list(WALKS)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_has_few_stops(title: str) -> None:
    assert 5 <= len(stops(title)) <= MAX_STOPS


@pytest.mark.parametrize("title", WALKS)
def test_the_stops_are_called_in_the_order_of_the_list(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called = traced(WALKS[title](monkeypatch))
    listed = stops(title)
    assert [stop for stop in listed if stop not in called] == [], "never called"
    assert sorted(listed, key=called.index) == listed
