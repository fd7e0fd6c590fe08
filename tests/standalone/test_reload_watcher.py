"""What makes a running server reload: a change of its files, and SIGHUP, which ends no process."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_processor.config.recipe import load_recipe
from image_processor.domain.errors import InvalidRecipe
from image_processor.standalone import reload_watcher
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.reload_watcher import ReloadWatcher
from support.waiting import wait_for

RECIPE = '[presets.a]\nwidth = {width}\n[[rules]]\nmatch = "**"\npresets = ["a"]\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(width=10))
    return path


@pytest.fixture
def live(recipe: Path) -> LiveRecipe:
    return LiveRecipe(load_recipe(str(recipe)))


@pytest.fixture
def requests() -> list[bool]:
    return [False]


@pytest.fixture
def _watched(
    live: LiveRecipe, recipe: Path, requests: list[bool], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(reload_watcher, "TICK_SECONDS", 0.01)
    watcher = ReloadWatcher(
        [lambda: live.reload(lambda: load_recipe(str(recipe)))],
        lambda: [str(recipe)],
        lambda: bool(requests and requests.pop()),
    )
    watcher.start()
    yield
    watcher.stop()


def width(live: LiveRecipe) -> int | None:
    return live.current.presets["a"][0].width


@pytest.mark.usefixtures("_watched")
def test_a_change_of_the_file_is_noticed(live: LiveRecipe, recipe: Path) -> None:
    recipe.write_text(RECIPE.format(width=20))
    wait_for(lambda: width(live) == 20, "the new recipe")
    recipe.unlink()
    wait_for(lambda: live.error is not None, "the error of a missing file")
    assert width(live) == 20
    other = recipe.with_name("other.toml")
    other.write_text(RECIPE.format(width=40))
    other.rename(recipe)  # as many editors save
    wait_for(lambda: width(live) == 40, "the recipe that replaced it")
    assert live.error is None


@pytest.mark.usefixtures("_watched")
def test_a_request_reloads_without_a_change_of_the_file(
    live: LiveRecipe, requests: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wait_for(lambda: not requests, "the first look")
    live.replace(load_recipe(None))
    requests.append(True)
    wait_for(lambda: "a" in live.current.presets, "the recipe of the file")
    assert "SIGHUP: reading the recipe and the settings again" in caplog.text


def test_an_error_is_kept_and_logged_once(
    live: LiveRecipe, recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe.write_text("[presets.a]\nwidht = 1\n")
    for _ in range(2):
        with pytest.raises(InvalidRecipe):
            live.reload(lambda: load_recipe(str(recipe)))
    assert "line 2" in str(live.error)
    assert caplog.text.count("the previous one stays in force: ") == 1


HANGUP = """
import os, signal, subprocess, sys, time
from image_processor.standalone.reload_watcher import Hangup
hangup = Hangup()
child = subprocess.Popen([sys.executable, "-c", "print('child', flush=True); input()"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
child.stdout.readline()
assert not hangup.is_pending()
os.killpg(0, signal.SIGHUP)
assert hangup.is_pending()
assert not hangup.is_pending()
child.communicate(b"go on")
print("child ended with", child.returncode)
"""


def test_a_hangup_is_a_request_and_ends_no_process() -> None:
    program = [sys.executable, "-c", HANGUP]
    done = subprocess.run(program, capture_output=True, text=True, start_new_session=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("child ended with 0\n", "", 0)
