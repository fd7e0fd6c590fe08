"""Wiring of the read path: settings become a policy, and a policy with stores a `Delivery`."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import MappingProxyType

from image_processor.delivery.make import Kept, Maker, Render
from image_processor.delivery.policy import Policy
from image_processor.delivery.serve import Delivery
from image_processor.delivery.signing import Keyring
from image_processor.delivery.wanted import Reader
from image_processor.model import Facts
from image_processor.ports import Catalog, ObjectStore
from image_processor.recipes import Recipe
from image_processor.settings import Settings


def keyring_of(settings: Settings) -> Keyring:
    """The signing keys in force, in their order."""
    return Keyring(MappingProxyType({kid: secret.encode() for kid, secret in settings.signing_keys}))


def policy_of(settings: Settings) -> Policy:
    return Policy(
        keyring=keyring_of(settings),
        unsigned=settings.allow_unsigned,
        sizes=frozenset(settings.sizes),
        overlays=settings.overlays,
        hints=settings.hints,
        fallback=settings.fallback,
        cors=settings.cors_origin,
        most=settings.renditions_per_original,
    )


def kept_of(
    settings: Settings, bucket: str, uploads: ObjectStore, processed: ObjectStore, catalog: Catalog
) -> Kept:
    return Kept(bucket, uploads, processed, catalog, settings.icc)


def maker_of(settings: Settings, recipe: Recipe, kept: Kept, render: Render) -> Maker:
    del recipe  # rules with a Cache-Control of their own come with it
    return Maker(
        kept,
        render,
        settings.limits,
        lambda _: settings.cache_control,
        settings.renditions_per_original,
    )


def delivery_of(
    settings: Settings, recipe: Recipe, kept: Kept, facts_of: Callable[[str], Facts], base: str | None
) -> Delivery:
    """``facts_of`` gives an original's facts, from wherever they are had; ``base`` is what keys are put
    behind to open them."""
    policy = policy_of(settings)
    reader = Reader(recipe, policy, facts_of, time.time)
    return Delivery(reader, kept, policy, settings.cache_control, base)
