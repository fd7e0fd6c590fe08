"""Wiring of the read path: settings become a policy, and a policy with stores a `Delivery`."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.dialects import Dialect, DialectOptions, load_dialects
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache, RenderResult, RenditionRepository
from image_processor.delivery.resolver import RenditionRef, RequestResolver
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.models import ImageMetadata, Upload, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.renditions.renderer import Renderer

if TYPE_CHECKING:
    from .aws import AwsContext  # with what talks to S3, which one machine does without


def build_keyring(settings: Settings) -> Keyring:
    """The signing keys in force, in their order."""
    return Keyring(MappingProxyType({kid: secret.encode() for kid, secret in settings.signing_keys}))


def build_policy(settings: Settings) -> Policy:
    return Policy(
        keyring=build_keyring(settings),
        allow_unsigned=settings.allow_unsigned,
        sizes=frozenset(settings.sizes),
        overlays=settings.overlays,
        hints=settings.hints,
        fallback=settings.fallback,
        cors_origin=settings.cors_origin,
        dialects=build_dialects(settings),
        renditions_per_original=settings.renditions_per_original,
    )


def build_dialects(settings: Settings) -> tuple[Dialect, ...]:
    """The enabled dialects, in the order in which they are tried."""
    options = DialectOptions(
        unsafe=settings.allow_unsigned,
        lenient=settings.dialect_lenient,
        buckets=frozenset(settings.buckets),
    )
    return load_dialects(settings.dialects, settings.dialect_settings, options)


def build_rendition_repository(
    settings: Settings, bucket: str, uploads: ObjectStore, processed: ObjectStore, catalog: Catalog
) -> RenditionRepository:
    return RenditionRepository(bucket, uploads, processed, catalog, settings.icc)


def build_on_demand_renderer(
    settings: Settings, recipe: Recipe, kept: RenditionRepository, render: Renderer
) -> OnDemandRenderer:
    return OnDemandRenderer(
        kept,
        render,
        settings.limits,
        lambda key: recipe.cache_control_for(key) or settings.cache_control,
        settings.renditions_per_original,
    )


def build_delivery(
    settings: Settings,
    recipe: Recipe,
    kept: RenditionRepository,
    metadata_of: Callable[[str], ImageMetadata],
    base: str | None,
) -> Delivery:
    """``metadata_of`` gives an original's facts, from wherever they are had; ``base`` is what keys are put
    behind to open them."""
    policy = build_policy(settings)
    reader = RequestResolver(recipe, policy, metadata_of, time.time)
    return Delivery(reader, kept, policy, settings.cache_control, base)


class ReadPath(Struct, frozen=True):
    """The read path of a function, which makes at once what is not there."""

    delivery: Delivery
    make: Callable[[RenditionRef], RenderResult]


def build_read_path(cloud: AwsContext, render: Renderer) -> ReadPath:
    """The read path over what a function works with."""
    settings = cloud.settings
    kept = build_rendition_repository(settings, cloud.bucket, cloud.uploads, cloud.processed, cloud.catalog)
    maker = build_on_demand_renderer(settings, cloud.recipe, kept, render)
    metadata_of = MetadataCache(kept, maker.read_metadata)

    def make(wanted: RenditionRef) -> RenderResult:
        if not wanted.declared:
            return maker.render(wanted)
        # Asking for a picture that never was must cost a look and nothing else.
        kept.original_version(wanted.key)
        return kept.after_ingest(
            wanted, cloud.process(Upload(cloud.bucket, wanted.key, UploadKind.RECONCILE))
        )

    return ReadPath(build_delivery(settings, cloud.recipe, kept, metadata_of, cloud.renditions_url), make)
