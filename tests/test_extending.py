"""docs/extending.md, kept true: each kind of extension is one row of a registry and its own file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Self

import pytest
from msgspec import Struct

from image_processor.bootstrap.delivery import build_policy
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.setting_readers import ascii_line
from image_processor.config.setting_specs import DIALECTS, DialectSpec, SettingSpec
from image_processor.config.settings import from_environment
from image_processor.delivery.dialects import DialectOptions
from image_processor.delivery.request import HttpRequest, RenditionRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.errors import SignatureMismatch


class ToyDialect(Struct, frozen=True):
    """URLs such as `toy/TOKEN/640/cat.jpg`: a width and a key."""

    token: str

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        assert options.lenient
        return cls(settings["toy_token"])

    @property
    def name(self) -> str:
        return "toy"

    def matches(self, path: str, query: str) -> bool:
        return path.startswith("toy/") and not query

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        del query, now
        _, token, width, key = path.split("/", 3)
        if token != self.token:
            raise SignatureMismatch("expected the token of toy URLs, got another one")
        return RenditionRequest(key, {"width": int(width)}, "webp", signed=True)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        return "text/plain", f"{status} {code} {message}"


def test_a_url_dialect_is_a_package_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("toy_dialect")
    package.ToyDialect = ToyDialect  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_dialect", package)
    token = SettingSpec("TOY_TOKEN", "the token of toy URLs", "a line of ASCII", ascii_line, secret=True)
    monkeypatch.setitem(DIALECTS, "toy", DialectSpec("toy_dialect:ToyDialect", (token,)))

    settings = from_environment(
        {
            "IMAGE_PROCESSOR_DIALECTS": "toy",
            "IMAGE_PROCESSOR_TOY_TOKEN": "sesame",
            "IMAGE_PROCESSOR_DIALECT_LENIENT": "1",
        }
    )
    assert "sesame" not in repr(settings)
    policy = build_policy(settings)
    recipe = parse_recipe(DEFAULT_RECIPE)
    resolver = RequestResolver(recipe, policy, pytest.fail, lambda: 0.0)

    ref = resolver.resolve(HttpRequest("GET", "toy/sesame/640/cat.jpg"))
    assert ref.stored_key == "cat.jpg/~w=640,fm=webp.webp"
    assert resolver.dialect_of(HttpRequest("GET", "toy/sesame/640/cat.jpg")) == ToyDialect("sesame")
    with pytest.raises(SignatureMismatch):
        resolver.resolve(HttpRequest("GET", "toy/guess/640/cat.jpg"))
