"""How many files the server may have open, and how many of them hold decoded originals."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_processor.bootstrap import standalone
from image_processor.config.settings import Settings
from image_processor.standalone import open_files
from image_processor.standalone.disk_space import DiskSpace
from support.served import RECIPE, Served

_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
INFINITE = resource.RLIM_INFINITY


def limit_to_256() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, HARD))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, RECIPE)
    yield server
    server.close()


def test_the_server_raises_its_limit(served: Served) -> None:
    served.start(limit_to_256)
    soft, hard = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (65_536 if HARD == INFINITE else min(HARD, 65_536), HARD)


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 4096, [4096]),
        (1024, 10**9, [65_536]),
        (1024, INFINITE, [65_536]),
        (4096, 4096, []),
        (100_000, 10**9, []),
        (INFINITE, INFINITE, []),
    ],
)
def test_the_limit_is_never_lowered_and_has_an_end(
    soft: int, hard: int, raised: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    open_files.raise_limit()
    assert asked == [(limit, hard) for limit in raised]


def test_a_system_that_refuses_more_keeps_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    open_files.raise_limit()


@pytest.mark.parametrize(
    ("soft", "kept"), [(INFINITE, 256), (65_536, 256), (1024, 124), (901, 1), (900, 0), (256, 0)]
)
def test_decoded_originals_leave_descriptors_for_connections(
    soft: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, HARD))
    with standalone._open_decoded_files(Settings(data=tmp_path), DiskSpace((tmp_path,), 0)) as decoded:
        assert (decoded._max_files if decoded else 0) == kept
