"""The recipe of a running server, which may be replaced without a restart.

Parts of the server that hold nothing made from a recipe read `current` each time. The others follow changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import InvalidRecipe

_log = logging.getLogger(__name__)


class LiveRecipe:
    """Holds the recipe in force. Methods may be called from any thread.

    ``check`` raises InvalidRecipe for a recipe that this machine cannot render.
    """

    def __init__(self, recipe: Recipe, check: Callable[[Recipe], object] = lambda _: None) -> None:
        self._lock = threading.Lock()
        self._check = check
        self._current = recipe
        self._followers: list[Callable[[Recipe], object]] = []
        self._error: InvalidRecipe | None = None

    @property
    def current(self) -> Recipe:
        return self._current

    @property
    def error(self) -> InvalidRecipe | None:
        """Why the last `reload` changed nothing; None if its recipe was valid."""
        return self._error

    def follow(self, callback: Callable[[Recipe], object]) -> None:
        """Call ``callback`` with each recipe that comes into force from now on, in the order of the calls."""
        with self._lock:
            self._followers.append(callback)

    def check(self, recipe: Recipe) -> None:
        """Raises InvalidRecipe for a recipe that this machine cannot render."""
        self._check(recipe)

    def replace(self, recipe: Recipe) -> bool:
        """Put a recipe in force; False if it is in force already. Uploads in work end with the earlier one;
        the next reconciliation finds what that leaves behind.

        Raises InvalidRecipe, and then the earlier recipe stays in force.
        """
        with self._lock:
            if recipe == self._current:
                return False
            self._check(recipe)
            self._current = recipe
            for callback in self._followers:
                callback(recipe)
        return True

    def reload(self, load: Callable[[], Recipe]) -> bool:
        """Put the recipe in force that ``load`` returns; False if it is already.

        Raises InvalidRecipe. Then the earlier recipe stays in force, the log says why, once for each error,
        and `error` holds it.
        """
        try:
            changed = self.replace(load())
        except InvalidRecipe as error:
            if str(error) != str(self._error):
                _log.error("the recipe cannot be reloaded, the previous one stays in force: %s", error)
            self._error = error
            raise
        self._error = None
        if changed:
            _log.info("the recipe was reloaded")
        return changed
