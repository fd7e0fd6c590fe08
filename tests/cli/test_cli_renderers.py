"""The isolated children of `process` and `transform`: how many, when they start, what they are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw

from image_processor.domain.errors import Unavailable
from image_processor.engine.worker import isolation
from image_processor.engine.worker.child_process import ChildProcess
from image_processor.engine.worker.isolation import IsolatedRenderer

TRANSFORM = ("transform", "cat.jpg", "w=8", "--out", "small.jpg")
PROCESS = ("process", "cat.jpg", "--recipe", "r.toml", "--out", "out", "--workers", "1")


@pytest.fixture
def children(monkeypatch):
    """What children were started with."""
    started = []

    class Child(ChildProcess):
        def __init__(self, program, sandbox):
            started.append(str(sandbox))
            super().__init__(program, sandbox)

    monkeypatch.setattr(isolation, "ChildProcess", Child)
    return started


@pytest.mark.parametrize("command", [TRANSFORM, PROCESS], ids=["transform", "process"])
def test_one_child_is_started_before_the_options_are_read(run, children, command):
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    assert run(*command)[0] == 0
    assert children == ["auto"]
    assert run(*command, "--no-such-option")[0] == 2
    assert len(children) == 2


@pytest.mark.parametrize(("files", "workers", "count"), [(1, 2, 1), (3, 1, 1), (2, 3, 2), (3, 2, 2)])
def test_as_many_children_start_at_once_as_files_need(run, children, monkeypatch, files, workers, count):
    names = [f"{number}.jpg" for number in range(files)]
    for name in names:
        draw(name)
    Path("r.toml").write_text(RECIPE)
    warm, started = IsolatedRenderer.warm, []

    def recording(self):
        started.append(len(children))
        warm(self)

    monkeypatch.setattr(IsolatedRenderer, "warm", recording)
    options = ("--recipe", "r.toml", "--out", "out", "--workers", str(workers))
    assert run("process", *names, *options)[0] == 0
    assert (started[0], len(children)) == (count, count)


def test_process_goes_on_where_a_further_child_finds_no_room(run, children, monkeypatch):
    child = isolation.ChildProcess

    def second_without_room(program, sandbox):
        if len(children) == 1:
            children.append("no room")
            raise Unavailable("expected a renderer to start, got Resource temporarily unavailable")
        return child(program, sandbox)

    monkeypatch.setattr(isolation, "ChildProcess", second_without_room)
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for name in names:
        draw(name)
    Path("r.toml").write_text(RECIPE)
    status, _, err = run("process", *names, "--recipe", "r.toml", "--out", "out", "--workers", "3")
    assert (status, children[:2]) == (0, ["auto", "no room"]), err
    assert {path.parts[1] for path in Path("out").rglob("*.webp")} == set(names)


@pytest.mark.parametrize(
    "command", [("transform", "--help"), ("process", "-h"), ("sign", "--help"), (*PROCESS, "--dry-run")]
)
def test_what_renders_nothing_starts_no_child(run, children, command):
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    assert run(*command)[0] == 0
    assert children == []


@pytest.mark.parametrize("command", [TRANSFORM, PROCESS], ids=["transform", "process"])
def test_the_settings_choose_the_sandbox(run, children, monkeypatch, command):
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    monkeypatch.setenv("IMAGE_PROCESSOR_SANDBOX", "off")
    assert run(*command)[0] == 0
    assert children[-1] == "off"


def test_transform_uses_the_fonts_of_the_settings(run, monkeypatch):
    draw("cat.jpg")
    Path("fonts").mkdir()
    monkeypatch.setenv("IMAGE_PROCESSOR_FONTS", "fonts")
    status, _, err = run(*TRANSFORM)
    assert (status, "expected a directory with font files for IMAGE_PROCESSOR_FONTS" in err) == (2, True)


@pytest.mark.parametrize("command", [TRANSFORM, PROCESS], ids=["transform", "process"])
def test_the_original_is_sent_once_and_nothing_is_computed_unasked(run, monkeypatch, command):
    requests = []
    ask = IsolatedRenderer._ask

    def recording(self, request, bodies, *more):
        requests.append((request.summary, len(bodies)))
        return ask(self, request, bodies, *more)

    monkeypatch.setattr(IsolatedRenderer, "_ask", recording)
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    assert run(*command)[0] == 0
    assert requests == [(False, 1)]
