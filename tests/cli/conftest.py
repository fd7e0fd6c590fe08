"""Runs the command line in an empty directory."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager

import pytest

from image_processor.__main__ import main


@contextmanager
def _kept_logging():
    """`serve` directs the log of its process to standard error, which is another one in each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Run the command line in an empty directory; gives (status, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("IMAGE_PROCESSOR_")]:
        monkeypatch.delenv(name)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["image-processor", *map(str, arguments)])
        with _kept_logging(), pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    """A folder for the tests of a module that only read what the first one has processed."""
    return tmp_path_factory.mktemp("shared")
