"""The settings of a running server: some are applied when their file changes, others need a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable

from image_processor.config.settings import ALL_SETTINGS, PREFIX, Settings, effective
from image_processor.domain.errors import InvalidSettings

from .logs import configure_logs

RELOADABLE = frozenset({"LOG_FORMAT", "LOG_LEVEL"})
"""The settings that a running server applies. The recipe's file has its own way, see `live_recipe`."""

_log = logging.getLogger(__name__)


class LiveSettings:
    """Loads the settings again with ``load``, which raises InvalidSettings. Used by one thread."""

    def __init__(self, settings: Settings, load: Callable[[], Settings]) -> None:
        self._in_force = _texts(settings)
        self._load = load
        self._waiting: frozenset[str] = frozenset()
        self._error: InvalidSettings | None = None

    @property
    def error(self) -> InvalidSettings | None:
        """Why the last `reload` applied nothing; None if the settings were valid."""
        return self._error

    def reload(self) -> frozenset[str]:
        """Apply what has changed, as far as that is possible while the server runs; the log names the others.
        Returns the names of what was applied. Raises InvalidSettings, and then nothing is applied."""
        try:
            settings = self._load()
        except InvalidSettings as error:
            if str(error) != str(self._error):
                _log.error("the settings cannot be reloaded, the previous ones stay in force: %s", error)
            self._error = error
            raise
        self._error = None
        texts = _texts(settings)
        changed = frozenset(name for name, text in texts.items() if text != self._in_force[name])
        applied, waiting = changed & RELOADABLE, changed - RELOADABLE
        if applied:
            configure_logs(settings.log_format, settings.log_level)
            self._in_force |= {name: texts[name] for name in applied}
            _log.warning("applied: %s", ", ".join(sorted(PREFIX + name for name in applied)))
        if waiting - self._waiting:
            names = ", ".join(sorted(PREFIX + name for name in waiting))
            _log.warning("start the server again to apply %s", names)
        self._waiting = waiting
        return applied


def _texts(settings: Settings) -> dict[str, str]:
    """The values by name, as `effective` writes them. Of secrets also whether they have changed."""
    texts = {spec.name: text for spec, text in effective(settings, ALL_SETTINGS)}
    secrets = {spec.name: str(_secret(settings, spec.field)) for spec in ALL_SETTINGS if spec.secret}
    return texts | secrets


def _secret(settings: Settings, field: str) -> object:
    return getattr(settings, field, None) or settings.dialect_settings.get(field)
