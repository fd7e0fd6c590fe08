"""What the inverses of dialects read of a transformation."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Self

from msgspec import Struct

from image_processor.domain.transformation import PARAMETERS, Transformation

_DEFAULTS = {
    row.name: row.type.show(row.default)
    for row in PARAMETERS
    if row.default is not None and not row.repeatable
}


class Values(Struct, frozen=True):
    """The parameters that a transformation sets, by name, with their texts."""

    texts: Mapping[str, str]

    @classmethod
    def of(cls, transformation: Transformation) -> Self:
        pairs = (pair.partition("=") for pair in str(transformation).split(","))
        return cls({name: text for name, _, text in pairs})

    def get(self, name: str) -> str:
        """The value; its default if it is not set, empty without one."""
        return self.texts.get(name) or _DEFAULTS.get(name, "")

    def has_others(self, known: Set[str]) -> bool:
        """Whether parameters are set that are not among ``known``."""
        return not self.texts.keys() <= known
