"""Ground floor: the decorator of frozen values, of which almost every module declares some.

It gives what `dataclass(frozen=True, slots=True)` does without compiling code for each class:
that, and `inspect`, which `dataclasses` loads, were a fifth of a cold start (docs/adr/0012).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, eq, ge, gt, le, lt
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")

_NOTHING = object()
"""The default of a field that must be given."""

_set = object.__setattr__


class Field:
    """What is known of one field."""

    __slots__ = ("compared", "default", "default_factory", "shown")

    def __init__(
        self, default: Any, default_factory: Callable[[], Any] | None, *, compared: bool, shown: bool
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.compared = compared
        self.shown = shown

    def fresh(self) -> Any:
        return self.default if self.default_factory is None else self.default_factory()


def field(
    *,
    default: Any = _NOTHING,
    default_factory: Callable[[], Any] | None = None,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - the name of dataclasses.field
) -> Any:
    """As dataclasses.field."""
    return Field(default, default_factory, compared=compare, shown=repr)


@overload
def frozen(class_: type[_T], /) -> type[_T]: ...
@overload
def frozen(
    *, order: bool = ..., kw_only: bool = ..., slots: bool = ...
) -> Callable[[type[_T]], type[_T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(
    class_: type[_T] | None = None, /, *, order: bool = False, kw_only: bool = False, slots: bool = True
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a frozen value of a class with annotated fields: as `dataclass` with the same words.

    Functions of `dataclasses` take its instances, too.
    """
    if class_ is None:
        return lambda class_: _made(class_, order=order, kw_only=kw_only, slots=slots)
    return _made(class_, order=order, kw_only=kw_only, slots=slots)


if TYPE_CHECKING:
    # Which lets the names and types of the changes be checked.
    from dataclasses import replace as replace  # noqa: PLC0414 - an export, to mypy
else:

    def replace(value: _T, /, **changes: Any) -> _T:
        """As dataclasses.replace."""
        return type(value)(**(_fields(value) | changes))


def asdict(value: object) -> dict[str, Any]:
    """As dataclasses.asdict, but for containers, which are taken as they are."""
    fields = _fields(value)
    return {name: asdict(held) if hasattr(held, "__fields__") else held for name, held in fields.items()}


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__fields__}


def _made(class_: type[_T], *, order: bool, kw_only: bool, slots: bool) -> type[_T]:
    body = {name: held for name, held in vars(class_).items() if name not in {"__dict__", "__weakref__"}}
    own = {name: body.pop(name, _NOTHING) for name in class_.__annotations__}
    fields: dict[str, Field] = dict(getattr(class_, "__fields__", {}))  # the base's
    for name, default in own.items():
        fields[name] = (
            default if isinstance(default, Field) else Field(default, None, compared=True, shown=True)
        )
    positional = getattr(class_, "__match_args__", ())
    made = {
        "__qualname__": class_.__qualname__,
        "__fields__": fields,
        "__match_args__": positional if kw_only else (*positional, *own),
        "__dataclass_fields__": _DataclassFields(),
        "_compared": attrgetter(*(name for name, about in fields.items() if about.compared)),
        **({"__slots__": tuple(own)} if slots else {}),
    }
    # Slots can only be given to a class when it is made, so it is made a second time.
    again: Any = type(class_)
    anew: type[_T] = again(
        class_.__name__, class_.__bases__, _METHODS | (_ORDER if order else {}) | body | made
    )
    for method in [held for held in body.values() if isinstance(held, FunctionType)]:
        for name, cell in zip(method.__code__.co_freevars, method.__closure__ or (), strict=True):
            if name == "__class__":
                cell.cell_contents = anew  # what `super()` without arguments goes by
    return anew


def _init(self: Any, *given: Any, **named: Any) -> None:
    name = type(self).__qualname__
    positional = self.__match_args__
    if len(given) > len(positional):
        raise TypeError(f"{name}() takes {len(positional)} positional arguments but {len(given)} were given")
    for field_name, value in zip(positional, given, strict=False):
        if field_name in named:
            raise TypeError(f"{name}() got multiple values for argument {field_name!r}")
        named[field_name] = value
    for field_name, about in self.__fields__.items():
        value = named.pop(field_name) if field_name in named else about.fresh()
        if value is _NOTHING:
            raise TypeError(f"{name}() missing a required argument: {field_name!r}")
        _set(self, field_name, value)
    if named:
        raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(named))!r}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, about in self.__fields__.items() if about.shown)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _refuse(self: object, name: str, *_: object) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - see the module

    raise FrozenInstanceError(f"cannot change the field {name!r} of a {type(self).__qualname__}")


def _get_state(self: Any) -> list[Any]:
    return list(_fields(self).values())


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__fields__, state, strict=True):
        _set(self, name, value)


def _comparing(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A method that compares as ``compare`` does: only with another of the same class."""

    def method(self: Any, other: Any) -> Any:
        same = type(other) is type(self)
        return compare(self._compared(self), self._compared(other)) if same else NotImplemented

    return method


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _comparing(eq),
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    # Without these, copy and pickle would set attributes.
    "__getstate__": _get_state,
    "__setstate__": _set_state,
}


_ORDER = {
    "__lt__": _comparing(lt),
    "__le__": _comparing(le),
    "__gt__": _comparing(gt),
    "__ge__": _comparing(ge),
}


class _DataclassFields:
    """What functions of `dataclasses` ask a class for, made when one of them first does."""

    def __get__(self, _instance: object, class_: Any) -> Any:
        import dataclasses  # noqa: PLC0415 - see the module

        def twin(about: Field) -> Any:
            default = {} if about.default is _NOTHING else {"default": about.default}
            if about.default_factory is not None:
                default = {"default_factory": about.default_factory}
            return dataclasses.field(**default, compare=about.compared, repr=about.shown)

        fields = [(name, Any, twin(about)) for name, about in class_.__fields__.items()]
        made: Any = dataclasses.make_dataclass(class_.__name__, fields, kw_only=True)
        return made.__dataclass_fields__
