"""HTTP edge: what the routes that both applications share ask of the system behind them."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends, Path, Request

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.on_demand import RenderResult
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.models import Outcome, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore

from .prefer import MAX_PATIENCE


class Parts(Protocol):
    """``bucket`` is the upload side's name. ``renditions_url`` is what a rendition's key is put
    behind, after a slash, to open it; None where nothing serves renditions."""

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


class Work(Protocol):
    """Gets work done that a request wants."""

    @property
    def delivery(self) -> Delivery:
        """What finds renditions and tells their URLs."""
        ...

    async def outcome(self, kind: UploadKind, key: str, patience: float = MAX_PATIENCE) -> Outcome | None:
        """The outcome of work on ``key``; None if there is none after ``patience`` seconds.
        Raises what the work ended with."""
        ...

    async def made(self, wanted: RenditionRef) -> RenderResult:
        """The rendition, made if it is not there. Raises what `OnDemandRenderer.make` raises, Overloaded,
        and Unavailable if it takes too long."""
        ...

    def pending_key(self, id_: str) -> str | None:
        """The key with this id if work on it is known of that nobody has begun with."""
        ...


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _work(request: Request) -> Work:
    work: Work = request.app.state.work
    return work


ImageId = Annotated[str, Path(description="The id of an original.", examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])]
PartsOf = Annotated[Parts, Depends(_parts)]
WorkOf = Annotated[Work, Depends(_work)]
