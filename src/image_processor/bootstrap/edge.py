"""Composes the publication of recipe and settings to the key value store of the CloudFront function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from image_processor.aws.key_value_store import KeyValueStore
from image_processor.config.settings import PREFIX, from_environment
from image_processor.delivery.edge_entries import MAX_CHANGES, changes, entries
from image_processor.domain.errors import InvalidSettings, PreconditionFailed, Problem

from .aws import load_aws_recipe

_ATTEMPTS = 3
_KEYS = f"{PREFIX}SIGNING_KEYS"


class Store(Protocol):
    """What `KeyValueStore` does."""

    def version(self) -> str: ...
    def read(self) -> dict[str, str]: ...
    def update(self, version: str, puts: Mapping[str, str], deletes: Sequence[str]) -> str: ...


def publish_edge(
    environment: Mapping[str, str], arn: str, open_store: Callable[[str], Store] = KeyValueStore
) -> int:
    """Make the store with the ARN ``arn`` hold what ``environment`` describes; returns the number of changed
    entries. Nothing is written before recipe and settings are valid.

    Raises InvalidSettings, also if signing keys are configured and empty; InvalidRecipe; Unavailable;
    PreconditionFailed if somebody else keeps changing the store.
    """
    settings = from_environment(environment)
    if _KEYS in environment and not settings.signing_keys:
        # Without this an empty secret would remove every key, and each signed URL would be 403.
        raise InvalidSettings([Problem(_KEYS, "the keys of SigningKeysSecret", "none")])
    wanted = entries(load_aws_recipe(settings), settings)
    store = open_store(arn)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return publish(wanted, store)
        except PreconditionFailed:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


def publish(wanted: Mapping[str, str], store: Store) -> int:
    """Write the differences to the store; returns their number. Raises PreconditionFailed, Unavailable."""
    version = store.version()
    count = 0
    for batch in _batches(changes(wanted, store.read())):
        puts = {key: value for key, value in batch if value is not None}
        version = store.update(version, puts, [key for key, value in batch if value is None])
        count += len(batch)
    return count


def _batches(pending: Iterator[tuple[str, str | None]]) -> Iterator[list[tuple[str, str | None]]]:
    while batch := list(islice(pending, MAX_CHANGES)):
        yield batch
