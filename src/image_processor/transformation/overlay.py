"""Placeholder until the overlays branch is merged."""

from __future__ import annotations

from dataclasses import dataclass

from .parameters import Kind


@dataclass(frozen=True)
class Overlay:
    text: str

    def scaled(self, ratio: float) -> Overlay:
        return self


OVERLAY = Kind("an overlay", Overlay, lambda value: isinstance(value, Overlay), lambda value: value.text)


def overlay_from(table: object) -> Overlay:
    return Overlay(str(table))
