"""Frozen values behave as dataclasses of the same fields do."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
from functools import cached_property
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import image_processor
from image_processor.domain.frozen import asdict, field, frozen, replace


@frozen(order=True)
class Size:
    """A docstring that stays."""

    width: int
    height: int = 1

    @property
    def area(self) -> int:
        return self.width * self.height


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Twin:
    width: int
    height: int = 1


@frozen
class Box:
    size: Size
    names: list[str] = field(default_factory=list)
    seen: int = field(default=0, compare=False)
    secret: str = field(default="", repr=False)


@frozen
class Base:
    x: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", abs(self.x))

    def doubled(self) -> int:
        return 2 * self.x


@frozen(kw_only=True)
class Derived(Base):
    y: int
    z: int = 3

    def doubled(self) -> int:
        return super().doubled() + self.y


@frozen(slots=False)
class Lazy:
    x: int

    @cached_property
    def more(self) -> list[int]:
        return [self.x]


ARGUMENTS = st.tuples(st.lists(st.integers(0, 2), max_size=3), st.dictionaries(
    st.sampled_from(["width", "height", "depth"]), st.integers(0, 2)
))  # fmt: skip
PAIRS = st.tuples(*[st.integers(0, 2)] * 4)


@given(ARGUMENTS)
def test_it_takes_the_arguments_that_a_dataclass_takes(arguments):
    given, named = arguments
    try:
        twin = Twin(*given, **named)
    except TypeError:
        with pytest.raises(TypeError, match=r"^Size\(\) "):
            Size(*given, **named)
    else:
        size = Size(*given, **named)
        assert (size.width, size.height) == (twin.width, twin.height)
        assert repr(size) == repr(twin).replace("Twin", "Size")
        assert dataclasses.asdict(size) == asdict(size) == dataclasses.asdict(twin)


@given(PAIRS)
def test_it_compares_as_a_dataclass_does(numbers):
    a, b, c, d = numbers
    for one, other in ((Size(a, b), Size(c, d)),):
        twins = Twin(a, b), Twin(c, d)
        assert (one == other) is (twins[0] == twins[1])
        assert (one < other, one <= other) == (twins[0] < twins[1], twins[0] <= twins[1])
        assert (one > other, one >= other) == (twins[0] > twins[1], twins[0] >= twins[1])
        assert one != other or hash(one) == hash(other)


def test_another_class_is_never_equal_nor_ordered():
    assert Size(1, 2) != Twin(1, 2)
    with pytest.raises(TypeError):
        Size(1, 2) < Twin(1, 2)  # noqa: B015 - the comparison itself raises


def test_a_field_can_neither_be_set_nor_deleted_nor_added():
    size = Size(1, 2)
    for change in (
        lambda: setattr(size, "width", 3),
        lambda: setattr(size, "depth", 3),
        lambda: delattr(size, "width"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert size == Size(1, 2)
    assert not hasattr(size, "__dict__")


def test_fields_may_have_a_default_made_anew_be_left_out_of_comparisons_and_be_secret():
    one, other = Box(Size(1)), Box(Size(1), seen=2, secret="s3cret")
    assert one.names == []
    assert one.names is not other.names
    assert one != other
    assert one == replace(other, secret="")
    assert "s3cret" not in repr(other)
    assert "seen=2" in repr(other)


def test_a_class_derives_with_its_fields_checks_and_super():
    derived = Derived(-4, y=5)
    assert (derived.x, derived.y, derived.z, derived.doubled()) == (4, 5, 3, 13)
    assert derived != Base(4)
    assert Derived.__match_args__ == ("x",)
    with pytest.raises(TypeError, match="takes 1 positional"):
        Derived(1, 2)
    with pytest.raises(TypeError, match="'y'"):
        Derived(1)


def test_a_class_without_slots_keeps_what_was_worked_out():
    lazy = Lazy(1)
    assert lazy.more is lazy.more
    assert lazy == Lazy(1)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("value", [Size(1, 2), Derived(1, y=2), Box(Size(3), ["a"], 4, "b")], ids=repr)
def test_copies_and_pickles_are_equal(again, value):
    assert again(value) == value
    assert again(value) is not value


def test_functions_of_dataclasses_take_it():
    box = Box(Size(1), seen=4)
    assert dataclasses.replace(box, size=Size(2)) == replace(box, size=Size(2)) == Box(Size(2))
    assert dataclasses.asdict(box) == asdict(box)
    assert dataclasses.is_dataclass(box)
    fields = {one.name: one for one in dataclasses.fields(Box)}
    assert list(fields) == ["size", "names", "seen", "secret"]
    assert (fields["seen"].default, fields["seen"].compare, fields["secret"].repr) == (0, False, False)
    assert fields["names"].default_factory is list
    assert fields["size"].default is dataclasses.MISSING


def test_a_change_of_no_field_is_refused():
    with pytest.raises(TypeError, match="'depth'"):
        replace(Size(1), depth=2)


def test_what_a_class_says_of_itself_stays():
    assert Size.__doc__ == "A docstring that stays."
    assert (Size.__name__, Size.__qualname__, Size.__module__) == ("Size", "Size", __name__)
    assert Size(2, 3).area == 6
    match Size(4, 5):
        case Size(width, height):
            assert (width, height) == (4, 5)


def test_declaring_and_using_values_does_not_load_dataclasses():
    program = (
        "import sys; from image_processor.domain.frozen import asdict, frozen, replace\n"
        "A = frozen(type('A', (), {'__annotations__': {'x': int}}))\n"
        "assert asdict(replace(A(1), x=2)) == {'x': 2} and A(1) == A(1)\n"
        "sys.exit('dataclasses' in sys.modules)"
    )
    # Without site, whose packages may load it; so the package's place has to be said.
    place = {"PYTHONPATH": str(Path(image_processor.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-S", "-c", program], check=False, env=os.environ | place)
    assert ended.returncode == 0
