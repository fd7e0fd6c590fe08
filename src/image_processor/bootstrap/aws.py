"""Wiring of a Lambda function: environment -> the parts that live as long as its process.

Everything here is on the path of a cold start, so the catalog that is not chosen is not loaded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.config.settings import PREFIX, Settings, from_environment
from image_processor.domain.errors import InvalidRecipe, InvalidSettings, NotFound, Problem
from image_processor.domain.models import Limits, Outcome, Rendered, Upload
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.domain.transformation import Transformation
from image_processor.engine.worker import deadline
from image_processor.ingest.invalidation import Invalidate, no_invalidation
from image_processor.ingest.process import Processor
from image_processor.storage.s3 import S3Store

from .recipe import check_extras, check_overlays, load_recipe

if TYPE_CHECKING:
    from image_processor.aws.post_policy import PostForm

_S3 = "s3://"


class AwsContext(Struct, frozen=True):
    """What a function works with. ``bucket`` is the upload bucket's name; ``sign_post`` gives
    leave to upload one original, by its key and media type.

    ``process`` renders in the function's own process, which a decoder may take down. ``process_isolated``
    survives that, and refuses what has not been rendered within so many seconds; it is slower to begin.
    """

    settings: Settings
    bucket: str
    recipe: Recipe
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    process: Callable[[Upload], Outcome]
    sign_post: Callable[[str, str], PostForm]
    process_isolated: Callable[[Upload, float], Outcome]

    @property
    def renditions_url(self) -> str | None:
        """What a rendition's key is put behind to open it, None without a CDN."""
        return self.settings.public_url


def open_aws_context(environment: Mapping[str, str] | None = None) -> AwsContext:
    """The parts that ``environment`` (the process's own without it) describes.

    Raises InvalidSettings, InvalidRecipe.
    """
    settings = from_environment(os.environ if environment is None else environment)
    upload_bucket, processed_bucket = _buckets(settings)
    recipe = _recipe(settings)
    check_overlays(recipe, settings.overlays)
    check_extras(recipe)
    if settings.fonts:
        from image_processor.engine.operations.fonts import use_fonts  # noqa: PLC0415 - with tempfile, 6 ms of a start

        use_fonts(settings.fonts)
    uploads, processed = S3Store(upload_bucket), S3Store(processed_bucket)
    catalog = _catalog(settings, processed)
    processor = Processor(
        bucket=upload_bucket,
        uploads=uploads,
        processed=processed,
        catalog=catalog,
        recipe=recipe,
        render=_render_within_deadline,
        limits=settings.limits,
        icc=settings.icc,
        cache_control=settings.cache_control,
        owner=f"lambda:{os.urandom(8).hex()}",  # as secrets.token_hex, which takes 2 ms to load
        lease_duration=timedelta(seconds=settings.lease_seconds),
        clock=lambda: datetime.now(UTC),
        exif=settings.exif,
        invalidate=_invalidate(settings),
    )
    sign_post = _post_signer(upload_bucket, settings.limits.max_bytes)
    return AwsContext(
        settings,
        upload_bucket,
        recipe,
        uploads,
        processed,
        catalog,
        processor.process,
        sign_post,
        partial(_process_isolated, processor),
    )


def load_engine() -> None:
    """Load libvips and make it safe, which takes a fifth of a cold start: not at once, because a
    delivery that finds its rendition has no need of it, and an upload could be read meanwhile."""
    from image_processor.engine import render, runtime  # noqa: F401, PLC0415 - loads them

    runtime.start()


def render_in_process(
    data: bytes, transformations: Sequence[Transformation], limits: Limits, **options: Any
) -> Rendered:
    """engine.render.render, loaded when it is first asked."""
    from image_processor.engine.render import render  # noqa: PLC0415 - see load_engine

    return render(data, transformations, limits, **options)


def _render_within_deadline(
    data: bytes, transformations: Sequence[Transformation], limits: Limits, **options: Any
) -> Rendered:
    """render, which the kernel stops, with the whole function, when its time is over: that is before
    the function's, and costs less."""
    with deadline.allowed(limits.cpu_seconds):
        return render_in_process(data, transformations, limits, **options)


def _process_isolated(processor: Processor, upload: Upload, seconds: float) -> Outcome:
    from image_processor.engine.worker.isolation import IsolatedRenderer  # noqa: PLC0415 - for what came again

    with IsolatedRenderer(until=time.monotonic() + seconds) as renderer:
        return replace(processor, render=renderer.render).process(upload)


def _buckets(settings: Settings) -> tuple[str, str]:
    """Both buckets' names. One bucket on both sides would make our own output an upload."""
    upload, processed = settings.upload_bucket, settings.processed_bucket
    if upload and processed and upload != processed:
        return upload, processed
    rows = {"UPLOAD_BUCKET": upload, "PROCESSED_BUCKET": processed}
    problems = [
        Problem(PREFIX + name, "a bucket name", "nothing") for name, value in rows.items() if not value
    ]
    if not problems:
        expected = f"another bucket than {PREFIX}UPLOAD_BUCKET's"
        problems = [Problem(PREFIX + "PROCESSED_BUCKET", expected, repr(processed))]
    raise InvalidSettings(problems)


def _recipe(settings: Settings) -> Recipe:
    """The recipe in the package, or of a bucket (s3://BUCKET/KEY)."""
    place = settings.recipe
    if place is None or not place.startswith(_S3):
        return load_recipe(place)
    bucket, slash, key = place.removeprefix(_S3).partition("/")
    if not bucket or not slash or not key:
        raise InvalidSettings([Problem(PREFIX + "RECIPE", "a path, or s3://BUCKET/KEY", repr(place))])
    try:
        text = S3Store(bucket).get(key).body.decode()
    except (NotFound, UnicodeDecodeError) as error:
        raise InvalidRecipe([Problem(place, "a readable recipe", str(error))]) from error
    return parse_recipe(text)


def _catalog(settings: Settings, processed: ObjectStore) -> Catalog:
    if settings.table is None:
        from image_processor.catalog.objects import ObjectCatalog  # noqa: PLC0415 - see the module

        return ObjectCatalog(processed)
    from image_processor.catalog.dynamodb import DynamoCatalog  # noqa: PLC0415 - see the module

    return DynamoCatalog(settings.table)


def _invalidate(settings: Settings) -> Invalidate:
    if settings.distribution is None:
        return no_invalidation
    from image_processor.aws.invalidation import Invalidations  # noqa: PLC0415 - for who has a CDN

    return Invalidations(settings.distribution).forget


def _post_signer(bucket: str, max_bytes: int) -> Callable[[str, str], PostForm]:
    def sign(key: str, media_type: str) -> PostForm:
        from image_processor.aws import post_policy as policy  # noqa: PLC0415 - for the api function alone
        from image_processor.aws.credentials import credentials_from  # noqa: PLC0415 - as above
        from image_processor.aws.endpoints import bucket_endpoint, override_of, region_from  # noqa: PLC0415 - as above

        region = region_from()
        return policy.post_form(
            policy.Target(bucket, key, media_type, max_bytes),
            bucket_endpoint(bucket, region, override_of("s3")),
            region,
            credentials_from()(),
            datetime.now(UTC),
        )

    return sign
