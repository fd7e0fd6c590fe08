"""Composes what a Lambda function works with: environment variables become an `AwsContext`.

All of it is on the path of a cold start: the catalog adapter that is not chosen is not loaded. The operator's
commands open the same buckets and table with credentials of their own.
"""

from __future__ import annotations

import json
import os
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.aws.credentials import GetCredentials
from image_processor.aws.retries import PATIENT, Deadline, Retries
from image_processor.catalog import catalog_from_url
from image_processor.config.recipe import Recipe, load_recipe, parse_recipe
from image_processor.config.settings import PREFIX, Settings, from_environment
from image_processor.domain.errors import InvalidRecipe, InvalidSettings, NotFound, Problem
from image_processor.domain.models import (
    Limits,
    MessageKind,
    OutboxMessage,
    Outcome,
    Rendered,
    SandboxPolicy,
    Upload,
)
from image_processor.domain.ports import Catalog, ObjectStore, OriginalFile, Renderer, Stores
from image_processor.domain.transformation import Transformation
from image_processor.engine.worker.resource_limits import cpu_limit
from image_processor.ingest.invalidation import invalidation_prefix
from image_processor.ingest.outbox import Outbox, Send
from image_processor.storage import store_from_url

from .isolated import IsolatedRendering
from .recipe import check_recipe

if TYPE_CHECKING:
    from image_processor.aws.post_policy import PostForm
    from image_processor.aws.presigned_get import PresignedUrl
    from image_processor.ingest.process import Processor

_S3_URL = "s3://"


class AwsAccess(Struct, frozen=True):
    """How AWS is called. None means: from the environment, as in Lambda."""

    region: str | None = None
    credentials: GetCredentials | None = None
    retries: Retries = PATIENT


class AwsContext(Struct, frozen=True):
    """What a Lambda function works with."""

    settings: Settings
    bucket: str
    """The name of the upload bucket."""
    recipe: Recipe
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    process: Callable[[Upload], Outcome]
    """Processes an upload, and renders with ``render``."""
    sign_post: Callable[[str, str], PostForm]
    """Signs a form that uploads one original, by its key and media type."""
    sign_get: Callable[[str, str], PresignedUrl]
    """Signs a URL that downloads one original, by its key and a Content-Disposition."""
    process_isolated: Callable[[Upload, float], Outcome]
    """Processes an upload and renders in a child process of its own. An original that is not rendered within
    the given seconds is refused."""
    deadline: Deadline = field(default_factory=Deadline)
    """The end of the running invocation, after which no request to AWS is repeated."""
    render: Renderer = field(default_factory=lambda: render_in_process)
    """Renders in the function's own process, which the crash of a decoder ends. Functions that hold secrets
    render in a child process."""
    prepare: Callable[[], None] = field(default_factory=lambda: lambda: None)
    """Starts that child process, if there is one."""

    @property
    def stores(self) -> Stores:
        return Stores(self.uploads, self.processed, self.catalog)

    @property
    def renditions_url(self) -> str | None:
        """The base URL of renditions; None without a CDN."""
        return self.settings.public_url


def open_aws_context(
    environment: Mapping[str, str] | None = None, retries: Retries = PATIENT, *, isolated: bool = False
) -> AwsContext:
    """The context that ``environment`` describes, by default the process's own. ``retries`` limits each
    request to the buckets and the table, which end with the context's deadline, too. ``isolated``: decode
    originals in a child process only, as a required sandbox implies.

    Raises InvalidSettings, InvalidRecipe.
    """
    settings = from_environment(os.environ if environment is None else environment)
    _refuse_remote_sources(settings)
    bucket, _ = bucket_names(settings)
    recipe = load_aws_recipe(settings)
    check_recipe(recipe, settings)
    if settings.fonts:
        from image_processor.engine.operations.fonts import use_fonts  # noqa: PLC0415 - with tempfile, 6 ms of a cold start

        use_fonts(settings.fonts)
    deadline = Deadline()
    stores = open_aws_stores(settings, AwsAccess(retries=replace(retries, deadline=deadline)))
    isolated = isolated or settings.sandbox is SandboxPolicy.REQUIRED
    rendering = IsolatedRendering(deadline, settings.sandbox)
    render: Renderer = rendering.render if isolated else _render_within_deadline

    @cache
    def processor() -> Processor:
        outbox = build_outbox(settings, AwsAccess(retries=replace(retries, deadline=deadline)))
        return build_processor(settings, recipe, stores, outbox, render)

    return AwsContext(
        settings,
        bucket,
        recipe,
        stores.uploads,
        stores.processed,
        stores.catalog,
        lambda upload: processor().process(upload),
        _post_signer(bucket, settings.limits.max_bytes),
        _get_signer(bucket),
        lambda upload, seconds: _process_isolated(processor(), upload, seconds, settings.sandbox),
        deadline,
        render,
        rendering.start if isolated else lambda: None,
    )


def _refuse_remote_sources(settings: Settings) -> None:
    """Raises InvalidSettings if there are any: they would never be asked."""
    if settings.remote_sources:
        expected = "nothing on AWS: only the server of one machine fetches from remote sources"
        got = ",".join(settings.remote_sources)
        raise InvalidSettings([Problem(f"{PREFIX}REMOTE_SOURCES", expected, got)])


def build_processor(
    settings: Settings,
    recipe: Recipe,
    stores: Stores,
    outbox: Outbox = Outbox(),
    render: Renderer | None = None,
) -> Processor:
    """A processor that renders with ``render``, by default in this process under a CPU limit. Raises
    InvalidSettings."""
    from image_processor.ingest.process import Processor  # noqa: PLC0415 - 5 ms that deliver needs for a miss only

    return Processor(
        bucket=bucket_names(settings)[0],
        uploads=stores.uploads,
        processed=stores.processed,
        catalog=stores.catalog,
        recipe=recipe,
        render=render or _render_within_deadline,
        limits=settings.limits,
        icc=settings.icc,
        cache_control=settings.cache_control,
        owner=f"lambda:{os.urandom(8).hex()}",  # as secrets.token_hex, which takes 2 ms to import
        lease_duration=timedelta(seconds=settings.lease_seconds),
        clock=lambda: datetime.now(UTC),
        exif=settings.exif,
        outbox=outbox,
    )


def open_aws_stores(settings: Settings, access: AwsAccess = AwsAccess()) -> Stores:
    """The two buckets, and the catalog: a DynamoDB table, or objects in the processed bucket without one.

    Raises InvalidSettings.
    """
    options = {"region": access.region, "credentials": access.credentials, "retries": access.retries}
    uploads, processed = (store_from_url(url, **options) for url in _store_urls(settings))
    catalog_url = "objects://" if settings.table is None else _url(settings.table, "dynamodb")
    return Stores(uploads, processed, catalog_from_url(catalog_url, processed, **options))


class IngestQueue(Struct, frozen=True):
    """The ingest queue: ``enqueue`` adds uploads, ``backlog`` counts messages that wait."""

    enqueue: Callable[[Sequence[Upload]], int]
    backlog: Callable[[], int]


def open_queue(settings: Settings, access: AwsAccess = AwsAccess()) -> IngestQueue:
    """The queue that the settings name. Raises InvalidSettings."""
    from image_processor.aws.queue import Queue  # noqa: PLC0415 - one function of six
    from image_processor.ingest.events import message_body  # noqa: PLC0415 - as above

    if settings.queue is None:
        raise InvalidSettings([Problem(PREFIX + "QUEUE", "a queue URL", "nothing")])
    queue = Queue(settings.queue, region=access.region, credentials=access.credentials)
    return IngestQueue(lambda uploads: queue.send(map(message_body, uploads)), queue.backlog)


def bucket_names(settings: Settings) -> tuple[str, str]:
    """The names of the upload and the processed bucket.

    Raises InvalidSettings.
    """
    upload, processed = (url.partition("://")[2] for url in _store_urls(settings))
    return upload, processed


def _store_urls(settings: Settings) -> tuple[str, str]:
    """The URLs of the upload and the processed store, which differ: our output is no upload."""
    rows = {"UPLOAD_BUCKET": settings.upload_bucket, "PROCESSED_BUCKET": settings.processed_bucket}
    problems = [
        Problem(PREFIX + name, "a bucket name", "nothing") for name, value in rows.items() if not value
    ]
    if problems:
        raise InvalidSettings(problems)
    upload, processed = (_url(value or "", "s3") for value in rows.values())
    if _overlap(upload, processed):
        expected = f"another bucket than {PREFIX}UPLOAD_BUCKET's"
        raise InvalidSettings(
            [Problem(PREFIX + "PROCESSED_BUCKET", expected, repr(settings.processed_bucket))]
        )
    return upload, processed


def _overlap(one: str, other: str) -> bool:
    """Whether two stores are the same, however it is written, or one is in the other: each would take the
    other's objects for its own."""
    places = []
    for url in (one, other):
        scheme, _, location = url.partition("://")
        path = os.path.realpath(location) if scheme == "file" else posixpath.normpath(location)
        places.append(f"{scheme}://{path.rstrip('/')}/")
    return places[0].startswith(places[1]) or places[1].startswith(places[0])


def _url(location: str, scheme: str) -> str:
    """``location`` as a URL: a name without a scheme gets the given one."""
    return location if "://" in location else f"{scheme}://{location}"


def load_aws_recipe(settings: Settings, access: AwsAccess = AwsAccess()) -> Recipe:
    """The recipe from a file, from a bucket (`s3://BUCKET/KEY`), or the built-in one.

    Raises InvalidSettings, InvalidRecipe.
    """
    location = settings.recipe
    if location is None or not location.startswith(_S3_URL):
        return load_recipe(location)
    bucket, slash, key = location.removeprefix(_S3_URL).partition("/")
    if not bucket or not slash or not key:
        raise InvalidSettings([Problem(PREFIX + "RECIPE", "a path, or s3://BUCKET/KEY", repr(location))])
    store = store_from_url(f"s3://{bucket}", region=access.region, credentials=access.credentials)
    try:
        text = store.get(key).body.decode()
    except (NotFound, UnicodeDecodeError) as error:
        raise InvalidRecipe([Problem(location, "a readable recipe", str(error))]) from error
    return parse_recipe(text)


def load_engine() -> None:
    """Import libvips and block its unsafe loaders: a fifth of a cold start.

    Not done at import, because `deliver` needs none of it for a stored rendition, and `process` downloads
    the original meanwhile.
    """
    from image_processor.engine import render, runtime  # noqa: F401, PLC0415 - the purpose of this function

    runtime.start()


def render_in_process(
    data: bytes | OriginalFile, transformations: Sequence[Transformation], limits: Limits, **options: Any
) -> Rendered:
    """`engine.render.render`, imported at the first call."""
    from image_processor.engine.render import render  # noqa: PLC0415 - see load_engine

    assert isinstance(data, bytes), "S3 has no files"
    return render(data, transformations, limits, **options)


def _render_within_deadline(
    data: bytes | OriginalFile, transformations: Sequence[Transformation], limits: Limits, **options: Any
) -> Rendered:
    """`render_in_process` under a CPU deadline, at which the kernel ends the whole function.

    That is earlier than the function's own timeout, so it costs less.
    """
    with cpu_limit(limits.cpu_seconds):
        return render_in_process(data, transformations, limits, **options)


def _process_isolated(
    processor: Processor, upload: Upload, seconds: float, sandbox: SandboxPolicy
) -> Outcome:
    from image_processor.engine.worker.isolation import IsolatedRenderer  # noqa: PLC0415 - for repeated messages only

    with IsolatedRenderer(until=time.monotonic() + seconds, sandbox=sandbox) as renderer:
        return replace(processor, render=renderer.render).process(upload)


def build_outbox(settings: Settings, access: AwsAccess) -> Outbox:
    """What is sent after an outcome. Raises InvalidSettings."""
    senders: dict[MessageKind, Send] = {}
    if invalidation := build_invalidation(settings, access):
        senders[MessageKind.INVALIDATION] = invalidation
    if settings.event_bus is not None:
        from image_processor.aws.event_bus import EventBus  # noqa: PLC0415 - with EventBus only

        senders[MessageKind.EVENT] = EventBus(
            settings.event_bus, region=access.region, credentials=access.credentials, retries=access.retries
        ).send
    return Outbox(frozenset(senders), senders, settings.public_url)


def build_invalidation(settings: Settings, access: AwsAccess = AwsAccess()) -> Send | None:
    """Invalidates an image in the CDN; None without a CDN. Raises InvalidSettings."""
    if settings.invalidation_queue is not None:
        return _queued_invalidation(settings.invalidation_queue, access)
    if settings.distribution is not None:
        return _direct_invalidation(settings.distribution, access)
    return None


def build_invalidate(settings: Settings) -> Callable[[Sequence[str], str], None]:
    """What invalidates paths, for the function `invalidate`. Raises InvalidSettings."""
    from image_processor.aws.invalidation import Invalidations  # noqa: PLC0415 - one function of six

    if settings.distribution is None:
        raise InvalidSettings([Problem(PREFIX + "DISTRIBUTION", "a distribution id", "nothing")])
    return Invalidations(settings.distribution).invalidate


def _queued_invalidation(url: str, access: AwsAccess) -> Send:
    """Sends invalidations to the queue of the function `invalidate`."""
    from image_processor.aws.queue import Queue  # noqa: PLC0415 - with EnablePurge only

    queue = Queue(url, region=access.region, credentials=access.credentials, retries=access.retries)

    def send(messages: Sequence[OutboxMessage]) -> None:
        queue.send(json.dumps({"id": message.id, "key": message.key}) for message in messages)

    return send


def _direct_invalidation(distribution: str, access: AwsAccess) -> Send:
    """Invalidates without the queue and its function, for a function that was created by hand."""
    from image_processor.aws.invalidation import Invalidations, invalidation_paths  # noqa: PLC0415 - as above

    invalidations = Invalidations(distribution, credentials=access.credentials)

    def send(messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            invalidations.invalidate(invalidation_paths(invalidation_prefix(message.key)), message.id)

    return send


def _post_signer(bucket: str, max_bytes: int) -> Callable[[str, str], PostForm]:
    """Signs upload forms. Its imports are for the function `api` only."""

    def sign(key: str, media_type: str) -> PostForm:
        from image_processor.aws import post_policy  # noqa: PLC0415 - `api` only
        from image_processor.aws.credentials import credentials_from  # noqa: PLC0415 - `api` only
        from image_processor.aws.endpoints import bucket_endpoint, endpoint_override, region_from  # noqa: PLC0415 - `api` only

        region = region_from()
        return post_policy.post_form(
            post_policy.PostTarget(bucket, key, media_type, max_bytes),
            bucket_endpoint(bucket, region, endpoint_override("s3")),
            region,
            credentials_from()(),
            datetime.now(UTC),
        )

    return sign


def _get_signer(bucket: str) -> Callable[[str, str], PresignedUrl]:
    """Signs URLs of originals. Its imports are for the function `api` only."""

    def sign(key: str, disposition: str) -> PresignedUrl:
        from image_processor.aws.credentials import credentials_from  # noqa: PLC0415 - `api` only
        from image_processor.aws.endpoints import bucket_endpoint, endpoint_override, region_from  # noqa: PLC0415 - `api` only
        from image_processor.aws.presigned_get import presigned_get  # noqa: PLC0415 - `api` only

        region = region_from()
        endpoint = bucket_endpoint(bucket, region, endpoint_override("s3"))
        return presigned_get(key, disposition, endpoint, region, credentials_from()(), datetime.now(UTC))

    return sign
