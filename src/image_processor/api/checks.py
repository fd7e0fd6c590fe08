"""HTTP edge: checks of what a request means, once its form is right."""

from __future__ import annotations

from collections.abc import Callable

from image_processor.domain.errors import Invalid


def check_all(*checks: Callable[[], object]) -> None:
    """Make every check, so that all mistakes are told at once. Raises the one error there is, or
    Invalid with the problems of all."""
    errors: list[Invalid] = []
    for check in checks:
        try:
            check()
        except Invalid as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Invalid([problem for error in errors for problem in error.problems])
