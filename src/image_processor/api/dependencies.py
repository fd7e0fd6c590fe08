"""What the routes need from the rest of the system, as protocols that `bootstrap` fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import RenderResult
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.models import Outcome, Upload, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.standalone.progress import Progress
from image_processor.standalone.render_coordinator import RenderCoordinator

MAX_WAIT_SECONDS = 60.0
"""The longest time that a request waits for the outcome of its work."""


class AppContext(Protocol):
    """What every application works with.

    ``bucket`` is the name of the upload bucket. ``renditions_url`` is the base URL of renditions,
    without a slash at its end; None if nothing serves renditions.
    """

    @property
    def settings(self) -> Settings: ...
    @property
    def bucket(self) -> str: ...
    @property
    def renditions_url(self) -> str | None: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def uploads(self) -> ObjectStore: ...
    @property
    def processed(self) -> ObjectStore: ...
    @property
    def catalog(self) -> Catalog: ...


class PostForm(Protocol):
    """The signed form of a presigned POST."""

    @property
    def url(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, str]: ...
    @property
    def expires_at(self) -> datetime: ...


class AwsContext(AppContext, Protocol):
    """What the application behind API Gateway works with."""

    @property
    def sign_post(self) -> Callable[[str, str], PostForm]:
        """Signs a form that uploads one original, by its key and media type."""
        ...


class StandaloneContext(AppContext, Protocol):
    """What the application of one machine works with."""

    @property
    def submit(self) -> Callable[[Upload], Future[Outcome]]:
        """Queues an upload for the workers. Raises InvalidKey."""
        ...

    @property
    def backlog(self) -> Callable[[], int]:
        """Counts the keys that wait or are being processed."""
        ...

    @property
    def progress(self) -> Progress: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def render_coordinator(self) -> RenderCoordinator: ...


class Work(Protocol):
    """Processes uploads and renders renditions that a request asks for."""

    @property
    def delivery(self) -> Delivery:
        """Finds stored renditions and builds their URLs."""
        ...

    async def outcome(self, kind: UploadKind, key: str, wait: float = MAX_WAIT_SECONDS) -> Outcome | None:
        """Process ``key`` and return the outcome; None if there is none after ``wait`` seconds.

        Raises the error that processing ended with.
        """
        ...

    async def rendition(self, ref: RenditionRef) -> RenderResult:
        """Return the rendition, rendered first if it is not stored.

        Raises what `Maker.make` raises, Overloaded, and Unavailable if it takes too long.
        """
        ...

    def pending_key(self, id_: str) -> str | None:
        """The key with this id if a request has submitted it and no worker has started on it."""
        ...


async def _context(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


async def _aws_context(request: Request) -> AwsContext:
    context: AwsContext = request.app.state.context
    return context


async def _standalone_context(request: Request) -> StandaloneContext:
    context: StandaloneContext = request.app.state.context
    return context


async def _work(request: Request) -> Work:
    work: Work = request.app.state.work
    return work


ContextOf = Annotated[AppContext, Depends(_context)]
AwsContextOf = Annotated[AwsContext, Depends(_aws_context)]
StandaloneContextOf = Annotated[StandaloneContext, Depends(_standalone_context)]
WorkOf = Annotated[Work, Depends(_work)]
