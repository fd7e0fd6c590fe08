"""From a dropped file to its renditions: the first is served while the last one is still to come, and a file
that is dropped while the server starts is found.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import skimage

from image_processor.bootstrap.standalone import open_server_context
from image_processor.config.settings import Settings
from image_processor.delivery.request import HttpRequest
from image_processor.domain.keys import image_id
from image_processor.domain.models import Status
from image_processor.domain.ports import Entry
from image_processor.engine.worker.child_process import ChildProcess
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.standalone.watcher import Watcher
from image_processor.storage.directory import DirectoryStore
from support.waiting import wait_for

COFFEE = (Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes()
RECIPE = (
    '[presets.a]\nwidth = 64\nformats = ["jpeg", "webp", "png"]\n[[rules]]\nmatch = "**"\npresets = ["a"]\n'
)
WAIT = 60


def test_the_first_rendition_of_a_dropped_file_is_served_before_the_last_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rendition is taken from the renderer only once the first one is stored and served."""
    served: list[str] = []
    is_served = threading.Event()
    put, receive = DirectoryStore.put, ChildProcess._receive

    def put_and_find(store: DirectoryStore, key: str, *args: Any, **options: Any) -> Entry:
        entry = put(store, key, *args, **options)
        if key.startswith("cat.png/") and context.delivery.find(HttpRequest("GET", key, "", {})).stored:
            served.append(key)
            is_served.set()
        return entry

    def receive_last_late(child: Any, missing: Collection[int], *args: Any) -> Any:
        if len(missing) == 1:
            assert is_served.wait(WAIT)
        return receive(child, missing, *args)

    monkeypatch.setattr(DirectoryStore, "put", put_and_find)
    monkeypatch.setattr(ChildProcess, "_receive", receive_last_late)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    settings = Settings(data=tmp_path, recipe=str(tmp_path / "recipe.toml"), workers=1)
    with open_server_context(settings) as context:
        (tmp_path / "uploads" / "cat.png").write_bytes(COFFEE)
        id_ = image_id(context.bucket, "cat.png")

        def is_processed() -> bool:
            record = context.catalog.get(id_)
            return record is not None and record.status is Status.PROCESSED

        wait_for(is_processed, "the file is processed")
    assert len(set(served)) == 3


def test_a_file_that_is_dropped_behind_the_first_search_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first search lists the originals only once changes are watched."""
    order: list[str] = []
    search = MergingReconciler.findings
    open_tree = Watcher._open_tree

    def opened(watcher: Watcher) -> Any:
        tree = open_tree(watcher)
        order.append("watched")
        return tree

    def searched(reconciler: MergingReconciler, *args: Any) -> Any:
        order.append("searched")
        return search(reconciler, *args)

    monkeypatch.setattr(Watcher, "_open_tree", opened)
    monkeypatch.setattr(MergingReconciler, "findings", searched)
    with open_server_context(Settings(data=tmp_path, workers=1)):
        wait_for(lambda: "searched" in order, "the originals are searched")
    assert order == ["watched", "searched"]
