"""Composes the read path: settings become a `Policy`, and a policy with stores becomes a `Delivery`."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.dialects import Dialect, DialectOptions, load_dialects
from image_processor.delivery.on_demand import KnownRoom, OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache, RenderResult, RenditionRepository
from image_processor.delivery.resolver import RenditionRef, RequestResolver
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.models import ImageMetadata, Upload, UploadKind
from image_processor.domain.ports import OpenOriginal, Renderer, Stores

if TYPE_CHECKING:
    from .aws import AwsContext  # loads the S3 adapter, which one machine does not need


def build_keyring(settings: Settings) -> Keyring:
    """The signing keys, in the order of the setting: the first one signs, all of them verify."""
    return Keyring(MappingProxyType({kid: secret.encode() for kid, secret in settings.signing_keys}))


def build_policy(settings: Settings) -> Policy:
    """Which URLs are served, and how."""
    return Policy(
        keyring=build_keyring(settings),
        allow_unsigned=settings.allow_unsigned,
        sizes=frozenset(settings.sizes),
        overlays=settings.overlays,
        hints=settings.hints,
        fallback=settings.fallback,
        cors_origin=settings.cors_origin,
        dialects=build_dialects(settings),
        dialect_auto=settings.dialect_auto,
        renditions_per_original=settings.renditions_per_original,
    )


def update_policy(policy: Policy, settings: Settings) -> Policy:
    """``policy`` with what may change while it is in force: `live_settings.URL_SETTINGS`."""
    return replace(
        policy,
        keyring=build_keyring(settings),
        sizes=frozenset(settings.sizes),
        hints=settings.hints,
        fallback=settings.fallback,
    )


def build_dialects(settings: Settings) -> tuple[Dialect, ...]:
    """The enabled dialects, in the order in which they are tried."""
    options = DialectOptions(
        unsafe=settings.allow_unsigned,
        lenient=settings.dialect_lenient,
        buckets=frozenset(settings.buckets),
    )
    return load_dialects(settings.dialects, settings.dialect_settings, options)


def build_rendition_repository(settings: Settings, bucket: str, stores: Stores) -> RenditionRepository:
    """Stored renditions. ``bucket`` is the name of the upload side."""
    return RenditionRepository(bucket, stores.uploads, stores.processed, stores.catalog, settings.icc)


def build_on_demand_renderer(
    settings: Settings,
    recipe: Callable[[], Recipe],
    repository: RenditionRepository,
    render: Renderer,
    prepare: Callable[[], None] = lambda: None,
    open_original: OpenOriginal | None = None,
    *,
    stores_alone: bool = False,
) -> OnDemandRenderer:
    """Renders with ``render`` what is not stored, and stores it. ``recipe`` returns the one in force.
    ``prepare`` is called before an original is read. ``open_original`` opens originals for ``render``.
    ``stores_alone`` says that no other process stores on-demand renditions.
    """
    return OnDemandRenderer(
        repository,
        render,
        settings.limits,
        lambda key: recipe().cache_control_for(key) or settings.cache_control,
        settings.renditions_per_original,
        lazy_for=lambda key: recipe().lazy_for(key),
        prepare=prepare,
        open_original=open_original,
        known_room=KnownRoom() if stores_alone else None,
    )


def build_delivery(
    settings: Settings,
    recipe: Recipe,
    repository: RenditionRepository,
    metadata_of: Callable[[str], ImageMetadata],
    base_url: str | None,
) -> Delivery:
    """Finds stored renditions for URLs.

    ``metadata_of`` returns the metadata of the original with a key. ``base_url`` precedes the keys of
    renditions, without a slash at its end; None if nothing serves renditions.
    """
    policy = build_policy(settings)
    resolver = RequestResolver(recipe, policy, metadata_of, time.time)
    return Delivery(resolver, repository, settings.cache_control, base_url)


class ReadPath(Struct, frozen=True):
    """The read path of a Lambda function: ``delivery`` finds renditions, ``make`` renders one at once."""

    delivery: Delivery
    make: Callable[[RenditionRef], RenderResult]


def build_read_path(context: AwsContext, render: Renderer) -> ReadPath:
    """The read path of a Lambda function, with ``render`` for what ingest does not make."""
    settings = context.settings
    repository = build_rendition_repository(settings, context.bucket, context.stores)
    renderer = build_on_demand_renderer(settings, lambda: context.recipe, repository, render, context.prepare)
    metadata_of = MetadataCache(repository, renderer.read_metadata)

    def make(rendition: RenditionRef) -> RenderResult:
        if not rendition.is_eager:
            return renderer.render(rendition)
        # A request for an original that does not exist costs this one HEAD request and no lease.
        repository.original_version(rendition.key)
        context.prepare()
        outcome = context.process(Upload(context.bucket, rendition.key, UploadKind.RECONCILE))
        return repository.after_ingest(rendition, outcome)

    delivery = build_delivery(settings, context.recipe, repository, metadata_of, context.renditions_url)
    return ReadPath(delivery, make)
