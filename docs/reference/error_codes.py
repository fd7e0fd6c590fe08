"""docs/errors.md: every error by its code, from the tree of errors and the statuses of its classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from image_processor.api.error_status import STATUSES, delivery_status
from image_processor.domain import errors
from image_processor.domain.errors import FIXES, ImageProcessorError, Reason, Refused

from .tables import code, one_line, table

_HEAD = """\
# Errors

An error of the API is a problem document (RFC 9457): `status`, `detail` (what was expected and what came),
`code` for programs, and often `fix`. The first table has the codes; those of HTTP itself (`forbidden`)
are the name of the status. To requests of [resumable uploads](api.md#resumable-uploads) `share-exceeded` is a
503, after which clients of tus continue. This page is written by `docs/write_reference.py`.
"""

_REASONS = """
## Why an original is refused

The record, the response (`reason`) and the command line have one of these. A refused original is not tried
again until its file, the version of the program or a limit changes.
"""


def page() -> str:
    """The page of all errors."""
    codes = table(
        ("Code", "Status", "Meaning", "Cure"), ((code(name), *about) for name, *about in sorted(_errors()))
    )
    reasons = table(
        ("Reason", "Status of its renditions", "Cure"),
        ((code(reason), str(delivery_status(Refused(reason, "any"))), FIXES[reason]) for reason in Reason),
    )
    return f"{_HEAD}\n{codes}{_REASONS}\n{reasons}"


def _errors() -> Iterator[tuple[str, str, str, str]]:
    for class_ in vars(errors).values():
        is_error = inspect.isclass(class_) and issubclass(class_, ImageProcessorError)
        if not is_error or class_ is ImageProcessorError:
            continue
        status = next(status for base, status in STATUSES if issubclass(class_, base))
        yield class_.code, str(status), one_line(_meaning(class_)), str(getattr(class_, "fix", ""))


def _meaning(class_: type[ImageProcessorError]) -> str:
    """The first paragraph of the docstring, else of that of the class above."""
    said = (base.__dict__.get("__doc__") for base in class_.__mro__)
    return inspect.cleandoc(next(text for text in said if text)).partition("\n\n")[0]
