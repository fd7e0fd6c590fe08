"""Serverless image processing: an upload becomes renditions by one pure plan.

The names below are the public Python API (docs/python.md). They load on first use, because Lambda imports
this package at every cold start and most functions need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_processor.domain.errors import ImageProcessorError, InvalidTransformation, Refused
    from image_processor.domain.models import (
        ExifField,
        IccPolicy,
        ImageMetadata,
        Limits,
        RenderedImage,
        VisualSummary,
    )
    from image_processor.domain.transformation import Transformation
    from image_processor.python_api import Description, Engine, describe, probe, transform, transform_all

__version__ = "0.2.0"

__all__ = [
    "Description",
    "Engine",
    "ExifField",
    "IccPolicy",
    "ImageMetadata",
    "ImageProcessorError",
    "InvalidTransformation",
    "Limits",
    "Refused",
    "RenderedImage",
    "Transformation",
    "VisualSummary",
    "__version__",
    "describe",
    "probe",
    "transform",
    "transform_all",
]

_MODULES = {
    "domain.errors": ("ImageProcessorError", "InvalidTransformation", "Refused"),
    "domain.models": (
        "ExifField",
        "IccPolicy",
        "ImageMetadata",
        "Limits",
        "RenderedImage",
        "VisualSummary",
    ),
    "domain.transformation": ("Transformation",),
    "python_api": ("Description", "Engine", "describe", "probe", "transform", "transform_all"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
