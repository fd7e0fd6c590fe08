"""The recipe's file on one machine: its text, and replacing it as a whole."""

from __future__ import annotations

import os
import tempfile
import threading
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from image_processor.domain.errors import InvalidRecipe, PreconditionFailed, Problem, Unavailable

_writing = threading.Lock()


class RecipeFile(Struct, frozen=True):
    """The file at ``path``. Methods raise Unavailable if the system denies them."""

    path: Path

    def read(self) -> str:
        """The text of the file. Raises InvalidRecipe if it cannot be read as UTF-8."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRecipe([Problem(str(self.path), "a readable recipe file", str(error))]) from error

    def write(self, text: str, version: str) -> None:
        """Replace the text, whole or not at all, if the file still has ``version`` (see `version_of`).

        Raises PreconditionFailed if somebody else has changed it.
        """
        with _writing:
            if version_of(self.read()) != version:
                raise PreconditionFailed(f"{self.path} has changed since it was read")
            self._replace(text)

    def _replace(self, text: str) -> None:
        # A link is followed, so that the file that it names is replaced, and not the link.
        target = self.path.resolve()
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(target.stat().st_mode & 0o777)
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise Unavailable(f"cannot write {self.path}: {error.strerror}") from error


def version_of(text: str) -> str:
    """The version of a text of a recipe: different texts have different ones."""
    return sha256(text.encode()).hexdigest()[:32]
