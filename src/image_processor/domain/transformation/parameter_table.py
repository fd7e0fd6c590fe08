"""What a parameter is, and how a table of parameters is read from text and written as text.

A parameter is declared once, as the annotation of its field:
`width: Annotated[int | None, Parameter("w", SIDE, ...)] = None`. `parameter_table` collects the
declarations of a class; recipes, URLs, the CLI, the documents and the canonical text follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import replace

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.rounding import round_half_up

from .parameter_types import ValueType
from .values import Length, RelativeLength

Scale = Callable[[Any, Any], Any]
"""From a value and a factor to the scaled value."""


class Example(Struct, frozen=True):
    """A transformation that shows a parameter in docs/transformations.md."""

    text: str
    """In canonical form."""
    original: str = "photo"
    """One of the images of docs/transformation_originals.py."""
    written: str | None = None
    """Another text of the same transformation, for a parameter that no canonical text has."""


class Parameter(Struct, frozen=True, eq=False):
    """One parameter of a transformation or of an overlay."""

    name: str
    """Its short name in texts and URLs."""
    type: ValueType
    meaning: str = ""
    """For the documentation, as ``example``."""
    example: Example | str = ""
    aliases: tuple[str, ...] = ()
    """Other names that URLs may use."""
    repeatable: bool = False
    """Whether the name may occur several times. The field is then a tuple of the values, in order."""
    always_shown: bool = False
    """Whether the canonical text has the value even if it equals ``default``."""
    leading: bool = False
    """Whether it comes before the parameters of the base class."""
    scale: Scale | None = None
    """Multiplies the value by `dpr`, for lengths in pixels of the rendition."""
    normalise: Callable[[Any], Any] | None = None
    """Maps all values with the same meaning to one."""
    field: str = ""
    """The name of the field. `parameter_table` sets it, and ``default``."""
    default: Any = None
    """The field's default. If that is None, the field may be None."""

    @property
    def expected(self) -> str:
        return self.type.expected

    def check(self, value: Any) -> Problem | None:
        """The problem with ``value`` for this field; None if it is valid."""
        if self.repeatable:
            wrong = (
                [item for item in value if not self.type.is_valid(item)]
                if isinstance(value, tuple)
                else [value]
            )
            return Problem(self.field, self.expected, repr(wrong[0])) if wrong else None
        is_unset = value is None and self.default is None
        if is_unset or self.type.is_valid(value):
            return None
        return Problem(self.field, self.expected, repr(value))


def parameter_table(class_: type[Struct]) -> tuple[Parameter, ...]:
    """The parameters that the fields of ``class_`` declare, in canonical order: the order of the
    fields, base classes first, after those that are ``leading``.

    Its module must not postpone the evaluation of annotations.
    """
    # Like typing.get_type_hints and msgspec.structs.fields, without their cost at a cold start.
    fields, defaults = class_.__struct_fields__, class_.__struct_defaults__
    default_of = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))
    declared = [
        replace(metadata, field=field, default=default_of.get(field, NODEFAULT))
        for base in reversed(class_.__mro__)
        for field, hint in getattr(base, "__annotations__", {}).items()
        for metadata in getattr(hint, "__metadata__", ())
        if isinstance(metadata, Parameter)
    ]
    return tuple(sorted(declared, key=lambda parameter: not parameter.leading))


def read_pairs(
    text: str, table: Sequence[Parameter], *, separator: str, equals: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Read pairs such as `w=640,fm=webp`, in any order: the values by field, and every problem."""
    by_name = {parameter.name: parameter for parameter in table}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for pair in text.split(separator):
        name, has_value, raw = pair.partition(equals)
        parameter = by_name.get(name)
        if parameter is None or not has_value:
            problems.append(Problem("parameter", suggest(by_name, name), repr(pair)))
            continue
        if name in seen and not parameter.repeatable:
            problems.append(Problem(name, "one value", "two"))
        seen.add(name)
        try:
            value = parameter.type.read(raw)
        except InvalidTransformation as error:
            problems += error.problems
            continue
        except (ValueError, KeyError):
            problems.append(Problem(name, parameter.expected, repr(raw)))
            continue
        if not parameter.type.is_valid(value):
            problems.append(Problem(name, parameter.expected, raw))
        field = parameter.field
        values[field] = (*values.get(field, ()), value) if parameter.repeatable else value
    return values, problems


def show_pairs(value: object, table: Iterable[Parameter], *, separator: str, equals: str) -> str:
    """The canonical text of ``value``: what differs from its default, in the order of ``table``."""
    shown: list[str] = []
    for parameter in table:
        field = getattr(value, parameter.field)
        if field == parameter.default and not parameter.always_shown:
            continue
        items = field if parameter.repeatable else (field,)
        shown += [f"{parameter.name}{equals}{parameter.type.show(item)}" for item in items]
    return separator.join(shown)


_FEW = 10


def suggest(names: Iterable[str], unknown: str) -> str:
    """What an error message expects instead of the name ``unknown``: all names if they are few, else
    the most similar ones."""
    known = tuple(names)
    if len(known) <= _FEW:
        return "one of " + ", ".join(known)
    similar = _most_similar(known, unknown.lower())
    return "a name that docs/transformations.md lists" + (
        f", such as {' or '.join(similar)}" if similar else ""
    )


# Wrong URLs repeat the same wrong names; to compare one with all names takes most of their time.
@lru_cache(maxsize=1024)
def _most_similar(known: tuple[str, ...], unknown: str) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - for error messages only

    return get_close_matches(unknown, known, n=3, cutoff=0.6)


def scale_length(maximum: int, minimum: int = 0) -> Scale:
    """For `Parameter.scale`: pixels times the factor, rounded half up. Their absolute value stays
    within ``minimum`` and ``maximum``, and 0 stays 0. Fractions of a side stay as they are."""

    def scale(length: Length | None, factor: Any) -> Length | None:
        if length is None or length == 0 or isinstance(length, RelativeLength):
            return length
        scaled = min(max(minimum, round_half_up(abs(length) * factor)), maximum)
        return scaled if length > 0 else -scaled

    return scale


def scale_lengths(maximum: int) -> Scale:
    """`scale_length` for each item of a tuple."""
    scale = scale_length(maximum)
    return lambda lengths, factor: lengths and tuple(scale(length, factor) for length in lengths)
