"""docs/tour.md: every stop of a walk is a function that the walk calls, in the order of the list."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_processor.aws_lambda import process_function
from image_processor.config.recipe import parse_recipe
from image_processor.engine.render import render
from image_processor.ingest import process
from support.ingest import BUCKET, IngestFixture

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


class InlineExecutor(Executor):
    """Runs each call when it is submitted, so that one walk has one order."""

    def __init__(self, max_workers: int) -> None:
        del max_workers

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as a Future, which keeps any error
            future.set_exception(error)
        return future


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
