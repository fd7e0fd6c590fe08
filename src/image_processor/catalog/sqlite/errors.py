"""SQLite catalog: SQLite's errors as those of the domain."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_processor.domain.errors import CatalogDamaged, InsufficientStorage, Invalid, Unavailable

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_ROOM_OF_THE_SYSTEM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@contextmanager
def translate_errors(file: str, on_damage: Callable[[CatalogDamaged], object]) -> Iterator[None]:
    """Raise Unavailable for errors of the catalog's ``file``: InsufficientStorage if it cannot grow,
    CatalogDamaged, which ``on_damage`` gets as well, if it is damaged. Raise Invalid for text that is not
    Unicode. Errors in our own statements are raised unchanged."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.NotSupportedError):
        raise
    except UnicodeEncodeError as error:
        raise Invalid.one("text", "valid Unicode", error.object) from None
    except sqlite3.DatabaseError as error:
        translated = _translated(file, error)
        if isinstance(translated, CatalogDamaged):
            on_damage(translated)
        raise translated from error
    except OSError as error:
        kind = InsufficientStorage if error.errno in _NO_ROOM_OF_THE_SYSTEM else Unavailable
        raise kind(f"the catalog is not available: {error.strerror}") from error


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether SQLite says that the file is damaged, or no database at all."""
    return _code(error) in _DAMAGED


def _translated(file: str, error: sqlite3.DatabaseError) -> Unavailable:
    if is_damage(error):
        return CatalogDamaged.of(file, str(error))
    kind = InsufficientStorage if _code(error) in _NO_ROOM else Unavailable
    return kind(f"the catalog is not available: {error}")


def _code(error: sqlite3.DatabaseError) -> int:
    """The primary result code, which is the last byte of the extended one; 0 if the error has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
