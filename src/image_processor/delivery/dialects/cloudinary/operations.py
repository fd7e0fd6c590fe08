"""Delivery, step 2: Cloudinary's operations in the order of the URL, as fields of a transformation and, where
those cannot express the order, as steps.

`compose` needs no size where the fields say it all; `Chain` does the rest once the original's size is known.
Source: Cloudinary's documentation, "Image resize modes", "Image crop modes" and "Image padding modes".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import InvalidRequest, InvalidTransformation
from image_processor.domain.geometry import Anchor, Size, offset, place, region_box, tilted
from image_processor.domain.models import ImageMetadata
from image_processor.domain.rounding import round_half_up, round_number
from image_processor.domain.transformation import (
    MAX_SIDE,
    SMART,
    Backdrop,
    Colour,
    Fit,
    Flip,
    Gravity,
    Length,
    Overlay,
    RelativeLength,
    Step,
    Transformation,
)

MAX_RADIUS = "max"
"""The radius of a circle or an ellipse."""

# fmt: off
_ORDER = (
    "trim", "region", "rotate", "flip", "resize", "normalise", "gamma", "brightness", "contrast",
    "saturation", "hue", "grey", "sepia", "negate", "blur", "sharpen", "pixelate", "overlays", "ellipse",
    "round", "opacity", "background",
)
# fmt: on
_RANKS = {field: rank for rank, field in enumerate(_ORDER)}
"""The order in which a transformation applies its fields."""


class Resize(Struct, frozen=True):
    """A crop mode and its qualifiers. Sides are pixels, shares of the side, or None where free."""

    mode: str
    width: Length | None = None
    height: Length | None = None
    ratio: Fraction | None = None
    """Gives a free side."""
    gravity: Gravity | None = None
    x: Length = 0
    y: Length = 0
    centred: bool = False
    """Whether ``x`` and ``y`` are the centre of what is kept."""
    background: Colour | Backdrop | None = None
    quarters: int = 0
    """Quarter turns clockwise before the resize, if the image is upright and the box is not, or the
    reverse."""


class Effect(Struct, frozen=True):
    """A change of the pixels: a field and its value, and the steps that do the same later on. Without a field
    there are only steps; without steps it has to come first."""

    name: str
    field: str = ""
    value: Any = None
    steps: tuple[Step, ...] = ()


class Turn(Struct, frozen=True):
    """Degrees clockwise, or a mirror."""

    value: float | Flip


class Corners(Struct, frozen=True):
    """Radii from the top left corner on, or MAX_RADIUS; and a border around what they leave."""

    radii: tuple[Length, ...] | str | None = None
    border: int = 0
    colour: Colour | None = None


class Branch(Struct, frozen=True):
    """`if_`: tests of the current or the initial size, each a name, a comparison and a number, of which all
    (or any) must hold; and the operations for both cases."""

    tests: tuple[tuple[str, str, float], ...]
    any_of: bool
    then: tuple[Operation, ...]
    otherwise: tuple[Operation, ...] = ()


Operation = Resize | Effect | Turn | Corners | Branch | Overlay


class NeedsSize(Exception):
    """The size of the image decides what an operation does."""


class Chain(Struct, frozen=True):
    """The operations of a URL, for which the original's size is needed."""

    operations: tuple[Operation, ...]

    def apply(
        self, values: Mapping[str, Any], original: ImageMetadata, format_: str | None
    ) -> Mapping[str, Any]:
        """The fields for ``original``. Raises InvalidRequest for a crop outside of it, and if the size is
        needed after `e_trim`, whose result is not known."""
        del format_
        try:
            return {**values, **compose(self.operations, Size(original.width, original.height))}
        except NeedsSize as error:
            raise InvalidRequest.one(
                str(error), "an operation that needs no size after e_trim", "it"
            ) from None
        except InvalidTransformation as error:
            raise InvalidRequest(error.problems) from None


def compose(operations: Sequence[Operation], size: Size | None = None) -> dict[str, Any]:
    """The fields of a transformation for ``operations``. Raises NeedsSize unless they suffice without the
    ``size`` of the original, and InvalidRequest for a crop outside of it."""
    composition = _Composition(size)
    composition.add(operations)
    steps = {"steps": tuple(composition.steps)} if composition.steps else {}
    return {**composition.fields, **steps}


class _Composition:
    """Fields and steps of the operations so far, and the size of the image after them, None if not known."""

    def __init__(self, size: Size | None) -> None:
        self.initial = size
        self.size = size
        self.fields: dict[str, Any] = {}
        self.steps: list[Step] = []
        self._rank = -1
        self._is_followed = False

    def add(self, operations: Sequence[Operation], *, followed: bool = False) -> None:
        """Add ``operations``; ``followed`` says that others come after them."""
        for at, operation in enumerate(operations, 1):
            self._is_followed = followed or at < len(operations)
            match operation:
                case Resize():
                    self._resize(operation)
                case Effect():
                    self._effect(operation)
                case Turn():
                    self._turn(operation.value)
                case Corners():
                    self._corners(operation)
                case Branch():
                    chosen = operation.then if self._holds(operation) else operation.otherwise
                    self.add(chosen, followed=self._is_followed)
                case _:
                    self._overlay(operation)

    def _known(self, name: str) -> Size:
        if self.size is None:
            raise NeedsSize(name)
        return self.size

    def _take(self, field: str) -> bool:
        """Whether ``field`` may still be set: nothing that comes after it has happened."""
        rank = _RANKS[field]
        if self.steps or rank <= self._rank:
            return False
        self._rank = rank
        return True

    # Sizes

    def _resize(self, resize: Resize) -> None:
        if resize.quarters:
            self._turn_to_fit(resize)
        if resize.mode == "crop":
            self._crop(resize)
            return
        zoom = _plain_zoom(resize)
        if zoom is not None and self._take("resize"):
            self.fields["zoom"] = zoom
            self._resized({"zoom": zoom})
            return
        fields = self._fields_of(resize)
        if fields is None:
            return
        fields |= self._position(resize, fields)
        if fields.get("fit") is Fit.CONTAIN and (
            self._is_followed or isinstance(resize.background, Backdrop)
        ):
            self._pad(resize, fields)
        elif self._take("resize"):
            if fields.get("fit") is Fit.CONTAIN and isinstance(resize.background, Colour):
                fields["background"] = resize.background
            self.fields |= fields
            self._resized(fields)
        else:
            self._resize_by_steps(resize, fields)

    def _resized(self, fields: Mapping[str, Any]) -> None:
        if self.size is not None:
            self.size = place(self.size, Transformation(**fields)).output

    def _turn_to_fit(self, resize: Resize) -> None:
        size = self._known("a_auto")
        width, height = self._sides(resize)
        if width and height and (width > height) != (size.width > size.height):
            self._turn(90 * resize.quarters)

    def _sides(self, resize: Resize) -> tuple[int | None, int | None]:
        """The sides in pixels. The ratio gives a missing one if the other is given."""
        width, height = (
            self._pixels(length, side)
            for length, side in ((resize.width, "width"), (resize.height, "height"))
        )
        if resize.ratio is not None and width is not None and height is None:
            height = max(1, round_half_up(width / resize.ratio))
        elif resize.ratio is not None and height is not None and width is None:
            width = max(1, round_half_up(height * resize.ratio))
        return width, height

    def _pixels(self, length: Length | None, side: str) -> int | None:
        if not isinstance(length, RelativeLength):
            return length
        return min(MAX_SIDE, max(1, round_half_up(length.of_side * getattr(self._known("w, h"), side))))

    def _fields_of(self, resize: Resize) -> dict[str, Any] | None:
        """The fields of a mode other than `crop`, without its position. None: it changes nothing."""
        width, height = self._sides(resize)
        sides: dict[str, Any] = {
            name: side for name, side in (("width", width), ("height", height)) if side is not None
        }
        if not sides and resize.ratio is not None and resize.mode not in _WHOLE:
            sides = {"ratio": resize.ratio}
        if not sides:
            return None
        boxed = len(sides) == 2 or "ratio" in sides
        mode = resize.mode
        if mode in {"mfit", "mpad"}:
            size, mode = self._known(f"c_{mode}"), mode[1:]
            if any(side <= getattr(size, name) for name, side in sides.items() if name != "ratio"):
                return None
        fit = {"fit": _FITS[mode]} if boxed and _FITS[mode] is not Fit.COVER else {}
        enlarge = {} if mode in _SHRINKING or "ratio" in sides else {"enlarge": True}
        return {**sides, **fit, **enlarge}

    def _position(self, resize: Resize, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Where the image is cropped or padded."""
        if not ({"width", "height"} <= fields.keys() or "ratio" in fields):
            return {}
        fit = fields.get("fit", Fit.COVER)
        if resize.centred and fit is Fit.COVER:
            size = self._known("g_xy_center")
            x = _share(resize.x, size.width)
            y = _share(resize.y, size.height)
            return {"focal_point": (x, y)}
        gravity = resize.gravity
        is_used = fit in {Fit.COVER, Fit.CONTAIN} and gravity not in {None, Gravity.CENTRE}
        return {"gravity": gravity} if is_used and not (gravity in SMART and fit is Fit.CONTAIN) else {}

    def _pad(self, resize: Resize, fields: Mapping[str, Any]) -> None:
        """Pad by a step: the field `background` fills all that is transparent at the end, also what later
        operations make transparent."""
        size = self._known(f"c_{resize.mode}")
        level = place(size, Transformation(**fields)).level
        if level != size and self._take("resize"):
            self.fields |= {"width": level.width, "height": level.height, "fit": Fit.FILL, "enlarge": True}
            self.size = level
        self._resize_by_steps(resize, fields)

    def _resize_by_steps(self, resize: Resize, fields: Mapping[str, Any]) -> None:
        size = self._known(f"c_{resize.mode}")
        placement = place(size, Transformation(**fields))
        level, output = placement.level, placement.output
        if level != size:
            self.steps.append(Step("resize", (level.width, level.height)))
        gravity = fields.get("gravity", Gravity.CENTRE)
        anchor = Anchor(gravity, focal_point=fields.get("focal_point"))
        if level != output and not level.covers(output):
            left, top = offset(output, level, anchor)
            self._add_canvas(resize.background, (output.width, output.height, left, top))
        elif level != output and gravity in SMART:
            self.steps.append(Step("smart", (output.width, output.height, gravity)))
        elif level != output:
            left, top = offset(level, output, anchor)
            self.steps.append(Step("crop", (left, top, output.width, output.height)))
        self.size = output

    def _add_canvas(self, background: Colour | Backdrop | None, canvas: tuple[int, int, int, int]) -> None:
        if isinstance(background, Backdrop):
            self.steps.append(Step("backdrop", (*canvas, background)))
        elif background is not None:
            self.steps += [Step("bg", background), Step("canvas", (*canvas, background))]
        else:
            self.steps.append(Step("canvas", canvas))

    def _crop(self, resize: Resize) -> None:
        """Keep a part without scaling."""
        width, height = self._sides(resize)
        gravity = resize.gravity or Gravity.CENTRE
        if gravity in SMART:
            self._crop_smartly(width, height, gravity)
            return
        is_plain = gravity is Gravity.NORTHWEST and not resize.centred
        plain = (resize.x, resize.y, width, height)
        if self.size is None and is_plain and all(isinstance(length, int) for length in plain):
            self._region(plain)
            return
        size = self._known("c_crop")
        if not (width or height) and resize.ratio is not None:
            box = place(size, Transformation(ratio=resize.ratio)).output
            width, height = box.width, box.height
        inner = Size(width or size.width, height or size.height).within(size)
        if resize.centred:
            focal = (_share(resize.x, size.width), _share(resize.y, size.height))
            left, top = offset(size, inner, Anchor(focal_point=focal))
            self._region((left, top, inner.width, inner.height))
        elif is_plain:
            left, top = (_inwards(resize.x, size.width), _inwards(resize.y, size.height))
            self._region((left, top, inner.width, inner.height))
        else:
            left, top = offset(size, inner, Anchor(gravity, resize.x, resize.y))
            self._region((left, top, inner.width, inner.height))

    def _crop_smartly(self, width: int | None, height: int | None, gravity: Gravity) -> None:
        if width is not None and height is not None:
            part = Size(width, height)
        else:
            whole = self._known("c_crop")
            part = Size(width or whole.width, height or whole.height)
        self.steps.append(Step("smart", (part.width, part.height, gravity)))
        self.size = part.within(self.size) if self.size is not None else None

    def _region(self, region: tuple[Any, ...]) -> None:
        if self.size is not None:
            box = region_box(region, self.size)
            if box is None:
                shown = f"{self.size.width} x {self.size.height}"
                raise InvalidRequest.one("c_crop", f"a part of the image of {shown} pixels", str(region))
            if box.size == self.size:
                return
            region = (box.left, box.top, box.width, box.height)
            self.size = box.size
        if self._take("region"):
            self.fields["region"] = region
        else:
            self.steps.append(Step("crop", region))

    def _turn(self, value: float | Flip) -> None:
        if isinstance(value, Flip):
            if self._take("flip"):
                self.fields["flip"] = value
            else:
                self.steps.append(Step("flip", value))
            return
        degrees = value % 360
        if not degrees:
            return
        if self._take("rotate"):
            self.fields["rotate"] = degrees
        else:
            self.steps.append(Step("rotate", (degrees,)))
        if self.size is not None and degrees % 90:
            self.size = tilted(self.size, degrees)
        elif self.size is not None and degrees % 180:
            self.size = self.size.turned()

    # Pixels

    def _effect(self, effect: Effect) -> None:
        # The field fills all that is transparent at the end, the step what is transparent now.
        is_early = effect.field == "background" and self._is_followed
        if effect.field and not is_early and self._take(effect.field):
            self.fields[effect.field] = effect.value
        elif effect.steps:
            self.steps += effect.steps
        else:
            raise InvalidRequest.one(
                effect.name, "it before the operations that change the image", "it after them"
            )
        if effect.field == "trim":
            self.size = None

    def _overlay(self, overlay: Overlay) -> None:
        is_next = not self.steps and self._rank == _RANKS["overlays"]
        if is_next or self._take("overlays"):
            self.fields["overlays"] = (*self.fields.get("overlays", ()), overlay)
        else:
            self.steps.append(Step("over", overlay))

    def _corners(self, corners: Corners) -> None:
        if corners.border:
            self._round_by_steps(corners.radii)
            if corners.radii is not None and corners.colour is not None:
                self.steps.append(Step("bg", corners.colour))
            size, width = self._known("bo_"), corners.border
            self.size = Size(size.width + 2 * width, size.height + 2 * width)
            colour = () if corners.colour is None else (corners.colour,)
            self.steps.append(Step("canvas", (self.size.width, self.size.height, width, width, *colour)))
            outer = corners.radii
            if isinstance(outer, tuple):
                outer = tuple(
                    radius + width if isinstance(radius, int) and radius else radius for radius in outer
                )
            self._round_by_steps(outer)
        elif corners.radii == MAX_RADIUS and self._take("ellipse"):
            self.fields["ellipse"] = True
        elif isinstance(corners.radii, tuple) and self._take("round"):
            self.fields["round"] = corners.radii
        else:
            self._round_by_steps(corners.radii)

    def _round_by_steps(self, radii: tuple[Length, ...] | str | None) -> None:
        if radii == MAX_RADIUS:
            size = self._known("r_max")
            across, down = round_number(size.width / 2), round_number(size.height / 2)
            self.steps.append(Step("ellipse", (across, down, across, down)))
        elif radii is not None:
            self.steps.append(Step("round", radii))

    # Conditions

    def _holds(self, branch: Branch) -> bool:
        size, initial = self._known("if_"), self.initial
        assert initial is not None
        numbers = {
            "w": size.width,
            "h": size.height,
            "ar": size.width / size.height,
            "iw": initial.width,
            "ih": initial.height,
            "iar": initial.width / initial.height,
        }
        results = [COMPARISONS[comparison](numbers[name], right) for name, comparison, right in branch.tests]
        return any(results) if branch.any_of else all(results)


COMPARISONS: Mapping[str, Any] = {
    "eq": lambda left, right: abs(left - right) < 1e-9,
    "ne": lambda left, right: abs(left - right) >= 1e-9,
    "lt": lambda left, right: left < right,
    "gt": lambda left, right: left > right,
    "lte": lambda left, right: left <= right,
    "gte": lambda left, right: left >= right,
}

_FITS = {
    "scale": Fit.FILL,
    "fit": Fit.INSIDE,
    "limit": Fit.INSIDE,
    "fill": Fit.COVER,
    "lfill": Fit.COVER,
    "thumb": Fit.COVER,
    "auto": Fit.COVER,
    "pad": Fit.CONTAIN,
    "lpad": Fit.CONTAIN,
}
MODES = ("crop", "mfit", "mpad", *_FITS)
"""The crop modes."""

PADDING = frozenset({"pad", "lpad", "mpad"})
"""The modes that put the image on a background."""

_SHRINKING = frozenset({"limit", "lfill", "lpad"})
_WHOLE = frozenset({"scale", "fit", "limit", "mfit"})
"""The modes that neither crop nor pad: a ratio alone changes nothing."""


def _plain_zoom(resize: Resize) -> float | None:
    """The factor of a resize that scales both sides alike by at most 1, whatever the size."""
    shares = {
        length.of_side for length in (resize.width, resize.height) if isinstance(length, RelativeLength)
    }
    is_relative = len(shares) == 1 and not any(
        isinstance(side, int) for side in (resize.width, resize.height)
    )
    if not is_relative or resize.ratio is not None or resize.mode not in _FITS:
        return None
    share = shares.pop()
    return share if 0.01 <= share <= 1 else None


def _share(length: Length, side: int) -> float:
    share = length.of_side if isinstance(length, RelativeLength) else length / side
    return round_number(min(max(share, 0), 1))


def _inwards(length: Length, side: int) -> int:
    return round_half_up(length.of_side * side) if isinstance(length, RelativeLength) else length
