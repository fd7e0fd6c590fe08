"""The handlers of the Lambda functions `process`, `deliver`, `api`, `reconcile`, `invalidate` and `publish`.

A handler imports its own modules when its function starts, and none of the others'. What an execution
environment keeps (clients, the recipe, the web application) is created once.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any

from .limits import with_limits_checked

if TYPE_CHECKING:
    from image_processor.bootstrap.aws import AwsContext

Handler = Callable[[Any, Any], dict[str, Any]]
"""Takes Lambda's event and context, returns what JSON can express."""

_RESERVE_SECONDS = 1.0
"""What is left of an invocation's time when a request to AWS is tried for the last time."""

_MIN_SECONDS = {"process": 30, "deliver": 10, "api": 10, "reconcile": 60}
"""The shortest timeouts. `process` starts no upload with less than five seconds left, and a repeated one only
with half of its time; `reconcile` starts no page with less than 45 s left."""


def process(event: Any, context: Any) -> dict[str, Any]:
    """Process the uploads that ``event`` reports."""
    return _run(_process, event, context)


def deliver(event: Any, context: Any) -> dict[str, Any]:
    """Answer a request of the function URL with a rendition."""
    return _run(_deliver, event, context)


def api(event: Any, context: Any) -> dict[str, Any]:
    """Answer a request of API Gateway with the REST API."""
    return _run(_api, event, context)


def reconcile(event: Any, context: Any) -> dict[str, Any]:
    """Continue a run over the whole library, or start one."""
    return _run(_reconcile, event, context)


def _run(opener: Callable[[], tuple[AwsContext, Handler]], event: Any, context: Any) -> dict[str, Any]:
    from .log import start_request  # noqa: PLC0415 - loaded by each function, in the init phase

    start_request(context)
    aws, handler = opener()
    aws.deadline.set(context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS)
    return handler(event, context)


def publish(event: Any, context: Any) -> dict[str, Any]:
    """Publish signing keys and public names to the CloudFront function."""
    from .log import start_request  # noqa: PLC0415 - as in _run

    start_request(context)
    # Not opened in the init phase: what is invalid becomes a response to CloudFormation.
    from .publish_function import handle  # noqa: PLC0415 - one function of six

    return handle(event)


def invalidate(event: Any, context: Any) -> dict[str, Any]:
    """Invalidate in CloudFront the images that a batch of the invalidation queue names."""
    from .log import start_request  # noqa: PLC0415 - as in _run

    start_request(context)
    return _invalidate()(event, context)


@cache
def _context(*, is_interactive: bool) -> AwsContext:
    from image_processor.aws.retries import INTERACTIVE, PATIENT  # noqa: PLC0415 - inside _gc_paused
    from image_processor.bootstrap.aws import open_aws_context  # noqa: PLC0415 - as above

    # The functions that answer requests hold signing keys: they decode in a child process.
    retries = INTERACTIVE if is_interactive else PATIENT
    return open_aws_context(retries=retries, isolated=is_interactive)


@cache
def _process() -> tuple[AwsContext, Handler]:
    from .process_function import open_process  # noqa: PLC0415 - one function of six

    context = _context(is_interactive=False)
    return context, with_limits_checked(open_process(context), _MIN_SECONDS["process"])


@cache
def _deliver() -> tuple[AwsContext, Handler]:
    from .deliver_function import open_deliver  # noqa: PLC0415 - one function of six

    context = _context(is_interactive=True)
    return context, with_limits_checked(open_deliver(context), _MIN_SECONDS["deliver"])


@cache
def _api() -> tuple[AwsContext, Handler]:
    from .api_function import open_api  # noqa: PLC0415 - one function of six, with the web framework

    context = _context(is_interactive=True)
    return context, with_limits_checked(open_api(context), _MIN_SECONDS["api"])


@cache
def _reconcile() -> tuple[AwsContext, Handler]:
    from .reconcile_function import open_reconcile  # noqa: PLC0415 - one function of six

    context = _context(is_interactive=False)
    return context, with_limits_checked(open_reconcile(context), _MIN_SECONDS["reconcile"])


@cache
def _invalidate() -> Handler:
    from .invalidate_function import open_invalidate  # noqa: PLC0415 - one function of six

    return open_invalidate()


_OPENERS = {
    "process": _process,
    "deliver": _deliver,
    "api": _api,
    "reconcile": _reconcile,
    "invalidate": _invalidate,
}


def _initialize(environment: Mapping[str, str]) -> None:
    """Do in Lambda's init phase, which has a full vCPU at any memory size, what the first invocation would
    wait for.

    Skipped for a handler that is not ours, and under SnapStart with a recipe in a bucket: the snapshot
    would keep that recipe forever.
    """
    opener = _OPENERS.get(environment.get("_HANDLER", "").rpartition(".")[2])
    init_type = environment.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    recipe = environment.get("IMAGE_PROCESSOR_RECIPE", "")
    if opener is None or init_type is None or (init_type == "snap-start" and recipe.startswith("s3://")):
        return
    with _gc_paused():
        opener()
    if opener in {_deliver, _api}:
        # A snapshot has no use for a child: its pipes and memory would be those of many environments.
        if init_type == "provisioned-concurrency":
            _context(is_interactive=True).prepare()
    elif opener is not _process:
        return
    elif environment.get("IMAGE_PROCESSOR_SANDBOX") == "required":
        if init_type != "snap-start":  # as above
            _context(is_interactive=False).prepare()
    elif init_type != "on-demand":
        _load_engine()
    else:
        # An event is waiting. Its original is leased and downloaded while libvips loads.
        Thread(target=_load_engine).start()


def _load_engine() -> None:
    from image_processor.bootstrap.aws import load_engine  # noqa: PLC0415 - see _context

    with _gc_paused():
        load_engine()


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Create objects that live as long as the process: they are exempt from garbage collection, now and
    later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


_initialize(os.environ)
