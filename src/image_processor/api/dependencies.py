"""What the routes get: the running parts, as protocols that `bootstrap` fills, and the request parameters
and checks that several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Protocol

from fastapi import Depends, Header, Path, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.read_path import Delivery
from image_processor.domain.errors import Invalid, InvalidKey, InvalidRecipe, InvalidSettings
from image_processor.domain.keys import check_key, percent_decode
from image_processor.domain.models import Outcome, Upload
from image_processor.domain.ports import Catalog, EventQueue, ObjectStore
from image_processor.engine.worker.decoded_files import DecodedCounts
from image_processor.ingest import plan
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.standalone.activity import Activity
from image_processor.standalone.coordination import Coordination
from image_processor.standalone.disk_space import DiskState
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileReport
from image_processor.standalone.remote_originals import RemoteOriginals
from image_processor.standalone.render_coordinator import RenderCoordinator
from image_processor.standalone.resumable_uploads import ResumableUploads
from image_processor.standalone.storage_report import StorageCount
from image_processor.standalone.stored_responses import StoredResponses

from .hit_cache import LocalStores

if TYPE_CHECKING:
    from .metrics import Metrics

MAX_WAIT_SECONDS = 60.0
"""The longest time that a request waits for the outcome of its work."""

_SECONDS = re.compile(r"[0-9]{1,9}")


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


class PresignedUrl(Protocol):
    """A signed URL of one object."""

    @property
    def url(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...


class AwsContext(AppContext, Protocol):
    """What the application behind API Gateway works with."""

    @property
    def sign_post(self) -> Callable[[str, str], PostForm]:
        """Signs a form that uploads one original, by its key and media type."""
        ...

    @property
    def sign_get(self) -> Callable[[str, str], PresignedUrl]:
        """Signs a URL that downloads one original, by its key and the Content-Disposition of the response."""
        ...


class StandaloneContext(AppContext, Protocol):
    """What the application of one machine works with."""

    @property
    def submit(self) -> Callable[[Upload], Future[Outcome]]:
        """Queues an upload for the workers. Raises InvalidKey."""
        ...

    @property
    def resumable_uploads(self) -> ResumableUploads:
        """The uploads that arrive in several requests."""
        ...

    @property
    def stored_responses(self) -> StoredResponses:
        """The responses to requests with an Idempotency-Key."""
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
    @property
    def events(self) -> EventQueue | None: ...
    @property
    def local_stores(self) -> LocalStores | None:
        """The stores without their checks of free space, where they are on this machine."""
        ...

    @property
    def reconcile_report(self) -> Callable[[], ReconcileReport]:
        """What the last complete reconciliation could not do."""
        ...

    @property
    def activity(self) -> Activity:
        """What the server has done lately."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What counts for Prometheus."""
        ...

    @property
    def storage(self) -> Callable[[], StorageCount | None]:
        """Bytes of renditions by format, as they were counted last."""
        ...

    @property
    def decoded(self) -> Callable[[], DecodedCounts]:
        """Counts the decoded originals that are kept, and their use."""
        ...

    @property
    def remote(self) -> RemoteOriginals | None:
        """Fetches originals from remote sources; None without any."""
        ...

    @property
    def reconciler_for(self) -> Callable[[Recipe], MergingReconciler]:
        """What compares the stores with another recipe."""
        ...

    def check_recipe(self, recipe: Recipe) -> None:
        """Raises InvalidRecipe for a recipe that this machine cannot render."""
        ...

    @property
    def recipe_error(self) -> InvalidRecipe | None:
        """Why the recipe in its file is not in force; None if it is."""
        ...

    @property
    def settings_in_force(self) -> Settings:
        """The settings with what was applied since the start."""
        ...

    @property
    def settings_error(self) -> InvalidSettings | None:
        """Why changed settings are not in force; None if they are."""
        ...

    def reload_recipe(self) -> bool:
        """Put the recipe in force that is in its file now; False if that changes nothing. Raises
        InvalidRecipe."""
        ...

    @property
    def coordination(self) -> Callable[[], Coordination]:
        """Which of the servers over one table searches for lost work."""
        ...

    @property
    def data_trouble(self) -> Callable[[], str | None]:
        """What is known to be wrong with the data directory or the catalog's file."""
        ...

    @property
    def disk_state(self) -> Callable[[], DiskState]:
        """Whether the disk has room."""
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


ContextOf = Annotated[AppContext, Depends(_context)]
AwsContextOf = Annotated[AwsContext, Depends(_aws_context)]
StandaloneContextOf = Annotated[StandaloneContext, Depends(_standalone_context)]

ImageId = Annotated[str, Path(description="The id of an original.", examples=["k3vq2m5xw7n4c6a2yzt5b3d7he"])]


class _KeyConvertor(Convertor[str]):
    """Matches the rest of the path. Starlette's own `path` stops at a line feed, which is legal in a key."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _KeyConvertor())
ANY_PATH = "{key:key}"
"""The route parameter that matches the rest of the path."""


async def _requested_key(
    request: Request,
    key: Annotated[str, Path(description="A key, percent-encoded UTF-8.", examples=["photos/cat.jpg"])],
) -> str:
    """Starlette decodes ``key`` and replaces invalid UTF-8, which would make it another key: reject it."""
    try:
        percent_decode(request.scope["raw_path"].decode())
    except UnicodeDecodeError:
        raise InvalidKey.one("key", "percent-encoded UTF-8", key) from None
    return check_key(key)


RequestedKey = Annotated[str, Depends(_requested_key)]


async def check_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        got = content_type or "nothing"
        raise HTTPException(415, f"expected application/json for Content-Type, got {got}")


require_json = Depends(check_json)
"""For the `dependencies` of a route. A page of another site can send a form without a CORS preflight,
but not JSON."""


def preferred_wait(prefer: str) -> float | None:
    """The seconds that a Prefer header (RFC 7240) lets the server wait, at most MAX_WAIT_SECONDS; None
    if it does not say. `respond-async` means 0 seconds unless `wait` is given too."""
    preferences: dict[str, str] = {}
    for preference in prefer.lower().split(","):
        # Parameters follow a semicolon; these two preferences have none.
        name, _, value = preference.partition(";")[0].partition("=")
        preferences.setdefault(name.strip(), value.strip().strip('"'))
    wait = preferences.get("wait", "")
    if _SECONDS.fullmatch(wait):
        return min(float(wait), MAX_WAIT_SECONDS)
    return 0.0 if "respond-async" in preferences else None


async def _prefer(
    prefer: Annotated[
        str,
        Header(description="`wait=10`: answer after at most 10 seconds; `respond-async`: answer at once."),
    ] = "",
) -> float | None:
    return preferred_wait(prefer)


PreferredWait = Annotated[float | None, Depends(_prefer)]


def check_all(*checks: Callable[[], object]) -> None:
    """Run every check. Raises the error of the only one that failed, or Invalid with the problems of all."""
    errors: list[Invalid] = []
    for check in checks:
        try:
            check()
        except Invalid as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Invalid([problem for error in errors for problem in error.problems])


def skip_reason(key: str, context: AppContext) -> str | None:
    """Why an upload under ``key`` gets no renditions; None if it gets some."""
    return plan.skip_reason(key, context.recipe)


def upload_skip_reason(key: str, context: AppContext) -> str | None:
    """As `skip_reason`, but the images for overlays are accepted without renditions of their own."""
    prefix = context.settings.overlays
    return None if prefix and key.startswith(prefix) else skip_reason(key, context)
