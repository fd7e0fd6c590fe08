"""A handler that runs our process function and answers how it spent its time, in seconds.

It wraps the engine's render function and the calls of both ports, in the same process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from image_processor.aws_lambda.process_function import open_process
from image_processor.bootstrap.aws import AwsContext, build_processor, open_aws_context
from image_processor.domain.ports import Stores


class Stopwatch:
    """Wall time during which at least one of the wrapped calls was running."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._active = 0
        self._since = 0.0
        self._lock = threading.Lock()

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            self._enter()
            try:
                return call(*arguments, **named)
            finally:
                self._leave()

        return measured

    def _enter(self) -> None:
        with self._lock:
            if not self._active:
                self._since = time.perf_counter()
            self._active += 1

    def _leave(self) -> None:
        with self._lock:
            self._active -= 1
            if not self._active:
                self.seconds += time.perf_counter() - self._since


_ENGINE, _TRANSFERS, _EITHER = Stopwatch(), Stopwatch(), Stopwatch()


class TimedAdapter:
    """An adapter whose calls are timed as transfers. A listing is read to its end."""

    def __init__(self, adapter: object) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        if name == "list":
            return _transfer(lambda *arguments, **named: iter(list(method(*arguments, **named))))
        return _transfer(method)


def _transfer(call: Callable[..., Any]) -> Callable[..., Any]:
    return _EITHER.wrap(_TRANSFERS.wrap(call))


def _timed(cloud: AwsContext) -> AwsContext:
    timed: list[Any] = [TimedAdapter(adapter) for adapter in (cloud.uploads, cloud.processed, cloud.catalog)]
    processor = build_processor(cloud.settings, cloud.recipe, Stores(*timed))
    render = _EITHER.wrap(_ENGINE.wrap(processor.render))
    return replace(cloud, process=replace(processor, render=render).process)


_process = open_process(_timed(open_aws_context()))


def handler(event: object, context: Any) -> dict[str, float]:
    before = (_ENGINE.seconds, _TRANSFERS.seconds, _EITHER.seconds)
    started = time.perf_counter()
    answer = _process(event, context)
    total = time.perf_counter() - started
    if answer != {"batchItemFailures": []}:
        raise RuntimeError(f"expected the event to be processed, got {answer}")
    after = (_ENGINE.seconds, _TRANSFERS.seconds, _EITHER.seconds)
    engine, transfers, either = (now - then for now, then in zip(after, before, strict=True))
    return {"total": total, "engine": engine, "transfers": transfers, "overhead": total - either}
