"""Run calls at the same moment, in threads or in processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from image_processor.domain.errors import ImageProcessorError

_barrier: Any = None

Outcomes = list[Any]
"""What each call returned, or the ImageProcessorError that it raised."""


def in_threads(function: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> Outcomes:
    barrier = threading.Barrier(len(calls))

    def call(arguments: tuple[Any, ...]) -> object:
        barrier.wait(timeout=60)
        return _outcome(function, arguments)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def in_processes(function: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> Outcomes:
    """``function`` must be a module's, because the other process imports it by name."""
    context = multiprocessing.get_context("forkserver")
    # Most of a new process's time would be its imports; a fork of a server that has done them needs none.
    context.set_forkserver_preload(["contract_adapters"])
    barrier = context.Barrier(len(calls))
    with context.Pool(len(calls), _meet_at, (barrier,)) as pool:
        outcomes = pool.map(_call_together, [(function, arguments) for arguments in calls], chunksize=1)
        pool.close()
        pool.join()
    return outcomes


def _meet_at(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 - a barrier can be passed only when a process starts
    _barrier = barrier


def _call_together(call: tuple[Callable[..., object], tuple[Any, ...]]) -> object:
    _barrier.wait(timeout=60)
    return _outcome(*call)


def _outcome(function: Callable[..., object], arguments: tuple[Any, ...]) -> object:
    try:
        return function(*arguments)
    except ImageProcessorError as error:
        return error
