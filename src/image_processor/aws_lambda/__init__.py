"""Entry points on AWS: one function per Lambda function, each thin.

Each loads its own room when it is opened, and nothing of the others'. What an execution
environment keeps (clients, the recipe, the web application) is made once.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_processor.bootstrap.aws import AwsContext

Answer = Callable[[Any, Any], dict[str, Any]]
"""A function of Lambda: event and context in, what JSON can say out."""


def process(event: Any, context: Any) -> dict[str, Any]:
    """Make the renditions of the uploads that ``event`` tells of."""
    return _process()(event, context)


def deliver(event: Any, context: Any) -> dict[str, Any]:
    """Serve a rendition through the function URL."""
    return _deliver()(event, context)


def api(event: Any, context: Any) -> dict[str, Any]:
    """Answer a request of API Gateway with the REST API."""
    return _api()(event, context)


@cache
def _cloud() -> AwsContext:
    from image_processor.bootstrap.aws import open_aws_context  # noqa: PLC0415 - see _prepare, which loads it

    return open_aws_context()


@cache
def _process() -> Answer:
    from .process_function import open_process  # noqa: PLC0415 - see the module

    return open_process(_cloud())


@cache
def _deliver() -> Answer:
    from .deliver_function import open_deliver  # noqa: PLC0415 - see the module

    return open_deliver(_cloud())


@cache
def _api() -> Answer:
    from .api_function import open_api  # noqa: PLC0415 - see the module; this one loads the web framework

    return open_api(_cloud())


_OPENERS = {"process": _process, "deliver": _deliver, "api": _api}


def _prepare(environment: Mapping[str, str]) -> None:
    """Do in Lambda's init phase, which has a whole processor whatever the memory, what the first
    invocation would wait for.

    Not under SnapStart with a recipe in a bucket: the snapshot would keep the recipe for good.
    ("Lambda environment variables" names both variables.) A wrapper's handler is not ours to open.
    """
    opener = _OPENERS.get(environment.get("_HANDLER", "").rpartition(".")[2])
    kind = environment.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    recipe = environment.get("IMAGE_PROCESSOR_RECIPE", "")
    if opener is None or kind is None or (kind == "snap-start" and recipe.startswith("s3://")):
        return
    with _gc_paused():
        opener()
    if kind != "on-demand" and opener is not _api:
        _load_engine()
    elif opener is _process:
        # An event is waiting: its original comes, and is claimed, while libvips is loaded.
        Thread(target=_load_engine).start()


def _load_engine() -> None:
    from image_processor.bootstrap.aws import load_engine  # noqa: PLC0415 - see _cloud

    with _gc_paused():
        load_engine()


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Load and make what stays: to look for garbage in it, now and with every later collection, is in
    vain."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


_prepare(os.environ)
