"""System checks: `manage.py check` says what is wrong with the options of the storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from .options import StorageOptions

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def check_storages(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """An error for each wrong option, and a warning for a storage without a signing key."""
    del app_configs
    return [message for alias, options in configured() for message in _messages(alias, options)]


def _messages(alias: str, options: StorageOptions) -> Iterator[checks.CheckMessage]:
    for problem in options.problems:
        where = f"STORAGES[{alias!r}]['OPTIONS'][{problem.name!r}]"
        yield checks.Error(f"{where}: {problem.message}", hint=problem.hint, id="image_processor.E001")
    if options.signing_key is None:
        yield checks.Warning(
            f"STORAGES[{alias!r}] has no signing_key, so that URLs open only what public presets declare.",
            hint="Set it, or silence this if the recipe declares every size that the templates use.",
            id="image_processor.W001",
        )


def check_deployment(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """A warning for a token that is sent without TLS."""
    del app_configs
    return [
        checks.Warning(
            f"STORAGES[{alias!r}] sends its token to {options.url} without TLS.",
            hint="Use https, or a server on this machine.",
            id="image_processor.W002",
        )
        for alias, options in configured()
        if options.token and options.url.startswith("http:") and urlsplit(options.url).hostname not in _LOCAL
    ]


def configured() -> Iterator[tuple[str, StorageOptions]]:
    """The alias and the options of each storage of this package in the settings."""
    from .storage import ImageProcessorStorage  # noqa: PLC0415 - it needs the settings

    for alias, storage in settings.STORAGES.items():
        try:
            backend = import_string(storage["BACKEND"])
        except (ImportError, KeyError):
            continue  # Django says so itself when the storage is used
        if isinstance(backend, type) and issubclass(backend, ImageProcessorStorage):
            yield alias, StorageOptions.of(storage.get("OPTIONS", {}))
