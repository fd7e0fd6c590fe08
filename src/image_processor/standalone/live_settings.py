"""The settings of a running server: some are applied when their file changes, others need a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from image_processor.config.settings import ALL_SETTINGS, PREFIX, Settings
from image_processor.domain.errors import InvalidSettings

from .logs import configure_logs

LOG_SETTINGS = frozenset({"LOG_FORMAT", "LOG_LEVEL"})
URL_SETTINGS = frozenset({"SIGNING_KEYS", "SIZES", "HINTS", "FALLBACK"})
TOKEN_SETTINGS = frozenset({"TOKENS", "TOKENS_FILE"})

RELOADABLE = LOG_SETTINGS | URL_SETTINGS | TOKEN_SETTINGS
"""The settings that a running server applies. The recipe's file has its own way, see `live_recipe`."""

_log = logging.getLogger(__name__)


class LiveSettings:
    """The settings in force. ``load`` reads them again and raises InvalidSettings. One thread reloads."""

    def __init__(self, settings: Settings, load: Callable[[], Settings]) -> None:
        self._current = settings
        self._load = load
        self._waiting: frozenset[str] = frozenset()
        self._error: InvalidSettings | None = None
        self._followers: list[Callable[[Settings], object]] = []

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def error(self) -> InvalidSettings | None:
        """Why the last `reload` applied nothing; None if the settings were valid."""
        return self._error

    def follow_urls(self, callback: Callable[[Settings], object]) -> None:
        """Call ``callback`` with the settings whenever one of URL_SETTINGS has changed."""
        self._followers.append(callback)

    def reload(self) -> frozenset[str]:
        """Apply what has changed, as far as that is possible while the server runs; the log names the others.
        Returns the names of what was applied. Raises InvalidSettings, and then nothing is applied."""
        try:
            loaded = self._load()
        except InvalidSettings as error:
            if str(error) != str(self._error):
                _log.error("the settings cannot be reloaded, the previous ones stay in force: %s", error)
            self._error = error
            raise
        self._error = None
        changed = _changes(self._current, loaded)
        # Without any token the server would be open: only a start, which looks at its address, may do that.
        reloadable = RELOADABLE if loaded.all_tokens else RELOADABLE - TOKEN_SETTINGS
        self._apply(loaded, changed & reloadable)
        self._log_restart_needed(changed - reloadable)
        return changed & reloadable

    def _apply(self, loaded: Settings, names: frozenset[str]) -> None:
        if not names:
            return
        values = {name.lower(): getattr(loaded, name.lower()) for name in names}
        origins = {PREFIX + name: loaded.origins.get(PREFIX + name) for name in names}
        kept = {name: origin for name, origin in {**self._current.origins, **origins}.items() if origin}
        self._current = replace(self._current, **values, origins=kept)
        if names & LOG_SETTINGS:
            configure_logs(self._current.log_format, self._current.log_level)
        if names & URL_SETTINGS:
            for callback in self._followers:
                callback(self._current)
        _log.info("applied %s", _list(names))

    def _log_restart_needed(self, names: frozenset[str]) -> None:
        if names - self._waiting:
            _log.warning("start the server again to apply %s", _list(names))
        self._waiting = names


def _changes(before: Settings, after: Settings) -> frozenset[str]:
    """The names of the settings that differ."""
    return frozenset(
        spec.name for spec in ALL_SETTINGS if _value(before, spec.field) != _value(after, spec.field)
    )


def _value(settings: Settings, field: str) -> object:
    for owner in (settings, settings.limits):
        if field in owner.__struct_fields__:
            return getattr(owner, field)
    return settings.dialect_settings.get(field)


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(PREFIX + name for name in names))
